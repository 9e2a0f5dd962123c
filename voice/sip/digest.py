"""Digest authentication: what challenges and credentials say, how responses come about, the client's side.

RFC 3261 section 22, RFC 2617 and RFC 7616, RFC 8760 for the SHA-2 algorithms.  The server's side is
`voice.sip.challenger`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from sip_config.model import DigestAlgorithm
from voice.sip.errors import SipParseError
from voice.sip.header_names import TCHARS
from voice.sip.headers import printable
from voice.sip.message import Response
from voice.sip.params import QUOTED, quote, unquote

_ALGORITHMS: Final = {algorithm.value.upper(): algorithm for algorithm in DigestAlgorithm}

# One parameter, or else all the rest, which is then no parameter.
_PARAM: Final = re.compile(
    rf'([{TCHARS}]++)[ \t]*+=[ \t]*+(?:{QUOTED}|([^ \t",]++))[ \t]*+(?:,|\Z)|([^ \t,].*+)', re.DOTALL
)
_SCHEME: Final = re.compile(r"[ \t]*+digest(?:[ \t]++|\Z)", re.IGNORECASE)
_NC: Final = re.compile("[0-9a-fA-F]{8}")


AUTH: Final = "auth"
AUTH_INT: Final = "auth-int"
"""As `AUTH`, with the body: answered where nothing else is offered."""


class NoUsableChallenge(Exception):
    """A 401 or 407 that cannot be answered; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A WWW-Authenticate or Proxy-Authenticate value.  Texts are the insides of quotes as they came."""

    realm: str
    nonce: str
    algorithm: DigestAlgorithm | None
    """None: one that is not supported."""
    qop: tuple[str, ...]
    """In lower case; empty: RFC 2069's digest, without nc and cnonce."""
    opaque: str | None
    stale: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An Authorization or Proxy-Authorization value.  Texts are the insides of quotes as they came."""

    username: str
    """With the escapes of its quotes resolved."""
    realm: str
    nonce: str
    uri: str
    response: str
    """In lower case."""
    algorithm: DigestAlgorithm | None
    """None: one that is not supported."""
    algorithm_name: str
    """As it came."""
    qop: str | None
    """``auth``, or None for RFC 2069's digest."""
    nc: str
    """8 hexadecimal digits as they came; empty without qop."""
    cnonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The header field that answers a challenge."""

    header: str
    value: str
    challenge: Challenge


def digest(algorithm: DigestAlgorithm, text: str) -> str:
    """The hash of a text in UTF-8, in lower-case hexadecimal."""
    data = text.encode("utf-8", "surrogateescape")
    if algorithm is DigestAlgorithm.MD5:
        # usedforsecurity: MD5 is what SIP asks for; a FIPS build of OpenSSL would refuse it otherwise.
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    if algorithm is DigestAlgorithm.SHA_256:
        return hashlib.sha256(data).hexdigest()
    return hashlib.new("sha512_256", data).hexdigest()


def digest_response(
    algorithm: DigestAlgorithm,
    ha1: str,
    *,
    method: str,
    uri: str,
    nonce: str,
    nc: str = "",
    cnonce: str = "",
    qop: str | None = None,
    body_digest: str = "",
) -> str:
    """The response parameter (RFC 7616 section 3.4.1); without `qop` that of RFC 2069.

    `body_digest`: the hash of the request's body, which counts for the qop ``auth-int`` (section 3.4.3).
    """
    a2 = f"{method}:{uri}"
    if qop == AUTH_INT:
        a2 += f":{body_digest}"
    ha2 = digest(algorithm, a2)
    if qop is None:
        return digest(algorithm, f"{ha1}:{nonce}:{ha2}")
    return digest(algorithm, f"{ha1}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}")


def parse_challenge(text: str) -> Challenge | None:
    """A challenge; None when its scheme is not Digest.  Raises SipParseError."""
    params = _digest_params(text)
    if params is None:
        return None
    qop = params.get("qop", "")
    return Challenge(
        realm=_required(params, "realm"),
        nonce=_required(params, "nonce"),
        algorithm=_ALGORITHMS.get(params.get("algorithm", "MD5").upper()),
        qop=tuple(part.strip(" \t").lower() for part in qop.split(",")) if qop else (),
        opaque=params.get("opaque"),
        stale=params.get("stale", "").lower() == "true",
    )


def parse_credentials(text: str) -> Credentials | None:
    """Credentials; None when their scheme is not Digest.  Raises SipParseError."""
    params = _digest_params(text)
    if params is None:
        return None
    qop = params.get("qop")
    nc = cnonce = ""
    if qop is not None:
        if qop.lower() != "auth":
            raise SipParseError(f"qop is {qop[:40]!r}, offered is auth")
        nc, cnonce = _required(params, "nc"), _required(params, "cnonce")
        if _NC.fullmatch(nc) is None:
            raise SipParseError(f"nc is {nc[:40]!r}, not 8 hexadecimal digits")
        if int(nc, 16) == 0:
            raise SipParseError("nc is zero: it counts the requests with this nonce, this one included")
    algorithm = params.get("algorithm", "MD5")
    return Credentials(
        username=unquote(_required(params, "username")),
        realm=_required(params, "realm"),
        nonce=_required(params, "nonce"),
        uri=_required(params, "uri"),
        response=_required(params, "response").lower(),
        algorithm=_ALGORITHMS.get(algorithm.upper()),
        algorithm_name=algorithm,
        qop=qop,
        nc=nc,
        cnonce=cnonce,
    )


def answer(
    response: Response,
    *,
    method: str,
    uri: str,
    username: str,
    password: str,
    cnonce: str,
    nc: int = 1,
    body: bytes = b"",
) -> Answer:
    """The credentials that a 401 or 407 asks for, by the topmost challenge that is supported (RFC 8760).

    `uri` is the Request-URI, `cnonce` fresh random text without quotes, `nc` how often that challenge was
    answered, this time included, `body` that of the request.  Raises NoUsableChallenge.
    """
    asks, header = (
        ("Proxy-Authenticate", "Proxy-Authorization")
        if response.status == 407
        else ("WWW-Authenticate", "Authorization")
    )
    challenge = _topmost(response.headers.lines(asks), asks)
    assert challenge.algorithm is not None
    qop = None if not challenge.qop else AUTH if AUTH in challenge.qop else AUTH_INT
    count = f"{nc:08x}"
    digits = digest_response(
        challenge.algorithm,
        digest(challenge.algorithm, f"{username}:{challenge.realm}:{password}"),
        method=method,
        uri=uri,
        nonce=challenge.nonce,
        nc=count,
        cnonce=cnonce,
        qop=qop,
        body_digest=digest(challenge.algorithm, body.decode("utf-8", "surrogateescape")),
    )
    value = (
        f'Digest username={quote(username)}, realm="{challenge.realm}", nonce="{challenge.nonce}", '
        f'uri="{uri}", response="{digits}", algorithm={challenge.algorithm}'
    )
    if qop is not None:
        value += f', cnonce="{cnonce}", qop={qop}, nc={count}'
    if challenge.opaque is not None:
        value += f', opaque="{challenge.opaque}"'
    return Answer(header=header, value=value, challenge=challenge)


def _topmost(lines: list[str], header: str) -> Challenge:
    reasons = []
    for line in lines:
        try:
            challenge = parse_challenge(line)
        except SipParseError as error:
            reasons.append(error.problem)
            continue
        if challenge is None:
            reasons.append(f"the scheme {printable(line.partition(' ')[0][:40])} is not Digest")
        elif challenge.algorithm is None:
            reasons.append("the algorithm is none of " + ", ".join(DigestAlgorithm))
        elif challenge.qop and not {AUTH, AUTH_INT} & set(challenge.qop):
            offered = printable(",".join(challenge.qop)[:40])
            reasons.append(f"qop is {offered} without {AUTH} and {AUTH_INT}")
        else:
            return challenge
    if not reasons:
        raise NoUsableChallenge(f"The response has no {header} header: nothing says what to answer.")
    raise NoUsableChallenge(f"No {header} header can be answered: {'; '.join(reasons[:4])}.")


def _digest_params(text: str) -> dict[str, str] | None:
    """The parameters by lower-case name, insides of quotes as they came; None: the scheme is not Digest."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return None
    rest = text[scheme.end() :]
    found = _PARAM.findall(rest)
    if found and found[-1][3]:
        raise SipParseError(f"not a name=value parameter of Digest: {found[-1][3][:40]!r}")
    params = {name.lower(): quoted or plain for name, quoted, plain, _ in found}
    if len(params) != len(found):
        raise SipParseError("a Digest parameter is given twice")
    return params


def _required(params: dict[str, str], name: str) -> str:
    value = params.get(name)
    if value is None:
        raise SipParseError(f"the Digest parameter {name} is missing")
    return value
