"""What the demo must prove, collected while it runs, and what of it is missing at the end.

The claims are judged on what the API said when it was asked again and on what the answers to real
requests said, never on what the demo meant to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from serinus.api.status import Failed
from serinus.sandbox.demo.traffic import Account, Outcome

FIRST, BETTER, WORSE = "1", "2", "3"


@dataclass(frozen=True, slots=True)
class Readback:
    """The resource and its route as the API server returns them when asked afresh."""

    stable: str  # version
    failed: str  # version, empty if none
    rolled_back: bool  # condition RolledBack is True
    weights: Mapping[str, int]  # of the HTTPRoute, by version

    def only(self, version: str) -> bool:
        """Whether the route sends everything to this version."""
        given = {name: weight for name, weight in self.weights.items() if weight}
        return given == {version: 100}


@dataclass(frozen=True, slots=True)
class Shift:
    """The router confirmed another weight for a canary."""

    at: datetime
    version: str
    weight: int


@dataclass(frozen=True, slots=True)
class After:
    """What was true after a promotion or a rollback, and who answered from then on."""

    readback: Readback
    answers: Mapping[str, int]  # by version, in the seconds after requests in flight were done


@dataclass(slots=True)
class Evidence:
    """Grows while the demo runs. Times of the client are seconds on the loop's clock."""

    account: Account
    steps: Sequence[int]  # the weights that a canary must pass
    shifts: list[Shift] = field(default_factory=list)
    marks: dict[str, datetime] = field(default_factory=dict)  # when each version was applied
    promotion: After | None = None
    rollback: After | None = None
    failed: Failed | None = None
    trouble: str = ""  # what ended the demo early

    def weights_of(self, version: str) -> list[int]:
        """The weights that the router confirmed for this version, in order."""
        return [shift.weight for shift in self.shifts if shift.version == version]


def missing(evidence: Evidence) -> list[str]:
    """Every claim that is not proved, as sentences. Empty: the demo did what it says."""
    found = [evidence.trouble] if evidence.trouble else []
    found += _missing_of_promotion(evidence)
    found += _missing_of_rollback(evidence)
    wrong = evidence.account.total(outcome=Outcome.WRONG)
    if wrong:
        found.append(f"{wrong} answers were not what their version says about the row")
    return found


def _missing_of_promotion(evidence: Evidence) -> list[str]:
    after = evidence.promotion
    if after is None:
        return [f"version {BETTER} was not promoted"]
    found = []
    if after.readback.stable != BETTER:
        found.append(f"status.stable is version {after.readback.stable}, not version {BETTER}")
    if not after.readback.only(BETTER):
        found.append(
            f"after the promotion the route has the weights {_weights(after.readback)}, "
            f"not 100 for version {BETTER}"
        )
    found += _missing_answers(after.answers, f"after version {BETTER} was promoted")
    seen = evidence.weights_of(BETTER)
    skipped = [weight for weight in evidence.steps if weight not in seen]
    if skipped:
        found.append(f"version {BETTER} was never seen at {_list(skipped)} %")
    if not evidence.account.total(FIRST, Outcome.OK):
        found.append(f"version {FIRST} answered no request")
    return found


def _missing_of_rollback(evidence: Evidence) -> list[str]:
    after = evidence.rollback
    if after is None:
        return [f"version {WORSE} was not rolled back"]
    found = []
    if after.readback.failed != WORSE:
        named = f"version {after.readback.failed}" if after.readback.failed else "empty"
        found.append(f"status.failed is {named}, not version {WORSE}")
    if not after.readback.rolled_back:
        found.append("the condition RolledBack is not True")
    if after.readback.stable != BETTER:
        found.append(f"status.stable is version {after.readback.stable}, not version {BETTER}")
    if not after.readback.only(BETTER):
        found.append(
            f"after the rollback the route has the weights {_weights(after.readback)}, "
            f"not 100 for version {BETTER}"
        )
    found += _missing_answers(after.answers, f"after version {WORSE} was rolled back")
    if not evidence.account.total(WORSE):
        found.append(f"version {WORSE} got no request: nothing was proved about it")
    elif evidence.account.first_bad(WORSE) is None:
        found.append(f"version {WORSE} never failed a request")
    return found


def _missing_answers(answers: Mapping[str, int], when: str) -> list[str]:
    found = []
    if not answers.get(BETTER):
        found.append(f"{when}, version {BETTER} answered nothing")
    others = {version: count for version, count in answers.items() if count and version != BETTER}
    found += [
        f"{when}, {count} answers still came from version {version}"
        for version, count in sorted(others.items())
    ]
    return found


@dataclass(frozen=True, slots=True)
class Reaction:
    """How long version 3 was let do harm."""

    operator: timedelta | None  # first breached slot until the router confirmed weight 0
    client: float | None  # seconds, first bad answer until the last answer of version 3


def reaction(evidence: Evidence) -> Reaction:
    """The times of the rollback, as far as they are known."""
    failed, account = evidence.failed, evidence.account
    operator = None
    if failed is not None and failed.first_breach_at and failed.weight_zero_at:
        operator = failed.weight_zero_at - failed.first_breach_at
    first, last = account.first_bad(WORSE), account.last.get(WORSE)
    client = last - first if first is not None and last is not None else None
    return Reaction(operator, client)


def _weights(readback: Readback) -> str:
    return ", ".join(f"version {v}: {w}" for v, w in sorted(readback.weights.items())) or "none"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)
