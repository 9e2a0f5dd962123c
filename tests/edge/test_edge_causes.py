"""Every cause for which the edge refuses a request: the gate, the answer, and a record that says it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeGuard

import pytest

from sip_config.configuration import Configuration
from sip_config.directory import Directory
from sip_config.identity_policy import IdentityPolicy, OtherCallers
from sip_config.model import Account, AccountId, Acl, AclId, Domain, DomainId, Number, Pop, Region, SipAccount
from tests.edge.world import (
    ACCOUNT,
    BASE,
    CARRIER,
    DOMAIN,
    FLOW,
    NUMBER,
    PBX,
    SDP,
    Agent,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    gateway,
    with_credentials,
)
from voice.edge.settings import PopRelay
from voice.records import Gate, Refusal
from voice.sip.challenger import Outcome
from voice.sip.message import Request

Scene = Callable[[], tuple[World, Agent]]
"""Makes a world, and has somebody in it refused; whom."""

SCENES: dict[str, tuple[Scene, Gate, int, str]] = {}
"""By cause: the gate, the status (0: no answer), and words of the remedy."""


def scene(cause: str, gate: Gate, status: int, says: str) -> Callable[[Scene], Scene]:
    def keep(make: Scene) -> Scene:
        SCENES[cause] = make, gate, status, says
        return make

    return keep


def trunk(**config: object) -> tuple[World, Agent]:
    world = World(directory(gateways=[gateway()], **config))  # type: ignore[arg-type]
    return world, world.agent(PBX)


def asked(world: World, agent: Agent, request: Request) -> tuple[World, Agent]:
    agent.send(request)
    return world, agent


def challenged(agent: Agent, invite: Request, user: str, password: str) -> Request:
    agent.send(invite)
    challenge = agent.gets_response(407)
    agent.send(ack_of_failure(invite, challenge))
    return with_credentials(invite, challenge, user, password)


def configured(account: Account | None, domain: Domain | None = None, **more: object) -> Directory:
    """A directory in which something is wrong."""
    acl = Acl(id=AclId("acl"), account_id=ACCOUNT, name="office")
    configuration = Configuration(
        accounts=(account,) if account else (),
        acls=(acl,),
        domains=(domain,) if domain else (),
        gateways=(gateway(), gateway("pbx", PBX)),
        **more,  # type: ignore[arg-type]
    )
    return Directory.of(configuration, base_domain=BASE, pop="eu1")


def a_domain(*acl_ids: str) -> Domain:
    return Domain(
        id=DomainId("d"), account_id=ACCOUNT, label="acme", acl_ids=tuple(AclId(one) for one in acl_ids)
    )


# -- before anything is read, and by the grammar ---------------------------------------------------


@scene("source-unknown", Gate.SOURCE, 0, "add the address to an access control list")
def _() -> tuple[World, Agent]:
    world, _ = trunk()
    stranger = world.agent("77.1.2.3")
    return asked(world, stranger, stranger.invite())


@scene("malformed", Gate.PARSE, 400, "does not follow RFC 3261")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    request = pbx.invite()
    request.headers.set("Max-Forwards", "many")
    return asked(world, pbx, request)


@scene("uri-scheme", Gate.PARSE, 416, "use sip")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.request("INVITE", "tel:+31201234567", body=SDP))


@scene("uri-too-long", Gate.PARSE, 414, "longer than")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.request("INVITE", f"sip:{'1' * 9_000}@{DOMAIN}", body=SDP))


@scene("sip-version", Gate.PARSE, 505, "SIP/2.0")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    world.send(pbx.invite().to_bytes().replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1), pbx.flow)
    return world, pbx


@scene("too-large", Gate.PARSE, 513, "longer than")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.invite(NUMBER, ("X-Long", "x" * 20_000)))


# -- what a proxy takes on -------------------------------------------------------------------------


@scene("max-forwards", Gate.REQUEST, 483, "look for a loop")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    request = pbx.invite()
    request.headers.set("Max-Forwards", "0")
    return asked(world, pbx, request)


@scene("loop", Gate.REQUEST, 482, "sends it here again")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(networks=("9.9.9.0/24", "1.1.1.0/24"))
    carrier = world.agent(CARRIER)
    pbx.send(pbx.invite())
    looped = carrier.gets_request("INVITE")
    looped.uri = f"sip:{NUMBER}@{DOMAIN}"
    looped.headers.set("From", f"<sip:+31200000001@{DOMAIN}>;tag={looped.from_.tag}")
    looped.headers.prepend("Via", f"SIP/2.0/UDP {CARRIER};branch=z9hG4bKloop")
    return asked(world, carrier, looped)


@scene("proxy-require", Gate.REQUEST, 420, "turn it off in the PBX")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.invite(NUMBER, ("Proxy-Require", "foo")))


@scene("method-not-allowed", Gate.REQUEST, 405, "no registration")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.request("REGISTER", f"sip:{DOMAIN}"))


@scene("no-sealed-route", Gate.REQUEST, 481, "belongs to no call")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.request("BYE", f"sip:{DOMAIN}", to="<sip:x@y>;tag=1"))


@scene("dialog-mismatch", Gate.REQUEST, 481, "as they were")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    caller, _ = established(pbx, world.agent(CARRIER))
    caller.call_id = "another"
    caller.send("BYE")
    return world, pbx


@scene("draining", Gate.REQUEST, 503, "being stopped")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    world.proxy.draining = True
    return asked(world, pbx, pbx.invite())


# -- domain, access control lists, digest ----------------------------------------------------------


@scene("unknown-domain", Gate.DOMAIN, 404, "is no domain of this platform")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.request("INVITE", f"sip:{NUMBER}@other.{BASE}", body=SDP))


@scene("domain-without-account", Gate.DOMAIN, 404, "remove the domain")
def _() -> tuple[World, Agent]:
    world = World(configured(None, a_domain("acl")))
    pbx = world.agent(PBX)
    return asked(world, pbx, pbx.invite())


@scene("no-acl", Gate.ACL, 403, "attach one")
def _() -> tuple[World, Agent]:
    world = World(configured(an_account(), a_domain()))
    pbx = world.agent(PBX)
    return asked(world, pbx, pbx.invite())


@scene("acl-without-entries", Gate.ACL, 403, "add a network or a SIP account")
def _() -> tuple[World, Agent]:
    world = World(configured(an_account(), a_domain("acl")))
    pbx = world.agent(PBX)
    return asked(world, pbx, pbx.invite())


@scene("acl-networks", Gate.ACL, 403, "is in no network")
def _() -> tuple[World, Agent]:
    world, _ = trunk()
    carrier = world.agent(CARRIER)
    return asked(world, carrier, carrier.invite())


@scene("unknown-user", Gate.DIGEST, 407, "“nobody” is in no access control list")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    return asked(world, pbx, challenged(pbx, pbx.invite(), "nobody", "secret"))


@scene("wrong-password", Gate.DIGEST, 407, "is wrong")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    return asked(world, pbx, challenged(pbx, pbx.invite(), "pbx", "mistyped"))


@scene("no-secret-for-algorithm", Gate.DIGEST, 407, "set its password again")
def _() -> tuple[World, Agent]:
    user = SipAccount(id="u", username="pbx", ha1={})
    acl = Acl(id=AclId("acl"), account_id=ACCOUNT, name="office", sip_accounts=(user,))
    configuration = Configuration(accounts=(an_account(),), acls=(acl,), domains=(a_domain("acl"),))
    world = World(Directory.of(configuration, base_domain=BASE, pop="eu1"))
    pbx = world.agent(PBX)
    return asked(world, pbx, challenged(pbx, pbx.invite(), "pbx", "secret"))


@scene("wrong-uri", Gate.DIGEST, 407, "Request-URI")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    request = challenged(pbx, pbx.invite(), "pbx", "secret")
    request.uri = f"sip:+31209999999@{DOMAIN}"
    return asked(world, pbx, request)


@scene("unsupported-algorithm", Gate.DIGEST, 407, "MD5")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    request = challenged(pbx, pbx.invite(), "pbx", "secret")
    given = request.headers.get("Proxy-Authorization") or ""
    request.headers.set("Proxy-Authorization", given.replace("algorithm=MD5", "algorithm=SHA-256"))
    return asked(world, pbx, request)


@scene("session-algorithm", Gate.DIGEST, 407, "without -sess")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    request = challenged(pbx, pbx.invite(), "pbx", "secret")
    given = request.headers.get("Proxy-Authorization") or ""
    request.headers.set("Proxy-Authorization", given.replace("algorithm=MD5", "algorithm=MD5-sess"))
    return asked(world, pbx, request)


@scene("malformed-digest", Gate.DIGEST, 407, "cannot be read")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    request = challenged(pbx, pbx.invite(), "pbx", "secret")
    request.headers.set("Proxy-Authorization", f'Digest realm="{BASE}", username=')
    return asked(world, pbx, request)


@scene("no-credentials", Gate.DIGEST, 407, "enter the user name and password")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    pbx.send(pbx.invite())
    world.wait(11)
    return world, pbx


@scene("stale", Gate.DIGEST, 407, "answer the new challenge")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"})
    request = challenged(pbx, pbx.invite(), "pbx", "secret")
    world.wait(400)
    world.records.clear()
    asked(world, pbx, request)
    world.wait(11)
    return world, pbx


@scene("replay", Gate.DIGEST, 407, "count up")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(users={"pbx": "secret"}, callflow_id="flow", callflows=[FLOW])
    request = challenged(pbx, pbx.invite(), "pbx", "secret")
    pbx.send(request)
    stolen = request.copy()
    stolen.headers.set("Call-ID", "stolen")
    stolen.headers.set("Via", f"SIP/2.0/UDP {PBX}:5060;branch=z9hG4bKstolen")
    asked(world, pbx, stolen)
    world.wait(11)
    return world, pbx


# -- who calls ---------------------------------------------------------------------------------------


def strict() -> tuple[World, Agent]:
    policy = IdentityPolicy(verified=("+31201111111",), others=OtherCallers.REFUSE)
    return trunk(account=replace(an_account(), identity=policy))


@scene("caller-id-not-allowed", Gate.IDENTITY, 403, "known by +31200000001, which is shown in From")
def _() -> tuple[World, Agent]:
    world, pbx = strict()
    return asked(world, pbx, pbx.invite())


@scene("identity-not-allowed", Gate.IDENTITY, 403, "known by +31202222222, which is asserted")
def _() -> tuple[World, Agent]:
    world, pbx = strict()
    claim = ("P-Asserted-Identity", "<tel:+31202222222>")
    return asked(world, pbx, pbx.invite(NUMBER, claim, from_="<sip:+31201111111@acme>;tag=x"))


@scene("privacy-not-possible", Gate.ROUTE, 500, "leave that or critical out")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.invite(NUMBER, ("Privacy", "session;critical")))


@scene("pop-no-address", Gate.POP, 503, "give them one")
def _() -> tuple[World, Agent]:
    home = directory(gateways=[gateway()])
    pops = (Pop(name="eu1", region=Region.EU), Pop(name="us1", region=Region.US), SOMEWHERE)
    config = Directory.of(
        Configuration(
            accounts=tuple(home.accounts.values()),
            acls=home.acls_of(domain := home.domains[DomainId("domain")]),
            domains=(domain,),
            pops=pops,
        ),
        base_domain=BASE,
        pop="eu1",
    )
    world = World(config, relay=PopRelay(key=b"r" * 32))
    pbx = world.agent(PBX)
    return asked(world, pbx, pbx.request("INVITE", f"sip:{NUMBER}@acme.us1.{BASE}", body=SDP))


SOMEWHERE = Pop(name="apac1", region=Region.APAC, address="203.0.113.9:5060")


# -- limits, route, pool ---------------------------------------------------------------------------


@scene("account-concurrent-calls", Gate.LIMITS, 503, "wait until one ends")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(account=an_account(concurrent_calls=0))
    return asked(world, pbx, pbx.invite())


@scene("account-calls-per-second", Gate.LIMITS, 503, "more slowly")
def _() -> tuple[World, Agent]:
    world, pbx = trunk(account=an_account(calls_per_second=1))
    world.agent(CARRIER)
    pbx.send(pbx.invite())
    pbx.inbox.clear()
    return asked(world, pbx, pbx.invite())


@scene("not-a-number", Gate.ROUTE, 404, "must be a number")
def _() -> tuple[World, Agent]:
    world, pbx = trunk()
    return asked(world, pbx, pbx.invite("bob"))


@scene("no-gateway", Gate.ROUTE, 404, "add a gateway")
def _() -> tuple[World, Agent]:
    world = World(directory(gateways=[gateway(prefixes=("49",))]))
    pbx = world.agent(PBX)
    return asked(world, pbx, pbx.invite())


def from_carrier(*numbers: Number, account: Account | None) -> tuple[World, Agent]:
    world = World(configured(account, numbers=numbers, callflows=(FLOW,)))
    carrier = world.agent(CARRIER)
    return asked(world, carrier, carrier.request("INVITE", f"sip:{NUMBER}@8.8.4.4", body=SDP))


@scene("number-unknown", Gate.ROUTE, 404, "add the number to the account")
def _() -> tuple[World, Agent]:
    return from_carrier(account=an_account())


@scene("number-without-callflow", Gate.ROUTE, 404, "give it one")
def _() -> tuple[World, Agent]:
    return from_carrier(Number(id="n", account_id=ACCOUNT, e164=NUMBER), account=an_account())


@scene("number-without-account", Gate.ROUTE, 404, "remove the number")
def _() -> tuple[World, Agent]:
    number = Number(id="n", account_id=AccountId("gone"), e164=NUMBER, callflow_id="flow")
    return from_carrier(number, account=None)


def with_callflow() -> tuple[World, Agent]:
    world = World(directory(callflows=[FLOW], callflow_id="flow"))
    return world, world.agent(PBX)


@scene("pool-full", Gate.POOL, 503, "larger call pool")
def _() -> tuple[World, Agent]:
    world, pbx = with_callflow()
    world.pool.full = True
    return asked(world, pbx, pbx.invite())


@scene("pool-failed", Gate.POOL, 503, "call again later")
def _() -> tuple[World, Agent]:
    world, pbx = with_callflow()
    world.pool.slow = True
    pbx.send(pbx.invite())
    [wish] = world.pool.waiting
    wish.failed("the call pool failed", world.now)
    world.deliver()
    return world, pbx


@pytest.mark.parametrize("cause", SCENES)
def test_a_refusal_says_its_cause(cause: str) -> None:
    make, gate, status, says = SCENES[cause]
    world, agent = make()
    [refusal] = world.said(Refusal)
    assert (refusal.cause, refusal.gate, refusal.sip_status) == (cause, gate, status)
    assert says in refusal.remedy
    assert refusal.remedy.endswith(".")
    statuses = [message.status for message in agent.inbox if not isinstance(message, Request)]
    assert statuses[-1:] == ([status] if status else [])


def test_no_cause_is_without_a_test(repository: Path) -> None:
    """Each cause that the code can give is named by a test, here or where its gate is tested."""
    named = set(SCENES)
    for file in (repository / "tests").rglob("test_*.py"):
        named |= texts(file)
    assert causes(repository) - named == set()
    assert len(causes(repository)) >= 30


def causes(repository: Path) -> set[str]:
    found = {outcome.name.lower().replace("_", "-") for outcome in Outcome} - NO_REFUSALS
    for folder in ("sip_config", "voice/edge"):
        for file in (repository / folder).rglob("*.py"):
            tree = ast.parse(file.read_text())
            named = {
                node.target.id: node.value
                for node in tree.body
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value
            }
            for node in ast.walk(tree):
                if is_cause(node):
                    found |= constants(node.value)
                    names = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
                    found |= {text for name in names & set(named) for text in constants(named[name])}
    return found


def is_cause(node: ast.AST) -> TypeGuard[ast.keyword | ast.Assign]:
    if isinstance(node, ast.keyword):
        return node.arg == "cause"
    names = (
        [one.id for one in node.targets if isinstance(one, ast.Name)] if isinstance(node, ast.Assign) else []
    )
    return bool({"cause", "_PARSE_CAUSES"} & set(names))


NO_REFUSALS = {"ok"}


def constants(value: ast.expr) -> set[str]:
    return {
        one.value
        for one in ast.walk(value)
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and len(one.value) > 1
    }


def texts(file: Path) -> set[str]:
    return {
        one.value
        for one in ast.walk(ast.parse(file.read_text()))
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }
