"""A plain trunk: a PBX's call goes out by a gateway, and everything of it passes both ways."""

from __future__ import annotations

import pytest

from sip_config.model import Transport
from tests.edge.world import (
    CARRIER,
    EDGE,
    NUMBER,
    PBX,
    SDP,
    Agent,
    Dialog,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    gateway,
)
from voice.records import CallChanged, CallEnded, CallStarted, CallStatus, LegChanged, LegStarted, LegStatus
from voice.sip.headers import Headers
from voice.sip.message import Request


@pytest.fixture
def world() -> World:
    return World(directory(gateways=[gateway()]))


@pytest.fixture
def pbx(world: World) -> Agent:
    return world.agent(PBX)


@pytest.fixture
def carrier(world: World) -> Agent:
    return world.agent(CARRIER)


def places_taken(world: World) -> int:
    return len(world.proxy.kernel.limits.calls)


def test_a_call_goes_out_rings_is_answered_and_ends(world: World, pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite())
    assert pbx.gets_response(100).to.tag is None
    invite = carrier.gets_request("INVITE")
    assert invite.uri == f"sip:{NUMBER}@{CARRIER}"
    assert invite.to.uri == f"sip:{NUMBER}@{CARRIER}"
    assert invite.from_.uri == f"sip:+31200000001@{EDGE}"
    assert invite.max_forwards == 69
    assert invite.body == SDP
    carrier.answer(invite, 180)
    ringing = pbx.gets_response(180)
    assert [via.host for via in ringing.vias] == [PBX]
    assert world.said(CallChanged) == []
    answer = carrier.answer(invite, 200, body=SDP)
    ok = pbx.gets_response(200)
    [talking] = world.said(CallChanged)
    assert talking.status is CallStatus.ONGOING
    assert ok.body == SDP
    caller, callee = Dialog.of_caller(pbx, ok), Dialog.of_callee(carrier, invite, answer)
    caller.send("ACK", cseq=1)
    ack = carrier.gets_request("ACK")
    assert ack.uri == carrier.contact
    assert ack.from_.uri == invite.from_.uri
    assert ack.to.tag == "callee"
    callee.send("BYE")
    bye = pbx.gets_request("BYE")
    assert bye.uri == pbx.contact
    assert bye.from_ == ok.to
    assert bye.to == ok.from_
    pbx.answer(bye, 200)
    carrier.gets_response(200)
    for agent in (pbx, carrier):
        agent.gets_nothing()
    assert world.nowhere == []
    [started], [ended] = world.said(CallStarted), world.said(CallEnded)
    assert (started.source, started.destination, started.acl) == ("+31200000001", NUMBER, "office")
    assert (ended.call_id, ended.status, ended.reason) == (
        started.call_id, CallStatus.ENDED, "The called party hung up.",
    )  # fmt: skip
    assert [leg.gateway for leg in world.said(LegStarted)] == [None, "carrier"]
    for leg in world.said(LegStarted):
        states = [change.status for change in world.said(LegChanged) if change.leg_id == leg.leg_id]
        assert states == [LegStatus.RINGING, LegStatus.ONGOING, LegStatus.HANGUP]
    assert places_taken(world) == 0


def test_neither_side_sees_the_address_of_the_other(world: World, pbx: Agent, carrier: Agent) -> None:
    caller, _ = established(pbx, carrier)
    caller.send("INFO")
    info = carrier.gets_request("INFO")
    carrier.answer(info, 200)
    pbx.gets_response(200)
    for dialog in (caller,):
        assert CARRIER not in dialog.target
        assert all(CARRIER not in route for route in dialog.routes)


def test_the_caller_hangs_up_after_the_edge_was_restarted(world: World, pbx: Agent, carrier: Agent) -> None:
    caller, callee = established(pbx, carrier)
    world.restart_edge()
    caller.send("INVITE", body=SDP)
    pbx.gets_response(100)
    reinvite = carrier.gets_request("INVITE")
    answer = carrier.answer(reinvite, 200, body=SDP)
    ok = pbx.gets_response(200)
    assert ok.contact is not None
    caller.target = ok.contact.uri
    caller.send("ACK", cseq=ok.cseq.number)
    assert carrier.gets_request("ACK").cseq.number == answer.cseq.number
    callee.send("UPDATE", body=SDP)
    pbx.answer(pbx.gets_request("UPDATE"), 200)
    carrier.gets_response(200)
    caller.send("BYE")
    carrier.answer(carrier.gets_request("BYE"), 200)
    pbx.gets_response(200)
    assert world.said(CallEnded)[-1].reason == "The caller hung up."


