"""An offer and its answer on their way through the edge: what of them changes, and what may not pass."""

from __future__ import annotations

from typing import Final

from sip_config.model import SrtpPolicy
from voice.edge.core.sdp_policy import (
    ANYTHING,
    Breach,
    Description,
    SdpFault,
    Sides,
    answered_as_offered,
    body_of,
    breach,
    fitted,
    hidden,
    read,
    wrong_answer,
)
from voice.sip.message import Request, Response

_OFFERING: Final = frozenset(("INVITE", "UPDATE", "PRACK"))
"""Methods that may bring an offer (RFC 6337 section 2.1); the body of an ACK is an answer."""
_ANSWERED: Final = frozenset(("INVITE", "UPDATE"))
"""Those whose offer is answered by a response to the same request, and nowhere else."""


_IN_PARTS: Final = "the session description is in parts or encoded"


class Exchange:
    """One request that may bring an offer, and the responses to it."""

    __slots__ = ("_answerer", "_came", "_late", "_offerer", "_sent", "body")

    def __init__(self, request: Request, sides: Sides, *, from_caller: bool) -> None:
        self._offerer, self._answerer = sides.offered_by(caller=from_caller)
        self.body = request.body
        """Of the request, as it goes on."""
        self._came: Description | None = None
        self._sent: Description | None = None
        self._late = not request.body
        """The first response with a description makes the offer (RFC 3261 section 13.2.1)."""
        offer = body_of(request) if request.method in _ANSWERED else None
        if offer is not None:
            self.body = fitted(offer, self._offerer, self._answerer)
            try:
                self._came = read(offer)
                self._sent = self._came if self.body is offer else read(self.body)
            except SdpFault:
                self._came = None

    @property
    def _strict(self) -> bool:
        """Whether somebody minds what the answer is: a policy, or an offer of nothing but encryption."""
        if self._offerer is not SrtpPolicy.OPTIONAL or self._answerer is not SrtpPolicy.OPTIONAL:
            return True
        return self._sent is not None and any(one.secure for one in self._sent)

    @property
    def secure(self) -> bool:
        """Whether the offer asks for encryption, or offers it."""
        return self._sent is not None and any(one.secure or one.keys for one in self._sent)

    def backward(self, response: Response) -> bytes:
        """The body of a response, as it goes back."""
        body = body_of(response)
        if body is None:
            return response.body
        if self._came is not None:
            return answered_as_offered(body, self._came)
        return fitted(body, self._answerer, self._offerer, raising=False) if self._late else body

    def wrong(self, response: Response) -> Breach | None:
        """What is wrong with the description that a response brings."""
        if not self._strict:
            return None
        body = body_of(response)
        if body is None:
            policies = (self._offerer, self._answerer)
            return _unreadable(_IN_PARTS) if hidden(response, policies) else None
        try:
            if self._sent is not None:
                return wrong_answer(self._answerer, self._sent, read(body))
            if self._late:
                return _unfit(body, self._answerer, self._offerer, raising=False)
        except SdpFault as fault:
            return _unreadable(str(fault))
        return None


def exchange(request: Request, sides: Sides, *, from_caller: bool) -> Exchange | None:
    """None: nobody minds what passes, and nothing that passes asks for encryption."""
    if request.method not in _ANSWERED or (sides == ANYTHING and not _asks(request.body)):
        return None
    return Exchange(request, sides, from_caller=from_caller)


def offer_breach(request: Request, sides: Sides, *, from_caller: bool = True) -> Breach | None:
    """Why the offer of a request may not pass; None: it may, or there is none."""
    if sides == ANYTHING or not request.body or request.method not in _OFFERING:
        return None
    offerer, answerer = sides.offered_by(caller=from_caller)
    body = body_of(request)
    if body is None:
        return _unreadable(_IN_PARTS) if hidden(request, sides) else None
    try:
        return _unfit(body, offerer, answerer, raising=request.method in _ANSWERED)
    except SdpFault as fault:
        return _unreadable(str(fault))


def _asks(body: bytes) -> bool:
    return b"a=crypto" in body or b"SAVP" in body.upper()


def _unreadable(says: str) -> Breach:
    return Breach(cause="sdp-unreadable", says=says, warning=399)


def _unfit(body: bytes, offerer: SrtpPolicy, answerer: SrtpPolicy, *, raising: bool) -> Breach | None:
    broken = breach(offerer, read(body))
    if broken is not None:
        return broken
    return breach(answerer, read(fitted(body, offerer, answerer, raising=raising)))
