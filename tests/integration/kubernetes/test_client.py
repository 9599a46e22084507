"""The operator's client and the CRD: what the API server itself refuses and fills in."""

from __future__ import annotations

import uuid

import pytest
from stories import model_deployment

from serinus.kube.client import KubeClient
from serinus.ports import Conflict, Invalid, Kind, NotFound, Ref
from serinus.reconcile import kinds


@pytest.fixture
def ref() -> Ref:
    return Ref(kinds.MODEL_DEPLOYMENT, "default", f"test-{uuid.uuid4().hex[:8]}")


def minimal(ref: Ref) -> dict[str, object]:
    made = model_deployment((ref.namespace, ref.name), "models:/churn/1")
    return {**made, "spec": {"model": made["spec"]["model"]}}


async def test_the_api_server_fills_in_defaults_and_refuses_what_the_schema_forbids(
    kube: KubeClient, ref: Ref
) -> None:
    made = await kube.create(ref, minimal(ref))
    assert made["spec"]["rollout"]["steps"][0] == {"weight": 5, "hold": "2m"}
    with pytest.raises(Invalid, match=r"spec\.server\.replicas"):
        await kube.patch(ref, {"spec": {"server": {"replicas": 0}}})
    with pytest.raises(Invalid, match=r"spec\.model\.uri"):
        await kube.patch(ref, {"spec": {"model": {"uri": "http://x"}}})
    await kube.delete(ref, made["metadata"]["uid"])


async def test_a_status_patch_with_a_stale_version_is_refused_even_when_it_changes_nothing(
    kube: KubeClient, ref: Ref
) -> None:
    """What the commit before every effect relies on."""
    made = await kube.create(ref, minimal(ref))
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "status": {}}
    await kube.patch(ref, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        await kube.patch(ref, stale, "status")
    await kube.delete(ref, made["metadata"]["uid"])


async def test_a_missing_kind_is_an_error_not_an_empty_list(kube: KubeClient) -> None:
    with pytest.raises(NotFound):
        await kube.list(Kind("nobody.example.com", "v1", "Nothing", "nothings"), None, {})