def test_a_refusal_of_the_callee_is_passed_on_and_acknowledged_hop_by_hop(
    world: World, pbx: Agent, carrier: Agent
) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    carrier.answer(arrived, 486)
    assert carrier.gets_request("ACK").via.branch == arrived.via.branch
    busy = pbx.gets_response(486)
    pbx.send(ack_of_failure(invite, busy))
    world.wait(40)
    carrier.gets_nothing()
    pbx.gets_nothing()
    assert world.said(CallEnded)[0].status is CallStatus.BUSY
    assert world.said(CallChanged) == []
    assert places_taken(world) == 0
    assert world.proxy.kernel.layer.sizes == (0, 0)


def test_a_failure_without_ack_is_sent_again(world: World, pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    carrier.answer(carrier.gets_request("INVITE"), 486)
    pbx.gets_response(486)
    world.wait(0.6)
    pbx.gets_response(486)


def test_an_invite_that_comes_again_is_answered_with_the_last_response_and_goes_out_once(
    pbx: Agent, carrier: Agent
) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    carrier.gets_nothing()
    carrier.answer(arrived, 183, body=SDP)
    pbx.gets_response(183)
    pbx.send(invite)
    pbx.gets_response(183)


def test_lost_messages_are_made_up_for(world: World, pbx: Agent, carrier: Agent) -> None:
    """Every message is lost the first time, on both sides of the edge."""
    seen: set[bytes] = set()

    def first_time(data: bytes) -> bool:
        new = data not in seen
        seen.add(data)
        return new

    world.lose = first_time
    invite = pbx.invite()
    pbx.send(invite)
    pbx.send(invite)
    pbx.send(invite)
    pbx.gets_response(100)
    world.wait(1)
    arrived = carrier.gets_request("INVITE")
    answer, *_ = [carrier.answer(arrived, 200, body=SDP) for _ in range(3)]
    ok = pbx.gets_response(200)
    caller = Dialog.of_caller(pbx, ok)
    callee = Dialog.of_callee(carrier, arrived, answer)
    ack = caller.request("ACK", cseq=1)
    world.lose = lambda _data: False
    pbx.send(ack)
    carrier.gets_request("ACK")
    world.lose = first_time
    bye = callee.request("BYE")
    carrier.send(bye)
    carrier.send(bye)
    world.wait(1)
    arrived_bye = pbx.gets_request("BYE")
    for _ in range(2):
        pbx.answer(arrived_bye, 200)
    world.wait(1)
    carrier.send(bye)
    carrier.gets_response(200)
    assert len(world.said(CallStarted)) == len(world.said(CallEnded)) == 1


def test_retransmissions_of_the_answer_pass_until_the_ack(world: World, pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    invite = carrier.gets_request("INVITE")
    for _ in range(3):
        carrier.answer(invite, 200, body=SDP)
        world.wait(2)
    contacts = {pbx.gets_response(200).headers.get("Contact") for _ in range(3)}
    assert len(contacts) == 1
    assert len([leg for leg in world.said(LegChanged) if leg.status is LegStatus.ONGOING]) == 2


def test_cancel_while_it_rings(world: World, pbx: Agent, carrier: Agent) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    carrier.answer(arrived, 180)
    pbx.gets_response(180)
    pbx.send(cancel_of(pbx, invite))
    assert pbx.gets_response(200).cseq.method == "CANCEL"
    cancel = carrier.gets_request("CANCEL")
    assert cancel.via == arrived.via
    assert cancel.uri == arrived.uri
    carrier.answer(cancel, 200)
    carrier.answer(arrived, 487)
    carrier.gets_request("ACK")
    gone = pbx.gets_response(487)
    pbx.send(ack_of_failure(invite, gone))
    world.wait(40)
    pbx.gets_nothing()
    carrier.gets_nothing()
    assert world.said(CallEnded)[0].status is CallStatus.NO_ANSWER
    assert places_taken(world) == 0


def test_cancel_before_the_gateway_said_anything(world: World, pbx: Agent, carrier: Agent) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    pbx.send(cancel_of(pbx, invite))
    pbx.gets_response(200)
    # Nobody knows whether the gateway will ever answer: the caller is told at once.
    pbx.send(ack_of_failure(invite, pbx.gets_response(487)))
    carrier.gets_nothing()
    # Should it be alive after all, its first provisional response brings the CANCEL (RFC 3261 section 9.1).
    carrier.answer(arrived, 180)
    carrier.answer(carrier.gets_request("CANCEL"), 200)
    carrier.answer(arrived, 487)
    carrier.gets_request("ACK")
    pbx.gets_nothing()
    assert len(world.said(CallEnded)) == 1


def test_an_answer_that_crosses_a_cancel_is_hung_up_by_the_edge(pbx: Agent, carrier: Agent) -> None:
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    pbx.send(cancel_of(pbx, invite))
    pbx.gets_response(200)
    pbx.gets_response(487)
    carrier.answer(arrived, 200, body=SDP)
    assert carrier.gets_request("ACK").cseq.number == arrived.cseq.number
    bye = carrier.gets_request("BYE")
    assert bye.uri == carrier.contact
    assert bye.cseq.number == arrived.cseq.number + 1
    assert (bye.from_.tag, bye.to.tag) == (arrived.from_.tag, "callee")
    carrier.answer(bye, 200)
    pbx.gets_nothing()


def test_an_answer_that_crosses_a_cancel_is_passed_on_while_the_caller_waits(
    pbx: Agent, carrier: Agent
) -> None:
    """RFC 3261 section 9.1: the caller gets the 200 and has to hang up by itself."""
    invite = pbx.invite()
    pbx.send(invite)
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    carrier.answer(arrived, 180)
    pbx.gets_response(180)
    pbx.send(cancel_of(pbx, invite))
    pbx.gets_response(200)
    carrier.gets_request("CANCEL")
    answer = carrier.answer(arrived, 200, body=SDP)
    caller = Dialog.of_caller(pbx, pbx.gets_response(200))
    caller.send("ACK", cseq=1)
    carrier.gets_request("ACK")
    caller.send("BYE")
    carrier.answer(carrier.gets_request("BYE"), 200)
    pbx.gets_response(200)
    assert answer.status == 200


def test_a_cancel_after_the_answer_has_no_effect(pbx: Agent, carrier: Agent) -> None:
    invite = pbx.invite()
    established(pbx, carrier, invite)
    pbx.send(cancel_of(pbx, invite))
    assert pbx.gets_response(200).cseq.method == "CANCEL"
    carrier.gets_nothing()


def test_a_cancel_that_cancels_nothing_is_told_so(world: World, pbx: Agent, carrier: Agent) -> None:
    invite = pbx.invite()
    established(pbx, carrier, invite)
    world.wait(40)
    pbx.send(cancel_of(pbx, invite))
    pbx.gets_response(481)
    carrier.gets_nothing()


def test_timer_c_ends_a_call_that_rings_for_ever(world: World, pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    carrier.answer(arrived, 180)
    pbx.gets_response(180)
    world.wait(180)
    carrier.answer(arrived, 180)
    pbx.gets_response(180)
    world.wait(180)
    carrier.gets_nothing()
    world.wait(10)
    carrier.gets_request("CANCEL")
    # It does not even answer the CANCEL: 64*T1 later the call is over (RFC 3261 section 9.1).
    world.wait(33)
    pbx.gets_response(408)
    assert places_taken(world) == 0


def test_a_call_that_nobody_ends_gives_its_place_back_in_the_end(
    pbx: Agent, carrier: Agent, world: World
) -> None:
    world.config = directory(account=an_account(max_call_seconds=60), gateways=[gateway()])
    established(pbx, carrier)
    assert places_taken(world) == 1
    world.wait(61)
    assert places_taken(world) == 0
    assert "longest duration" in world.said(CallEnded)[0].reason


def test_a_bye_that_nobody_answers_ends_the_call_without_a_408(
    pbx: Agent, carrier: Agent, world: World
) -> None:
    caller, _ = established(pbx, carrier)
    caller.send("BYE")
    carrier.gets_request("BYE")
    world.wait(33)
    assert {message.method for message in carrier.inbox if hasattr(message, "method")} == {"BYE"}
    # RFC 4320 section 4.2: whoever sent it has given up at the same time.
    pbx.gets_nothing()
    assert places_taken(world) == 0
    assert len(world.said(CallEnded)) == 1


def test_a_bye_with_a_wrong_tag_neither_passes_nor_frees_the_place(
    pbx: Agent, carrier: Agent, world: World
) -> None:
    caller, _ = established(pbx, carrier)
    caller.remote = caller.remote.replace("tag=callee", "tag=other")
    caller.send("BYE")
    pbx.gets_response(481)
    carrier.gets_nothing()
    assert places_taken(world) == 1


def test_prack_passes_and_its_rack_stays_right(pbx: Agent, carrier: Agent) -> None:
    pbx.send(pbx.invite(NUMBER, ("Supported", "100rel")))
    pbx.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    assert arrived.headers.get("Supported") == "100rel"
    carrier.answer(
        arrived, 183, ("Require", "100rel"), ("RSeq", "7"), ("Record-Route", _rr(arrived)), body=SDP
    )
    progress = pbx.gets_response(183)
    early = Dialog.of_caller(pbx, progress)
    early.send("PRACK", ("RAck", "7 1 INVITE"))
    prack = carrier.gets_request("PRACK")
    assert prack.headers.get("RAck") == "7 1 INVITE"
    carrier.answer(prack, 200)
    assert pbx.gets_response(200).cseq == (2, "PRACK")


def test_the_callee_may_refresh_its_target(pbx: Agent, carrier: Agent, world: World) -> None:
    caller, callee = established(pbx, carrier)
    moved = world.agent(CARRIER, 5070)
    carrier.contact = moved.contact
    callee.send("UPDATE", body=SDP)
    update = pbx.gets_request("UPDATE")
    assert update.contact is not None
    caller.target = update.contact.uri
    pbx.answer(update, 200)
    carrier.gets_response(200)
    caller.send("BYE")
    moved.gets_request("BYE")


def test_a_call_over_tcp_to_a_gateway_over_tcp(world: World) -> None:
    world.config = directory(gateways=[gateway(transport=Transport.TCP)])
    pbx, carrier = world.agent(PBX, 49152, transport="TCP"), world.agent(CARRIER, transport="TCP")
    caller, callee = established(pbx, carrier)
    assert ";transport=tcp" in caller.target
    assert all(";transport=tcp" in route for route in caller.routes)
    callee.send("BYE")
    # By the connection that the caller opened, not to a port where nobody listens.
    pbx.answer(pbx.gets_request("BYE"), 200)
    carrier.gets_response(200)


def test_a_caller_behind_nat_is_reached_where_it_sent_from(world: World, carrier: Agent) -> None:
    pbx = world.agent(PBX, 40000, contact="sip:pbx@192.168.1.20:5060")
    invite = pbx.invite()
    invite.headers.set("Via", "SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bKnat;rport")
    pbx.send(invite)
    trying = pbx.gets_response(100)
    assert trying.via.params["received"] == PBX
    assert trying.via.rport == 40000
    arrived = carrier.gets_request("INVITE")
    answer = carrier.answer(arrived, 200, body=SDP)
    pbx.gets_response(200)
    Dialog.of_callee(carrier, arrived, answer).send("BYE")
    bye = pbx.gets_request("BYE")
    assert bye.uri == "sip:pbx@192.168.1.20:5060"


def test_a_caller_behind_a_proxy_is_reached_through_it(world: World, carrier: Agent) -> None:
    proxy = world.agent(PBX)
    invite = proxy.invite()
    invite.headers.add("Record-Route", f"<sip:{PBX};lr>")
    invite.headers.set("Contact", "<sip:desk@9.9.9.77:5066>")
    proxy.send(invite)
    proxy.gets_response(100)
    arrived = carrier.gets_request("INVITE")
    answer = carrier.answer(arrived, 200, body=SDP)
    ok = proxy.gets_response(200)
    assert [route.uri for route in ok.record_routes][1] == f"sip:{PBX};lr"
    Dialog.of_callee(carrier, arrived, answer).send("BYE")
    bye = proxy.gets_request("BYE")
    assert [route.uri for route in bye.routes] == [f"sip:{PBX};lr"]
    assert bye.uri == "sip:desk@9.9.9.77:5066"


def test_names_that_only_the_customer_may_claim_do_not_cross(pbx: Agent, carrier: Agent) -> None:
    pbx.send(
        pbx.invite(
            NUMBER,
            ("P-Asserted-Identity", "<sip:+31209999999@elsewhere>"),
            ("Remote-Party-ID", "<sip:+31209999999@elsewhere>"),
            ("x-TrunkFlow-Leg", "1"),
            ("X-Other", "stays"),
        )
    )
    arrived = carrier.gets_request("INVITE")
    assert "P-Asserted-Identity" not in arrived.headers
    assert "Remote-Party-ID" not in arrived.headers
    assert "X-Trunkflow-Leg" not in arrived.headers
    assert arrived.headers.get("X-Other") == "stays"


def cancel_of(agent: Agent, invite: Request) -> Request:
    headers = Headers(
        [(name, invite.headers.get(name) or "") for name in ("Via", "Max-Forwards", "From", "To", "Call-ID")]
    )
    headers.add("CSeq", f"{invite.cseq.number} CANCEL")
    return Request("CANCEL", invite.uri, headers)


def _rr(request: Request) -> str:
    return ", ".join(request.headers.values("Record-Route"))
