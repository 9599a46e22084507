"""Bugs that break what must hold in every state: I1 to I15."""

from __future__ import annotations

from .mutant import Edit, Look, Mutant

SEEDS = tuple(range(1, 9))

SAFETY = (
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
                "return is_final(facts.spec, rollout.step + 1) and _hold_is_over(facts)",
                "return is_final(facts.spec, rollout.step + 1) and not _hold_is_over(facts)",
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
    Mutant(
        name="the-image-of-today",
        invariant="I8",
        what="The status tells which image this release would use.",
        edits=(
            Edit(
                "core/decide.py",
                '"ready_replicas": seen.ready(key)}',
                '"ready_replicas": seen.ready(key), "image": seen.defaults.server_image}',
            ),
        ),
        looks=(Look("upgraded-at-rest"),),
    ),
    Mutant(
        name="pods-take-any-bytes",
        invariant="I8",
        what="The version says which model it is, so the digest can go.",
        edits=(Edit("render/workload.py", "arm.digest,", '"",'),),
        looks=(Look("first-deploy"),),
    ),
    Mutant(
        name="another-try-after-a-while",
        invariant="I9",
        what="It may work now.",
        edits=(
            Edit(
                "core/steps.py",
                "if failed is not None and (failed.revision, failed.retry_token) == (facts.target, token):",
                "if failed is not None and facts.now - failed.at < timedelta(seconds=5):",
            ),
        ),
        looks=(Look("failed-stays-failed"),),
    ),
    Mutant(
        name="few-requests-without-errors",
        invariant="I10",
        what="No error in what there is: healthy.",
        edits=(
            Edit(
                "core/analysis.py",
                "return told.open(Verdict.INSUFFICIENT, message, booked, **numbers)",
                "return told.open(Verdict.HEALTHY, message, booked, **numbers)",
            ),
        ),
        looks=(Look("a-trickle"),),
    ),
    Mutant(
        name="no-news-is-good-news",
        invariant="I10",
        what="The last word was no breach.",
        edits=(
            Edit(
                "core/pauses.py",
                "rollout.verdicts[-1].verdict is Verdict.HEALTHY",
                "rollout.verdicts[-1].verdict is not Verdict.BREACH",
            ),
        ),
        looks=(Look("happy-path", faults="metrics", seeds=tuple(range(1, 31))),),
    ),
    Mutant(
        name="no-metrics-no-canary",
        invariant="I10",
        what="Whoever cannot be measured for two minutes has failed.",
        edits=(
            Edit(
                "core/outage.py",
                "return Change(stand_down(facts.status, pause), (warning(METRICS, text),))",
                "from serinus.core.gates import latch\n\n"
                "    return latch(facts, facts.status, pause.reason, text, (), guard=True)",
            ),
        ),
        looks=(Look("metrics-away-long"),),
    ),
    Mutant(
        name="the-default-image-is-part-of-it",
        invariant="I11",
        what="Another default image is another revision.",
        edits=(
            Edit(
                "core/facts.py",
                "        return revision_of(self.spec, model)\n",
                "        image = self.spec.server.image or self.seen.defaults.server_image\n"
                '        server = self.spec.server.model_copy(update={"image": image})\n'
                '        return revision_of(self.spec.model_copy(update={"server": server}), model)\n',
            ),
            Edit(
                "core/revision.py",
                "revision=revision_of(spec, model),",
                "revision=revision_of(\n"
                "            spec.model_copy(update={\n"
                '                "server": spec.server.model_copy(\n'
                '                    update={"image": spec.server.image or default_image}\n'
                "                )\n"
                "            }),\n"
                "            model,\n"
                "        ),",
            ),
        ),
        looks=(Look("upgraded-at-rest"),),
    ),
    Mutant(
        name="pods-follow-the-release",
        invariant="I11",
        what="A new release brings its pods up to date.",
        edits=(
            Edit(
                "reconcile/writes.py",
                "    patch = workload_patch(live, replicas, admitted)\n",
                "    patch = workload_patch(live, replicas, admitted)\n"
                '    today = arm.model_copy(update={"image": deps.defaults.server_image})\n'
                '    made = make_workload(snapshot.owner, today, replicas, deps.tracking_uri, "")["spec"]\n'
                '    if made["template"] != live["spec"]["template"]:\n'
                '        patch = {**patch, "spec": {**patch.get("spec", {}), "template": made["template"]}}\n',
            ),
        ),
        looks=(Look("upgraded"),),
    ),
    Mutant(
        name="pause-is-for-the-next-one",
        invariant="I12",
        what="What has begun goes on; a pause keeps the next rollout from starting.",
        edits=(
            Edit(
                "core/pauses.py",
                "    pause, canary = facts.seen.commands.pause, facts.status.canary\n",
                "    pause, canary = facts.seen.commands.pause, facts.status.canary\n"
                "    if canary is not None:\n"
                "        return None\n",
            ),
        ),
        looks=(Look("paused-and-resumed"),),
    ),
    Mutant(
        name="what-runs-goes-on",
        invariant="I12",
        what="Until the next revision can start, the one that runs may as well go on.",
        edits=(
            Edit(
                "core/pauses.py",
                "if canary is not None and facts.target not in {None, canary.revision}:",
                "if canary is None and facts.target not in {None, revision}:",
            ),
        ),
        looks=(Look("another-spec-while-stable-is-down"),),
    ),
    Mutant(
        name="nothing-is-ever-too-long",
        invariant="I13",
        what="etcd takes a megabyte.",
        edits=(
            Edit("core/size.py", "LIMIT = 30 * 1024", "LIMIT = 300 * 1024"),
            Edit("core/size.py", "READINGS_KEPT = 2", "READINGS_KEPT = 20"),
        ),
        looks=(Look("many-metrics"),),
    ),
    Mutant(
        name="nothing-is-ever-removed",
        invariant="I13",
        what="Old revisions cost nothing, and who knows.",
        edits=(
            Edit(
                "core/intents.py",
                "if facts.now >= retiring.remove_at and not facts.referenced(key):",
                "if facts.now < retiring.remove_at and not key:",
            ),
        ),
        looks=(Look("parade"),),
    ),
    Mutant(
        name="a-name-is-proof-enough",
        invariant="I14",
        what="A route of our name is our route.",
        edits=(Edit("reconcile/observe.py", "if not owner.owns(route):", "if not owner.name:"),),
        looks=(Look("somebody-elses"),),
    ),
    Mutant(
        name="a-lost-lease-is-a-detail",
        invariant="I15",
        what="The pass that runs may end; compare-and-set does the rest.",
        edits=(
            Edit("kube/fence.py", "if not self._entitled():", "if self._entitled is None:"),
            Edit(
                "core/decide.py",
                "if 0 < seen.epoch < seen.status.epoch:",
                "if seen.epoch < 0:",
            ),
            Edit(
                "app/lease.py",
                "if not self.fresh():\n                self._lose(",
                "if not self.leading:\n                self._lose(",
            ),
        ),
        looks=(Look("pair-frozen", seeds=SEEDS),),
    ),
)
