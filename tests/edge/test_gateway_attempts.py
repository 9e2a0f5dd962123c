"""One attempt after another: failover codes, times, limits, redirections, header rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sip_config.gateway_options import CallerIdFormat, GatewayOptions, HeaderRules
from sip_config.model import Gateway, NumberFormat, Transport
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    NUMBER,
    PBX,
    SDP,
    SEAT,
    Agent,
    Dialog,
    World,
    ack_of_failure,
    directory,
    established,
    gateway,
)
from voice.edge.core.redirects import follow
from voice.edge.core.targets import Hop, Target
from voice.pool.orders import DialPlan, Hunting
from voice.records import Event, LegChanged, LegStarted
from voice.sip.message import Response
from voice.sip.respond import make_response

THIRD = "1.2.3.4"
CALL = "0ca11000-0000-4000-8000-000000000001"


def first(**options: Any) -> Gateway:
    return gateway("first", CARRIER, priority=10, options=GatewayOptions(**options))


SECOND = gateway("second", CARRIER2, priority=20)


def calling(*gateways: Gateway) -> tuple[World, Agent, Agent, Agent]:
    world = World(directory(gateways=gateways))
    return world, world.agent(PBX), world.agent(CARRIER), world.agent(CARRIER2)


def dialling(*gateways: Gateway) -> tuple[World, Agent, Agent, Agent]:
    """The PBX's INVITE is on its way."""
    world, pbx, one, two = calling(*gateways)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    return world, pbx, one, two


# -- which responses lead to the next ------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "status", "goes_on"),
    [
        (("404", "5xx"), 404, True),
        (("404", "5xx"), 403, False),
        (("4xx",), 486, True),
        (("404",), 503, False),
        (("503",), 503, True),
        (("503",), 500, False),
        (("603",), 603, True),
        (("5xx",), 603, False),
    ],
)
def test_the_gateway_says_which_responses_lead_to_the_next(
    listed: tuple[str, ...], status: int, goes_on: bool
) -> None:
    _, pbx, one, two = dialling(first(failover=listed), SECOND)
    one.answer(one.gets_request("INVITE"), status)
    one.gets_request("ACK")
    if goes_on:
        two.answer(two.gets_request("INVITE"), 200, body=SDP)
        pbx.gets_response(200)
    else:
        two.gets_nothing()
        assert isinstance(pbx.inbox[0], Response)
        assert pbx.inbox[0].status == (500 if status == 503 else status)


# -- how long an attempt may take ----------------------------------------------------------------


def test_a_gateway_that_does_not_ring_in_time_gets_cancel_and_the_next_is_tried() -> None:
    world, pbx, one, two = dialling(first(ringing_seconds=8.0), SECOND)
    invite = one.gets_request("INVITE")
    one.answer(invite, 100)
    world.wait(7.9)
    two.gets_nothing()
    world.wait(0.2)
    cancel = one.gets_request("CANCEL")
    one.answer(cancel, 200)
    one.answer(invite, 487)
    one.gets_request("ACK")
    two.answer(two.gets_request("INVITE"), 200, body=SDP)
    pbx.gets_response(200)
    pbx.gets_nothing()
    assert world.said(LegChanged)[0].sip_status == 408


@pytest.mark.parametrize("status", [180, 183])
def test_ringing_and_early_media_are_in_time(status: int) -> None:
    world, pbx, one, two = dialling(first(ringing_seconds=8.0), SECOND)
    one.answer(one.gets_request("INVITE"), status)
    pbx.gets_response(status)
    world.wait(60)
    two.gets_nothing()
    one.gets_nothing()


def test_a_gateway_that_does_not_answer_in_time_is_left_for_the_next() -> None:
    world, pbx, one, two = dialling(first(total_seconds=20.0), SECOND)
    invite = one.gets_request("INVITE")
    one.answer(invite, 180)
    pbx.gets_response(180)
    world.wait(10)
    one.answer(invite, 180)
    world.wait(10.1)
    one.gets_request("CANCEL")
    two.gets_request("INVITE")


def test_the_last_gateway_that_does_not_answer_in_time_ends_the_call() -> None:
    world, pbx, one, _ = dialling(first(total_seconds=20.0))
    one.answer(one.gets_request("INVITE"), 180)
    pbx.gets_response(180)
    world.wait(20.1)
    one.gets_request("CANCEL")
    pbx.gets_response(408)


