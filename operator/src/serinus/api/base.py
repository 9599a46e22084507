"""What all models of the API have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Rule(BaseModel):
    """A CEL rule of the CRD: ``x-kubernetes-validations``."""

    rule: str
    message: str


class ApiModel(BaseModel):
    """Base of spec and status: camelCase outside, frozen, unknown fields left to the schema."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )
