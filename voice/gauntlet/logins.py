"""Digest with an account: what somebody can do who has seen a good login go by, or has half of one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sip_config.model import DigestAlgorithm
from voice.gauntlet.attack import Attack, Failed, Skipped, judge
from voice.gauntlet.call import ack_of, challenged, give_up, next_request, refused
from voice.gauntlet.challenges import FAMILY, REFUSED, header_for, not_let_in, parts_of
from voice.gauntlet.field import Field, token
from voice.gauntlet.reply import Reply, statuses
from voice.sip.digest import Challenge, digest, digest_response
from voice.sip.message import Request
from voice.sip.params import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A challenged INVITE and who may answer it."""

    ground: Field
    invite: Request
    reply: Reply
    challenge: Challenge
    algorithm: DigestAlgorithm
    user: str
    password: str

    def credentials(self, request_uri: str, nc: int = 1, **changes: str | None) -> str:
        """The value of a correct login, save for `changes`, of which some go into the digest too.

        Those that only the digest knows: with_algorithm, method, password, session.
        """
        challenge = self.challenge
        algorithm = DigestAlgorithm(changes.get("with_algorithm") or self.algorithm)
        realm = changes.get("realm") or challenge.realm
        nonce = changes.get("nonce") or challenge.nonce
        uri = changes.get("uri") or request_uri
        user = changes.get("username") or self.user
        qop = "auth" if changes.get("qop", "auth") else None
        cnonce = token(4)
        ha1 = digest(algorithm, f"{user}:{realm}:{changes.get('password') or self.password}")
        if changes.get("session"):
            ha1 = digest(algorithm, f"{ha1}:{nonce}:{cnonce}")
        response = digest_response(
            algorithm,
            ha1,
            method=changes.get("method") or "INVITE",
            uri=uri,
            nonce=nonce,
            nc=f"{nc:08x}",
            cnonce=cnonce,
            qop=qop,
        )
        value = (
            f'Digest username={quote(user)}, realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{response}", algorithm={changes.get("algorithm") or algorithm}'
        )
        if qop is not None:
            value += f', cnonce="{cnonce}", qop={qop}, nc={nc:08x}'
        if challenge.opaque is not None:
            value += f', opaque="{challenge.opaque}"'
        return value

    def signed(self, nc: int = 1, **changes: str | None) -> Request:
        """The INVITE with `credentials`."""
        signed = self.invite.copy()
        signed.headers.add(header_for(self.reply), self.credentials(self.invite.uri, nc, **changes))
        return signed


async def login_for(ground: Field) -> Login:
    """A challenge that waits for its answer.  Raises Skipped without an account."""
    aim = ground.aim
    if aim.user is None or aim.password is None or aim.number is None:
        raise Skipped("needs an account: say --user, --password and --number")
    invite, reply = await challenged(ground, await ground.wire())
    for challenge in parts_of(reply):
        if challenge.algorithm is not None:
            return Login(
                ground=ground,
                invite=invite,
                reply=reply,
                challenge=challenge,
                algorithm=challenge.algorithm,
                user=aim.user,
                password=aim.password,
            )
    raise Skipped("the server offers no algorithm that is known here")


async def let_in(ground: Field, request: Request) -> str:
    """Sends an INVITE that ought to be let in, and ends its call.  Raises Failed when it is not."""
    wire = await ground.wire()
    sent = next_request(request)
    replies = await ground.ask(wire, sent, within=10)
    last = replies[-1] if replies else None
    if last is not None and last.let_in:
        await give_up(ground, wire, sent, last)
        return statuses(replies)
    if last is not None and last.final:
        await wire.send(ack_of(sent, last).to_bytes())
    raise refused(replies, "a correct login was not let in")


async def _correct(ground: Field) -> str:
    return await let_in(ground, (await login_for(ground)).signed())


async def _replay(ground: Field) -> str:
    login = await login_for(ground)
    signed = login.signed()
    await let_in(ground, signed)
    return await not_let_in(ground, signed, "let in with a login that was used before")