def test_the_total_counts_from_the_first_invite_also_when_nothing_comes() -> None:
    world, _, one, two = dialling(first(total_seconds=2.0), SECOND)
    one.gets_request("INVITE")
    world.wait(2.1)
    two.gets_request("INVITE")


def test_silence_is_no_ringing_either() -> None:
    world, _, one, two = dialling(first(ringing_seconds=2.0), SECOND)
    one.gets_request("INVITE")
    world.wait(1.8)
    two.gets_nothing()
    world.wait(0.3)
    two.gets_request("INVITE")


@pytest.mark.parametrize(
    ("options", "status"),
    [({"ringing_seconds": 8.0}, 100), ({"total_seconds": 8.0}, 180), ({"total_seconds": 8.0}, None)],
)
def test_all_addresses_of_a_gateway_have_its_time_together(
    options: dict[str, Any], status: int | None
) -> None:
    """The first address says nothing for six seconds, the second has what is left, a third none."""
    named = gateway("named", "sip.carrier.example", priority=1, options=GatewayOptions(**options))
    world, pbx, one, two = calling(named, gateway("other", THIRD, priority=20))
    third, last = world.agent(THIRD), world.agent("1.2.3.5")
    world.names["sip.carrier.example"] = [("UDP", host, 5060) for host in (CARRIER, CARRIER2, "1.2.3.5")]
    pbx.send(pbx.invite())
    one.gets_request("INVITE")
    world.wait(6.1)
    invite = two.gets_request("INVITE")
    if status is not None:
        two.answer(invite, status)
    world.wait(1.7)
    third.gets_nothing()
    world.wait(0.3)
    third.gets_request("INVITE")
    last.gets_nothing()
    failures = world.proxy.kernel.gateway_health.view(named, world.now).failures
    assert failures == (1 if status is None else 0)


# -- limits --------------------------------------------------------------------------------------


def test_a_gateway_with_as_many_calls_as_it_may_have_is_passed_over() -> None:
    world, pbx, one, two = calling(first(concurrent_calls=1), SECOND)
    caller, _ = established(pbx, one)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    one.gets_nothing()
    two.answer(two.gets_request("INVITE"), 486)
    refused = pbx.gets_response(486)
    assert refused.status == 486
    two.gets_request("ACK")
    passed = world.said(LegChanged)[-3]
    assert passed.sip_status == 503
    assert passed.sip_reason == "Gateway first has as many calls as it may (1)"

    caller.send("BYE")
    one.answer(one.gets_request("BYE"), 200)
    pbx.gets_response(200)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    one.gets_request("INVITE")


def test_of_many_gateways_that_are_full_a_bounded_number_leaves_records() -> None:
    many = [
        gateway(f"g{number}", CARRIER, priority=number, options=GatewayOptions(concurrent_calls=0))
        for number in range(600)
    ]
    world = World(directory(gateways=many))
    pbx = world.agent(PBX)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    pbx.gets_response(500)
    tried = [record.gateway for record in world.said(LegStarted) if record.gateway is not None]
    assert tried == [f"g{number}" for number in range(32)]


@pytest.mark.parametrize("status", [404, 486, 503, 603])
def test_a_call_that_failed_gives_its_place_back(status: int) -> None:
    world, pbx, one, _ = calling(first(concurrent_calls=1))
    for _ in range(3):
        invite = pbx.invite()
        pbx.send(invite)
        pbx.gets_response(100)
        one.answer(one.gets_request("INVITE"), status)
        one.gets_request("ACK")
        refused = pbx.gets_response(500 if status == 503 else status)
        pbx.send(ack_of_failure(invite, refused))
    assert world.proxy.kernel.gateway_places.taken("first") == 0


def test_a_cancelled_call_gives_its_place_back() -> None:
    world, pbx, one, _ = calling(first(concurrent_calls=1))
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = one.gets_request("INVITE")
    one.answer(arrived, 180)
    pbx.gets_response(180)
    assert world.proxy.kernel.gateway_places.taken("first") == 1
    cancel = invite.copy()
    cancel.method = "CANCEL"
    cancel.headers.set("CSeq", "1 CANCEL")
    pbx.send(cancel)
    one.answer(one.gets_request("CANCEL"), 200)
    one.answer(arrived, 487)
    assert world.proxy.kernel.gateway_places.taken("first") == 0


