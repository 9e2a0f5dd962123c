"""What a session description says of encryption, and whether it may pass between two sides of a call.

The edge relays descriptions (RFC 4566) between ends that negotiate with each other (RFC 3264).  Each side
has a policy: the domain or gateway that a call comes from, the gateway that it goes to.  Keys travel in the
description (SDES, RFC 4568).  A stream in the profile RTP/SAVP is encrypted or refused; one in RTP/AVP with
keys is encrypted if the other end wants it so (RFC 8643).

An offer is made to fit the side that gets it as far as that is possible without touching its sound: keys of
a stream that is to stay plain are taken out, a stream that offers keys becomes RTP/SAVP where encryption is
required, and the answer gets the profile back that was offered.

Everything here is linear in the size of the body, and bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

from sip_config.model import SrtpPolicy
from voice.sip.message import Request, Response

MAX_STREAMS: Final = 32
"""Of one description; a call has one to three."""

SDP: Final = "application/sdp"
_LATEST: Final = 16

_PROFILES: Final = {"RTP/AVP": "RTP/SAVP", "RTP/AVPF": "RTP/SAVPF"}
"""Plain profiles, and what each is called with encryption (RFC 3711, RFC 5124)."""
_STREAM: Final = re.compile(rb"m=[!-~]{1,64} ([0-9]{1,5})(?:/[0-9]{1,5})? ([!-~]{1,64})(?: .*+)?")
_KEY: Final = re.compile(rb"a=crypto:[0-9]{1,9}[ \t]++[!-~]++[ \t]++inline:[!-~]++([ \t].*+)?")
_KEY_LINE: Final = b"a=crypto:"
_FINGERPRINT: Final = b"a=fingerprint:"
_UNENCRYPTED: Final = b"UNENCRYPTED_SRTP"


class Stream(NamedTuple):
    """One m= line and what belongs to it."""

    profile: str
    """In capitals."""
    wanted: bool
    """Its port is not 0."""
    keys: bool
    """It brings a key that encrypts."""
    fingerprint: bool
    """It brings the fingerprint of a certificate: its keys come by DTLS (RFC 5763)."""

    @property
    def secure(self) -> bool:
        return "SAVP" in self.profile


Description = tuple[Stream, ...]


class SdpFault(Exception):
    """A description that two readers could take for two different things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """How a description breaks a policy."""

    cause: str
    """One word for programs."""
    says: str
    """What is wrong with it, for people."""
    warning: int
    """Code for a Warning header (RFC 3261 section 20.43)."""


class Sides(NamedTuple):
    """The policies of both sides of a call, as whoever began it and whoever was called."""

    caller: SrtpPolicy
    callee: SrtpPolicy

    def offered_by(self, *, caller: bool) -> tuple[SrtpPolicy, SrtpPolicy]:
        """The policies of who offers and of who gets the offer."""
        return (self.caller, self.callee) if caller else (self.callee, self.caller)


ANYTHING: Final = Sides(SrtpPolicy.OPTIONAL, SrtpPolicy.OPTIONAL)
"""Nobody minds."""


def body_of(message: Request | Response) -> bytes | None:
    """The description that a message brings; None when it brings none, or something else.

    A body that does not say what it is counts as one: whoever gets it may take it for one.
    """
    return message.body if message.body and _kind(message) == SDP else None


def hidden(message: Request | Response, policies: tuple[SrtpPolicy, ...]) -> bool:
    """Whether a body that is not read may hold a description that breaks one of the policies."""
    if not message.body or _kind(message) is not None:
        return False
    if SrtpPolicy.REQUIRED in policies or "content-encoding" in message.headers:
        return True
    return SrtpPolicy.FORBIDDEN in policies and b"SAVP" in message.body.upper()


@lru_cache(maxsize=_LATEST)
def read(body: bytes) -> Description:
    """The streams of a description.  Raises SdpFault.

    The few latest are kept: each gate and each gateway asks about the same one.
    """
    if b"\r" in body.replace(b"\r\n", b"\n") or b"\0" in body:
        raise SdpFault("a line of the session description ends in a lone CR, or holds a NUL")
    streams: list[Stream] = []
    fingerprint = False
    for line in body.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"m="):
            if len(streams) == MAX_STREAMS:
                raise SdpFault(f"the session description has more than {MAX_STREAMS} streams")
            streams.append(_stream(line, fingerprint))
        elif line.startswith(_FINGERPRINT):
            if streams:
                streams[-1] = streams[-1]._replace(fingerprint=True)
            fingerprint = fingerprint or not streams
        elif streams and line.startswith(_KEY_LINE) and _encrypts(line):
            streams[-1] = streams[-1]._replace(keys=True)
    return tuple(streams)


