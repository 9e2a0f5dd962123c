"""Digest without an account: what a challenge must say, and logins that nobody could have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from voice.gauntlet.attack import Attack, Failed, Skipped, judge
from voice.gauntlet.call import ack_of, challenged, give_up, next_request, refused
from voice.gauntlet.field import Field, token
from voice.gauntlet.reply import Reply, statuses
from voice.sip.digest import Challenge, parse_challenge
from voice.sip.errors import SipParseError
from voice.sip.message import Request

FAMILY: Final = "digest"

REFUSED: Final = "challenged again or refused"

_SHORTEST_NONCE: Final = 16


def parts_of(challenge: Reply) -> list[Challenge]:
    """The Digest challenges of a 401 or 407.  Raises Failed when one cannot be read."""
    name = "proxy-authenticate" if challenge.status == 407 else "www-authenticate"
    try:
        found = [parse_challenge(line) for line in challenge.lines(name)]
    except SipParseError as fault:
        raise Failed(str(challenge), f"its challenge cannot be read: {fault}") from None
    digests = [one for one in found if one is not None]
    if not digests:
        raise Failed(str(challenge), "it holds no Digest challenge")
    return digests


def header_for(challenge: Reply) -> str:
    return "Proxy-Authorization" if challenge.status == 407 else "Authorization"


async def not_let_in(ground: Field, wire_request: Request, why: str) -> str:
    """Sends an INVITE that must not be let in, on a wire of its own.  Raises Failed with `why` when it is."""
    wire = await ground.wire()
    request = next_request(wire_request)
    replies = await ground.ask(wire, request)
    last = replies[-1] if replies else None
    if last is not None and any(reply.let_in for reply in replies):
        await give_up(ground, wire, request, last)
        raise Failed(statuses(replies), why)
    if last is not None and last.final:
        await wire.send(ack_of(request, last).to_bytes())
    if last is not None and not last.final:
        raise Failed(statuses(replies), "it was taken up and got no final answer")
    if last is not None and last.status == 500:
        raise Failed(statuses(replies), "the server could not handle it")
    if last is not None and last.status == 503:
        # Too many calls in this moment, which says nothing of the login.
        raise refused(replies, why)
    return statuses(replies)


async def _asked(ground: Field) -> tuple[Request, Reply]:
    """A plain INVITE and its challenge.  Raises Skipped when the server asks for no login."""
    try:
        return await challenged(ground, await ground.wire())
    except Failed as refused:
        raise Skipped(f"the server challenges nobody here: {refused.came}") from None


async def _says_enough(ground: Field) -> str:
    _, challenge = await _asked(ground)
    for part in parts_of(challenge):
        if not part.realm or len(part.nonce) < _SHORTEST_NONCE:
            raise Failed(part.nonce, "the realm is empty, or the nonce short enough to be guessed")
        if "auth" not in part.qop:
            raise Failed("no qop", "without qop=auth nothing keeps a login from being used again")
    return ", ".join(str(part.algorithm or "an unknown algorithm") for part in parts_of(challenge))


async def _fresh(ground: Field) -> str:
    nonces = [parts_of((await _asked(ground))[1])[0].nonce for _ in range(5)]
    return judge(len(set(nonces)) == 5, f"{len(set(nonces))} of 5 nonces differ", "callers share a nonce")


async def _one_header_each(ground: Field) -> str:
    """RFC 8760 section 2.4: a header field for each algorithm, the preferred one on top."""
    _, challenge = await _asked(ground)
    algorithms = [part.algorithm for part in parts_of(challenge)]
    return judge(
        len(set(algorithms)) == len(algorithms),
        ", ".join(str(one) for one in algorithms),
        "an algorithm is offered twice",
    )


Forgery = Callable[[Challenge, Request], str]


def _made_up(nonce: str | None = None, **changes: str) -> Forgery:
    """Credentials that nobody could have, with these parameters."""

    def forge(challenge: Challenge, invite: Request) -> str:
        params = {
            "username": '"gauntlet-nobody"',
            "realm": f'"{challenge.realm}"',
            "nonce": f'"{challenge.nonce if nonce is None else nonce}"',
            "uri": f'"{invite.uri}"',
            "response": f'"{token(16)}"',
            "algorithm": str(challenge.algorithm or "MD5"),
            "cnonce": f'"{token(4)}"',
            "qop": "auth",
            "nc": "00000001",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        return "Digest " + ", ".join(f"{name}={value}" for name, value in params.items() if value)

    return forge


def _plain(text: str) -> Forgery:
    return lambda _challenge, _invite: text


_FORGERIES: Final[dict[str, Forgery]] = {
    "a login that nobody has": _made_up(),
    "a nonce made up": _made_up(nonce="0" * 60),
    "an empty nonce": _made_up(nonce=""),
    "a nonce of 8,000 characters": _made_up(nonce="f" * 8_000),
    "an empty response": _made_up(response='""'),
    "no response": _made_up(response=""),
    "no user name": _made_up(username=""),
    "an empty user name": _made_up(username='""'),
    "a user name that ends a query": _made_up(username="\"x' OR '1'='1' --\""),
    "a user name with wildcards": _made_up(username='"%*_"'),
    "a user name with escapes": _made_up(username=r'"\"\\\x00"'),
    "a user name of 8,000 characters": _made_up(username=f'"{"u" * 8_000}"'),
    "an nc of nine digits": _made_up(nc="000000001"),
    "a negative nc": _made_up(nc="-0000001"),
    "qop auth-int, which was not offered": _made_up(qop="auth-int"),
    "an unknown algorithm": _made_up(algorithm="SHA-1"),
    "algorithm none": _made_up(algorithm="none"),
    "algorithm MD5-sess": _made_up(algorithm="MD5-sess"),
    "a parameter twice": _made_up(realm='"x", realm="y"'),
    "Basic instead of Digest": _plain("Basic YWRtaW46YWRtaW4="),
    "Bearer instead of Digest": _plain("Bearer eyJhbGciOiJub25lIn0.e30."),
    "Digest and nothing": _plain("Digest"),
    "a quote that is not closed": _plain('Digest username="x'),
    "a thousand commas": _plain("Digest " + "," * 1_000),
}


def _forged(name: str, forge: Forgery) -> Attack:
    async def run(ground: Field) -> str:
        invite, challenge = await _asked(ground)
        invite.headers.add(header_for(challenge), forge(parts_of(challenge)[0], invite))
        return await not_let_in(ground, invite, "let in without a login")

    return Attack(family=FAMILY, name=name, expected=REFUSED, run=run)


async def _many(ground: Field) -> str:
    invite, challenge = await _asked(ground)
    part = parts_of(challenge)[0]
    for _ in range(50):
        invite.headers.add(header_for(challenge), _made_up()(part, invite))
    return await not_let_in(ground, invite, "let in without a login")


async def _other_header(ground: Field) -> str:
    invite, challenge = await _asked(ground)
    other = "Authorization" if challenge.status == 407 else "Proxy-Authorization"
    invite.headers.add(other, _made_up()(parts_of(challenge)[0], invite))
    return await not_let_in(ground, invite, "let in without a login")


ATTACKS: Final = (
    Attack(
        family=FAMILY, name="what a challenge says", expected="realm, long nonce, qop=auth", run=_says_enough
    ),
    Attack(family=FAMILY, name="five callers at once", expected="five nonces", run=_fresh),
    Attack(family=FAMILY, name="several algorithms", expected="each offered once", run=_one_header_each),
    *(_forged(name, forge) for name, forge in _FORGERIES.items()),
    Attack(family=FAMILY, name="fifty logins in one request", expected=REFUSED, run=_many),
    Attack(family=FAMILY, name="the login in the other header", expected=REFUSED, run=_other_header),
)
