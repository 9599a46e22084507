"""The server's life as a table. Every state and every transition is in this file."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    """Where the server is in its life."""

    STARTING = "starting"  # the process is up and listens
    LOADING = "loading"  # the model is fetched, checked and loaded
    WARMING = "warming"  # the model answers its own example
    READY = "ready"
    DRAINING = "draining"  # told to stop: serves, but asks for no more traffic
    STOPPED = "stopped"
    FAILED = "failed"  # the model cannot be served; the process ends


class Event(StrEnum):
    """What moves the server from one state to the next."""

    LOAD = "load"
    LOADED = "loaded"
    WARMED = "warmed"
    FAIL = "fail"
    DRAIN = "drain"
    STOP = "stop"


_TRANSITIONS: dict[State, dict[Event, State]] = {
    State.STARTING: {
        Event.LOAD: State.LOADING,
        Event.FAIL: State.FAILED,
        Event.DRAIN: State.DRAINING,
    },
    State.LOADING: {
        Event.LOADED: State.WARMING,
        Event.FAIL: State.FAILED,
        Event.DRAIN: State.DRAINING,
    },
    State.WARMING: {
        Event.WARMED: State.READY,
        Event.FAIL: State.FAILED,
        Event.DRAIN: State.DRAINING,
    },
    State.READY: {Event.DRAIN: State.DRAINING},
    State.DRAINING: {Event.STOP: State.STOPPED},
    State.STOPPED: {},
    State.FAILED: {},
}


class IllegalTransition(RuntimeError):
    """The event does not belong to the state: a mistake in the server, never of a user."""


def is_live(state: State) -> bool:
    """Whether the process is worth keeping. Never depends on the model."""
    return state is not State.STOPPED


def is_ready(state: State) -> bool:
    """Whether new traffic may come."""
    return state is State.READY


class Lifecycle:
    """The current state. Owned by the event loop; other threads only read it."""

    def __init__(self, on_change: Callable[[State, State], None] = lambda _old, _new: None) -> None:
        self._state = State.STARTING
        self._followers = [on_change]

    @property
    def state(self) -> State:
        return self._state

    def follow(self, on_change: Callable[[State, State], None]) -> None:
        """Tell ``on_change`` the old and the new state, too, from now on."""
        self._followers.append(on_change)

    def can(self, event: Event) -> bool:
        """Whether ``event`` is one that the current state knows."""
        return event in _TRANSITIONS[self._state]

    def apply(self, event: Event) -> State:
        """Move on, and return the new state.

        Raises:
            IllegalTransition: the current state does not know the event.
        """
        old = self._state
        try:
            self._state = _TRANSITIONS[old][event]
        except KeyError:
            raise IllegalTransition(f"{event} while {old}") from None
        for on_change in self._followers:
            on_change(old, self._state)
        return self._state
