"""Who calls, where a callflow answers and dials: the call process is inside the trusted realm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sip_config.gateway_options import CallerIdFormat, GatewayOptions
from sip_config.identity_policy import IdentityPolicy, OtherCallers
from sip_config.model import CallerIdRule, Gateway, Number, NumberFormat
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    DOMAIN,
    EDGE,
    FLOW,
    NUMBER,
    PBX,
    SDP,
    SEAT,
    Agent,
    Dialog,
    World,
    an_account,
    directory,
    gateway,
)
from voice.pool.orders import CallOrder, DialPlan, Hunting
from voice.records import CallStarted, LegStarted, Refusal
from voice.sip.message import Request, Response

OWN = "+31201111111"
STRANGER = "+31209999999"
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=x'
TRUSTED = gateway(options=GatewayOptions(trusted=True))
PLAIN = gateway()
TOLD = ("P-Asserted-Identity", "<tel:+31208888888>")
PAI = f"<sip:31201111111@{EDGE}>"
POLICY = IdentityPolicy(country="NL")


def world_of(carrier: Gateway, *, policy: IdentityPolicy = POLICY, by_domain: bool = False) -> World:
    account = replace(an_account(), identity=policy)
    own = Number(id="n", account_id=ACCOUNT, e164=OWN, callflow_id="flow")
    return World(
        directory(
            account=account,
            gateways=[carrier],
            numbers=[own],
            callflows=[FLOW],
            callflow_id="flow" if by_domain else None,
        )
    )


def asserted(message: Request | Response) -> list[str]:
    return message.headers.values("P-Asserted-Identity")


def inside(number: str) -> list[str]:
    return [f"<sip:{number}@127.0.0.1>", f"<tel:{number}>"]


def delivered(
    carrier: Gateway, *headers: tuple[str, str], from_: str
) -> tuple[Request, CallOrder, CallStarted]:
    """A call that the carrier delivers: as the call process gets it, its order, and its record."""
    world = world_of(carrier)
    agent, process = world.agent(CARRIER), world.agent(SEAT.host, SEAT.port)
    agent.send(agent.request("INVITE", f"sip:{OWN}@{EDGE}", *headers, from_=from_, body=SDP))
    return process.gets_request("INVITE"), world.pool.orders[-1], world.said(CallStarted)[-1]


def dialled(
    world: World, target: str = NUMBER, *, caller_id: str, asserted: str | None = None, withheld: bool = False
) -> Agent:
    """A call process dials; returns it."""
    process = world.agent(SEAT.host, SEAT.port)
    plan = DialPlan(
        call_id="0ca11000-0000-4000-8000-000000000001",
        account_id=ACCOUNT,
        targets=(target,),
        hunting=Hunting.PARALLEL,
        ring_seconds=30,
        caller_id=caller_id,
        asserted=asserted,
        withheld=withheld,
    )
    ticket = world.proxy.dials.file(plan, world.now).uri
    process.send(process.request("INVITE", ticket, body=SDP, from_="<sip:any@127.0.0.1>;tag=p"))
    process.gets_response(100)
    return process


def test_the_record_and_the_callflow_know_an_anonymous_caller_of_the_customer_by_what_is_asserted() -> None:
    world = world_of(PLAIN, by_domain=True)
    pbx, process = world.agent(PBX), world.agent(SEAT.host, SEAT.port)
    claims = (("P-Asserted-Identity", f'"bob" <sip:{OWN}@pbx>'), ("Privacy", "id"))
    pbx.send(pbx.invite(NUMBER, *claims, from_=ANONYMOUS))
    pbx.gets_response(100)
    arrived = process.gets_request("INVITE")
    realm = [f'"bob" {inside(OWN)[0]}', inside(OWN)[1]]
    assert asserted(arrived) == realm
    assert arrived.headers.get("Privacy") == "id"
    (started,), (order,) = world.said(CallStarted), world.pool.orders
    assert started.source == order.source == order.asserted == OWN
    assert order.withheld
    assert world.said(LegStarted)[0].source == OWN
    # And so on, in every message that follows.
    answer = process.answer(arrived, 200, body=SDP)
    caller, callee = Dialog.of_caller(pbx, pbx.gets_response(200)), Dialog.of_callee(process, arrived, answer)
    caller.send("ACK", cseq=1)
    assert asserted(process.gets_request("ACK")) == realm
    caller.send("INVITE", body=SDP)
    pbx.gets_response(100)
    again = process.gets_request("INVITE")
    assert asserted(again) == realm
    process.answer(again, 200, body=SDP)
    pbx.gets_response(200)
    callee.send("INFO", ("P-Asserted-Identity", "<tel:+31200000000>"))
    assert asserted(pbx.gets_request("INFO")) == []
    caller.send("BYE")
    assert asserted(process.gets_request("BYE")) == realm


def test_a_caller_that_may_not_be_believed_is_known_by_what_it_shows() -> None:
    world = world_of(PLAIN, by_domain=True)
    pbx, process = world.agent(PBX), world.agent(SEAT.host, SEAT.port)
    pbx.send(pbx.invite(from_=f"<sip:0209999999@{DOMAIN}>;tag=x"))
    assert asserted(process.gets_request("INVITE")) == []
    (order,) = world.pool.orders
    assert (order.source, order.asserted, order.withheld) == (STRANGER, None, False)


@pytest.mark.parametrize(
    ("carrier", "headers", "from_", "source", "told", "withheld"),
    [
        (PLAIN, [], STRANGER, STRANGER, None, False),
        # A claim of a carrier that is not trusted is none.
        (PLAIN, [TOLD], STRANGER, STRANGER, None, False),
        (PLAIN, [], "anonymous", "Restricted", None, True),
        # A caller that a plain carrier asks to hide is hidden as well.
        (PLAIN, [("Privacy", "id")], STRANGER, "Restricted", None, True),
        (TRUSTED, [TOLD], STRANGER, STRANGER, "+31208888888", False),
        (
            TRUSTED,
            [TOLD],
            "desk",
            "+31208888888",
            "+31208888888",
            False,
        ),
        (
            TRUSTED,
            [TOLD, ("Privacy", "id")],
            "anonymous",
            "Restricted",
            "+31208888888",
            True,
        ),
        (
            TRUSTED,
            [("Remote-Party-ID", "<sip:+31208888888@x>;privacy=full")],
            STRANGER,
            "Restricted",
            "+31208888888",
            True,
        ),
    ],
)
def test_what_a_carrier_says_of_a_caller(
    carrier: Gateway,
    headers: list[tuple[str, str]],
    from_: str,
    source: str,
    told: str | None,
    withheld: bool,
) -> None:
    invite, order, started = delivered(carrier, *headers, from_=f"<sip:{from_}@carrier.example>;tag=x")
    assert (order.source, order.asserted, order.withheld) == (source, told, withheld)
    assert started.source == source
    assert asserted(invite) == (inside(told) if told else [])


@pytest.mark.parametrize(
    "wish",
    [("Privacy", "id"), ("Remote-Party-ID", "<sip:+31208888888@x>;privacy=full"), ("Privacy", "user;id")],
)
def test_a_refused_call_does_not_tell_the_called_account_who_wanted_to_stay_unknown(
    wish: tuple[str, str],
) -> None:
    world = world_of(PLAIN)
    world.pool.full = True
    carrier = world.agent(CARRIER)
    for headers, known in (((wish, TOLD), "Restricted"), ((), f"sip:{STRANGER}@carrier.example")):
        from_ = f"<sip:{STRANGER}@carrier.example>;tag=x"
        carrier.send(carrier.request("INVITE", f"sip:{OWN}@{EDGE}", *headers, from_=from_, body=SDP))
        world.wait(120)
        assert [refusal.from_uri for refusal in world.said(Refusal)][-1] == known


@pytest.mark.parametrize(
    ("others", "shown", "believed"),
    [
        (OtherCallers.PASS, STRANGER, [OWN]),
        (OtherCallers.REPLACE, OWN, [OWN]),
        (OtherCallers.ANONYMISE, "anonymous", [OWN]),
    ],
)
def test_a_callflow_shows_other_numbers_as_the_policy_says(
    others: OtherCallers, shown: str, believed: list[str]
) -> None:
    world = world_of(TRUSTED, policy=replace(POLICY, others=others, caller_id=OWN))
    carrier = world.agent(CARRIER)
    dialled(world, caller_id=STRANGER)
    invite = carrier.gets_request("INVITE")
    assert invite.from_.sip_uri.user == shown
    assert asserted(invite)[1:] == [f"<tel:{number}>" for number in believed]


def test_what_is_asserted_of_a_caller_is_shown_only_where_the_account_may_show_it() -> None:
    """A carrier has asserted a number that is not the account's, and the callflow shows a third one."""
    for caller_id, shown in ((None, "anonymous"), (OWN, OWN)):
        policy = replace(POLICY, others=OtherCallers.REPLACE, caller_id=caller_id)
        world = world_of(TRUSTED, policy=policy)
        carrier = world.agent(CARRIER)
        dialled(world, caller_id=STRANGER, asserted="+31208888888")
        invite = carrier.gets_request("INVITE")
        assert invite.from_.sip_uri.user == shown
        assert asserted(invite)[1:] == ["<tel:+31208888888>"]
        assert invite.headers.get("Privacy") == ("id" if caller_id is None else None)


