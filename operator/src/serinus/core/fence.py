"""Fences: how a write that was delayed on its way is kept from undoing a newer decision.

The status counts the changes of weights; the route carries that count. A change of weights is
therefore always a write of the route, also where the route has those weights already, and moves its
resourceVersion: an older write that is still on its way, of a process that hangs or of a leader that
no longer leads, then finds another version than the one it was made for.
"""

from __future__ import annotations

from serinus.api.status import ModelDeploymentStatus
from serinus.core.facts import update


def stamp(status: ModelDeploymentStatus) -> str:
    """What the route is to carry for the weights of this status."""
    return str(status.fence)


def renew(
    before: ModelDeploymentStatus, after: ModelDeploymentStatus, epoch: int
) -> ModelDeploymentStatus:
    """``after`` with the next fence, when weights change or another leader takes over a rollout.

    ``epoch`` is noted with every change, never for its own sake: at rest a new leader writes nothing.
    """
    taken_over = epoch != before.epoch and after.rollout is not None
    if _weights(before) != _weights(after) or taken_over:
        return update(after, fence=before.fence + 1, epoch=epoch)
    return update(after, epoch=epoch) if after != before else after


def _weights(status: ModelDeploymentStatus) -> dict[str, int]:
    arms = (status.stable, status.canary)
    return {
        arm.revision: arm.requested_weight
        for arm in arms
        if arm is not None and arm.requested_weight
    }
