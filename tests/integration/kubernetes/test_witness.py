"""The witness of the kill tests speaks up: a check that never fires proves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from stories import Witness

from serinus.sandbox.objects import Object

KEY = ("here", "churn")
OLD, NEW = "churn-aaaaaaaa", "churn-bbbbbbbb"
CANARY = {"revision": "v1:bbbbbbbb" + 56 * "0"}


def route(version: int, **weights: int | None) -> Object:
    names = {"old": OLD, "new": NEW}
    backends = [
        {"name": names[arm], **({} if weight is None else {"weight": weight})}
        for arm, weight in weights.items()
    ]
    return _object(version, spec={"rules": [{"backendRefs": backends}]})


def status(version: int, **fields: Any) -> Object:
    return _object(version, status=fields)


def _object(version: int, **fields: Any) -> Object:
    meta = {"namespace": KEY[0], "name": KEY[1], "resourceVersion": str(version)}
    return {"metadata": meta, **fields}


LATCHED = status(5, canary=CANARY, rollout={"breach": {"reason": "Breach"}})
FAILED = status(7, failed=CANARY)


def test_a_rollback_as_it_should_be_has_no_violations() -> None:
    routes = [
        route(1, old=100),
        route(3, old=80, new=20),
        route(6, old=100, new=0),
        route(8, old=100),
    ]
    witness = Witness({KEY: routes}, {KEY: [status(2, canary=CANARY), LATCHED, FAILED]})
    assert list(witness.violations(KEY)) == []
    assert witness.latched(KEY)


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        ([route(1, old=100, new=None)], "no integer"),
        ([route(1, old=100, new=20)], "do not sum to 100"),
        ([route(1, old=90, new=10)], "nobody configured"),
        ([route(4, old=80, new=20), route(6, old=50, new=50)], "from 20 to 50 after its breach"),
        ([route(6, old=100, new=0), route(9, old=80, new=20)], "from 0 to 20 after its breach"),
    ],
)
def test_what_must_never_be_seen_is_told(routes: list[Object], told: str) -> None:
    witness = Witness({KEY: routes}, {KEY: [LATCHED, FAILED]})
    (found,) = witness.violations(KEY)
    assert told in found


def test_a_weight_that_stays_or_rises_before_the_breach_is_none() -> None:
    routes = [route(1, old=80, new=20), route(2, old=50, new=50), route(6, old=50, new=50)]
    assert list(Witness({KEY: routes}, {KEY: [LATCHED]}).violations(KEY)) == []