def _kind(message: Request | Response) -> str | None:
    """The media type of the body; None: it is in parts, encoded, or said to be two things."""
    lines = message.headers.lines("content-type")
    kind = lines[0].partition(";")[0].strip().lower() if lines else SDP
    readable = len(lines) < 2 and "content-encoding" not in message.headers
    return kind if readable and not kind.startswith("multipart/") else None


def breach(policy: SrtpPolicy, description: Description) -> Breach | None:
    """How an offer breaks a policy; None: it does not."""
    for stream in description:
        if not stream.wanted:
            continue
        if policy is SrtpPolicy.FORBIDDEN and stream.secure:
            says = f"{stream.profile} was offered, and only RTP/AVP may be"
            return Breach(cause="srtp-forbidden", says=says, warning=302)
        if policy is SrtpPolicy.REQUIRED:
            if not stream.secure:
                says = f"{stream.profile} was offered, and only RTP/SAVP may be"
                return Breach(cause="srtp-required", says=says, warning=302)
            if not stream.keys:
                says = f"{stream.profile} was offered without a usable a=crypto line"
                return Breach(cause="srtp-without-keys", says=says, warning=399)
    return None


def fitted(body: bytes, offerer: SrtpPolicy, answerer: SrtpPolicy, *, raising: bool = True) -> bytes:
    """An offer as the answerer is to get it; what cannot be made to fit stays as it is.

    With `raising`, a plain stream with keys becomes RTP/SAVP where the answerer requires it.
    """
    if b"a=crypto" not in body:
        return body
    policies = (offerer, answerer)
    plain = SrtpPolicy.FORBIDDEN in policies
    raised = raising and not plain and answerer is SrtpPolicy.REQUIRED

    def edited(_index: int, stream: Stream) -> str | None:
        if stream.keys and raised:
            return _PROFILES.get(stream.profile)
        return None

    def keeps(stream: Stream) -> bool:
        return stream.secure or not plain

    return _rewritten(body, edited, keeps) if plain or raised else body


def answered_as_offered(body: bytes, offer: Description) -> bytes:
    """An answer whose streams have the profiles that were offered, when only encryption tells them apart."""

    def edited(index: int, stream: Stream) -> str | None:
        offered = offer[index].profile if index < len(offer) else stream.profile
        return offered if _PROFILES.get(offered) == stream.profile else None

    return _rewritten(body, edited, lambda _stream: True)


def wrong_answer(policy: SrtpPolicy, offer: Description, answer: Description) -> Breach | None:
    """How an answer breaks its offer, or the policy of whoever gave it; None: it does not."""
    broken = breach(policy, answer)
    if broken is not None:
        return replace(broken, says=broken.says.replace("offered", "answered"))
    for offered, answered in zip(offer, answer, strict=False):
        if not answered.wanted:
            continue
        if offered.secure and not answered.secure:
            says = f"{answered.profile} answers an offer of {offered.profile}"
            return Breach(cause="srtp-answer-profile", says=says, warning=302)
        if answered.secure and not answered.keys and not answered.fingerprint:
            says = f"{answered.profile} was answered without a key"
            return Breach(cause="srtp-answer-without-keys", says=says, warning=399)
    return None


def _stream(line: bytes, fingerprint: bool) -> Stream:
    found = _STREAM.fullmatch(line)
    if found is None:
        raise SdpFault("an m= line of the session description cannot be read")
    wanted = found[1].strip(b"0") != b""
    profile = found[2].decode("ascii").upper()
    return Stream(profile=profile, wanted=wanted, keys=False, fingerprint=fingerprint)


def _encrypts(line: bytes) -> bool:
    key = _KEY.fullmatch(line)
    return key is not None and _UNENCRYPTED not in (key[1] or b"").upper()


def _rewritten(
    body: bytes, profile_of: Callable[[int, Stream], str | None], keeps_keys: Callable[[Stream], bool]
) -> bytes:
    """Another profile for a stream where `profile_of` names one, and no keys unless `keeps_keys` says so."""
    try:
        streams = read(body)
    except SdpFault:
        return body
    lines: list[bytes] = []
    index = -1
    for line in body.split(b"\n"):
        if line.startswith(b"m="):
            index += 1
            profile = profile_of(index, streams[index])
            if profile is not None:
                media, port, rest = line.split(b" ", 2)
                line = b" ".join((media, port, profile.encode() + rest[len(streams[index].profile) :]))
        elif index >= 0 and line.startswith(_KEY_LINE) and not keeps_keys(streams[index]):
            continue
        lines.append(line)
    return b"\n".join(lines)
