"""Who calls: what a request claims, what of it is believed, and what others may see of it.

RFC 3261 (From), RFC 3323 (Privacy), RFC 3325 (P-Asserted-Identity, P-Preferred-Identity) and the
Remote-Party-ID that came before them.  Nothing is believed but what the source may say: a customer that
the access control list let in, the numbers of its account; a trusted gateway, anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import IntFlag
from itertools import islice
from typing import Final, NamedTuple

from sip_config.admission import Refused
from sip_config.identity_policy import IdentityPolicy, OtherCallers
from sip_config.numbers import NumberFault, normalise
from voice.sip.address import NameAddr, parse_name_addr
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers, printable
from voice.sip.message import Request
from voice.sip.uri import SipUri, parse_uri

RESTRICTED: Final = "Restricted"
"""What records and callflows know a caller as who does not want to be known."""

_MOST_CLAIMS: Final = 4
"""Of one header that are looked at; RFC 3325 section 9.1 allows two."""
_MOST_CHARS: Final = 128
_MOST_RECORDED_CHARS: Final = 256
_MOST_DISPLAY_CHARS: Final = 48
"""Of a display name: it travels in the sealed tokens of the call."""
_SEPARATORS: Final = re.compile(r"[;,\s]+")
_NOBODY: Final = frozenset(("anonymous", "restricted", "unavailable"))


# As whole numbers: operators of IntFlag take ten times as long, and these are asked for every message.
_NONE: Final = 1
_HIDES_CALLER: Final = 2 | 8
_HIDES_TRACES: Final = 4 | 8
_CRITICAL: Final = 32
_UNPROVIDABLE: Final = 16 | 128


class Privacy(IntFlag):
    """The values of a Privacy header (RFC 3323 section 4.2, RFC 3325 section 9.3, RFC 7044)."""

    NOTHING = 0
    NONE = 1
    """The caller says that it wants none."""
    ID = 2
    HEADER = 4
    USER = 8
    SESSION = 16
    CRITICAL = 32
    HISTORY = 64
    UNKNOWN = 128
    """Something that the edge does not know, and that is critical to the caller."""

    @property
    def hides_caller(self) -> bool:
        """Whether nobody outside the trusted realm may learn who calls."""
        return int(self) & _HIDES_CALLER != 0

    @property
    def hides_traces(self) -> bool:
        """Whether the message must not even show where it comes from, or what sent it."""
        return int(self) & _HIDES_TRACES != 0

    @property
    def unprovidable(self) -> bool:
        """Whether the call must fail rather than pass without what nobody here can do (RFC 3323, 5)."""
        return int(self) & _CRITICAL != 0 and int(self) & _UNPROVIDABLE != 0

    @property
    def public(self) -> bool:
        """Whether the caller wants its identity to be shown to everyone."""
        return int(self) == _NONE

    def __str__(self) -> str:
        return ";".join(name for name, value in _PRIVACY_WORDS.items() if self & value)


_PRIVACY_WORDS: Final = {
    "none": Privacy.NONE,
    "id": Privacy.ID,
    "header": Privacy.HEADER,
    "user": Privacy.USER,
    "session": Privacy.SESSION,
    "history": Privacy.HISTORY,
    "critical": Privacy.CRITICAL,
}


class Claim(NamedTuple):
    """Who somebody says that they are."""

    user: str
    """E.164 when it is a number, else the user part."""
    number: bool
    display: str | None
    written: str
    """The user part as it came."""


class Caller(NamedTuple):
    """Who calls, as far as the edge believes it."""

    asserted: str | None = None
    """Inside the trusted realm, and on the bill."""
    display: str | None = None
    """The name that came with what is asserted."""
    shown: str | None = None
    """To everybody else, in From; None: nobody."""
    privacy: Privacy = Privacy.NOTHING
    known_as: str = RESTRICTED
    """In records and to callflows."""


def privacy_of(headers: Headers) -> Privacy:
    """What is asked for, be it in Privacy or in Remote-Party-ID.

    Words that are not known ask for nothing unless they are critical, and `none` does not undo others.
    """
    found = Privacy.NOTHING
    if "remote-party-id" in headers and any(map(_hides, _addresses(headers, "remote-party-id"))):
        found = Privacy.ID
    if "privacy" not in headers:
        return found
    known = True
    for line in headers.lines("privacy"):
        for word in filter(None, _SEPARATORS.split(line[:_MOST_CHARS].lower())):
            wish = _PRIVACY_WORDS.get(word.strip('"'))
            known = known and wish is not None
            found |= wish or Privacy.NOTHING
    if not known and found & Privacy.CRITICAL:
        found |= Privacy.UNKNOWN
    return sum_of(found)


def sum_of(*wishes: Privacy) -> Privacy:
    """All that is asked for; that nothing is wanted counts only when nothing else is."""
    found = Privacy.NOTHING
    for wish in wishes:
        found |= wish
    return found if found.public else found & ~Privacy.NONE


def caller_from_customer(
    request: Request, policy: IdentityPolicy, owns: Callable[[str], bool], login: str | None
) -> Caller | Refused:
    """The caller of a request that an access control list let in.

    `owns` says whether an E.164 number is the account's; `login` is the user name that was proven, which
    many telephones write into From, and which claims nothing unless it is such a number.
    """

    def allowed(claim: Claim) -> bool:
        return claim.number and (owns(claim.user) or policy.allows(claim.user))

    privacy = privacy_of(request.headers)
    presented = _claim(request.from_, policy.country)
    claims = _claims(request.headers, policy.country)
    believed = next((claim for claim in claims if allowed(claim)), None)
    named = presented
    if presented is not None and presented.written == login and not allowed(presented):
        named = None
    if believed is None and named is not None and allowed(named):
        # The name beside it is whatever the telephone was given.
        believed = named._replace(display=None)
    if policy.others is OtherCallers.REFUSE:
        if claims and believed not in claims:
            return _refused(claims[0], "asserted", cause="identity-not-allowed")
        if named is not None and not allowed(named) and (named.number or believed is None):
            return _refused(named, "shown in From", cause="caller-id-not-allowed")
    asserted = believed.user if believed else policy.caller_id
    shown: str | None
    if presented is None or privacy.hides_caller:
        shown = None
    elif named is not None and allowed(named):
        shown = named.user
    else:
        shown = _replaced(presented, asserted, policy.others)
    if shown is None and not privacy.public and not privacy.hides_caller:
        # Whatever hides the caller in From has to be told to those who are shown the identity.
        privacy |= Privacy.ID
    return Caller(
        asserted=asserted,
        display=believed.display if believed else None,
        shown=shown,
        privacy=privacy,
        known_as=asserted or (RESTRICTED if presented is None else presented.user),
    )


def from_on_record(request: Request, *, delivered: bool) -> str:
    """The From of a request that is refused, for the account to read.

    Not that of a caller who asked the carrier that delivers the call to hide it from the account.
    """
    if delivered and privacy_of(request.headers).hides_caller:
        return RESTRICTED
    try:
        return printable(request.from_.uri[:_MOST_RECORDED_CHARS])
    except SipParseError:
        return ""


def caller_from_gateway(request: Request, country: str | None, *, trusted: bool) -> Caller:
    """The caller of a call that a carrier delivers.

    Whoever is called is shown what the caller wants to be called by, which is From; the identity
    that the carrier asserts is for the trusted realm, and takes the place of a From that says nothing.
    """
    privacy = privacy_of(request.headers)
    presented = _claim(request.from_, country)
    claims = _claims(request.headers, country)
    believed = claims[0] if trusted and claims else None
    if presented is None and not privacy.public and not privacy.hides_caller:
        privacy |= Privacy.ID
    shown = None if presented is None or privacy.hides_caller else presented.user
    known_as = RESTRICTED
    if not privacy.hides_caller:
        known = presented if presented is not None and (presented.number or not believed) else believed
        known_as = known.user if known else RESTRICTED
    return Caller(
        asserted=believed.user if believed else None,
        display=believed.display if believed else None,
        shown=shown,
        privacy=privacy,
        known_as=known_as,
    )


def caller_of_callflow(
    caller_id: str,
    inherited: str | None,
    policy: IdentityPolicy,
    owns: Callable[[str], bool],
    *,
    withheld: bool,
) -> Caller | Refused:
    """The caller that a callflow shows to whom it dials.

    `inherited` is what was asserted of the caller when `caller_id` is the caller's own, and `withheld`
    whether that caller wants to stay unknown.
    """

    def may_show(number: str | None) -> bool:
        return number is not None and (owns(number) or policy.allows(number))

    claim = None if caller_id in ("", RESTRICTED) else _claim_of_user(caller_id, None, policy.country)
    if claim is None or withheld:
        asserted = inherited or policy.caller_id
        return Caller(asserted=asserted, privacy=Privacy.ID, known_as=caller_id or RESTRICTED)
    if claim.number and may_show(claim.user):
        return Caller(asserted=inherited or claim.user, shown=claim.user, known_as=claim.user)
    if policy.others is OtherCallers.REFUSE:
        return _refused(claim, "shown by the callflow", cause="callflow-caller-id-not-allowed")
    own = inherited if may_show(inherited) else policy.caller_id
    shown = _replaced(claim, own, policy.others)
    privacy = Privacy.ID if shown is None else Privacy.NOTHING
    return Caller(asserted=inherited or policy.caller_id, shown=shown, privacy=privacy, known_as=claim.user)


def _replaced(claim: Claim, own: str | None, others: OtherCallers) -> str | None:
    """What is shown in the place of a caller id that the account may not show."""
    match others:
        case OtherCallers.PASS:
            return claim.user
        case OtherCallers.ANONYMISE:
            return None
        case _:
            return own


def _refused(claim: Claim, source: str, *, cause: str) -> Refused:
    shown = printable(claim.written[:64])
    return Refused(
        cause=cause,
        rule=f"caller id {source}",
        remedy=f"The account may not be known by {shown}, which is {source}: show one of the account's "
        "numbers, or add this one to the verified numbers or ranges of the account.",
    )


def _claims(headers: Headers, country: str | None) -> list[Claim]:
    """Who a request says that its caller is, the strongest statement alone."""
    for name in ("p-asserted-identity", "p-preferred-identity", "remote-party-id"):
        if name in headers:
            claims = [
                claim
                for address in _addresses(headers, name)
                if _of_caller(address) and (claim := _claim(address, country))
            ]
            if claims:
                return claims
    return []


def _hides(address: NameAddr) -> bool:
    """Whether a Remote-Party-ID asks to hide the caller."""
    return _of_caller(address) and (address.params.get("privacy") or "off").lower() in ("full", "uri")


def _of_caller(address: NameAddr) -> bool:
    """Whether a Remote-Party-ID is about the caller; what has no such parameter is."""
    return (address.params.get("party") or "calling").lower() == "calling"


def _addresses(headers: Headers, name: str) -> Iterator[NameAddr]:
    """Those that can be read: a claim that cannot be is none."""
    try:
        values = headers.values(name)
    except SipParseError:
        return
    for value in islice(values, _MOST_CLAIMS):
        try:
            yield parse_name_addr(value)
        except SipParseError:
            continue


def _claim(address: NameAddr, country: str | None) -> Claim | None:
    """None: the address names nobody."""
    try:
        uri = parse_uri(address.uri)
    except SipParseError:
        return None
    user = uri.username
    if user is None or user.lower() in _NOBODY or uri.host.lower().endswith("anonymous.invalid"):
        return None
    return _claim_of_user(_with_context(uri, user), address.display, country)


def _claim_of_user(user: str, display: str | None, country: str | None) -> Claim | None:
    name = printable(display[:_MOST_DISPLAY_CHARS]) if display else None
    try:
        return Claim(normalise(user, country), True, name, user)
    except NumberFault:
        return Claim(printable(user[:_MOST_CHARS]), False, name, user) if user else None


def _with_context(uri: SipUri, user: str) -> str:
    """A local tel number as the global one that its context makes of it (RFC 3966 section 5.1.5)."""
    context = uri.param("phone-context") if uri.scheme == "tel" else None
    if context and context.startswith("+") and not user.startswith("+"):
        return context + user
    return user
