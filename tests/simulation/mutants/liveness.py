"""Bugs that break what must happen in the end, or in time: L1 to L3, B1, INV-24, INV-25."""

from __future__ import annotations

from .mutant import Edit, Look, Mutant

LIVENESS = (
    Mutant(
        name="every-pass-writes",
        invariant="L1",
        what="One more write does not hurt anybody.",
        edits=(
            Edit("reconcile/act.py", "if not patch and not needed:", "if not patch and needed:"),
        ),
        looks=(Look("first-deploy"),),
    ),
    Mutant(
        name="an-open-slot-is-always-news",
        invariant="L1",
        what="The time of the last look is worth a write.",
        edits=(
            Edit(
                "core/gates.py",
                "if not judgement.closes and _says_nothing_new(rollout, judgement):",
                "if judgement.closes and _says_nothing_new(rollout, judgement):",
            ),
        ),
        looks=(Look("zero-traffic"),),
    ),
    Mutant(
        name="old-revisions-are-given-away",
        invariant="L2",
        what="Whoever wants to look at an old revision finds it there.",
        edits=(
            Edit(
                "reconcile/writes.py",
                '            await deps.kube.delete(ref, meta["uid"], str(meta["resourceVersion"]))\n',
                '            free = {"resourceVersion": meta["resourceVersion"], "ownerReferences": []}\n'
                '            await deps.kube.patch(ref, {"metadata": free})\n',
            ),
        ),
        looks=(Look("deleted-after-a-change"),),
    ),
    Mutant(
        name="watches-never-lose-anything",
        invariant="L3",
        what="The first listing is enough: the watches tell the rest.",
        edits=(
            Edit(
                "app/resync.py",
                "            known = add(queue, items, known, interval)\n",
                "            known = add(queue, items, known, interval) if known is None else known\n",
            ),
        ),
        looks=(Look("happy-path", faults="watch", seeds=tuple(range(1, 21))),),
    ),
    Mutant(
        name="a-hold-is-not-disturbed",
        invariant="B1",
        what="Breaches are acted on when the hold is over.",
        edits=(
            Edit(
                "core/gates.py",
                "    if verdict.verdict is not Verdict.BREACH:\n        return Change(status)\n",
                "    if verdict.verdict is not Verdict.BREACH or rollout.stage is Stage.HOLDING:\n"
                "        return Change(status)\n",
            ),
        ),
        looks=(Look("breach-at-the-defaults"),),
    ),
    Mutant(
        name="abort-waits-for-the-hold",
        invariant="INV-24",
        what="A step is left at its end.",
        edits=(
            Edit(
                "core/commands.py",
                "    done = _acknowledge(facts.status, abort=value)\n",
                "    if rollout.stage is Stage.HOLDING:\n"
                "        return None\n"
                "    done = _acknowledge(facts.status, abort=value)\n",
            ),
        ),
        looks=(Look("abort-in-a-long-hold"),),
    ),
    Mutant(
        name="a-service-is-made-once",
        invariant="INV-25",
        what="It comes with its Deployment.",
        edits=(
            Edit(
                "core/intents.py",
                "        objects.append(EnsureService(arm))\n",
                "        if short(arm.revision) not in facts.seen.workloads:\n"
                "            objects.append(EnsureService(arm))\n",
            ),
        ),
        looks=(Look("service-deleted"),),
    ),
)
