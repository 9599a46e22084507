"""One pass over a log: the world follows each event, then the invariants that listen to it look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .b1 import BreachIsAnswered
from .base import Invariant
from .i01 import RouteWeights
from .i02 import ReadyBeforeWeight
from .i03 import OnlyByHealthySteps
from .i04 import LatchedStaysDown
from .i05 import BackendsStay
from .i06 import StableKeepsScale
from .i07 import OneCanary
from .i08 import AdmittedBytes
from .i09 import FailedStaysFailed
from .i10 import NoEvidenceNoVerdict
from .i11 import UpgradeChangesNothing
from .i12 import Precedence
from .i13 import Bounded
from .i14 import OnlyOwned
from .i15 import NewestEpoch
from .inv24 import AbortIsQuick
from .inv25 import DeletedReturns
from .l1 import Settles
from .l2 import DeletedLeavesNothing
from .l3 import SpecIsActedOn
from .violation import Violation
from .world import MODEL_DEPLOYMENTS, READS, ROUTES, UNOWNED, Event, World

INVARIANTS: tuple[type[Invariant], ...] = (
    RouteWeights, ReadyBeforeWeight, OnlyByHealthySteps, LatchedStaysDown, BackendsStay,
    StableKeepsScale, OneCanary, AdmittedBytes, FailedStaysFailed, NoEvidenceNoVerdict,
    UpgradeChangesNothing, Precedence, Bounded, OnlyOwned, NewestEpoch,
    Settles, DeletedLeavesNothing, SpecIsActedOn, BreachIsAnswered, AbortIsQuick, DeletedReturns,
)  # fmt: skip
NAMES = tuple(invariant.name for invariant in INVARIANTS)

LOOK = 0.1  # seconds between two looks at deadlines, which are of tens of seconds
DISTURBING = ("start", "crash", "stop", "freeze", "thaw", "lease", "fault", "metrics")


def check(events: Sequence[Event]) -> list[Violation]:
    """What the run of this log has broken, in the order of time; empty when it kept every promise."""
    return Checker(elects=any(event["kind"] == "lease" for event in events)).run(events)


class Checker:
    """The state of one check.

    Args:
        elects: whether the operators of the run use a Lease.
    """

    def __init__(self, *, elects: bool) -> None:
        self.found: list[Violation] = []
        self.world = World(elects=elects)
        self._next_look = 0.0
        self._checks = [invariant(self.world, self.found) for invariant in INVARIANTS]
        self._attempted = self._listening("attempted")
        self._wrote = self._listening("wrote")
        self._routed = self._listening("routed")
        self._committed = self._listening("committed")
        self._deployed = self._listening("deployed")
        self._changed = self._listening("changed")
        self._vanished = self._listening("vanished")
        self._served = self._listening("served")
        self._disturbed = self._listening("disturbed")
        self._passed = self._listening("passed")
        self._ended = self._listening("ended")
        self._follow: dict[str, Callable[[Event], None]] = {
            "request": self._request,
            "pass": self.world.begin,
            "traffic": self._traffic,
            "truth": self.world.truth,
            "gone": self._gone,
            "end": self._end,
            **dict.fromkeys(DISTURBING, self._disturb),
        }

    def _listening(self, name: str) -> list[Callable[..., Any]]:
        silent = getattr(Invariant, name)
        return [getattr(c, name) for c in self._checks if getattr(type(c), name) is not silent]

    def run(self, events: Sequence[Event]) -> list[Violation]:
        for event in events:
            self.feed(event)
        return self.found

    def feed(self, event: Event) -> None:
        """The next event of the log."""
        world, t, kind = self.world, event["t"], event["kind"]
        if t > world.t:
            world.t = t
            world.available.tick(t)
            if t >= self._next_look:
                self._next_look = t + LOOK
                for passed in self._passed:
                    passed(t)
        follow = self._follow.get(kind)
        if follow is not None:
            follow(event)

    def _disturb(self, event: Event) -> None:
        follow = {"metrics": self.world.answered, "fault": self.world.fault}
        follow.get(event["kind"], self.world.process)(event)
        for disturbed in self._disturbed:
            disturbed(event)

    def _traffic(self, event: Event) -> None:
        subject = self.world.subjects.get(event["object"])
        if subject is not None and subject.gone is None:
            for served in self._served:
                served(event, subject)

    def _request(self, event: Event) -> None:
        world, operator = self.world, event["actor"].startswith("operator")
        if operator and event["resource"] != "leases":
            about = world.passes.get(event["pass"] or "")
            world.available.request(event, about[0] if about else None)
        if event["verb"] in READS:
            if operator:
                world.read(event)
            return
        if operator:
            for attempted in self._attempted:
                attempted(event)
        if event["committed"]:
            self._commit(event, operator=operator)

    def _commit(self, event: Event, *, operator: bool) -> None:
        write = self.world.commit(event)
        subject = write.subject
        if operator:
            for wrote in self._wrote:
                wrote(write)
            if subject is not None and write.resource not in UNOWNED:
                if write.resource == ROUTES:
                    listeners = self._routed
                elif write.resource == MODEL_DEPLOYMENTS:
                    listeners = self._committed
                elif write.resource == "deployments":
                    listeners = self._deployed
                else:
                    listeners = []
                for listener in listeners:
                    listener(write, subject)
        for changed in self._changed:
            changed(write)

    def _gone(self, event: Event) -> None:
        subject = self.world.vanish(event)
        if subject is not None:
            for vanished in self._vanished:
                vanished(event, subject)

    def _end(self, event: Event) -> None:
        if event["reason"] == "calm":
            self.world.calm = event["t"]
        else:
            for ended in self._ended:
                ended(event["t"])