async def _replay_elsewhere(ground: Field) -> str:
    """What was overheard, from another address."""
    login = await login_for(ground)
    signed = login.signed()
    await let_in(ground, signed)
    other = Field(ground.aim, "127.88.0.1" if ground.aim.loopback and not ground.aim.ipv6 else ground.source)
    try:
        return await not_let_in(other, signed, "let in with a login that was overheard")
    finally:
        other.close()


async def _back(ground: Field) -> str:
    login = await login_for(ground)
    await let_in(ground, login.signed(nc=100))
    return await not_let_in(ground, login.signed(nc=1), "let in with a count that went back")


async def _same_count(ground: Field) -> str:
    login = await login_for(ground)
    await let_in(ground, login.signed(nc=7))
    return await not_let_in(ground, login.signed(nc=7), "let in twice with one count")


async def _counts_on(ground: Field) -> str:
    login = await login_for(ground)
    await let_in(ground, login.signed(nc=1))
    try:
        return await let_in(ground, login.signed(nc=2))
    except Failed as refused:
        # A server may want a new nonce for each request, as long as it says so.
        return judge("40" in refused.came, refused.came, str(refused))


async def _stale(ground: Field) -> str:
    """A replay has the right password: the client is to try again with the new nonce, not to give up."""
    login = await login_for(ground)
    signed = login.signed()
    await let_in(ground, signed)
    wire = await ground.wire()
    again = next_request(signed)
    replies = await ground.ask(wire, again)
    if not replies or replies[-1].status not in (401, 407):
        raise Failed(statuses(replies), "a used nonce is not challenged anew")
    await wire.send(ack_of(again, replies[-1]).to_bytes())
    fresh = parts_of(replies[-1])[0]
    if fresh.nonce == login.challenge.nonce:
        raise Failed(statuses(replies), "the used nonce is offered again")
    return f"{statuses(replies)}, {'stale=true' if fresh.stale else 'no stale'}"


async def _without_qop(ground: Field) -> str:
    """RFC 2069's digest has no count, so it may serve once at most."""
    login = await login_for(ground)
    signed = login.signed(qop="")
    try:
        came = await not_let_in(ground, signed, "once")
    except Failed:
        came = "let in once, then " + await not_let_in(ground, signed, "let in again and again without qop")
    return came


async def _other_call(ground: Field) -> str:
    """An overheard login that was not used yet, for another destination."""
    login = await login_for(ground)
    signed = login.signed()
    other = signed.copy()
    changed = Request(other.method, ground.uri("+31299999999"), other.headers, other.body)
    return await not_let_in(ground, changed, "let in to another number than was signed")


async def _weaker(ground: Field) -> str:
    login = await login_for(ground)
    offered = {part.algorithm for part in parts_of(login.reply)}
    others = [algorithm for algorithm in DigestAlgorithm if algorithm not in offered]
    if not others:
        raise Skipped("the server offers every algorithm there is")
    came = [
        await not_let_in(
            ground, login.signed(with_algorithm=other), f"let in by {other}, which was not offered"
        )
        for other in others
    ]
    return ", ".join(came)


async def _mislabelled(ground: Field) -> str:
    """The digest of one algorithm under the name of another."""
    login = await login_for(ground)
    other = next(algorithm for algorithm in DigestAlgorithm if algorithm is not login.algorithm)
    signed = login.signed(with_algorithm=other, algorithm=str(login.algorithm))
    return await not_let_in(ground, signed, "let in by another algorithm's digest")


def _wrong(why: str, nc: int = 1, **changes: str | None) -> Callable[[Field], Awaitable[str]]:
    async def run(ground: Field) -> str:
        login = await login_for(ground)
        return await not_let_in(ground, login.signed(nc, **changes), why)

    return run


