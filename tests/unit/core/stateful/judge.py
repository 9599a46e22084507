"""Judges every committed pass: by the reference model, by what was admitted, by what really happened."""

from __future__ import annotations

import json
from datetime import timedelta

from world import START

from serinus.api.spec import ModelDeploymentSpec
from serinus.api.status import ModelDeploymentStatus, PinnedModel
from serinus.core.plan import EnsureRoute, EnsureWorkload, Plan, RemoveRevision, Reweigh
from serinus.core.revision import revision_of, short

from .cluster import GARBAGE, SCRAPED, Cluster, Snapshot, Write
from .reference import Reference
from .sight import Sight, State

MAX_STATUS = 32 * 1024


class Judge:
    """Translates for the reference model, which knows none of the operator's types."""

    world: Cluster
    reference: Reference
    parsed: tuple[dict, ModelDeploymentSpec] | None = None

    def spec(self) -> ModelDeploymentSpec:
        if self.parsed is None or self.parsed[0] is not self.world.spec:
            self.parsed = self.world.spec, ModelDeploymentSpec.model_validate(self.world.spec)
        return self.parsed[1]

    def commit(self, snapshot: Snapshot, plan: Plan) -> bool:
        before, epoch = self.world.status, self.world.status.epoch
        writes = self.world.writes_of(plan, snapshot)
        if not self.world.commit(plan, snapshot):
            return False
        status = self.world.status
        assert len(self.world.text) <= MAX_STATUS, "I13: the status is too large"
        assert status.epoch >= epoch, "I15: the epoch goes back"
        sight = self.sight(snapshot, before, status)
        self.reference.passed(sight, state(before), state(status))
        self.check_arms(before, status)
        self.check_verdict(snapshot, before, status, sight.verdict)
        for write in writes:
            self.check(write, snapshot)
        return True

    def check(self, write: Write, snapshot: Snapshot) -> None:
        """What one write may be, given what is committed and was seen."""
        status, seen, intent = self.world.status, snapshot.seen, write.intent
        arms = [arm for arm in (status.stable, status.canary) if arm is not None]
        asked = {short(arm.revision): arm.requested_weight for arm in arms}
        live = dict(seen.route.weights) if seen.route else {}
        match intent:
            case EnsureRoute(weights, _) | Reweigh(weights, _):
                assert all(type(w) is int and 0 <= w <= 100 for _, w in weights), "I1"
                assert sum(w for _, w in weights) == 100, "I1: weights do not sum to 100"
                assert {key for key, _ in weights} <= set(asked), "I7: weight for a third revision"
                for key, weight in weights:
                    stable = status.stable is not None and key == short(status.stable.revision)
                    assert stable or weight == asked[key], "I3: not the weight that is committed"
                    if weight > live.get(key, 0):
                        assert seen.endpoints.get(key, 0) >= 1, "I2: raised without a ready pod"
            case EnsureWorkload(arm, replicas, _):
                stable = status.stable is not None and arm.revision == status.stable.revision
                needed = self.spec().server.replicas if stable else 1
                assert replicas >= needed, "I5/I6: too few pods for its traffic"
            case RemoveRevision(key):
                assert key not in live and key not in asked, "I5: removed while it is needed"

    def check_arms(self, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
        """I8, I11: what was admitted stays as it was admitted."""
        old = {a.revision: a for a in (before.stable, before.canary) if a is not None}
        for arm in (after.stable, after.canary):
            if arm is not None and arm.revision in old:
                was = old[arm.revision]
                assert (arm.image, arm.digest) == (was.image, was.digest), "I11: admitted anew"

    def check_verdict(
        self,
        snapshot: Snapshot,
        before: ModelDeploymentStatus,
        after: ModelDeploymentStatus,
        verdict: str,
    ) -> None:
        """A verdict is never better or worse than what really happened."""
        if not verdict or before.rollout is None or after.rollout is None or not before.canary:
            return
        world, told, source = self.world, after.rollout.verdicts[-1], snapshot.source
        if source == "down":
            assert verdict == "Unavailable", "a verdict without a source"
        elif source in {"nodata", *GARBAGE}:
            assert verdict == "Insufficient", "a verdict on garbage"
        seen = snapshot.seen.measurement
        start = seen.window.start if seen is not None else before.rollout.started_at
        key = short(before.canary.revision)
        requests, _ = world.answered(key, start - SCRAPED, told.at)
        if verdict == "Healthy":
            enough = ModelDeploymentSpec.model_validate(world.spec).analysis.min_requests
            assert requests >= enough - 1, "Healthy on too few requests"
            _, bad = world.answered(key, start + SCRAPED, told.at)  # none of before the slot
            if requests:
                assert bad / requests < 0.15, (
                    f"Healthy, and it was not: {bad} of {requests}: {told}"
                )
        if verdict == "Breach":
            _, bad = world.answered(key, START - timedelta(hours=1), told.at + timedelta(hours=1))
            assert bad > 0, "a Breach of a canary that never answered badly"

    def plain(self, spec: ModelDeploymentSpec, **more: object) -> Sight:
        """The spec in the reference model's terms."""
        rollout, analysis = spec.rollout, spec.analysis
        fields: dict = {
            "now": 0.0, "valid": True, "wish": "", "held": False, "abort": "", "promote": "",
            "ready": {}, "route": None, "confirmed": False, "drifted": False, "verdict": "", "verdict_at": 0.0,
            "steps": tuple(step.weight for step in rollout.steps),
            "holds": {step.weight: step.hold.total_seconds() for step in rollout.steps},
            "replicas": spec.server.replicas,
            "threshold": analysis.failure_threshold,
            "token": rollout.retry_token,
            "manual": rollout.approval == "Manual",
            "on_breach_pause": rollout.on_breach == "Pause",
            "starving": str(analysis.on_insufficient.do),
            "patience": analysis.on_insufficient.after.total_seconds(),
            "deadline": rollout.progress_deadline.total_seconds(),
        }  # fmt: skip
        return Sight(**{**fields, **more})

    def sight(
        self, snapshot: Snapshot, before: ModelDeploymentStatus, after: ModelDeploymentStatus
    ) -> Sight:
        seen = snapshot.seen
        spec = self.spec()
        pinned = seen.resolution if isinstance(seen.resolution, PinnedModel) else before.target
        wish = short(revision_of(spec, pinned)) if pinned is not None else ""
        canary = short(before.canary.revision) if before.canary else ""
        pause = meant(seen.commands.pause)
        held = spec.rollout.paused or bool(pause and pause == (canary or wish))
        route = seen.route
        verdict, verdict_at = "", 0.0
        if before.rollout and after.rollout and before.canary and after.canary:
            same = before.canary.revision == after.canary.revision
            old, new = before.rollout.verdicts[-1:], after.rollout.verdicts[-1:]
            if same and new and new != old:
                verdict, verdict_at = str(new[0].verdict), (new[0].at - START).total_seconds()
        return self.plain(
            spec,
            now=(snapshot.now - START).total_seconds(),
            valid=not (seen_invalid(seen) or seen.rival),
            wish=wish,
            held=held or abs(seen.clock_skew) > timedelta(seconds=30),
            abort=meant(seen.commands.abort),
            promote=meant(seen.commands.promote),
            ready={key: seen.ready(key) for key in seen.workloads},
            route=dict(route.weights) if route else None,
            confirmed=route is not None and route.confirmed and route.fence == str(before.fence),
            drifted=(route is not None and route.drifted)
            or any(workload.drifted for workload in seen.workloads.values()),
            verdict=verdict,
            verdict_at=verdict_at,
        )


def seen_invalid(seen) -> bool:
    return not isinstance(seen.spec, ModelDeploymentSpec)


def difference(before: str, after: str) -> str:
    """The parts of a status that differ, for messages."""
    old, new = json.loads(before), json.loads(after)
    return "; ".join(
        f"{key}: {old.get(key)} -> {new.get(key)}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def meant(value: str) -> str:
    """A command's value with the revision in its short form."""
    revision, slash, full = value.partition("/")
    return (short(revision) or revision) + slash + full


def state(status: ModelDeploymentStatus) -> State:
    """A status in the reference model's terms."""
    stable, canary, rollout = status.stable, status.canary, status.rollout
    newest = status.history[-1] if status.history else None
    return State(
        stable=short(stable.revision) if stable else "",
        stable_weight=stable.requested_weight if stable else 0,
        canary=short(canary.revision) if canary else "",
        weight=canary.requested_weight if canary else 0,
        stage=str(rollout.stage) if rollout else "",
        pause=rollout.pause_reasons[0].reason if rollout and rollout.pause_reasons else "",
        breach=rollout.breach.reason if rollout and rollout.breach else "",
        outcome=str(newest.outcome) if newest else "",
        acknowledged=f"{status.acknowledged.abort} {status.acknowledged.promote}",
        ended=newest.model_dump_json() if newest else "",
    )