def test_a_gateway_that_was_given_as_many_calls_per_second_as_it_may_is_passed_over() -> None:
    world, pbx, one, two = calling(first(calls_per_second=2.0), SECOND)
    for _ in range(3):
        pbx.send(pbx.invite())
    assert len([one.gets_request("INVITE") for _ in range(2)]) == 2
    one.gets_nothing()
    two.gets_request("INVITE")
    two.inbox.clear()
    world.wait(0.51)
    one.inbox.clear()
    two.inbox.clear()
    pbx.send(pbx.invite())
    one.gets_request("INVITE")


def test_a_gateway_that_is_given_up_and_answers_late_takes_its_place_after_all() -> None:
    world, pbx, one, two = dialling(replace(first(concurrent_calls=5), attempt_seconds=3.0), SECOND)
    late = one.gets_request("INVITE")
    world.wait(3.1)
    two.answer(two.gets_request("INVITE"), 180)
    assert world.proxy.kernel.gateway_places.taken("first") == 0
    one.answer(late, 200, body=SDP)
    assert world.proxy.kernel.gateway_places.taken("first") == 1
    assert pbx.inbox


def test_an_answer_that_comes_again_after_the_end_takes_no_place() -> None:
    world, pbx, one, _ = calling(first(concurrent_calls=1))
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    invite = one.gets_request("INVITE")
    answer = one.answer(invite, 200, body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    one.send(answer)
    assert world.proxy.kernel.gateway_places.taken("first") == 1
    caller.send("BYE", cseq=2)
    one.answer(one.gets_request("BYE"), 200)
    assert world.proxy.kernel.gateway_places.taken("first") == 0
    one.send(answer)
    assert world.proxy.kernel.gateway_places.taken("first") == 0


def dialling_out(world: World) -> tuple[Agent, Dialog, Agent]:
    """A call process that has reached a carrier; the process, its end of the dialog, the carrier."""
    process, carrier = world.agent(SEAT.host, SEAT.port), world.agent(CARRIER)
    plan = DialPlan(
        call_id=CALL,
        account_id=ACCOUNT,
        targets=(NUMBER,),
        hunting=Hunting.PARALLEL,
        ring_seconds=30,
        caller_id="+31200000001",
    )
    ticket = world.proxy.dials.file(plan, world.now).uri
    inside = "<sip:any@127.0.0.1>"
    process.send(process.request("INVITE", ticket, body=SDP, from_=f"{inside};tag=p", to=inside))
    process.gets_response(100)
    carrier.answer(carrier.gets_request("INVITE"), 200, body=SDP)
    ok = process.gets_response(200)
    dialog = Dialog.of_caller(process, ok)
    dialog.send("ACK", cseq=ok.cseq.number)
    carrier.gets_request("ACK")
    return process, dialog, carrier


def test_a_leg_that_a_callflow_hangs_up_gives_its_place_back_while_the_call_goes_on() -> None:
    world = World(directory(gateways=[first(concurrent_calls=5)]))
    _, dialog, carrier = dialling_out(world)
    assert world.proxy.kernel.gateway_places.taken("first") == 1
    dialog.send("BYE")
    carrier.answer(carrier.gets_request("BYE"), 200)
    assert world.proxy.kernel.gateway_places.taken("first") == 0


def test_a_callflow_call_that_ends_without_a_bye_gives_the_places_of_its_legs_back() -> None:
    world = World(directory(gateways=[first(concurrent_calls=5)]))
    dialling_out(world)
    world.proxy.calls.ended(CALL, world.now)
    assert world.proxy.kernel.gateway_places.taken("first") == 0


# -- redirections --------------------------------------------------------------------------------


def redirected(contact: str, *gateways: Gateway) -> tuple[World, Agent, Agent, Agent]:
    world, pbx, one, two = dialling(first(), *gateways)
    one.answer(one.gets_request("INVITE"), 302, ("Contact", contact))
    one.gets_request("ACK")
    return world, pbx, one, two


def test_a_redirection_is_followed_to_a_gateway_of_ours() -> None:
    other = gateway("other", CARRIER2, priority=99, number_format=NumberFormat.PLAIN, port=5080)
    world = World(directory(gateways=[first(), gateway("second", THIRD, priority=20), other]))
    pbx, one, third, two = (world.agent(host) for host in (PBX, CARRIER, THIRD, CARRIER2))
    far = world.agent(CARRIER2, 5080)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    one.answer(one.gets_request("INVITE"), 302, ("Contact", f"<sip:{NUMBER}@{CARRIER2}:5080>"))
    third.gets_nothing()
    two.gets_nothing()
    invite = far.gets_request("INVITE")
    assert invite.uri == f"sip:{NUMBER[1:]}@{CARRIER2}:5080", "the gateway is asked as it is configured"
    far.answer(invite, 200, body=SDP)
    pbx.gets_response(200)
    assert [leg.gateway for leg in world.said(LegStarted)] == [None, "first", "other"]


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"number_format": NumberFormat.NATIONAL, "options": {"country": "NL"}}, "0201234567"),
        ({"number_format": NumberFormat.NATIONAL, "options": {"country": "NL"}}, "31201234567"),
        ({"number_format": NumberFormat.PLAIN, "options": {"add_prefix": "1234#"}}, "1234%2331201234567"),
        ({"number_format": NumberFormat.PLAIN, "options": {"country": "NL"}}, "0201234567"),
    ],
)
def test_a_gateway_redirects_in_its_own_number_format(wanted: dict[str, Any], named: str) -> None:
    options = GatewayOptions(**wanted["options"])
    by = gateway("by", CARRIER, priority=1, number_format=wanted["number_format"], options=options)
    world, _, one, two = dialling(by, gateway("third", THIRD, priority=5), SECOND)
    one.answer(one.gets_request("INVITE"), 302, ("Contact", f"<sip:{named}@{CARRIER2}>"))
    assert two.gets_request("INVITE").sip_uri.username == NUMBER
    assert world.said(Event) == []


