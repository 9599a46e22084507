"""Which connections go when there are too many."""

from __future__ import annotations

import pytest

from serinus_server.crowd import Crowd, most_connections


class Peer:
    def __init__(self, since: float | None) -> None:
        self.since = since
        self.evicted = False

    def evictable_since(self) -> float | None:
        return self.since

    def evict(self) -> None:
        self.evicted = True


def test_those_that_are_idle_for_longest_go_first_and_several_at_once() -> None:
    idle = [Peer(float(number)) for number in range(64, 0, -1)]
    busy = [Peer(None) for _ in range(10)]
    newest = Peer(100.0)
    Crowd(64).make_room([*busy, *idle, newest], newest)
    assert [peer.since for peer in idle if peer.evicted] == [4.0, 3.0, 2.0, 1.0]
    assert not any(peer.evicted for peer in (*busy, newest))


def test_where_all_have_requests_the_newest_goes() -> None:
    busy = [Peer(None) for _ in range(4)]
    newest = Peer(1.0)
    Crowd(4).make_room([*busy, newest], newest)
    assert newest.evicted
    assert not any(peer.evicted for peer in busy)


@pytest.mark.parametrize(
    ("wanted", "files", "most"),
    [(4096, 1_048_576, 4096), (4096, 1024, 768), (10_000, 10_000, 8976), (5, 2, 2), (7, -1, 7)],
)
def test_there_are_never_more_than_there_are_files_for(wanted: int, files: int, most: int) -> None:
    assert most_connections(wanted, files) == most
