"""Every request is told once, however it ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from serinus.kube.metered import MeteredKube
from serinus.ports import Conflict, Ref, Unreachable
from serinus.reconcile import kinds

REF = Ref(kinds.MODEL_DEPLOYMENT, "ml", "churn")


class Api:
    error: BaseException | None = None

    async def _answer(self, *_: Any, **__: Any) -> Any:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return {}

    get = list = patch = create = delete = _answer


class Told(list[tuple[str, str, str]]):
    def __call__(self, verb: str, resource: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.append((verb, resource, code))


async def test_every_verb_is_told_with_its_resource() -> None:
    told = Told()
    kube = MeteredKube(Api(), told)
    await kube.get(REF)
    await kube.list(kinds.POD, "ml", {})
    await kube.patch(REF, {}, "status")
    await kube.create(REF, {})
    await kube.delete(REF, "uid")
    assert [(verb, resource) for verb, resource, _ in told] == [
        ("get", "modeldeployments"),
        ("list", "pods"),
        ("patch", "modeldeployments/status"),
        ("create", "modeldeployments"),
        ("delete", "modeldeployments"),
    ]
    assert {code for *_, code in told} == {"200"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict(409, "Conflict", "changed"), "409"),
        (Unreachable(0, "Unreachable", "refused"), "Unreachable"),
        (asyncio.CancelledError(), "Cancelled"),
        (KeyError("x"), "KeyError"),
    ],
)
async def test_failures_are_told_and_passed_on(error: BaseException, code: str) -> None:
    told = Told()
    api = Api()
    api.error = error
    with pytest.raises(type(error)):
        await MeteredKube(api, told).get(REF)
    assert told == [("get", "modeldeployments", code)]
