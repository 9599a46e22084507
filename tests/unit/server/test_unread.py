"""Whose answers go when too many of them are not read."""

from __future__ import annotations

from serinus_server.unread import Unread


class Peer:
    def __init__(self) -> None:
        self.ended = False

    def give_up(self) -> None:
        self.ended = True


def test_who_has_not_read_for_longest_goes_first_and_no_more_than_needed() -> None:
    unread = Unread(100)
    peers = [Peer() for _ in range(5)]
    for peer in peers:
        unread.add(peer, 40)
    assert [peer.ended for peer in peers] == [True, True, True, False, False]


def test_what_was_read_counts_no_more() -> None:
    unread = Unread(100)
    first, second, third = Peer(), Peer(), Peer()
    unread.add(first, 90)
    unread.remove(first)
    unread.remove(first)
    unread.add(second, 50)
    unread.add(third, 50)
    assert not any(peer.ended for peer in (first, second, third))


def test_a_connection_that_stops_again_is_counted_once() -> None:
    unread = Unread(100)
    first, second = Peer(), Peer()
    unread.add(first, 60)
    unread.add(first, 60)
    unread.add(second, 40)
    assert not (first.ended or second.ended)


def test_one_answer_may_be_larger_than_all_that_may_wait() -> None:
    unread = Unread(100)
    small, large = Peer(), Peer()
    unread.add(small, 1)
    unread.add(large, 1000)
    assert (small.ended, large.ended) == (True, False)
