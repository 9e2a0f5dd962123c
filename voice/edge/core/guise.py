"""How the messages of one call are dressed for each of its two sides.

What is known of the caller, and which side is trusted, is found out once, when the call begins, and
then travels in the sealed tokens of both sides: so each message of the call carries the asserted
identity where it may be seen (RFC 3325), and shows nothing of the caller where it may not (RFC 3323).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from voice.edge.core.identity import Caller, Privacy, privacy_of, sum_of
from voice.sip.headers import Headers
from voice.sip.params import quote
from voice.sip.uri import escape_user

_CALLER_TRUSTED: Final = 0x100
_CALLEE_TRUSTED: Final = 0x200
_MASKED: Final = 0x400
_UNTOUCHED: Final = 0x800
GUISE_LINES: Final = 5
"""Of `Guise.pack`."""

MAX_HIDDEN_ROUTE_CHARS: Final = 256
MAX_HIDDEN_CALL_ID_CHARS: Final = 128
"""What would make a token longer than peers take in a Contact is not hidden."""

_NEEDED: Final = frozenset(
    (
        "accept",
        "accept-contact",
        "accept-encoding",
        "allow",
        "allow-events",
        "call-id",
        "contact",
        "content-disposition",
        "content-encoding",
        "content-length",
        "content-type",
        "cseq",
        "event",
        "expires",
        "from",
        "info-package",
        "join",
        "max-forwards",
        "mime-version",
        "min-expires",
        "min-se",
        "p-asserted-identity",
        "p-early-media",
        "priority",
        "privacy",
        "proxy-authenticate",
        "proxy-require",
        "rack",
        "reason",
        "record-route",
        "recv-info",
        "refer-sub",
        "refer-to",
        "reject-contact",
        "replaces",
        "request-disposition",
        "require",
        "resource-priority",
        "retry-after",
        "route",
        "rseq",
        "session-expires",
        "subscription-state",
        "supported",
        "target-dialog",
        "timestamp",
        "to",
        "unsupported",
        "via",
        "www-authenticate",
    )
)
"""What a call cannot do without; all else may say who sent it (RFC 3323 section 5.3), known header or not."""


class Guise(NamedTuple):
    """What a call's messages say of its caller, and to whom."""

    caller_trusted: bool = False
    """The caller's side is a trusted gateway."""
    callee_trusted: bool = False
    privacy: Privacy = Privacy.NOTHING
    asserted: str | None = None
    """The user part of the caller's asserted identity, as the callee's side wants it written."""
    display: str | None = None
    call_id: str | None = None
    """Not None: the callee's side sees nothing of where the caller's messages come from.  Then the Call-ID
    as the caller's side knows it, since the callee's side knows another; empty: it is too long to hide."""
    routes: tuple[str, ...] = ()
    """By which the caller's side is reached, where the callee's side may not see them either."""
    untouched: bool = False
    """Another edge of ours is the callee's side: it is told all that the caller claims, and judges it."""

    @property
    def masked(self) -> bool:
        """Whether the callee's side sees nothing of where the caller's messages come from."""
        return self.call_id is not None

    @property
    def nameless(self) -> bool:
        """Whether the caller's session descriptions name nobody on the callee's side."""
        return self.masked or (self.privacy.hides_caller and not self.callee_trusted)

    @property
    def renames(self) -> bool:
        """Whether the two sides know the call by different Call-IDs."""
        return bool(self.call_id)

    def behind(self, routes: Sequence[str]) -> Guise:
        """The same for a call that came along these routes; those that fit no token cannot be hidden."""
        if not self.masked or sum(map(len, routes)) > MAX_HIDDEN_ROUTE_CHARS:
            return self
        return self._replace(routes=tuple(routes))

    def pack(self) -> str:
        """As it stands in a token; no part holds a line feed."""
        flags = (
            int(self.privacy)
            | self.caller_trusted * _CALLER_TRUSTED
            | self.callee_trusted * _CALLEE_TRUSTED
            | (self.call_id is not None) * _MASKED
            | self.untouched * _UNTOUCHED
        )
        lines = (self.asserted or "", self.display or "", self.call_id or "", " ".join(self.routes))
        return "\n".join((f"{flags:x}", *lines))

    @classmethod
    def unpack(cls, lines: Sequence[str]) -> Guise:
        written, asserted, display, call_id, routes = lines
        flags = int(written, 16)
        return cls(
            flags & _CALLER_TRUSTED != 0,
            flags & _CALLEE_TRUSTED != 0,
            Privacy(flags & 0xFF),
            asserted or None,
            display or None,
            call_id if flags & _MASKED else None,
            tuple(routes.split(" ")) if routes else (),
            flags & _UNTOUCHED != 0,
        )


PLAIN: Final = Guise()
"""Nothing is known of the caller, and nobody is trusted."""