def _nonce(change: Callable[[str], str]) -> Callable[[Field], Awaitable[str]]:
    """A correct login for a nonce that the server did not make."""

    async def run(ground: Field) -> str:
        login = await login_for(ground)
        return await not_let_in(
            ground, login.signed(nonce=change(login.challenge.nonce)), "let in with a forged nonce"
        )

    return run


async def _session(ground: Field) -> str:
    login = await login_for(ground)
    signed = login.signed(session="yes", algorithm=f"{login.algorithm}-sess")
    return await not_let_in(ground, signed, "let in by a -sess digest, which was not offered")


async def _sess_unnamed(ground: Field) -> str:
    login = await login_for(ground)
    return await not_let_in(ground, login.signed(session="yes"), "let in by a -sess digest")


async def _same_refusal(ground: Field) -> str:
    """Nobody learns by trying which user names there are."""
    login = await login_for(ground)
    known = await not_let_in(ground, login.signed(password=token(4)), "let in with a wrong password")
    login = await login_for(ground)
    unknown = await not_let_in(
        ground, login.signed(username=f"nobody-{token(4)}"), "let in with an unknown name"
    )
    return judge(
        known == unknown,
        f"{known} and {unknown}",
        "a name that exists is refused otherwise than one that does not",
    )


async def _upper_case(ground: Field) -> str:
    """The realm as another realm would be written: HA1 is made of the realm as it stands."""
    login = await login_for(ground)
    if login.challenge.realm.upper() == login.challenge.realm:
        raise Skipped("the realm has no lower-case letters")
    return await not_let_in(
        ground, login.signed(realm=login.challenge.realm.upper()), "let in with another realm"
    )


def _flip(sign: str) -> str:
    return "1" if sign == "0" else "0"


def _attack(name: str, expected: str, run: Callable[[Field], Awaitable[str]]) -> Attack:
    return Attack(family=FAMILY, name=name, expected=expected, run=run)


ATTACKS: Final = (
    _attack("a correct login", "let in", _correct),
    _attack("nonce and nc used before", REFUSED, _replay),
    _attack("an overheard login from elsewhere", REFUSED, _replay_elsewhere),
    _attack("nc goes far back", REFUSED, _back),
    _attack("nc stays", REFUSED, _same_count),
    _attack("nc counts on", "let in, or challenged again", _counts_on),
    _attack("nc of zero", REFUSED, _wrong("let in with a count of nothing", nc=0)),
    _attack("a used nonce", "challenged with another nonce", _stale),
    _attack("no qop", "refused, or let in once", _without_qop),
    _attack("signed for another number", REFUSED, _other_call),
    _attack("signed for another URI", REFUSED, _wrong("let in with a wrong URI", uri="sip:else@example.com")),
    _attack("signed for no URI", REFUSED, _wrong("let in with a wrong URI", uri="*")),
    _attack("signed for another method", REFUSED, _wrong("let in with REGISTER's login", method="REGISTER")),
    _attack("an algorithm that was not offered", REFUSED, _weaker),
    _attack("an algorithm under another's name", REFUSED, _mislabelled),
    _attack("-sess, said so", REFUSED, _session),
    _attack("-sess, not said", REFUSED, _sess_unnamed),
    _attack("another realm", REFUSED, _wrong("let in with another realm", realm="other.example.com")),
    _attack("the realm in capitals", REFUSED, _upper_case),
    _attack(
        "a nonce with a sign near its end changed",
        REFUSED,
        # Not the last: of base64 it may hold bits that mean nothing.
        _nonce(lambda one: one[:-6] + _flip(one[-6:-5]) + one[-5:]),
    ),
    _attack("a nonce with its first sign changed", REFUSED, _nonce(lambda one: _flip(one[:1]) + one[1:])),
    _attack("a nonce cut short", REFUSED, _nonce(lambda one: one[: len(one) // 2])),
    _attack("a nonce made longer", REFUSED, _nonce(lambda one: one + "00")),
    _attack("a wrong password", REFUSED, _wrong("let in with a wrong password", password="x" * 12)),
    _attack("wrong password and unknown name", "refused alike", _same_refusal),
)
