"""Callers who want to stay unknown: what each Privacy hides, in every message."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_config.admission import Refused
from sip_config.identity_policy import OtherCallers
from sip_config.model import Gateway
from tests.edge.callers import (
    OWN,
    PLAIN,
    POLICY,
    TRUSTED,
    asserted,
    both,
    last_request,
    sent,
    world_of,
)
from tests.edge.world import (
    CARRIER,
    DOMAIN,
    NUMBER,
    PBX,
    SDP,
    Dialog,
    established,
)
from voice.edge.core.identity import caller_from_customer, caller_from_gateway
from voice.edge.core.nameless_sdp import nameless
from voice.sip.errors import SipParseError
from voice.sip.message import Request, Response

TRACES = (
    ("User-Agent", "Robertina's telephone"),
    ("Subject", "Robertina calls"),
    ("Organization", "Robertina Ltd"),
    ("Call-Info", "<http://robertina.example/photo.jpg>"),
    ("Alert-Info", "<http://robertina.example/ring.wav>"),
    ("Reply-To", "<sip:robertina@robertina.example>"),
    ("In-Reply-To", "1@robertina.example"),
    ("Referred-By", "<sip:robertina@robertina.example>"),
    ("Geolocation", "<cid:robertina@robertina.example>"),
    ("Identity", "robertina.robertina.robertina"),
    ("P-Access-Network-Info", "3GPP-UTRAN-TDD;robertina"),
    ("Accept-Language", "robertina"),
    ("Date", "Robertinaday"),
    ("X-Robertina", "robertina"),
    ("Record-Route", "<sip:proxy.robertina.example;lr>"),
    ("Via", "SIP/2.0/UDP telephone.robertina.example;branch=z9hG4bKrobertina"),
)


@pytest.mark.parametrize("privacy", ["user", "header", "user;id", "header; user ;critical", "Header,ID"])
def test_nothing_of_a_caller_that_wants_it_leaks_in_any_message(privacy: str) -> None:
    hides_from = "user" in privacy or "id" in privacy.lower()
    sdp = SDP.replace(b"o=-", b"o=robertina").replace(b"s=-", b"s=Robertina calls")
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    user = OWN if not hides_from else "robertina"
    invite = pbx.request(
        "INVITE",
        f"sip:{NUMBER}@{DOMAIN}",
        ("Privacy", privacy),
        ("P-Asserted-Identity", f'"Robertina" <sip:{OWN}@robertina.example>'),
        *TRACES,
        from_=f'"Robertina" <sip:{user}@robertina.example>;tag=x;epid=robertina',
        call_id="12345@robertina.example",
        body=sdp,
    )
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    answer = carrier.answer(arrived, 180)
    ringing = pbx.gets_response(180)
    assert ringing.call_id == "12345@robertina.example"
    assert [str(via) for via in ringing.vias] == [str(via) for via in invite.vias]
    rr = ("Record-Route", ", ".join(arrived.headers.values("Record-Route")))
    answer = carrier.answer(arrived, 200, rr, body=SDP)
    ok = pbx.gets_response(200)
    assert "sip:proxy.robertina.example;lr" in [route.uri for route in ok.record_routes]
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(carrier, arrived, answer)
    seen: list[Request | Response] = [arrived]

    # As the caller's own proxy would send it on.
    assert caller.routes.pop(0) == "<sip:proxy.robertina.example;lr>"
    caller.send("ACK", *TRACES[:-2], cseq=1)
    seen.append(carrier.gets_request("ACK"))
    world.restart_edge()
    caller.send("INVITE", *TRACES[:-2], body=sdp)
    pbx.gets_response(100)
    seen.append(carrier.gets_request("INVITE"))
    carrier.answer(last_request(seen), 200, body=SDP)
    again = pbx.gets_response(200)
    assert again.call_id == "12345@robertina.example"
    caller.send("ACK", cseq=again.cseq.number)
    seen.append(carrier.gets_request("ACK"))
    # The carrier knows the call by another Call-ID, and its requests find the caller all the same.
    proxy = world.agent("8.8.1.1")
    world.names["proxy.robertina.example"] = [("UDP", "8.8.1.1", 5060)]
    callee.send("INFO")
    info = proxy.gets_request("INFO")
    assert info.call_id == "12345@robertina.example"
    assert [route.uri for route in info.routes] == ["sip:proxy.robertina.example;lr"]
    proxy.answer(info, 200, *TRACES[:-2])
    seen.append(carrier.gets_response(200))
    caller.send("BYE", *TRACES[:-2])
    seen.append(carrier.gets_request("BYE"))
    carrier.answer(last_request(seen), 200)
    assert pbx.gets_response(200).call_id == "12345@robertina.example"
    for message in seen:
        text = message.to_bytes().lower()
        assert b"robertina" not in text, text.decode()
        assert (OWN.encode() not in text) is hides_from, text.decode()
        assert PBX.encode() not in text.partition(b"\r\n\r\n")[0], text.decode()
        assert message.call_id == arrived.call_id
    assert len({message.call_id for message in seen}) == 1


@pytest.mark.parametrize(
    ("asked", "plain", "trusted"),
    [
        ("none, id", None, "id"),
        ("id;session", "session", "id;session"),
        ("none", None, "none"),
        ("user;critical;history", None, "user;history;critical"),
    ],
)
def test_whoever_follows_is_asked_for_what_is_left_to_it(asked: str, plain: str | None, trusted: str) -> None:
    told = sent(("Privacy", asked), carrier=PLAIN).headers.lines("Privacy")
    assert told == ([] if plain is None else [plain])
    assert sent(("Privacy", asked), carrier=TRUSTED).headers.lines("Privacy") == [trusted]


@pytest.mark.parametrize(
    ("privacy", "hidden"), [("full", True), ("uri", True), ("name", False), ("off", False)]
)
def test_remote_party_id_asks_for_privacy_as_well(privacy: str, hidden: bool) -> None:
    arrived = sent(("Remote-Party-ID", f"<sip:{OWN}@x>;privacy={privacy}"), carrier=PLAIN)
    assert (arrived.from_.uri == "sip:anonymous@anonymous.invalid") is hidden


def test_the_trusted_realm_sees_the_traces_of_a_caller() -> None:
    world = world_of(TRUSTED)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite(NUMBER, ("Privacy", "user;id"), TRACES[0])
    invite.body = SDP.replace(b"o=-", b"o=robertina")
    pbx.send(invite)
    arrived = carrier.gets_request("INVITE")
    assert arrived.call_id == invite.call_id
    assert TRACES[0] in [*arrived.headers]
    assert arrived.body == invite.body


@pytest.mark.parametrize("privacy", ["user", "header", "id"])
def test_what_the_caller_answers_to_the_callee_names_nobody_either(privacy: str) -> None:
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, ("Privacy", privacy)))
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    callee = Dialog.of_callee(carrier, arrived, carrier.answer(arrived, 200, body=SDP))
    pbx.gets_response(200)
    callee.send("INVITE", body=SDP)
    carrier.gets_response(100)
    pbx.answer(pbx.gets_request("INVITE"), 200, body=SDP.replace(b"o=-", b"o=robertina"))
    answer = carrier.gets_response(200)
    assert b"IN IP4" in answer.body
    assert b"robertina" not in answer.to_bytes()


NAMING = (
    ("Identity", "robertina.robertina.robertina"),
    ("Reply-To", "<sip:robertina@robertina.example>"),
    ("Referred-By", "<sip:robertina@robertina.example>"),
    ("Call-Info", "<http://robertina.example/photo.jpg>"),
    ("Organization", "Robertina Ltd"),
)


@pytest.mark.parametrize(
    "wish", [("Privacy", "id"), ("Remote-Party-ID", f"<sip:{OWN}@x>;privacy=full"), ("From", "anonymous")]
)
def test_nothing_beside_an_anonymous_from_names_the_caller(wish: tuple[str, str]) -> None:
    """Its own messages later in the call ask for nothing, and are treated alike."""
    wishes = [wish] if wish[0] != "From" else []
    from_ = f'"Robertina" <sip:{OWN}@x>;tag=x' if wishes else "<sip:anonymous@anonymous.invalid>;tag=x"
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite(NUMBER, *wishes, *NAMING, from_=from_)
    invite.body = SDP.replace(b"o=-", b"o=robertina")
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    assert b"o=- 1 1 IN IP4" in arrived.body
    carrier.answer(arrived, 200, ("Record-Route", arrived.headers.get("Record-Route") or ""), body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    caller.send("BYE", *NAMING)
    for message in (arrived, carrier.gets_request("BYE")):
        assert b"robertina" not in message.to_bytes().lower(), message.to_bytes().decode()
    told = sent(*wishes, *NAMING, carrier=TRUSTED, from_=from_)
    assert [name for name, _ in told.headers if name in dict(NAMING)] == [name for name, _ in NAMING]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        ("foo;critical", True),
        ("critical, id, foo", True),
        ("foo", False),
        ("foo;id", False),
        ("id;critical", False),
        ("critical;", False),
    ],
)
def test_privacy_that_nobody_here_knows_is_refused_where_it_is_critical(words: str, refused: bool) -> None:
    world = world_of(TRUSTED)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, ("Privacy", words)))
    if refused:
        pbx.gets_response(500)
        carrier.gets_nothing()
    else:
        carrier.gets_request("INVITE")


@pytest.mark.parametrize("carrier", [PLAIN, TRUSTED], ids=["plain", "trusted"])
def test_a_pbx_may_require_that_privacy_is_honoured(carrier: Gateway) -> None:
    """RFC 3323 section 4.2; whoever follows is not asked, since it may not know the option."""
    arrived = sent(("Proxy-Require", "privacy"), ("Privacy", "id;critical"), carrier=carrier)
    assert "Proxy-Require" not in arrived.headers
    assert arrived.from_.uri == "sip:anonymous@anonymous.invalid"


@pytest.mark.parametrize("length", [128, 129, 255])
def test_a_call_id_too_long_to_be_hidden_leads_back_all_the_same(length: int) -> None:
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite(NUMBER, ("Privacy", "user"), call_id="x" * length))
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    assert len(arrived.contact.uri if arrived.contact else "") < 700
    assert (arrived.call_id == "x" * length) is (length > 128)
    callee = Dialog.of_callee(carrier, arrived, carrier.answer(arrived, 200, body=SDP))
    assert pbx.gets_response(200).call_id == "x" * length
    callee.send("BYE")
    assert pbx.gets_request("BYE").call_id == "x" * length


def test_routes_too_long_to_be_hidden_lead_back_all_the_same() -> None:
    """A token that held them would be longer than peers take in a Contact."""
    world = world_of(PLAIN)
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    route = f"sip:{'x' * 300}@proxy.robertina.example;lr"
    pbx.send(pbx.invite(NUMBER, ("Privacy", "user"), ("Record-Route", f"<{route}>")))
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    assert len(arrived.contact.uri if arrived.contact else "") < 700
    assert route in [one.uri for one in arrived.record_routes]


NAMES = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy", "From")
PIECES = st.sampled_from(
    [
        '"',
        "<",
        ">",
        ",",
        ";",
        "sip:",
        "tel:",
        OWN,
        "0201111111",
        "@",
        "x",
        "%",
        "%41",
        "robertina",
        "party=",
        "calling",
        "privacy=",
        "full",
        "phone-context=",
        "+31",
        "id",
        "none",
        "critical",
        " ",
        "\\",
        "é",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.lists(PIECES, max_size=8).map("".join)), max_size=5))
def test_whatever_is_claimed_nobody_is_believed_another_number(claims: list[tuple[str, str]]) -> None:
    request = Request("INVITE", f"sip:{NUMBER}@{DOMAIN}")
    request.headers.add("From", "<sip:x@y>;tag=x")
    for name, value in claims:
        if name == "From":
            request.headers.set(name, value)
        else:
            request.headers.add(name, value)
    try:
        request.from_  # noqa: B018 - a From that cannot be read never comes as far
    except SipParseError:
        return
    for others in OtherCallers:
        caller = caller_from_customer(request, replace(POLICY, others=others), lambda e164: e164 == OWN, None)
        if isinstance(caller, Refused):
            assert others is OtherCallers.REFUSE
            continue
        assert caller.asserted in (None, OWN)
        if others is not OtherCallers.PASS:
            assert caller.shown in (None, OWN)
        if caller.privacy.hides_caller:
            assert caller.shown is None
    caller_from_gateway(request, "NL", trusted=True)


@given(
    st.lists(
        st.sampled_from(
            [
                b"v=0",
                b"o=robertina 1 1 IN IP4 h.robertina",
                b"s=robertina",
                b"i=robertina",
                b"e=robertina",
                b"a=x",
                b"",
            ]
        )
    )
)
def test_a_session_description_keeps_its_lines_and_loses_its_names(lines: list[bytes]) -> None:
    body = b"\r\n".join([b"v=0", *lines, b""])
    assert b"robertina" not in nameless(body)
    assert nameless(body).count(b"a=x\r\n") == lines.count(b"a=x")
    assert nameless(b"i=robertina\r\n") == b"i=robertina\r\n"


@pytest.mark.parametrize(
    ("carrier", "privacy"), [(PLAIN, "user"), (TRUSTED, "id")], ids=["leaves no traces", "is told"]
)
def test_a_bye_of_the_edge_itself_says_of_the_caller_what_the_call_said(
    carrier: Gateway, privacy: str
) -> None:
    world = world_of(carrier, most_seconds=60)
    pbx, agent = world.agent(PBX), world.agent(CARRIER)
    invite = pbx.invite(
        NUMBER, ("Privacy", privacy), from_=f"<sip:{OWN}@{DOMAIN}>;tag=x", call_id="1@robertina"
    )
    caller, callee = established(pbx, agent, invite)
    world.wait(61)
    up, down = pbx.gets_request("BYE"), agent.gets_request("BYE")
    assert (up.call_id, down.call_id) == (caller.call_id, callee.call_id)
    assert (down.call_id == up.call_id) is (carrier is TRUSTED)
    assert asserted(down) == (both(OWN) if carrier is TRUSTED else [])
    assert down.headers.get("Privacy") == ("id" if carrier is TRUSTED else None)
    assert asserted(up) == []
