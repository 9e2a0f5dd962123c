"""Who calls: what is believed of it, who is told in which message, and what nobody else gets to see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sip_config.gateway_options import CallerIdFormat, GatewayOptions
from sip_config.identity_policy import OtherCallers
from sip_config.model import CallerIdRule, Gateway, Number
from tests.edge.callers import (
    ANONYMOUS,
    OWN,
    PLAIN,
    POLICY,
    STRANGER,
    TRUSTED,
    VERIFIED,
    asserted,
    both,
    last_request,
    sent,
    world_of,
)
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    DOMAIN,
    FLOW,
    NUMBER,
    PBX,
    SDP,
    SEAT,
    Dialog,
    World,
    ack_of_failure,
    an_account,
    directory,
    gateway,
    with_credentials,
)
from voice.pool.orders import DialPlan, Hunting
from voice.records import CallStarted, Refusal
from voice.sip.message import Request, Response

# -- what is believed --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "from_", "believed"),
    [
        ([], OWN, both(OWN)),
        ([], VERIFIED, both(VERIFIED)),
        ([], "+31203333342", both("+31203333342")),
        ([], "0201111111", both(OWN)),
        ([], "0031201111111", both(OWN)),
        ([], STRANGER, []),
        ([], "desk", []),
        ([("P-Asserted-Identity", f'"bob" <sip:{OWN}@pbx.example>')], ANONYMOUS, both(OWN, "bob")),
        ([("P-Asserted-Identity", f"<tel:{OWN}>")], ANONYMOUS, both(OWN)),
        ([("P-Asserted-Identity", "tel:+31-20-111.1111")], ANONYMOUS, both(OWN)),
        ([("P-Asserted-Identity", "<tel:0201111111;phone-context=+31>")], ANONYMOUS, both(OWN)),
        ([("P-Asserted-Identity", f"<sips:{OWN};npdi@pbx.example;user=phone>")], ANONYMOUS, both(OWN)),
        # Both lines, and both in one line; what may not be believed is passed over.
        (
            [("P-Asserted-Identity", "<sip:bob@pbx.example>"), ("P-Asserted-Identity", f"<tel:{OWN}>")],
            ANONYMOUS,
            both(OWN),
        ),
        ([("P-Asserted-Identity", f"<sip:bob@pbx.example>, <tel:{OWN}>")], ANONYMOUS, both(OWN)),
        ([("P-Preferred-Identity", f"<sip:{OWN}@pbx.example>")], ANONYMOUS, both(OWN)),
        ([("Remote-Party-ID", f"<sip:{OWN}@pbx>;party=calling;screen=yes")], ANONYMOUS, both(OWN)),
        ([("Remote-Party-ID", f"<sip:{OWN}@pbx>;party=called")], ANONYMOUS, []),
        # The strongest statement counts alone.
        (
            [
                ("P-Asserted-Identity", f"<tel:{VERIFIED}>"),
                ("P-Preferred-Identity", f"<tel:{OWN}>"),
                ("Remote-Party-ID", f"<sip:{OWN}@pbx>"),
            ],
            ANONYMOUS,
            both(VERIFIED),
        ),
        ([("P-Asserted-Identity", f"<tel:{STRANGER}>")], ANONYMOUS, []),
        ([("P-Asserted-Identity", f"<tel:{STRANGER}>")], OWN, both(OWN)),
        ([("P-Asserted-Identity", '"bob <sip:broken')], OWN, both(OWN)),
        ([("P-Asserted-Identity", "<https://example.com>, <tel:>")], OWN, both(OWN)),
        ([("P-Asserted-Identity", "<sip:anonymous@anonymous.invalid>")], OWN, both(OWN)),
        ([("P-Asserted-Identity", f"<sip:{OWN}@anonymous.invalid>")], ANONYMOUS, []),
        # A header that says nothing leaves it to the next.
        (
            [("P-Asserted-Identity", "<sip:anonymous@x>"), ("Remote-Party-ID", f"<sip:{OWN}@pbx>")],
            ANONYMOUS,
            both(OWN),
        ),
        # Names are cut, and hold nothing that does not print.
        ([("P-Asserted-Identity", f'"{"n" * 60}" <tel:{OWN}>')], ANONYMOUS, both(OWN, "n" * 48)),
        ([("P-Asserted-Identity", f'"a\u202eb" <tel:{OWN}>')], ANONYMOUS, both(OWN, "a\ufffdb")),
    ],
)
def test_a_caller_is_believed_what_its_account_may_say(
    headers: list[tuple[str, str]], from_: str, believed: list[str]
) -> None:
    assert asserted(sent(*headers, from_=from_)) == believed


def test_an_account_may_be_known_by_one_number_when_nothing_can_be_believed() -> None:
    policy = replace(POLICY, caller_id=OWN)
    assert asserted(sent(policy=policy, from_=STRANGER)) == both(OWN)
    assert asserted(sent(policy=policy, from_=ANONYMOUS)) == both(OWN)


def test_the_user_name_that_was_proven_claims_nothing() -> None:
    """The reference: From carries the user name of the SIP account, here one that reads like a number."""
    policy = replace(POLICY, others=OtherCallers.REFUSE)
    world = world_of(TRUSTED, policy=policy, users={"31000000": "secret"})
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite(
        NUMBER, ("P-Asserted-Identity", f"<tel:{OWN}>"), from_=f"<sip:31000000@{DOMAIN}>;tag=x"
    )
    pbx.send(invite)
    challenge = pbx.gets_response(407)
    pbx.send(ack_of_failure(invite, challenge))
    pbx.send(with_credentials(invite, challenge, "31000000", "secret"))
    arrived = carrier.gets_request("INVITE")
    assert asserted(arrived) == both(OWN)
    assert arrived.from_.sip_uri.user == OWN


@pytest.mark.parametrize("others", OtherCallers)
def test_a_user_name_that_is_a_number_of_the_account_claims_it(others: OtherCallers) -> None:
    """Many trunks are called by their number."""
    user = OWN.removeprefix("+")
    policy = replace(POLICY, others=others)
    world = world_of(TRUSTED, policy=policy, users={user: "secret"})
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite(NUMBER, from_=f"<sip:{user}@{DOMAIN}>;tag=x")
    pbx.send(invite)
    challenge = pbx.gets_response(407)
    pbx.send(ack_of_failure(invite, challenge))
    pbx.send(with_credentials(invite, challenge, user, "secret"))
    arrived = carrier.gets_request("INVITE")
    assert asserted(arrived) == both(OWN)
    assert arrived.from_.sip_uri.user == OWN


def test_a_claim_of_an_account_is_no_claim_of_another() -> None:
    other = Number(id="o", account_id="someone else", e164=STRANGER)  # type: ignore[arg-type]
    world = World(
        directory(account=replace(an_account(), identity=POLICY), gateways=[TRUSTED], numbers=[other])
    )
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, ("P-Asserted-Identity", f"<tel:{STRANGER}>")))
    assert asserted(carrier.gets_request("INVITE")) == []


# -- what is shown -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("others", "claims", "shown"),
    [
        (OtherCallers.PASS, [], STRANGER),
        (OtherCallers.PASS, [OWN], STRANGER),
        (OtherCallers.REPLACE, [OWN], OWN),
        (OtherCallers.REPLACE, [], "anonymous"),
        (OtherCallers.ANONYMISE, [OWN], "anonymous"),
    ],
)
@pytest.mark.parametrize("carrier", [PLAIN, TRUSTED], ids=["plain", "trusted"])
def test_another_number_is_shown_as_the_policy_says(
    others: OtherCallers, claims: list[str], shown: str, carrier: Gateway
) -> None:
    headers = [("P-Asserted-Identity", f"<tel:{number}>") for number in claims]
    arrived = sent(*headers, carrier=carrier, policy=replace(POLICY, others=others), from_=STRANGER)
    assert arrived.from_.sip_uri.user == shown
    assert arrived.from_.display is None
    assert asserted(arrived) == (both(claims[0]) if claims and carrier is TRUSTED else [])
    # Who is hidden from others is asserted with the wish to stay so.
    hidden = shown == "anonymous" and carrier is TRUSTED
    assert arrived.headers.get("Privacy") == ("id" if hidden else None)


@pytest.mark.parametrize("from_", [OWN, VERIFIED, "+31203333342", STRANGER])
def test_a_gateway_that_shows_own_numbers_shows_all_that_the_account_may_be_known_by(from_: str) -> None:
    carrier = gateway(caller_id_rule=CallerIdRule.OWN, caller_id="+31207777777")
    arrived = sent(carrier=carrier, from_=from_)
    assert arrived.from_.sip_uri.user == ("+31207777777" if from_ == STRANGER else from_)


@pytest.mark.parametrize("from_", [OWN, VERIFIED, "0203333342", ANONYMOUS])
@pytest.mark.parametrize("others", list(OtherCallers))
def test_what_may_be_shown_is_under_every_policy(others: OtherCallers, from_: str) -> None:
    arrived = sent(carrier=PLAIN, policy=replace(POLICY, others=others), from_=from_)
    shown = {"0203333342": "+31203333342", ANONYMOUS: "anonymous"}.get(from_, from_)
    assert arrived.from_.sip_uri.user == shown


@pytest.mark.parametrize(
    ("headers", "from_", "cause"),
    [
        ([], STRANGER, "caller-id-not-allowed"),
        ([], "desk", "caller-id-not-allowed"),
        ([("P-Asserted-Identity", f"<tel:{OWN}>")], STRANGER, "caller-id-not-allowed"),
        ([("P-Asserted-Identity", f"<tel:{STRANGER}>")], OWN, "identity-not-allowed"),
        ([("P-Preferred-Identity", f"<tel:{STRANGER}>")], ANONYMOUS, "identity-not-allowed"),
        ([("Remote-Party-ID", f"<tel:{STRANGER}>")], ANONYMOUS, "identity-not-allowed"),
    ],
)
def test_a_strict_account_is_refused_a_number_that_it_may_not_show(
    headers: list[tuple[str, str]], from_: str, cause: str
) -> None:
    world = world_of(TRUSTED, policy=replace(POLICY, others=OtherCallers.REFUSE))
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    shown = from_ if ";tag=" in from_ else f"<sip:{from_}@{DOMAIN}>;tag=x"
    pbx.send(pbx.invite(NUMBER, *headers, from_=shown))
    pbx.gets_response(403)
    carrier.gets_nothing()
    (refusal,) = world.said(Refusal)
    assert (refusal.gate, refusal.cause) == ("identity", cause)
    assert "verified numbers" in refusal.remedy
    assert world.said(CallStarted) == []


def test_a_name_without_a_number_is_replaced_and_not_refused_when_the_pbx_asserts_a_number() -> None:
    policy = replace(POLICY, others=OtherCallers.REFUSE)
    arrived = sent(("P-Asserted-Identity", f"<tel:{OWN}>"), policy=policy, from_="desk")
    assert arrived.from_.sip_uri.user == OWN


# -- the trusted realm, and outside it ---------------------------------------------------------------


def test_what_is_asserted_stays_in_every_message_of_the_call_inside_the_realm() -> None:
    world = world_of(TRUSTED)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite(
        NUMBER, ("P-Asserted-Identity", f'"bob" <sip:{OWN}@pbx>'), ("Privacy", "id"), from_=ANONYMOUS
    )
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    realm = both(OWN, "bob")
    assert (asserted(arrived), arrived.headers.get("Privacy")) == (realm, "id")
    carrier.answer(arrived, 183, ("Require", "100rel"), ("RSeq", "1"), body=SDP)
    early = Dialog.of_caller(pbx, pbx.gets_response(183))
    early.send("PRACK", ("RAck", "1 1 INVITE"))
    prack = carrier.gets_request("PRACK")
    assert asserted(prack) == realm
    carrier.answer(prack, 200)
    pbx.gets_response(200)
    answer = carrier.answer(arrived, 200, body=SDP)
    ok = pbx.gets_response(200)
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(carrier, arrived, answer)
    caller.cseq = 2
    caller.send("ACK", cseq=1)
    assert asserted(carrier.gets_request("ACK")) == realm
    # Another edge has taken over meanwhile; and who somebody is does not change within a call.
    world.restart_edge()
    for method in ("INFO", "UPDATE", "INVITE"):
        caller.send(method, ("P-Asserted-Identity", f"<tel:{VERIFIED}>"), body=SDP)
        request = carrier.gets_request(method)
        assert (asserted(request), request.headers.get("Privacy")) == (realm, "id")
        carrier.answer(request, 200, body=SDP)
        if method == "INVITE":
            pbx.gets_response(100)
        again = pbx.gets_response(200)
        if method == "INVITE":
            assert again.contact is not None
            caller.target = again.contact.uri
            caller.send("ACK", cseq=caller.cseq)
            assert asserted(carrier.gets_request("ACK")) == realm
    # What the carrier asks for is answered by the caller, whom the carrier may know.
    callee.send("INFO")
    pbx.answer(pbx.gets_request("INFO"), 200)
    assert asserted(carrier.gets_response(200)) == realm
    caller.send("BYE")
    bye = carrier.gets_request("BYE")
    assert (asserted(bye), bye.headers.get("Privacy")) == (realm, "id")


def test_outside_the_realm_nobody_is_told_in_any_message() -> None:
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    claims = (
        ("P-Asserted-Identity", f"<tel:{OWN}>"),
        ("P-Preferred-Identity", f"<tel:{OWN}>"),
        ("Remote-Party-ID", f"<sip:{OWN}@pbx>"),
        ("Privacy", "id"),
        ("Diversion", f"<tel:{OWN}>;reason=no-answer"),
        ("History-Info", f"<sip:{OWN}@pbx>;index=1"),
        ("P-Served-User", f"<sip:{OWN}@pbx>"),
        ("P-Access-Network-Info", "3GPP-UTRAN-TDD;utran-cell-id-3gpp=234151D0FCE11"),
    )
    pbx.send(pbx.invite(NUMBER, *claims, from_=f'"Bob" <sip:{OWN}@{DOMAIN}>;tag=x'))
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    answer = carrier.answer(arrived, 200, body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    callee = Dialog.of_callee(carrier, arrived, answer)
    messages: list[Request | Response] = [arrived]
    caller.send("ACK", *claims, cseq=1)
    messages.append(carrier.gets_request("ACK"))
    caller.send("INFO", *claims)
    messages.append(carrier.gets_request("INFO"))
    carrier.answer(last_request(messages), 200)
    pbx.gets_response(200)
    callee.send("INFO")
    pbx.answer(pbx.gets_request("INFO"), 200, *claims)
    messages.append(carrier.gets_response(200))
    caller.send("BYE", *claims)
    messages.append(carrier.gets_request("BYE"))
    for message in messages:
        text = message.to_bytes()
        assert OWN[1:].encode() not in text, text.decode()
        for name, _ in claims:
            assert name not in message.headers


def test_a_caller_that_wants_no_privacy_is_told_to_everyone() -> None:
    """RFC 3325 section 7: with ``none``, P-Asserted-Identity must not be removed."""
    arrived = sent(("P-Asserted-Identity", f"<tel:{OWN}>"), ("Privacy", "none"), carrier=PLAIN)
    assert asserted(arrived) == both(OWN)
    assert "Privacy" not in arrived.headers


@pytest.mark.parametrize("trusted", [False, True])
def test_a_caller_that_wants_no_privacy_is_told_once(trusted: bool) -> None:
    options = GatewayOptions(trusted=trusted, caller_id_format=CallerIdFormat.PAI)
    arrived = sent(
        ("P-Asserted-Identity", f"<tel:{OWN}>"), ("Privacy", "none"), carrier=gateway(options=options)
    )
    assert asserted(arrived) == both(OWN)


def test_where_calls_were_diverted_is_told_in_the_trusted_realm() -> None:
    story = (
        ("Diversion", f"<tel:{OWN}>;reason=unconditional"),
        ("History-Info", f"<sip:{OWN}@pbx>;index=1, <sip:{NUMBER}@x>;index=1.1"),
    )
    arrived = sent(*story)
    assert [(name, arrived.headers.get(name)) for name, _ in story] == list(story)
    arrived = sent(*story, carrier=PLAIN)
    assert not {"Diversion", "History-Info"} & {name for name, _ in arrived.headers}


@pytest.mark.parametrize("carrier", [PLAIN, TRUSTED], ids=["plain", "trusted"])
def test_a_customer_says_nothing_in_the_name_of_a_network(carrier: Gateway) -> None:
    """Least of all who is to pay."""
    claims = (
        ("P-Charge-Info", f"<sip:{STRANGER}@x>"),
        ("P-Charging-Vector", "icid-value=1"),
        ("P-Served-User", f"<sip:{STRANGER}@x>"),
        ("P-Asserted-Service", "urn:urn-7:3gpp-service.ims.icsi.mmtel"),
    )
    arrived = sent(*claims, carrier=carrier)
    assert not dict(claims).keys() & {name for name, _ in arrived.headers}


def test_the_callee_is_known_to_the_realm_only() -> None:
    """A trusted carrier says who answered; the customer outside is not told, nor is a plain one believed."""
    told = ("P-Asserted-Identity", "<tel:+31207777777>")
    for carrier, knows in ((TRUSTED, True), (PLAIN, False)):
        world = world_of(carrier, callflow_id="flow", callflows=[FLOW])
        process, agent = world.agent(SEAT.host, SEAT.port), world.agent(CARRIER)
        plan = DialPlan(
            call_id="0ca11000-0000-4000-8000-000000000001",
            account_id=ACCOUNT,
            targets=(NUMBER,),
            hunting=Hunting.PARALLEL,
            ring_seconds=30,
            caller_id=OWN,
        )
        ticket = world.proxy.dials.file(plan, world.now).uri
        process.send(process.request("INVITE", ticket, body=SDP, from_="<sip:a@127.0.0.1>;tag=p"))
        process.gets_response(100)
        agent.answer(agent.gets_request("INVITE"), 200, told, body=SDP)
        assert asserted(process.gets_response(200)) == (["<tel:+31207777777>"] if knows else [])
        world = world_of(carrier)
        pbx, agent = world.agent(PBX), world.agent(CARRIER)
        pbx.send(pbx.invite())
        pbx.gets_response(100)
        agent.answer(agent.gets_request("INVITE"), 200, told, body=SDP)
        assert asserted(pbx.gets_response(200)) == []