def test_of_several_contacts_the_best_goes_first() -> None:
    world = World(
        directory(gateways=[first(), SECOND, gateway("third", THIRD, priority=30)]),
    )
    pbx, one, two, third = (world.agent(host) for host in (PBX, CARRIER, CARRIER2, THIRD))
    pbx.send(pbx.invite())
    contacts = f"<sip:{CARRIER2}>;q=0.2, <sip:{THIRD}>;q=0.9"
    one.answer(one.gets_request("INVITE"), 300, ("Contact", contacts))
    third.answer(third.gets_request("INVITE"), 503)
    two.gets_request("INVITE")
    assert pbx.inbox


@pytest.mark.parametrize(
    "contact",
    [
        f"<sip:{NUMBER}@6.6.6.6>",
        f"<sip:{NUMBER}@{CARRIER2}:5999>",
        f"<sip:{NUMBER}@{CARRIER}>",
        f"<sip:+31900123456@{CARRIER2}>",
        "<tel:+31201234567>",
        "<sips:x@1.0.0.1>",
        "mumble mumble",
    ],
)
def test_a_redirection_to_anything_else_is_a_failure_with_a_record(contact: str) -> None:
    world, _, _, two = redirected(contact, SECOND)
    two.gets_request("INVITE")
    assert world.nowhere == []
    (event,) = world.said(Event)
    assert event.kind == "gateway-redirect-refused"
    assert event.call_id == world.said(LegStarted)[0].call_id
    assert "add it as a gateway" in event.detail


@pytest.mark.parametrize(("transport", "followed"), [(Transport.TLS, True), (Transport.UDP, False)])
def test_a_redirection_does_not_lead_out_of_tls(transport: Transport, followed: bool) -> None:
    by = gateway("by", CARRIER, transport=Transport.TLS, port=5061)
    other = gateway("other", CARRIER2, transport=transport, port=5061)
    kernel = World(directory(gateways=[by, other])).proxy.kernel
    target = Target(name=NUMBER, by_gateway=lambda one: Hop(uri="sip:x", gateway=one))
    moved = make_response(Agent(World(directory()), PBX, 5060, "UDP", None).invite(), 302)
    moved.headers.add("Contact", f"<sip:{CARRIER2}:5061>")
    assert (follow(kernel, target, by, moved, ACCOUNT) is None) == followed
    assert target.gateways == ([other] if followed else [])


