"""Bugs of the shell: they show only when something else goes wrong at the same time."""

from __future__ import annotations

from .mutant import Edit, Look, Mutant

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
        name="what-is-committed-is-written",
        invariant="I2",
        what="The pods were looked at when the weight was decided.",
        edits=(
            Edit(
                "core/intents.py",
                "if any(facts.seen.ready(key) < 1 for key in rising):",
                "if any(facts.seen.ready(key) < 0 for key in rising):",
            ),
        ),
        looks=(Look("first-pods-die", "crash-at-serving"),),
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
