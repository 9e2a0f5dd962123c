"""What fuzzing found: `found/*.bin` are inputs of `bench.fuzz_core`, the rest says it in plain messages.

An input means something only to the `bench.fuzz_core` that it was found with; when that changes, the plain
messages stay.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fuzz_core import Stage, Violation
from tests.edge.world import CARRIER, PBX, SDP, World, an_account, directory, established, gateway
from voice.records import CallEnded, Refusal
from voice.sip.builders import make_cancel
from voice.sip.mandatory import MAX_CSEQ
from voice.sip.message import parse_message

FOUND = sorted((Path(__file__).parent / "found").glob("*.bin"))
BAD_CONTACTS = (
    "<sip:9.9.9.9:506application/sdp0>",
    "<sip:x@9.9.9.9:99999>",
    "<http://9.9.9.9/>",
    "<sip:[::1>",
    "nonsense",
    "*",
    "",
)


@pytest.mark.parametrize("digest", [False, True])
@pytest.mark.parametrize("path", FOUND, ids=lambda path: str(path.stem))
def test_found_input(path: Path, digest: bool) -> None:
    stage = Stage(digest=digest)
    stage.run(path.read_bytes())
    stage.settle()
    stage.good_call()
    stage.settle()


def test_the_stage_can_find() -> None:
    stage = Stage(digest=False)
    stage.world.proxy.bugs = 1
    with pytest.raises(Violation, match="bug of its own"):
        stage.check()


@pytest.fixture
def world() -> World:
    return World(directory(account=an_account(max_call_seconds=60), gateways=[gateway()]))


@pytest.mark.parametrize("contact", BAD_CONTACTS)
def test_a_call_whose_contact_cannot_be_followed_leaves_nothing(world: World, contact: str) -> None:
    pbx = world.agent(PBX)
    invite = pbx.invite()
    invite.headers.set("Contact", contact)
    pbx.send(invite)
    assert pbx.gets_response(400).reason.startswith("Contact: ")
    pbx.gets_nothing()
    assert world.proxy.kernel.layer.sizes == (0, 0)
    assert not world.proxy.kernel.limits.calls
    world.wait(10)
    assert [refusal.rule for refusal in world.said(Refusal)] == ["Contact"]


@pytest.mark.parametrize("contact", BAD_CONTACTS)
def test_an_answer_whose_contact_cannot_be_followed_is_a_failure(world: World, contact: str) -> None:
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    pbx.send(pbx.invite())
    pbx.gets_response(100)
    invite = carrier.gets_request("INVITE")
    carrier.contact = contact.strip("<>")
    carrier.answer(invite, 200, body=SDP)
    assert "cannot be read" in pbx.gets_response(502).reason
    world.wait(100)
    assert world.proxy.kernel.layer.sizes == (0, 0)
    assert len(world.said(CallEnded)) == 1


def test_a_cancelled_call_is_cancelled_further_on_whatever_rings_there(world: World) -> None:
    """A CANCEL waits for the first provisional response, and that one need not make sense otherwise."""
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    asked = pbx.invite()
    pbx.send(asked)
    pbx.gets_response(100)
    invite = carrier.gets_request("INVITE")
    pbx.send(make_cancel(asked))
    carrier.contact = "nonsense"
    carrier.answer(invite, 180)
    carrier.gets_request("CANCEL")


def test_a_request_in_a_call_whose_contact_cannot_be_followed_changes_nothing(world: World) -> None:
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    caller, callee = established(pbx, carrier)
    update = caller.request("UPDATE", body=SDP)
    update.headers.set("Contact", BAD_CONTACTS[0])
    pbx.send(update)
    pbx.gets_response(400)
    callee.send("BYE")
    assert pbx.gets_request("BYE").uri == pbx.contact


def test_to_is_not_a_star(world: World) -> None:
    pbx = world.agent(PBX)
    pbx.send(pbx.request("OPTIONS", "sip:x@sip.example.com", to="*"))
    [refused] = pbx.unreadable
    assert refused.startswith(b"SIP/2.0 400 To: ")


def test_the_bye_of_the_edge_counts_no_further_than_there_are_numbers(world: World) -> None:
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    caller, _ = established(pbx, carrier)
    caller.send("INFO", cseq=MAX_CSEQ)
    info = carrier.gets_request("INFO")
    assert info.cseq.number == MAX_CSEQ
    carrier.answer(info, 200)
    pbx.gets_response(200)
    world.wait(61)
    for agent in (pbx, carrier):
        bye = agent.gets_request("BYE")
        assert parse_message(bye.to_bytes()).cseq.number <= MAX_CSEQ
        assert not agent.unreadable


def test_an_ack_without_hops_left_goes_no_further(world: World) -> None:
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    caller, _ = established(pbx, carrier)
    ack = caller.request("ACK")
    ack.headers.set("Max-Forwards", "0")
    pbx.send(ack)
    carrier.gets_nothing()
    ack.headers.set("Max-Forwards", "1")
    pbx.send(ack)
    assert carrier.gets_request("ACK").max_forwards == 0
