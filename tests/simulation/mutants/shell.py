"""Bugs of the shell: they show only when something else goes wrong at the same time."""

from __future__ import annotations

from .mutant import Edit, Look, Mutant

MANY = tuple(range(1, 41))

SHELL = (
    Mutant(
        name="the-status-is-just-written",
        invariant="L1",
        what="A merge patch touches our fields only, so it needs no version.",
        edits=(
            Edit(
                "reconcile/act.py",
                '"metadata": {"resourceVersion": snapshot.resource_version, "uid": snapshot.owner.uid},',
                '"metadata": {"uid": snapshot.owner.uid},',
            ),
        ),
        looks=(
            Look("breach-step-1", "stale", (1, 2, 3)),
            Look("failed-stays-failed", "stale", (1, 2)),
        ),
    ),
    Mutant(
        name="a-late-write-counts",
        invariant="I4",
        what="The route is what we say, whoever has touched it since.",
        edits=(
            Edit(
                "reconcile/writes.py",
                'return {"resourceVersion": str(live["metadata"]["resourceVersion"])}',
                "return {}",
            ),
        ),
        looks=(Look("breach-step-2", "late-raise", (1, 2, 3)),),
    ),
    Mutant(
        name="first-the-effect-then-the-note",
        invariant="I3",
        what="The status says what is, so it is written when it is.",
        edits=(
            Edit(
                "reconcile/act.py",
                "    version = await _commit(plan, snapshot, deps, needed=bool(writes or plan.events))\n"
                "    failure: ApiError | None = None\n",
                "    failure: ApiError | None = None\n",
            ),
            Edit(
                "reconcile/act.py",
                "    for number, event in enumerate(plan.events):\n",
                "    version = await _commit(plan, snapshot, deps, needed=bool(writes or plan.events))\n"
                "    for number, event in enumerate(plan.events):\n",
            ),
        ),
        looks=(Look("happy-path"),),
    ),
    Mutant(
        name="pods-are-ready-endpoints-follow",
        invariant="I2",
        what="A Deployment with ready pods has endpoints.",
        edits=(
            Edit(
                "core/observed.py",
                "return min(workload.ready if workload else 0, self.endpoints.get(short, 0))",
                "return workload.ready if workload else 0",
            ),
        ),
        looks=(Look("happy-path", "foreign", MANY), Look("deleted-children")),
    ),
    Mutant(
        name="children-of-the-same-name",
        invariant="I14",
        what="A Deployment of that name is the one that we want.",
        edits=(
            Edit(
                "reconcile/writes.py",
                "        if not self.owner.owns(found):\n",
                "        if not self.owner.name:\n",
            ),
        ),
        looks=(Look("made-again"),),
    ),
)