def test_a_callflow_that_passes_its_caller_on_asserts_what_was_asserted_of_it() -> None:
    world = world_of(TRUSTED)
    carrier = world.agent(CARRIER)
    dialled(world, caller_id=OWN, asserted="+31208888888")
    invite = carrier.gets_request("INVITE")
    assert invite.from_.sip_uri.user == OWN
    assert asserted(invite)[1:] == ["<tel:+31208888888>"]


def test_a_callflow_of_a_strict_account_cannot_show_another_number() -> None:
    world = world_of(PLAIN, policy=replace(POLICY, others=OtherCallers.REFUSE))
    carrier = world.agent(CARRIER)
    process = dialled(world, caller_id=STRANGER)
    assert process.gets_response(403).reason.startswith(f"The account may not be known by {STRANGER}")
    [refusal] = world.said(Refusal)
    assert (refusal.gate, refusal.cause) == ("identity", "callflow-caller-id-not-allowed")
    assert refusal.account_id == ACCOUNT
    carrier.gets_nothing()
    dialled(world, caller_id=OWN)
    assert carrier.gets_request("INVITE").from_.sip_uri.user == OWN


def test_a_caller_that_is_passed_on_stays_asserted_and_withheld() -> None:
    world = world_of(TRUSTED)
    carrier = world.agent(CARRIER)
    process = dialled(world, caller_id="Restricted", asserted="+31208888888", withheld=True)
    invite = carrier.gets_request("INVITE")
    assert invite.from_.uri == "sip:anonymous@anonymous.invalid"
    assert asserted(invite) == [f"<sip:+31208888888@{EDGE}>", "<tel:+31208888888>"]
    assert invite.headers.get("Privacy") == "id"
    carrier.answer(invite, 200, body=SDP)
    caller = Dialog.of_caller(process, process.gets_response(200))
    caller.send("ACK", cseq=1)
    assert asserted(carrier.gets_request("ACK")) == asserted(invite)
    caller.send("BYE")
    bye = carrier.gets_request("BYE")
    assert (asserted(bye), bye.headers.get("Privacy")) == (asserted(invite), "id")


