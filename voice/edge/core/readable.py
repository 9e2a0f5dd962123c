"""What the edge will read of a message in the course of a call, read before anything is begun for it.

The parser reads what every message must have.  The rest is asked for late, when there are transactions and
calls already that a fault would leave behind.
"""

from __future__ import annotations

from voice.sip.errors import SipParseError
from voice.sip.headers import printable
from voice.sip.mandatory import MAX_CSEQ
from voice.sip.message import Request, Response
from voice.sip.uri import parse_uri


def check_readable(message: Request | Response, cseq_delta: int = 0) -> None:
    """Raises SipParseError (400) for a Contact or Record-Route that later requests could not follow.

    `cseq_delta`: how much further the next hop counts.
    """
    headers = message.headers
    if "contact" in headers:
        # Including the * of RFC 3261 section 20.10, which only a REGISTER may say.
        contact = message.contact
        if contact is not None:
            try:
                parse_uri(contact.uri)
            except SipParseError as error:
                raise SipParseError(error.problem, header="Contact") from None
    if "record-route" in headers:
        for route in message.record_routes:
            try:
                parse_uri(route.uri)
            except SipParseError as error:
                raise SipParseError(error.problem, header="Record-Route") from None
    if cseq_delta and message.cseq.number + cseq_delta > MAX_CSEQ:
        raise SipParseError(f"more than {MAX_CSEQ - cseq_delta} cannot be passed on", header="CSeq")


def unreadable_answer(response: Response) -> str | None:
    """Why a response cannot be passed on; None: it can.  Whither others redirect is looked at elsewhere."""
    if response.status >= 300:
        return None
    try:
        check_readable(response)
    except SipParseError as error:
        return f"the answer cannot be read: {printable(str(error)[:120])}"
    return None