TO_ANOTHER_EDGE: Final = Guise(untouched=True)

Changes = dict[str, str | None]


def guise_of(
    caller: Caller,
    written: str | None,
    *,
    callee_trusted: bool,
    caller_trusted: bool = False,
    call_id: str | None = None,
) -> Guise:
    """How a call is dressed for one way to its callee.

    `written`: the asserted identity as it is written there.  `call_id`: as the caller's side knows it,
    when it is to be hidden from a callee's side that the caller does not want to be traced by.
    """
    told = callee_trusted or caller.privacy.public
    if not (told or caller_trusted or caller.privacy):
        return PLAIN
    return Guise(
        caller_trusted,
        callee_trusted,
        caller.privacy,
        written if told else None,
        caller.display if told and written else None,
        _hidden(call_id) if caller.privacy.hides_traces and not callee_trusted else None,
    )


def _hidden(call_id: str | None) -> str | None:
    return "" if call_id is not None and len(call_id) > MAX_HIDDEN_CALL_ID_CHARS else call_id


def dressed(
    headers: Headers, guise: Guise, *, from_caller: bool, from_inside: bool, to_inside: bool, host: str
) -> tuple[Changes, list[tuple[str, str]]]:
    """What has to change in a message of a call on its way, and what is added to it.

    `from_caller`: the message is the caller's, be it a request or a response.  `host`: by which the edge
    is known where the message goes.
    """
    if guise is PLAIN and not from_inside and not to_inside and "privacy" not in headers:
        return _TOLD_NOTHING.copy(), []
    if guise.untouched:
        return {}, []
    if from_caller:
        known, sender, receiver = guise.privacy, guise.caller_trusted, guise.callee_trusted
    else:
        known, sender, receiver = Privacy.NOTHING, guise.callee_trusted, guise.caller_trusted
    believed = from_inside or sender
    told = to_inside or receiver
    changes = _SAID_HERE.copy() if believed else _UNBELIEVED.copy()
    added: list[tuple[str, str]] = []
    privacy = known
    if "privacy" in headers:
        privacy = sum_of(privacy, privacy_of(headers))
    if from_caller and guise.asserted is not None:
        changes["p-asserted-identity"] = None
        if told or privacy.public:
            added += _assertion(guise.asserted, guise.display, host)
    elif not believed or not (told or privacy.public):
        changes["p-asserted-identity"] = None
    if not told:
        changes |= _OUTSIDE
        if privacy:
            if privacy & Privacy.SESSION:
                # Nobody here can hide where the sound comes from: whoever follows may.
                added.append(("privacy", _words(Privacy.SESSION)))
            if privacy.hides_caller:
                changes |= _NAMING
            if privacy.hides_traces:
                changes |= {key: None for key in _keys(headers) if key not in _NEEDED}
    elif from_caller and known:
        changes["privacy"] = None
        added.append(("privacy", _words(privacy)))
    return changes, added


_SAID_HERE: Final[Changes] = {"p-preferred-identity": None, "remote-party-id": None, "proxy-require": None}
"""Said to the edge alone: a claim, and that Privacy be honoured."""
_OF_NETWORKS: Final[Changes] = dict.fromkeys(
    (
        # What one network says to others that trust it (RFC 7315, RFC 5502, RFC 6050, RFC 8496).
        "p-access-network-info",
        "p-asserted-service",
        "p-charge-info",
        "p-charging-function-addresses",
        "p-charging-vector",
        "p-served-user",
        "p-visited-network-id",
    )
)
_UNBELIEVED: Final[Changes] = {**_SAID_HERE, **_OF_NETWORKS}
_OUTSIDE: Final[Changes] = {**dict.fromkeys(("privacy", "diversion", "history-info")), **_OF_NETWORKS}
"""What nobody outside the trusted realm is told of any call."""
_NAMING: Final[Changes] = dict.fromkeys(
    ("identity", "identity-info", "reply-to", "referred-by", "call-info", "organization")
)
"""What by its meaning names whoever sends it, so that an anonymous From beside it would be for nothing."""
_TOLD_NOTHING: Final[Changes] = {
    "p-asserted-identity": None,
    **_SAID_HERE,
    **_OUTSIDE,
}


@lru_cache(maxsize=4_096)
def _assertion(user: str, display: str | None, host: str) -> tuple[tuple[str, str], ...]:
    """The same for all messages of a call."""
    name = "" if display is None else quote(display) + " "
    by_sip = "p-asserted-identity", f"{name}<sip:{escape_user(user)}@{host}>"
    return (by_sip, ("p-asserted-identity", f"<tel:{user}>")) if user.startswith("+") else (by_sip,)


@lru_cache(maxsize=256)
def _words(privacy: Privacy) -> str:
    return str(privacy)


def _keys(headers: Headers) -> set[str]:
    return {name.lower() for name, _ in headers}