@pytest.mark.parametrize(("target", "host"), [(NUMBER, CARRIER), ("sip:bob@5.5.5.1", "5.5.5.1")])
def test_a_withheld_caller_is_told_to_nobody_outside(target: str, host: str) -> None:
    world = world_of(PLAIN)
    callee = world.agent(host)
    dialled(world, target, caller_id=OWN, asserted=OWN, withheld=True)
    assert OWN[1:].encode() not in callee.gets_request("INVITE").to_bytes()


@pytest.mark.parametrize(
    ("rule", "style", "trusted", "from_", "headers"),
    [
        (CallerIdRule.PASS, CallerIdFormat.FROM, False, OWN, {}),
        (
            CallerIdRule.PASS,
            CallerIdFormat.PAI,
            False,
            OWN,
            {"P-Asserted-Identity": f"<sip:31201111111@{EDGE}>"},
        ),
        (
            CallerIdRule.PASS,
            CallerIdFormat.RPID,
            False,
            OWN,
            {"Remote-Party-ID": f"<sip:31201111111@{EDGE}>;party=calling;screen=yes;privacy=off"},
        ),
        (CallerIdRule.PASS, CallerIdFormat.PAI, False, ANONYMOUS, {}),
        (CallerIdRule.FIXED, CallerIdFormat.RPID, False, ANONYMOUS, {}),
        (CallerIdRule.FIXED, CallerIdFormat.FROM, True, ANONYMOUS, {"Privacy": "id"}),
        (
            CallerIdRule.PASS,
            CallerIdFormat.RPID,
            True,
            ANONYMOUS,
            {
                "P-Asserted-Identity": PAI,
                "Privacy": "id",
                "Remote-Party-ID": f"<sip:31201111111@{EDGE}>;party=calling;screen=yes;privacy=full",
            },
        ),
        (CallerIdRule.PASS, CallerIdFormat.NONE, True, OWN, {}),
    ],
)
def test_a_gateway_is_told_in_its_own_way(
    rule: CallerIdRule, style: CallerIdFormat, trusted: bool, from_: str, headers: dict[str, str]
) -> None:
    carrier = gateway(
        caller_id_rule=rule,
        caller_id="+31207777777",
        number_format=NumberFormat.PLAIN,
        options=GatewayOptions(trusted=trusted, caller_id_format=style),
    )
    world = world_of(carrier)
    pbx, agent = world.agent(PBX), world.agent(CARRIER)
    claim = ("P-Asserted-Identity", f"<tel:{OWN}>")
    shown = from_ if ";tag=" in from_ else f"<sip:{from_}@{DOMAIN}>;tag=x"
    pbx.send(
        pbx.invite(
            NUMBER, *([claim] if from_ == ANONYMOUS and style is not CallerIdFormat.FROM else []), from_=shown
        )
    )
    arrived = agent.gets_request("INVITE")
    names = ("P-Asserted-Identity", "Remote-Party-ID", "Privacy")
    told = {name: ", ".join(arrived.headers.lines(name)) for name in names if name in arrived.headers}
    assert told == headers
    assert arrived.from_.sip_uri.user == (
        "anonymous" if from_ == ANONYMOUS or style is CallerIdFormat.NONE else "31201111111"
    )


@pytest.mark.parametrize("written", ["0201234567", "020-1234567", "+31201234567", "31201234567"])
def test_numbers_are_understood_as_the_country_of_the_account_writes_them(written: str) -> None:
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(written, from_=f"<sip:0201111111@{DOMAIN}>;tag=x"))
    invite = carrier.gets_request("INVITE")
    assert invite.sip_uri.user == "+31201234567"
    assert invite.from_.sip_uri.user == OWN
    assert (world.said(CallStarted)[0].source, world.said(CallStarted)[0].destination) == (
        OWN,
        "+31201234567",
    )
    dialled(world, written, caller_id="0201111111")
    invite = carrier.gets_request("INVITE")
    assert (invite.sip_uri.user, invite.from_.sip_uri.user) == ("+31201234567", OWN)


def test_without_a_country_a_national_number_is_no_number() -> None:
    world = world_of(PLAIN, policy=IdentityPolicy())
    pbx = world.agent(PBX)
    pbx.send(pbx.invite("0201234567"))
    pbx.gets_response(404)
