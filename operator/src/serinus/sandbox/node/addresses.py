"""Pod addresses: each node has a range of the loopback network to itself.

A range is 127.A.B.0/24. Its first address belongs to the node, which listens there on the kubelet's
port and so keeps the range: the kernel gives it back when the process ends, whatever ended it.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable, Iterator

from serinus.sandbox.program import PartError

KUBELET_PORT = 10250
FIRST_POD, LAST_POD = 10, 250


class NoAddressError(Exception):
    """No address can be given to a pod; the message says why."""


class AddressRange:
    """The addresses of one node's pods."""

    def __init__(self, prefix: str, claim: socket.socket) -> None:
        self._prefix = prefix
        self._claim = claim
        self._used: set[str] = set()

    @property
    def node_address(self) -> str:
        return f"{self._prefix}.1"

    @classmethod
    def take(cls, seed: str) -> AddressRange:
        """Claim a free range; the same seed tries the same ranges first. Raises PartError."""
        for prefix in _prefixes(seed):
            claim = socket.socket()
            try:
                claim.bind((f"{prefix}.1", KUBELET_PORT))
                claim.listen()
            except OSError as error:
                claim.close()
                if error.errno == errno.EADDRNOTAVAIL:
                    raise PartError(
                        "this machine has no loopback addresses but 127.0.0.1; the sandbox's "
                        "node gives every pod an address of 127.0.0.0/8, as Linux has them"
                    ) from error
                continue
            return cls(prefix, claim)
        raise PartError("no free range of pod addresses: every one that was tried is in use")

    def allocate(self, ports: Iterable[int], preferred: str = "") -> str:
        """An address on which these ports are free. Raises NoAddressError."""
        wanted = sorted(set(ports))
        candidates = [f"{self._prefix}.{n}" for n in range(FIRST_POD, LAST_POD + 1)]
        if preferred in candidates:
            candidates.insert(0, preferred)
        taken = ""
        for address in candidates:
            if address in self._used:
                continue
            busy = _busy_port(address, wanted)
            if busy is None:
                self._used.add(address)
                return address
            taken = f"port {busy} is in use (on every address?)"
        raise NoAddressError(taken or "all addresses of the node are in use")

    def release(self, address: str) -> None:
        self._used.discard(address)

    def close(self) -> None:
        self._claim.close()


def _prefixes(seed: str) -> Iterator[str]:
    order = random.Random(seed)  # noqa: S311 - spreads sandboxes, hides nothing
    for _ in range(64):
        yield f"127.{order.randint(64, 127)}.{order.randint(1, 254)}"


def _busy_port(address: str, ports: Iterable[int]) -> int | None:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EACCES:
                    raise NoAddressError(f"port {port} needs root on this machine") from error
                return port
    return None
