"""People change their mind: other specs, commands, deletions."""

from __future__ import annotations

from typing import Any

from ..collector import terminate
from ..people import NAMESPACE
from ..run import Scenario
from ..world import World
from .basics import (
    GONE,
    LIMIT,
    at_rest,
    first_deploy,
    over,
    rolled_back,
    serving,
    spec,
    started,
    weighted,
)  # fmt: skip

# Of a person without whom there is no end, in seconds: a conflict alone is over after ten minutes.
PATIENCE = 900.0


async def mid_canary(w: World, weight: int = 20) -> None:
    """Version 2 has some traffic beside version 1."""
    await first_deploy(w)
    w.apply("churn", spec("2"))
    await weighted(w, "2", weight)


async def new_spec_mid_canary(w: World) -> None:
    await mid_canary(w)
    w.apply("churn", spec("3"))
    await serving(w, "3")


async def new_spec_during_rollback(w: World) -> None:
    await mid_canary(w)
    w.set_truth("2", errors=1.0)
    await w.until(
        lambda: w.stage() == "RollingBack" or bool(w.status().get("failed")), LIMIT, "a rollback"
    )
    w.apply("churn", spec("3"))
    await serving(w, "3")


async def a_b_a(w: World) -> None:
    await mid_canary(w)
    w.apply("churn", spec("1"))
    await over(w, "2")


async def a_b_a_b(w: World) -> None:
    await a_b_a(w)
    w.apply("churn", spec("2"))
    await serving(w, "2")


async def flapping(w: World) -> None:
    """Specs faster than anything can follow; the last one counts."""
    await first_deploy(w)
    for version in ("2", "3", "2", "4", "1", "3", "5"):
        w.apply("churn", spec(version))
        await w.sleep(0.25 + 1.5 * w.rng.random())
    await serving(w, "5")


async def failed_stays_failed(w: World) -> None:
    """A failed version is left alone until the token changes."""
    await first_deploy(w)
    w.set_truth("2", errors=1.0)
    w.apply("churn", spec("2"))
    await started(w, "2")
    await over(w, "2")
    w.set_truth("2", errors=0.0)
    await w.sleep(12.0)
    if w.weights().get("2"):
        w.violation("I9", f"a failed version was tried again: {w.weights()}")


async def retried(w: World) -> None:
    await failed_stays_failed(w)
    w.apply("churn", spec("2", rollout={"retryToken": "again"}))
    await serving(w, "2")


def deleted(**how: Any) -> Any:
    async def script(w: World) -> None:
        await mid_canary(w)
        w.delete("churn", **how)
        await w.until(lambda: w.cr() is None, LIMIT, "the deletion")

    return script


async def recreated(w: World) -> None:
    """Deleted and made again at once, under the same name, while the old children are there."""
    await mid_canary(w)
    w.delete("churn")
    await w.sleep(0.5 * w.rng.random())
    w.apply("churn", spec("3"))
    await serving(w, "3")


async def namespace_deleted(w: World) -> None:
    await mid_canary(w)
    terminate(w, NAMESPACE)
    await w.until(lambda: NAMESPACE not in w.store.namespaces, LIMIT, "the end of the namespace")


async def aborted(w: World) -> None:
    await mid_canary(w)
    w.command("churn", "abort", w.revision("2"))
    await over(w, "2")


async def promoted(w: World) -> None:
    """A person does not wait for the hold."""
    await first_deploy(w)
    w.apply("churn", spec("2", steps=((20, "500s"), (60, "2s"))))
    await weighted(w, "2", 20)
    w.command("churn", "promote", w.revision("2"))
    await serving(w, "2")


async def promoted_in_full(w: World) -> None:
    await first_deploy(w)
    w.apply("churn", spec("2", steps=((20, "500s"), (60, "500s"))))
    await weighted(w, "2", 20)
    w.command("churn", "promote", f"{w.revision('2')}/full")
    await serving(w, "2")


async def approved(w: World) -> None:
    """After the last step the rollout waits for a person, who answers whenever it asks.

    It may ask twice: a command is carried out once, and after a conflict the steps begin again.
    """
    await first_deploy(w)
    w.apply("churn", spec("2", rollout={"approval": "Manual"}))
    await weighted(w, "2", 60, PATIENCE)
    await w.sleep(10.0)
    if w.requested("2") > 60:
        w.violation("I3", f"promoted without the approval: {w.weights()}")
    w.command("churn", "promote", w.revision("2"))
    while True:
        await w.until(lambda: not w.stage() or _asks_again(w), PATIENCE, "an end, or a question")
        if not w.stage():
            return
        w.command("churn", "promote", None)
        await w.until(lambda: not _acknowledged(w), LIMIT, "an old answer forgotten")
        w.command("churn", "promote", w.revision("2"))


