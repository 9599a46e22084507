"""Bugs of weights, steps and pods: I1 to I7."""

from __future__ import annotations

from .mutant import Edit, Look, Mutant

SEEDS = tuple(range(1, 9))

WEIGHTS = (
    Mutant(
        name="weight-0-is-left-out",
        invariant="I1",
        what="An omitted weight is no weight.",
        edits=(
            Edit(
                "render/routes/gateway.py",
                '            "weight": weight,\n',
                '            **({"weight": weight} if weight else {}),\n',
            ),
        ),
        looks=(Look("happy-path"),),
    ),
    Mutant(
        name="desired-pods-count-as-ready",
        invariant="I2",
        what="The Deployment asks for them, so they are there.",
        edits=(
            Edit(
                "core/observed.py",
                "return min(workload.ready if workload else 0, self.endpoints.get(short, 0))",
                "return workload.desired if workload else 0",
            ),
        ),
        looks=(Look("first-deploy"),),
    ),
    Mutant(
        name="one-healthy-slot-ends-the-hold",
        invariant="I3",
        what="Why wait when the evidence is good?",
        edits=(
            Edit(
                "core/pauses.py",
                "if facts.now < end or not judged_until(facts.spec, status, end):",
                "if not judged_until(facts.spec, status, facts.now):",
            ),
        ),
        looks=(Look("a-long-hold"),),
    ),
    Mutant(
        name="every-other-step",
        invariant="I3",
        what="An off-by-one in the index of the next step.",
        edits=(
            Edit(
                "core/traffic.py",
                "return next((i for i, step in enumerate(steps) if step.weight > weight), len(steps))",
                "return next((i + (weight > 0) for i, step in enumerate(steps) if step.weight > weight), len(steps))",
            ),
        ),
        looks=(Look("happy-path"),),
    ),
    Mutant(
        name="steps-are-counted",
        invariant="I3",
        what="The next step is the one with the next number, whatever the steps are by now.",
        edits=(
            Edit(
                "core/decide.py",
                "    step = step_after(spec, canary.requested_weight)\n    return status if",
                "    step = rollout.step\n    return status if",
            ),
        ),
        looks=(Look("other-steps"),),
    ),
    Mutant(
        name="approval-is-a-formality",
        invariant="I3",
        what="The last step was healthy, so it is approved.",
        edits=(
            Edit(
                "core/pauses.py",
                "return is_final(facts.spec, after) and (_hold_is_over(facts) or starved(facts))",
                "return is_final(facts.spec, after) and not _hold_is_over(facts)",
            ),
        ),
        looks=(Look("approved"),),
    ),
    Mutant(
        name="a-breach-costs-no-time",
        invariant="I3",
        what="The hold goes on where the breach has interrupted it.",
        edits=(
            Edit(
                "core/gates.py",
                '"hold_started_at": facts.now if rollout.hold_started_at else None,',
                '"hold_started_at": rollout.hold_started_at,',
            ),
        ),
        looks=(Look("a-short-breach", seeds=SEEDS[:4]),),
    ),
    Mutant(
        name="abort-is-only-acknowledged",
        invariant="I4",
        what="The command was seen, and that is what it asked for.",
        edits=(
            Edit(
                "core/commands.py",
                "return latch(facts, done, ABORTED, BY_PEOPLE, (), guard=True)",
                "return Change(done)",
            ),
        ),
        looks=(Look("aborted"),),
    ),
    Mutant(
        name="a-breach-is-forgiven",
        invariant="I4",
        what="Once the traffic is back there is nothing left to remember.",
        edits=(
            Edit(
                "core/steps.py",
                "failed=failed,\n            retiring=retire(status, canary,",
                "failed=None,\n            retiring=retire(status, canary,",
            ),
        ),
        looks=(Look("breach-step-1"),),
    ),
    Mutant(
        name="stable-gives-its-pods-away",
        invariant="I5",
        what="Stable needs pods for its own share only, rounded.",
        edits=(
            Edit(
                "core/intents.py",
                'arms.append((status.stable, replicas, ""))',
                "share = 100 - (status.canary.requested_weight if status.canary else 0)\n"
                '        arms.append((status.stable, replicas * share // 100, ""))',
            ),
        ),
        looks=(Look("happy-path"),),
    ),
    Mutant(
        name="stable-shrinks-with-its-share",
        invariant="I6",
        what="Why should stable keep pods that have nothing to do?",
        edits=(
            Edit(
                "core/intents.py",
                'arms.append((status.stable, replicas, ""))',
                "share = 100 - (status.canary.requested_weight if status.canary else 0)\n"
                '        arms.append((status.stable, canary_replicas(replicas, share), ""))',
            ),
        ),
        looks=(Look("happy-path"),),
    ),
    Mutant(
        name="no-time-to-drain",
        invariant="I6",
        what="A revision without weight can go at once.",
        edits=(
            Edit(
                "core/facts.py",
                "remove_at=now + delay)",
                "remove_at=now)",
            ),
        ),
        looks=(Look("happy-path"),),
    ),
    Mutant(
        name="the-next-canary-does-not-wait",
        invariant="I7",
        what="The old canary keeps its traffic until the new one has proven itself.",
        edits=(
            Edit(
                "core/steps.py",
                "status = update(status, canary=weigh(canary, 0))\n"
                "    status = update_rollout(status, stage=Stage.ROLLING_BACK, waiting_since=facts.now)\n"
                '    return Change(status, (normal("Superseded", message),))',
                "status = update(status, canary=None, rollout=None)\n"
                '    return Change(status, (normal("Superseded", message),))',
            ),
            Edit(
                "core/intents.py",
                "    rising = [key",
                "    live = facts.seen.route.weights if facts.seen.route else {}\n"
                "    others = {k: w for k, w in live.items() if k not in weights and w < 50}\n"
                "    own = short(stable.revision)\n"
                "    weights = {**weights, own: weights[own] - sum(others.values()), **others}\n"
                "    rising = [key",
            ),
        ),
        looks=(Look("new-spec-mid-canary", seeds=SEEDS),),
    ),
)
