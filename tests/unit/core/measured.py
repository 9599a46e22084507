"""Counters of two arms, moved by hand, and the measurements that a source would make of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from serinus.api.spec import Analysis
from serinus.api.status import RolloutStatus, Stage
from serinus.core.analysis import Judgement, judge
from serinus.core.observed import Measurement, Reading, Series, Window
from serinus_server import contract

from .world import START

INTERVAL = timedelta(seconds=10)
BUCKET = f"{contract.METRIC_DURATION}_bucket"


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class Arm:
    """Counters of one pod: rows of (time, answered, failed, slower than 250 ms)."""

    rows: list[tuple[float, int, int, int]] = field(default_factory=lambda: [(0.0, 0, 0, 0)])

    def serve(self, at: float, total: int, bad: int = 0, slow: int = 0) -> None:
        """So many more requests until ``at``, and a scrape then."""
        _, n, e, s = self.rows[-1]
        self.rows.append((at, n + total, e + bad, s + slow))

    def series(self) -> tuple[Series, ...]:
        rows = [(moment(at), n, e, s) for at, n, e, s in self.rows]
        name = contract.METRIC_REQUESTS
        return (
            Series(name, {"code": "2xx"}, tuple((at, float(n - e)) for at, n, e, _ in rows)),
            Series(name, {"code": "5xx"}, tuple((at, float(e)) for at, _, e, _ in rows)),
            Series(BUCKET, {"le": "0.25"}, tuple((at, float(n - s)) for at, n, _, s in rows)),
            Series(BUCKET, {"le": "+Inf"}, tuple((at, float(n)) for at, n, _, _ in rows)),
        )


@dataclass
class Step:
    """One step of a rollout as the judge sees it, look by look."""

    spec: Analysis
    weight: int = 50
    canary: Arm = field(default_factory=Arm)
    stable: Arm = field(default_factory=Arm)
    rollout: RolloutStatus = field(
        default_factory=lambda: RolloutStatus(
            stage=Stage.HOLDING,
            step=0,
            started_at=START,
            waiting_since=START,
            step_started_at=START,
            hold_started_at=START,
            slot_started_at=START,
        )
    )

    def serve(self, at: float, canary: tuple[int, ...], stable: tuple[int, ...]) -> None:
        self.canary.serve(at, *canary)
        self.stable.serve(at, *stable)

    def look(
        self,
        at: float,
        *,
        canary: Reading | None = None,
        stable: Reading | None = None,
        backup: tuple[Reading, Reading] | None = None,
        use_backup: bool = False,
    ) -> Judgement:
        """Judges and books what was counted until ``at``; readings given replace the counters'."""
        start, floor = self.rollout.slot_started_at, self.rollout.step_started_at
        assert start is not None
        assert floor is not None
        seen = Measurement(
            Window(start, moment(at), floor),
            self.canary.series() if canary is None else canary,
            self.stable.series() if stable is None else stable,
            backup,
        )
        judgement = judge(self.spec, seen, self.rollout, self.weight, use_backup=use_backup)
        fields = {**judgement.booked.update(), "slot_checked_at": moment(at)}
        if judgement.closes:
            fields["slot_started_at"] = moment(at)
        # Through JSON, as the API server keeps it.
        kept = self.rollout.model_copy(update=fields).model_dump_json(by_alias=True)
        self.rollout = RolloutStatus.model_validate_json(kept)
        return judgement

    def next_step(self, at: float) -> None:
        """The router took the next weight: a new step begins, with nothing else forgotten."""
        began = moment(at)
        self.rollout = self.rollout.model_copy(
            update={
                "step": self.rollout.step + 1,
                "step_started_at": began,
                "hold_started_at": began,
                "slot_started_at": began,
                "slot_checked_at": None,
            }
        )