def _asks_again(w: World) -> bool:
    """Whether an approval is missing although the command that is there was carried out."""
    reasons = (w.status().get("rollout") or {}).get("pauseReasons") or ()
    return _acknowledged(w) and any(r["reason"] == "ApprovalRequired" for r in reasons)


def _acknowledged(w: World) -> bool:
    return bool((w.status().get("acknowledged") or {}).get("promote"))


async def paused_and_resumed(w: World) -> None:
    await mid_canary(w)
    w.command("churn", "pause", w.revision("2"))
    await w.sleep(12.0)
    w.command("churn", "resume", None)
    await serving(w, "2")


async def abort_and_promote(w: World) -> None:
    """Both at once, in one write or in two: abort comes first."""
    await mid_canary(w)
    commands = ["abort", "promote"]
    w.rng.shuffle(commands)
    for what in commands:
        w.command("churn", what, w.revision("2"))
    await over(w, "2")


async def abort_races_promotion(w: World) -> None:
    """An abort that comes about when the canary becomes stable: one of both, never a mixture."""
    await mid_canary(w, 60)
    revision = w.revision("2")
    await w.sleep(1.5 + 3.0 * w.rng.random())
    w.command("churn", "abort", revision)
    await w.until(lambda: not w.status().get("rollout"), LIMIT, "the end of the rollout")


async def promote_races_breach(w: World) -> None:
    """A breach is never overridden by a promotion that comes with it or after it."""
    await mid_canary(w)
    w.set_truth("2", errors=1.0)
    await w.until(lambda: w.stage() == "RollingBack" or not w.stage(), LIMIT, "a rollback")
    w.command("churn", "promote", w.revision("2") or "2")
    await over(w, "2")


async def breach_while_paused(w: World) -> None:
    """A pause keeps the weight; a breach takes it back all the same."""
    await mid_canary(w)
    w.command("churn", "pause", w.revision("2"))
    await w.sleep(3.0 * w.rng.random())
    w.set_truth("2", errors=1.0)
    await over(w, "2")


async def abort_and_new_spec(w: World) -> None:
    """The abort is for version 2, the spec asks for version 3: both are done."""
    await mid_canary(w)
    actions = [
        lambda: w.command("churn", "abort", w.revision("2")),
        lambda: w.apply("churn", spec("3")),
    ]
    w.rng.shuffle(actions)
    for act in actions:
        act()
    await serving(w, "3")


SCENARIOS = (
    Scenario("new-spec-mid-canary", new_spec_mid_canary, (at_rest("3"),)),
    Scenario("new-spec-during-rollback", new_spec_during_rollback, (at_rest("3"),)),
    Scenario("a-b-a", a_b_a, (at_rest("1", failed=None),), loosely=(at_rest("1"),)),
    Scenario("a-b-a-b", a_b_a_b, (at_rest("2"),)),
    Scenario("flapping", flapping, (at_rest("5"),)),
    Scenario("failed-stays-failed", failed_stays_failed, (rolled_back("1", "2"),)),
    Scenario("retried", retried, (at_rest("2"),)),
    Scenario("deleted", deleted(), (GONE,)),
    Scenario("deleted-foreground", deleted(foreground=True), (GONE,)),
    Scenario("recreated", recreated, (at_rest("3"),)),
    Scenario("namespace-deleted", namespace_deleted, ({**GONE, "namespace": None},)),
    Scenario("aborted", aborted, (rolled_back("1", "2"),)),
    Scenario("promoted", promoted, (at_rest("2"),)),
    Scenario("promoted-in-full", promoted_in_full, (at_rest("2"),)),
    Scenario("approved", approved, (at_rest("2"),)),
    Scenario("paused-and-resumed", paused_and_resumed, (at_rest("2"),)),
    Scenario("abort-and-promote", abort_and_promote, (rolled_back("1", "2"),)),
    Scenario("abort-races-promotion", abort_races_promotion, (rolled_back("1", "2"), at_rest("2"))),
    Scenario("promote-races-breach", promote_races_breach, (rolled_back("1", "2"),)),
    Scenario("breach-while-paused", breach_while_paused, (rolled_back("1", "2"),)),
    Scenario("abort-and-new-spec", abort_and_new_spec, (at_rest("3"),)),
)
