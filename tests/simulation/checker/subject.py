"""One ModelDeployment as its whole history shows it: weights, holds, commands, failures, evidence.

Each fact is dated by the event that made it so. Functions named ``follow`` bring it up to date.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import views
from .evidence import Answer
from .spec import Spec, read_spec
from .views import Object, Weights, short

PREFIX = "serinus.dev/"

Status = Mapping[str, Any]


@dataclass(slots=True)
class Live:
    """The weight of one revision on the route, and since when."""

    weight: int
    written: float
    accepted: float | None = None  # when a Gateway first took it


@dataclass(slots=True)
class Latch:
    """A revision that may get no more weight: breached, failed or aborted.

    Attributes:
        answered: the operator has committed weight 0 for it since then.
    """

    t: float
    why: str
    base: str
    key: str
    answered: bool = False


@dataclass(slots=True)
class Subject:
    """One ModelDeployment, from its creation to its end."""

    key: str
    uid: str
    generation: int = 0
    generation_since: float = 0.0
    spec: Spec = field(default_factory=lambda: read_spec({}))
    raw_spec: Any = None
    specs: list[tuple[float, Spec]] = field(default_factory=list)  # every one it ever had
    status: Status = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    annotated: dict[str, float] = field(default_factory=dict)  # command -> since when as it is
    slow: dict[str, float] = field(default_factory=dict)  # short -> true share of slow answers
    deleted: float | None = None
    gone: float | None = None
    weights: Weights = field(default_factory=dict)
    taken: Weights = field(default_factory=dict)  # as the Gateway took them last
    live: dict[str, Live] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)  # short -> what the spec was when admitted
    asked: dict[str, tuple[int, float]] = field(default_factory=dict)  # requested weight, since
    asked_before: dict[str, tuple[int, float]] = field(default_factory=dict)
    held: dict[tuple[str, int], float] = field(default_factory=dict)  # weight first on the router
    latches: dict[str, Latch] = field(default_factory=dict)
    verdicts: set[tuple[str, str]] = field(default_factory=set)  # (short, time) of known failures
    answers: dict[str, list[Answer]] = field(default_factory=dict)  # short -> booked answers
    pending: dict[str, list[Answer]] = field(default_factory=dict)  # actor -> not yet booked
    foreign_status: bool = False  # somebody else wrote our memory: it proves nothing any more

    def arm(self, name: str) -> Mapping[str, Any]:
        return self.status.get(name) or {}

    @property
    def stable(self) -> str:
        return short(self.arm("stable").get("revision", ""))

    @property
    def canary(self) -> str:
        return short(self.arm("canary").get("revision", ""))

    def specs_since(self, t: float) -> list[Spec]:
        """The spec that was in force at ``t``, and all that came after it."""
        older = [spec for at, spec in self.specs if at <= t][-1:]
        return [*older, *(spec for at, spec in self.specs if at > t)]

    def commanded(self, command: str, revision: str) -> float | None:
        """Since when the annotation asks for this with this revision; None while it does not."""
        value = self.annotations.get(f"{PREFIX}{command}", "")
        named = value.removesuffix("/full")
        return self.annotated[command] if named and short(named) == revision else None


def follow_commands(subject: Subject, annotations: Mapping[str, str], t: float) -> None:
    for command in ("abort", "promote", "pause"):
        name = f"{PREFIX}{command}"
        if annotations.get(name) != subject.annotations.get(name):
            subject.annotated[command] = t
    subject.annotations = annotations
    canary = subject.canary
    since = subject.commanded("abort", canary) if canary else None
    if since == t:
        _latch(subject, canary, t, "aborted")


def follow_status(subject: Subject, status: Status, t: float) -> None:
    before = subject.canary
    subject.status = status
    canary, stable = subject.canary, subject.stable
    for revision in (canary, stable):
        if revision and revision not in subject.bases:
            subject.bases[revision] = subject.spec.base
    if canary and canary != before:
        subject.bases[canary] = subject.spec.base
        subject.answers.pop(canary, None)
        subject.asked[canary] = (0, t)
    for arm in (subject.arm("canary"), subject.arm("stable")):
        revision, weight = short(arm.get("revision", "")), arm.get("requestedWeight", 0)
        if revision and subject.asked.get(revision, (-1, 0.0))[0] != weight:
            subject.asked_before[revision] = subject.asked.get(revision, (0, t))
            subject.asked[revision] = (weight, t)
            _forget_hold(subject, revision, weight, t)
    for revision, latch in subject.latches.items():
        latch.answered |= canary != revision or not subject.arm("canary").get("requestedWeight")
    breach, failed = (status.get("rollout") or {}).get("breach"), status.get("failed")
    if canary and breach:
        _failure(subject, canary, breach, t, "breached")
    if failed:
        _failure(subject, short(failed["revision"]), failed, t, "failed")


def _forget_hold(subject: Subject, revision: str, weight: int, t: float) -> None:
    """A weight that is asked for anew is held anew, from when the router has it."""
    subject.held = {
        key: at for key, at in subject.held.items() if key[0] != revision or 0 < key[1] < weight
    }
    live = subject.live.get(revision)
    if live is not None and live.weight == weight and live.accepted is not None:
        subject.held[revision, weight] = t


def _failure(subject: Subject, revision: str, told: Mapping[str, Any], t: float, what: str) -> None:
    """A failure is news once: its record stays in the status after people ask for another try."""
    seen = (revision, str(told.get("at")))
    if seen not in subject.verdicts:
        subject.verdicts.add(seen)
        _latch(subject, revision, t, f"{what} ({told.get('reason')})")


def _latch(subject: Subject, revision: str, t: float, why: str) -> None:
    if revision not in subject.latches:
        base = subject.bases.get(revision, "")
        subject.latches[revision] = Latch(t, why, base, subject.spec.key)


def release(subject: Subject) -> None:
    """A person asks anew for a revision that had failed: by another spec and back, or a retry token."""
    for revision, latch in list(subject.latches.items()):
        if subject.spec.key == latch.key:
            continue
        if subject.spec.base == latch.base:
            del subject.latches[revision]
        else:
            latch.key = ""  # the way back to it is a change again


def follow_route(subject: Subject, route: Object, t: float) -> None:
    weights, taken = views.weights(route), views.accepted(route)
    for revision, weight in weights.items():
        known = subject.live.get(revision)
        if known is None or known.weight != weight:
            known = subject.live[revision] = Live(weight, t)
        if taken and known.accepted is None:
            known.accepted = t
            subject.held.setdefault((revision, weight), t)
    for revision in [r for r in subject.live if r not in weights]:
        del subject.live[revision]
    subject.weights = weights
    if taken:
        subject.taken = weights


def book(subject: Subject, actor: str) -> None:
    """What this process was answered in its pass is the base of its commit."""
    best: dict[str, Answer] = {}  # of several sources in one pass
    for answer in subject.pending.pop(actor, ()):
        known = best.get(answer.revision)
        if known is None or answer.weight > known.weight:
            best[answer.revision] = answer
    for revision, answer in best.items():
        subject.answers.setdefault(revision, []).append(answer)
