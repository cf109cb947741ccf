import itertools

import pytest

from edge.control.state import ALLOWED, State, transition


def test_numbers_are_those_of_the_wire_protocol() -> None:
    assert [int(state) for state in (State.DISARMED, State.ARMED, State.ACTIVE, State.FAULT)] == [0, 1, 2, 3]


@pytest.mark.parametrize(("current", "wanted"), [*itertools.product(State, State)])
def test_only_allowed_transitions_pass(current: State, wanted: State) -> None:
    if (current, wanted) in ALLOWED:
        assert transition(current, wanted) is wanted
    else:
        with pytest.raises(ValueError, match=f"{current.name} to {wanted.name}"):
            transition(current, wanted)


def test_every_state_can_fault_and_a_fault_leads_only_to_disarmed() -> None:
    assert {start for start, end in ALLOWED if end is State.FAULT} == set(State) - {State.FAULT}
    assert {end for start, end in ALLOWED if start is State.FAULT} == {State.DISARMED}


def test_nothing_becomes_active_but_an_armed_device() -> None:
    assert {start for start, end in ALLOWED if end is State.ACTIVE} == {State.ARMED}
