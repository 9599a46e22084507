"""One reconcile, as a straight line: observe, decide, commit, act."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from serinus.api.status import ModelDeploymentStatus
from serinus.core.decide import decide
from serinus.core.plan import Plan
from serinus.reconcile.act import act
from serinus.reconcile.deps import Deps, Key
from serinus.reconcile.observe import observe

AGAIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pass ended: what was decided, and when to look again.

    Attributes:
        plan: None when the object is gone.
        requeue_after: None: an event or the resync wakes the next pass.
    """

    plan: Plan | None
    requeue_after: timedelta | None


async def reconcile(key: Key, deps: Deps, write_problem: str = "") -> Outcome:
    """Looks at one ModelDeployment once and does what is due.

    ``write_problem`` is why the last pass's writes were refused, to be told in a condition.

    Raises:
        ApiError: the Kubernetes API failed; the caller looks again, later for some errors.
    """
    now = deps.clock.now()
    snapshot = await observe(key, deps, now, write_problem)
    if snapshot is None:
        return Outcome(None, None)
    status, epoch = snapshot.seen.status, snapshot.seen.epoch
    if isinstance(status, ModelDeploymentStatus) and 0 < epoch < status.epoch:
        await deps.outrank(status.epoch)
        return Outcome(Plan(status=None), AGAIN)
    plan = decide(snapshot.seen, now)
    await act(plan, snapshot, deps)
    return Outcome(plan, plan.requeue_after)