def test_a_redirection_that_leads_nowhere_is_not_passed_to_the_caller() -> None:
    _, pbx, _, _ = redirected("<sip:6.6.6.6>")
    assert "Contact" not in pbx.gets_response(502).headers


def test_gateways_that_redirect_to_each_other_are_tried_once_each() -> None:
    world, pbx, one, two = redirected(f"<sip:{CARRIER2}>", SECOND)
    two.answer(two.gets_request("INVITE"), 302, ("Contact", f"<sip:{CARRIER}>"))
    one.gets_nothing()
    pbx.gets_response(502)
    assert len(world.said(Event)) == 1


def test_a_gateway_that_redirects_is_not_tried_at_its_other_addresses() -> None:
    named = gateway("named", "sip.carrier.example", priority=1)
    world, pbx, one, two = calling(named, gateway("third", THIRD, priority=20))
    third = world.agent(THIRD)
    world.names["sip.carrier.example"] = [("UDP", CARRIER, 5060), ("UDP", CARRIER2, 5060)]
    pbx.send(pbx.invite())
    one.answer(one.gets_request("INVITE"), 302, ("Contact", "<sip:6.6.6.6>"))
    two.gets_nothing()
    third.gets_request("INVITE")


def test_a_chain_of_redirections_ends_with_the_gateways() -> None:
    hosts = [f"1.2.3.{last}" for last in range(1, 9)]
    world = World(directory(gateways=[gateway(host, host, priority=at) for at, host in enumerate(hosts)]))
    pbx, *agents = (world.agent(host) for host in (PBX, *hosts))
    pbx.send(pbx.invite())
    for _ in agents:
        contacts = ", ".join(f"<sip:{host}>" for host in reversed(hosts))
        asked = next(one for one in agents if one.inbox)
        asked.answer(asked.gets_request("INVITE"), 302, ("Contact", contacts))
        asked.gets_request("ACK")
    pbx.gets_response(100)
    pbx.gets_response(502)
    tried = [leg.gateway for leg in world.said(LegStarted) if leg.gateway]
    assert sorted(tried) == sorted(hosts)


# -- what the gateway sees -----------------------------------------------------------------------


def test_header_fields_are_changed_by_the_gateways_rules() -> None:
    rules = HeaderRules(
        remove=("X-Secret",),
        replace=(("User-Agent", "trunkflow"), ("Subject", "none")),
        add=(("X-Trunk", "4711"), ("X-Trunk", "4712")),
    )
    _, pbx, one, _ = calling(first(headers=rules))
    pbx.send(pbx.invite(NUMBER, ("User-Agent", "PBX 1.0"), ("X-Secret", "a"), ("X-Secret", "b")))
    headers = one.gets_request("INVITE").headers
    assert headers.get("User-Agent") == "trunkflow"
    assert "X-Secret" not in headers
    assert "Subject" not in headers
    assert headers.lines("X-Trunk") == ["4711", "4712"]


def test_a_prefix_in_front_of_the_number_is_escaped_where_it_must_be() -> None:
    carrier = replace(first(add_prefix="99#"), number_format=NumberFormat.PLAIN)
    _, _, one, _ = dialling(carrier)
    invite = one.gets_request("INVITE")
    assert invite.uri == f"sip:99%23{NUMBER[1:]}@{CARRIER}"
    assert invite.sip_uri.username == f"99#{NUMBER[1:]}"


@pytest.mark.parametrize(
    ("how", "header"),
    [
        (CallerIdFormat.FROM, None),
        (CallerIdFormat.PAI, "P-Asserted-Identity"),
        (CallerIdFormat.RPID, "Remote-Party-ID"),
        (CallerIdFormat.NONE, None),
    ],
)
def test_the_caller_is_shown_where_the_gateway_looks(how: CallerIdFormat, header: str | None) -> None:
    _, _, one, _ = dialling(first(caller_id_format=how))
    invite = one.gets_request("INVITE")
    for name in ("P-Asserted-Identity", "Remote-Party-ID"):
        assert (name in invite.headers) == (name == header)
    if header is not None:
        assert "sip:+31200000001@" in (invite.headers.get(header) or "")
    anonymous = "sip:anonymous@anonymous.invalid"
    assert (invite.from_.uri == anonymous) == (how is CallerIdFormat.NONE)
