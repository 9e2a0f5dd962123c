"""The tables themselves: complete, closed, and as RFC 3261 section 17 and RFC 6026 draw them."""

from __future__ import annotations

import pytest

from voice.sip.transaction_tables import (
    FIRST_STATE,
    ROWS,
    TIMERS,
    Action,
    Event,
    Machine,
    State,
    next_transition,
)

CLIENTS = (Machine.INVITE_CLIENT, Machine.NON_INVITE_CLIENT)
RESPONSES = (Event.PROVISIONAL, Event.SUCCESS, Event.FAILURE)


@pytest.mark.parametrize("machine", Machine, ids=lambda machine: machine.value)
def test_every_state_can_be_reached_and_left(machine: Machine) -> None:
    reached = {FIRST_STATE[machine]}
    while more := {
        row.state for state in reached - {State.TERMINATED} for row in ROWS[machine][state].values()
    }:
        if more <= reached:
            break
        reached |= more
    assert reached == {*ROWS[machine], State.TERMINATED}


@pytest.mark.parametrize("machine", Machine, ids=lambda machine: machine.value)
def test_a_timer_has_a_row_exactly_where_it_runs(machine: Machine) -> None:
    for state, row in ROWS[machine].items():
        fires = {event for event in row if event.name.startswith("TIMER_")}
        assert fires == set(TIMERS[machine].get(state, ())), state


@pytest.mark.parametrize("machine", Machine, ids=lambda machine: machine.value)
def test_the_network_may_send_anything_at_any_time(machine: Machine) -> None:
    """A peer must never be able to bring about a pair that is not in the table."""
    from_outside: tuple[Event, ...] = RESPONSES if machine in CLIENTS else (Event.REQUEST,)
    if machine is Machine.INVITE_SERVER:
        from_outside = (Event.REQUEST, Event.ACK)
    for state in ROWS[machine]:
        for event in (*from_outside, Event.TRANSPORT_ERROR):
            next_transition(machine, state, event)


def test_an_unknown_pair_is_one_clear_error() -> None:
    with pytest.raises(
        LookupError, match="INVITE server transaction, state CONFIRMED: no row for PROVISIONAL"
    ):
        next_transition(Machine.INVITE_SERVER, State.CONFIRMED, Event.PROVISIONAL)


@pytest.mark.parametrize(
    ("machine", "state", "event", "expected", "actions"),
    [
        # Figure 5 with RFC 6026 section 7.2.
        (Machine.INVITE_CLIENT, State.CALLING, Event.PROVISIONAL, State.PROCEEDING, [Action.DELIVER]),
        (Machine.INVITE_CLIENT, State.CALLING, Event.SUCCESS, State.ACCEPTED, [Action.DELIVER]),
        (Machine.INVITE_CLIENT, State.PROCEEDING, Event.SUCCESS, State.ACCEPTED, [Action.DELIVER]),
        (Machine.INVITE_CLIENT, State.ACCEPTED, Event.SUCCESS, State.ACCEPTED, [Action.DELIVER]),
        (Machine.INVITE_CLIENT, State.ACCEPTED, Event.FAILURE, State.ACCEPTED, []),
        (Machine.INVITE_CLIENT, State.COMPLETED, Event.FAILURE, State.COMPLETED, [Action.SEND_ACK]),
        (Machine.INVITE_CLIENT, State.CALLING, Event.TIMER_B, State.TERMINATED, [Action.REPORT_TIMEOUT]),
        # Figure 6.
        (Machine.NON_INVITE_CLIENT, State.TRYING, Event.FAILURE, State.COMPLETED, [Action.DELIVER]),
        (Machine.NON_INVITE_CLIENT, State.PROCEEDING, Event.TIMER_E, State.PROCEEDING, [Action.SEND_REQUEST]),
        (Machine.NON_INVITE_CLIENT, State.COMPLETED, Event.SUCCESS, State.COMPLETED, []),
        # Figure 7 with RFC 6026 section 7.1.
        (Machine.INVITE_SERVER, State.PROCEEDING, Event.SUCCESS, State.ACCEPTED, [Action.SEND_RESPONSE]),
        (Machine.INVITE_SERVER, State.ACCEPTED, Event.REQUEST, State.ACCEPTED, []),
        (Machine.INVITE_SERVER, State.COMPLETED, Event.REQUEST, State.COMPLETED, [Action.RESEND_RESPONSE]),
        (Machine.INVITE_SERVER, State.COMPLETED, Event.ACK, State.CONFIRMED, []),
        (Machine.INVITE_SERVER, State.COMPLETED, Event.TIMER_H, State.TERMINATED, [Action.REPORT_TIMEOUT]),
        (Machine.INVITE_SERVER, State.CONFIRMED, Event.REQUEST, State.CONFIRMED, []),
        # Figure 8.
        (Machine.NON_INVITE_SERVER, State.TRYING, Event.REQUEST, State.TRYING, []),
        (
            Machine.NON_INVITE_SERVER,
            State.PROCEEDING,
            Event.REQUEST,
            State.PROCEEDING,
            [Action.RESEND_RESPONSE],
        ),
        (Machine.NON_INVITE_SERVER, State.COMPLETED, Event.TIMER_J, State.TERMINATED, []),
    ],
)
def test_rows_are_the_arrows_of_the_figures(
    machine: Machine, state: State, event: Event, expected: State, actions: list[Action]
) -> None:
    row = next_transition(machine, state, event)
    assert (row.state, list(row.actions)) == (expected, actions)
