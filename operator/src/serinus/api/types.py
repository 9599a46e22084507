"""Scalar types of the resource: durations, ratios and quantities, written as strings.

CRDs discourage floats, so people write ``"0.01"`` and ``250ms``. Each type carries its JSON schema
pattern, so that the API server refuses what the parser would refuse.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

# At most 41 days: seconds of it fit where Kubernetes has 32-bit integers.
DURATION_PATTERN = r"^([0-9]{1,3}h)?([0-9]{1,4}m)?([0-9]{1,5}s)?([0-9]{1,6}ms)?$"
RATIO_PATTERN = r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$"
QUANTITY_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

_UNITS_MS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PARTS = re.compile(r"([0-9]+)(ms|h|m|s)")


def parse_duration(value: Any) -> timedelta:
    """``"1m30s"`` -> 90 s. Units h, m, s, ms, from large to small.

    Raises:
        ValueError: with the accepted form, when ``value`` is none of it.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not value or not re.match(DURATION_PATTERN, value):
        raise ValueError(f"{value!r} is not a duration such as 250ms, 30s, 5m or 1h30m")
    return timedelta(milliseconds=sum(int(n) * _UNITS_MS[u] for n, u in _PARTS.findall(value)))


def format_duration(value: timedelta) -> str:
    """The shortest form that :func:`parse_duration` reads back: 90 s -> ``"1m30s"``."""
    rest = round(value / timedelta(milliseconds=1))
    parts = []
    for unit, size in _UNITS_MS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_ratio(value: Any) -> Decimal:
    """``"0.01"`` -> Decimal, between 0 and 1.

    Raises:
        ValueError: when ``value`` is not a decimal string between 0 and 1.
    """
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not re.match(RATIO_PATTERN, value):
        raise ValueError(f'{value!r} is not a ratio between "0" and "1" such as "0.01"')
    return Decimal(value)


def parse_time(value: Any) -> datetime:
    """RFC 3339 in UTC -> aware datetime.

    Raises:
        ValueError: when ``value`` is no time or has no zone.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{value!r} is not a time such as 2026-01-31T12:00:00Z")
    return value.astimezone(UTC)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: slots may be shorter than a second apart."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def parse_quantity(value: Any) -> str:
    """A Kubernetes quantity such as ``500m``, ``1Gi`` or the number 2, as a string.

    Raises:
        ValueError: when ``value`` is none.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.match(QUANTITY_PATTERN, text):
        raise ValueError(f"{value!r} is not a quantity such as 500m, 2 or 1Gi")
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {"type": "string", "minLength": 2, "maxLength": 32, "pattern": DURATION_PATTERN}
    ),
]
Ratio = Annotated[
    Decimal,
    BeforeValidator(parse_ratio),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "maxLength": 16, "pattern": RATIO_PATTERN}),
]
Time = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Quantity = Annotated[
    str,
    BeforeValidator(parse_quantity),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
