"""Who may have an address: of two resources that claim the same host name and path, the earlier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from serinus.api.spec import GatewayRef, ModelDeploymentSpec
from serinus.api.status import Claim


@dataclass(frozen=True, slots=True)
class Claimant:
    """A resource and the addresses that it asks for.

    Attributes:
        held: the claim that its status records, when it is for these very addresses.
        created: when the resource was made.
    """

    namespace: str
    name: str
    uid: str
    created: datetime
    hostnames: tuple[str, ...]
    path: str
    gateway: str
    held: Claim | None

    @property
    def rank(self) -> tuple[bool, datetime, datetime, str]:
        """Smaller comes first: a claim on record, then the older claim, the older resource, the uid."""
        since = self.held.since if self.held is not None else self.created
        return (self.held is None, since, self.created, self.uid)


def wanted(
    spec: ModelDeploymentSpec, namespace: str, default: GatewayRef | None, now: datetime
) -> Claim | None:
    """The claim that a spec stands for, made now; None while no Gateway is named."""
    gateway = spec.traffic.gateway or default
    if gateway is None:
        return None
    return Claim(
        hostnames=tuple(sorted(spec.traffic.hostnames)),
        path=spec.traffic.path,
        gateway=f"{gateway.namespace or namespace}/{gateway.name}",
        since=now,
    )


def same_addresses(a: Claim, b: Claim) -> bool:
    """Whether two claims are for exactly the same addresses."""
    return (a.hostnames, a.path, a.gateway) == (b.hostnames, b.path, b.gateway)


def overlap(a: Claimant, b: Claimant) -> bool:
    """Whether a request could be meant for both: same Gateway, same path, a host name in common.

    No host names means every host name; other paths are other addresses, the longest prefix wins.
    """
    if (a.gateway, a.path) != (b.gateway, b.path):
        return False
    if not a.hostnames or not b.hostnames:
        return a.hostnames == b.hostnames
    return bool(set(a.hostnames) & set(b.hostnames))


def rival(mine: Claimant, others: tuple[Claimant, ...]) -> Claimant | None:
    """Who has claimed some of my addresses before me; None when I am the first."""
    before = [o for o in others if o.uid != mine.uid and overlap(mine, o) and o.rank < mine.rank]
    return min(before, key=lambda o: o.rank, default=None)
