"""Bugs of revisions, evidence, precedence, bounds and ownership: I8 to I15."""

from __future__ import annotations

from .mutant import Edit, Look, Mutant

SEEDS = tuple(range(1, 9))

REVISIONS = (
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
                "reconcile/loop.py",
                "and 0 < epoch < status.epoch:",
                "and epoch < 0:",
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
