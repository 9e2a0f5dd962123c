"""The four transaction state machines of RFC 3261 section 17 with RFC 6026, as data.

`ROWS` says for every machine, state and event which state follows and what is done; `TIMERS` says
which timers run in a state.  Everything that decides how a transaction proceeds stands here;
`voice.sip.transactions` only carries it out.  A pair that is not in the table is a `LookupError` that
names it: a bug of ours, because events are made by our own code from whatever the peer sent.

On entering a state, timers that the new state lists and the old one did not are started, those that
the new one does not list are stopped, and those in both go on (timer F of section 17.1.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final


class Machine(StrEnum):
    INVITE_CLIENT = "INVITE client"
    NON_INVITE_CLIENT = "non-INVITE client"
    INVITE_SERVER = "INVITE server"
    NON_INVITE_SERVER = "non-INVITE server"


class State(IntEnum):
    CALLING = 1
    TRYING = 2
    PROCEEDING = 3
    COMPLETED = 4
    CONFIRMED = 5
    ACCEPTED = 6
    TERMINATED = 7


class Event(IntEnum):
    """What happens to a transaction.  On the client side PROVISIONAL, SUCCESS and FAILURE (300 to 699) are
    responses that came, on the server side responses that its user sends."""

    PROVISIONAL = 1
    SUCCESS = 2
    FAILURE = 3
    REQUEST = 4
    """The request came again."""
    ACK = 5
    TRANSPORT_ERROR = 6
    ABANDON = 7
    """The user no longer waits: stop retransmitting, but know what still comes."""
    FORGET = 8
    """The user wants nothing more of it."""
    TIMER_A = 10
    TIMER_B = 11
    TIMER_D = 12
    TIMER_E = 13
    TIMER_F = 14
    TIMER_G = 15
    TIMER_H = 16
    TIMER_I = 17
    TIMER_J = 18
    TIMER_K = 19
    TIMER_L = 20
    TIMER_M = 21


class Action(IntEnum):
    SEND_REQUEST = 1
    """Sends the request again (the first time is the creation of the transaction)."""
    SEND_ACK = 2
    """ACK for a failure: made from the response that came, the same bytes for its retransmissions."""
    DELIVER = 3
    """Hands the response that came to the user."""
    SEND_RESPONSE = 4
    """Sends the response that the user gave and keeps it for retransmissions."""
    RESEND_RESPONSE = 5
    """Sends the last response again, if there was one."""
    STOP_RESENDING = 6
    REPORT_TIMEOUT = 7
    REPORT_TRANSPORT_ERROR = 8


@dataclass(frozen=True, slots=True)
class Transition:
    state: State
    actions: tuple[Action, ...] = ()


Row = dict[Event, Transition]

_CALLING, _TRYING, _PROCEEDING = State.CALLING, State.TRYING, State.PROCEEDING
_COMPLETED, _CONFIRMED, _ACCEPTED = State.COMPLETED, State.CONFIRMED, State.ACCEPTED
_TERMINATED = State.TERMINATED

_FAILED: Final = Transition(_TERMINATED, (Action.REPORT_TRANSPORT_ERROR,))
_TIMED_OUT: Final = Transition(_TERMINATED, (Action.REPORT_TIMEOUT,))
_END: Final = Transition(_TERMINATED)


def _same(state: State, *actions: Action) -> Transition:
    return Transition(state, actions)


# Figure 5 of RFC 3261 section 17.1.1.2, with the Accepted state of RFC 6026 section 7.2.
_INVITE_CLIENT: Final[dict[State, Row]] = {
    _CALLING: {
        Event.TIMER_A: _same(_CALLING, Action.SEND_REQUEST),
        Event.TIMER_B: _TIMED_OUT,
        Event.ABANDON: _same(_CALLING, Action.STOP_RESENDING),
        Event.FORGET: _END,
        Event.PROVISIONAL: Transition(_PROCEEDING, (Action.DELIVER,)),
        Event.SUCCESS: Transition(_ACCEPTED, (Action.DELIVER,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.SEND_ACK, Action.DELIVER)),
        Event.TRANSPORT_ERROR: _FAILED,
    },
    _PROCEEDING: {
        Event.ABANDON: _same(_PROCEEDING),
        # No timer runs here: a peer that rang and then fell silent would be waited for for ever.
        Event.FORGET: _END,
        Event.PROVISIONAL: _same(_PROCEEDING, Action.DELIVER),
        Event.SUCCESS: Transition(_ACCEPTED, (Action.DELIVER,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.SEND_ACK, Action.DELIVER)),
        # Nothing is being sent here; an ICMP error for the CANCEL, or a stream that broke, ends the wait.
        Event.TRANSPORT_ERROR: _FAILED,
    },
    _ACCEPTED: {
        Event.ABANDON: _same(_ACCEPTED),
        Event.FORGET: _same(_ACCEPTED),
        Event.PROVISIONAL: _same(_ACCEPTED),
        # Retransmissions of the 2xx, and 2xx of other branches beyond a forking proxy.
        Event.SUCCESS: _same(_ACCEPTED, Action.DELIVER),
        Event.FAILURE: _same(_ACCEPTED),
        Event.TRANSPORT_ERROR: _same(_ACCEPTED),
        Event.TIMER_M: _END,
    },
    _COMPLETED: {
        Event.ABANDON: _same(_COMPLETED),
        Event.FORGET: _same(_COMPLETED),
        Event.PROVISIONAL: _same(_COMPLETED),
        # RFC 6026 section 8.5 leaves a 2xx after a failure to nobody.
        Event.SUCCESS: _same(_COMPLETED),
        Event.FAILURE: _same(_COMPLETED, Action.SEND_ACK),
        # RFC 3261 reports the error here too; the final response has been delivered, so nobody waits.
        Event.TRANSPORT_ERROR: _END,
        Event.TIMER_D: _END,
    },
}

# Figure 6 of section 17.1.2.2.
_NON_INVITE_CLIENT: Final[dict[State, Row]] = {
    _TRYING: {
        Event.TIMER_E: _same(_TRYING, Action.SEND_REQUEST),
        Event.TIMER_F: _TIMED_OUT,
        Event.ABANDON: _same(_TRYING, Action.STOP_RESENDING),
        Event.FORGET: _END,
        Event.PROVISIONAL: Transition(_PROCEEDING, (Action.DELIVER,)),
        Event.SUCCESS: Transition(_COMPLETED, (Action.DELIVER,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.DELIVER,)),
        Event.TRANSPORT_ERROR: _FAILED,
    },
    _PROCEEDING: {
        Event.TIMER_E: _same(_PROCEEDING, Action.SEND_REQUEST),
        Event.TIMER_F: _TIMED_OUT,
        Event.ABANDON: _same(_PROCEEDING, Action.STOP_RESENDING),
        Event.FORGET: _END,
        Event.PROVISIONAL: _same(_PROCEEDING, Action.DELIVER),
        Event.SUCCESS: Transition(_COMPLETED, (Action.DELIVER,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.DELIVER,)),
        Event.TRANSPORT_ERROR: _FAILED,
    },
    _COMPLETED: {
        Event.ABANDON: _same(_COMPLETED),
        Event.FORGET: _same(_COMPLETED),
        Event.PROVISIONAL: _same(_COMPLETED),
        Event.SUCCESS: _same(_COMPLETED),
        Event.FAILURE: _same(_COMPLETED),
        Event.TRANSPORT_ERROR: _same(_COMPLETED),
        Event.TIMER_K: _END,
    },
}

# Figure 7 of section 17.2.1, with the Accepted state of RFC 6026 section 7.1.  The 100 of 200 ms is the
# user's: a proxy sends it at once.
_INVITE_SERVER: Final[dict[State, Row]] = {
    _PROCEEDING: {
        Event.REQUEST: _same(_PROCEEDING, Action.RESEND_RESPONSE),
        Event.ACK: _same(_PROCEEDING),
        Event.PROVISIONAL: _same(_PROCEEDING, Action.SEND_RESPONSE),
        Event.SUCCESS: Transition(_ACCEPTED, (Action.SEND_RESPONSE,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.SEND_RESPONSE,)),
        # RFC 6026 section 7.1: a transport error does not end the transaction.
        Event.TRANSPORT_ERROR: _same(_PROCEEDING, Action.REPORT_TRANSPORT_ERROR),
    },
    _COMPLETED: {
        Event.REQUEST: _same(_COMPLETED, Action.RESEND_RESPONSE),
        Event.ACK: Transition(_CONFIRMED),
        Event.TIMER_G: _same(_COMPLETED, Action.RESEND_RESPONSE),
        Event.TIMER_H: _TIMED_OUT,
        Event.TRANSPORT_ERROR: _same(_COMPLETED),
    },
    _CONFIRMED: {
        Event.REQUEST: _same(_CONFIRMED),
        Event.ACK: _same(_CONFIRMED),
        Event.TRANSPORT_ERROR: _same(_CONFIRMED),
        Event.TIMER_I: _END,
    },
    _ACCEPTED: {
        # The 2xx is sent again by whoever made it (RFC 6026 section 7.1), not by the transaction.
        Event.REQUEST: _same(_ACCEPTED),
        Event.ACK: _same(_ACCEPTED),
        Event.SUCCESS: _same(_ACCEPTED, Action.SEND_RESPONSE),
        Event.TRANSPORT_ERROR: _same(_ACCEPTED),
        Event.TIMER_L: _END,
    },
}

# Figure 8 of section 17.2.2.
_NON_INVITE_SERVER: Final[dict[State, Row]] = {
    _TRYING: {
        Event.REQUEST: _same(_TRYING),
        Event.PROVISIONAL: Transition(_PROCEEDING, (Action.SEND_RESPONSE,)),
        Event.SUCCESS: Transition(_COMPLETED, (Action.SEND_RESPONSE,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.SEND_RESPONSE,)),
        Event.TRANSPORT_ERROR: _same(_TRYING),
        Event.FORGET: _END,
    },
    _PROCEEDING: {
        Event.REQUEST: _same(_PROCEEDING, Action.RESEND_RESPONSE),
        Event.PROVISIONAL: _same(_PROCEEDING, Action.SEND_RESPONSE),
        Event.SUCCESS: Transition(_COMPLETED, (Action.SEND_RESPONSE,)),
        Event.FAILURE: Transition(_COMPLETED, (Action.SEND_RESPONSE,)),
        Event.TRANSPORT_ERROR: _FAILED,
        Event.FORGET: _END,
    },
    _COMPLETED: {
        Event.REQUEST: _same(_COMPLETED, Action.RESEND_RESPONSE),
        Event.TRANSPORT_ERROR: _FAILED,
        Event.FORGET: _same(_COMPLETED),
        Event.TIMER_J: _END,
    },
}

ROWS: Final = MappingProxyType(
    {
        Machine.INVITE_CLIENT: _INVITE_CLIENT,
        Machine.NON_INVITE_CLIENT: _NON_INVITE_CLIENT,
        Machine.INVITE_SERVER: _INVITE_SERVER,
        Machine.NON_INVITE_SERVER: _NON_INVITE_SERVER,
    }
)

TIMERS: Final[MappingProxyType[Machine, dict[State, tuple[Event, ...]]]] = MappingProxyType(
    {
        Machine.INVITE_CLIENT: {
            _CALLING: (Event.TIMER_A, Event.TIMER_B),
            _COMPLETED: (Event.TIMER_D,),
            _ACCEPTED: (Event.TIMER_M,),
        },
        Machine.NON_INVITE_CLIENT: {
            _TRYING: (Event.TIMER_E, Event.TIMER_F),
            _PROCEEDING: (Event.TIMER_E, Event.TIMER_F),
            _COMPLETED: (Event.TIMER_K,),
        },
        Machine.INVITE_SERVER: {
            _COMPLETED: (Event.TIMER_G, Event.TIMER_H),
            _CONFIRMED: (Event.TIMER_I,),
            _ACCEPTED: (Event.TIMER_L,),
        },
        Machine.NON_INVITE_SERVER: {
            _COMPLETED: (Event.TIMER_J,),
        },
    }
)
"""The timers that run in a state; a state that is not listed has none."""

FIRST_STATE: Final = MappingProxyType(
    {
        Machine.INVITE_CLIENT: _CALLING,
        Machine.NON_INVITE_CLIENT: _TRYING,
        Machine.INVITE_SERVER: _PROCEEDING,
        Machine.NON_INVITE_SERVER: _TRYING,
    }
)


def next_transition(machine: Machine, state: State, event: Event) -> Transition:
    """The row for a state and an event.  Raises LookupError when the table has none."""
    try:
        return ROWS[machine][state][event]
    except KeyError:
        raise LookupError(
            f"{machine.value} transaction, state {state.name}: no row for {event.name}"
        ) from None
