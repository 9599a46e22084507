"""The lifecycle is exactly its table."""

from __future__ import annotations

import pytest

from serinus_server.service.lifecycle import (
    Event,
    IllegalTransition,
    Lifecycle,
    State,
    is_live,
    is_ready,
)

PATHS = {
    State.STARTING: (),
    State.LOADING: (Event.LOAD,),
    State.WARMING: (Event.LOAD, Event.LOADED),
    State.READY: (Event.LOAD, Event.LOADED, Event.WARMED),
    State.DRAINING: (Event.LOAD, Event.LOADED, Event.WARMED, Event.DRAIN),
    State.STOPPED: (Event.DRAIN, Event.STOP),
    State.FAILED: (Event.LOAD, Event.FAIL),
}
ALLOWED = {
    (State.STARTING, Event.LOAD): State.LOADING,
    (State.LOADING, Event.LOADED): State.WARMING,
    (State.WARMING, Event.WARMED): State.READY,
    (State.STARTING, Event.FAIL): State.FAILED,
    (State.LOADING, Event.FAIL): State.FAILED,
    (State.WARMING, Event.FAIL): State.FAILED,
    (State.STARTING, Event.DRAIN): State.DRAINING,
    (State.LOADING, Event.DRAIN): State.DRAINING,
    (State.WARMING, Event.DRAIN): State.DRAINING,
    (State.READY, Event.DRAIN): State.DRAINING,
    (State.DRAINING, Event.STOP): State.STOPPED,
}


def in_state(state: State) -> Lifecycle:
    lifecycle = Lifecycle()
    for event in PATHS[state]:
        lifecycle.apply(event)
    assert lifecycle.state is state
    return lifecycle


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_pair_of_state_and_event_is_a_known_step_or_an_error(
    state: State, event: Event
) -> None:
    lifecycle = in_state(state)
    expected = ALLOWED.get((state, event))
    assert lifecycle.can(event) is (expected is not None)
    if expected is None:
        with pytest.raises(IllegalTransition):
            lifecycle.apply(event)
        assert lifecycle.state is state
    else:
        assert lifecycle.apply(event) is expected


def test_only_a_ready_server_is_ready() -> None:
    assert [state for state in State if is_ready(state)] == [State.READY]


def test_liveness_ends_only_with_the_process_and_never_for_the_model() -> None:
    assert [state for state in State if not is_live(state)] == [State.STOPPED]


def test_changes_are_told() -> None:
    seen: list[tuple[State, State]] = []
    lifecycle = Lifecycle(lambda old, new: seen.append((old, new)))
    lifecycle.apply(Event.LOAD)
    lifecycle.apply(Event.FAIL)
    assert seen == [(State.STARTING, State.LOADING), (State.LOADING, State.FAILED)]
