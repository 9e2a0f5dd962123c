"""sipp as the PBX: what a message on the wire must look like, and what happens when it is lost or late."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, hangup, record, say, transfer
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, Platform, account, settings_text
from tests.phone import phone
from tests.sipp import Sipp, caller_arguments, sipp
from voice.records import CallEnded, CallStarted, CallStatus, LegChanged, LegMedia, LegStatus, StepFinished

pytestmark = [pytest.mark.long, pytest.mark.peer]

RunSipp = Callable[..., AbstractAsyncContextManager[Sipp]]


@pytest.fixture
def pbx(tmp_path: Path) -> RunSipp:
    """Runs a scenario against a node: ``async with pbx(here, "call")``."""

    def run(
        here: Platform, scenario: str, *arguments: str, transport: str = "udp", **values: str
    ) -> AbstractAsyncContextManager[Sipp]:
        who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
        return sipp(scenario, here.door(transport), *who, *arguments, folder=tmp_path / "sipp", values=values)

    return run


@pytest.mark.parametrize(("transport", "arguments"), [("udp", []), ("tcp", ["-t", "t1"])], ids=["udp", "tcp"])
async def test_a_call_with_digest_runs_its_callflow(
    node: MakePlatform, pbx: RunSipp, transport: str, arguments: list[str]
) -> None:
    async with node(account(flow=flow(say("Hello.")))) as here:
        async with pbx(here, "call", *arguments, transport=transport) as caller:
            run = await caller.done()
        ended = await here.ended()
        inside = here.inside
    run.check()
    assert ended.status is CallStatus.ENDED
    assert inside not in run.messages, "an inside address reached the PBX"
    assert "x-trunkflow" not in run.messages.lower()


async def test_calls_survive_lost_packets_and_begin_once_each(node: MakePlatform, pbx: RunSipp) -> None:
    calls = 8
    limits = "calls_per_second = 100.0"
    async with node(account(flow=flow(say("Hello.")), limits=limits)) as here:
        # One packet of six is lost, in either direction; what is sent again must not begin a call again.
        # Left alone, sipp gives up after six times, and one call in 1,300 with it.
        patient = ("-max_invite_retrans", "30", "-max_non_invite_retrans", "30")
        async with pbx(here, "call", "-lost", "16", *patient, "-m", str(calls), LINGER="2000") as caller:
            run = await caller.done()
        await here.notes.some(calls, CallEnded)
        begun = here.notes.all(CallStarted)
    run.check()
    assert len(begun) == calls


async def test_a_cancel_while_ringing_reaches_whoever_rings(node: MakePlatform, pbx: RunSipp) -> None:
    async with phone("answer", "--status", "180") as callee:
        target = f"sip:bob@{await callee.address()}"
        async with node(account(flow=flow(transfer(target)))) as here:
            async with pbx(here, "cancel") as caller:
                run = await caller.done()
            assert (await callee.event("state", state="DISCONNECTED"))["status"] == 487
            ended = await here.ended()
            outgoing = await here.notes.first(
                LegChanged, lambda leg: leg.status is LegStatus.NO_ANSWER and leg.sip_status == 487
            )
            await here.idle()
    run.check()
    assert ended.status is CallStatus.NO_ANSWER
    assert "gave up" in ended.reason
    assert outgoing.call_id == ended.call_id


async def test_hold_and_resume_by_reinvite(node: MakePlatform, pbx: RunSipp) -> None:
    async with node(account(flow=flow(record(key=None)))) as here:
        async with pbx(here, "hold") as caller:
            run = await caller.done()
        ended = await here.ended()
    run.check()
    answers = [run.received("SIP/2.0 200", f"{number} INVITE")[0] for number in (3, 4, 5)]
    assert [_direction(answer) for answer in answers] == ["recvonly", "inactive", "sendrecv"]
    assert ended.reason == "the caller hung up"


async def test_an_answer_is_repeated_until_a_late_ack(node: MakePlatform, pbx: RunSipp) -> None:
    async with node(account(flow=flow(say("Hello.")))) as here:
        async with pbx(here, "late_ack") as caller:
            run = await caller.done()
        ended = await here.ended()
        steps = here.notes.all(StepFinished)
    run.check()
    assert len(run.received("SIP/2.0 200", "2 INVITE")) == 3
    assert [step.outcome for step in steps] == ["done"]
    assert ended.status is CallStatus.ENDED


async def test_a_key_by_info_ends_a_recording(node: MakePlatform, pbx: RunSipp) -> None:
    async with node(account(flow=flow(record(key="#")))) as here:
        async with pbx(here, "info_digit") as caller:
            run = await caller.done()
        step = await here.notes.first(StepFinished)
    run.check()
    assert "a key was pressed" in step.detail


async def test_a_session_timer_is_agreed_and_refreshed(node: MakePlatform, pbx: RunSipp) -> None:
    headers = "Supported: timer\nSession-Expires: 90;refresher=uac"
    async with node(account(flow=flow(record(key=None)))) as here:
        async with pbx(here, "session_timer", HEADERS=headers) as caller:
            run = await caller.done()
        media = await here.notes.first(LegMedia)
    run.check()
    for cseq in ("2 INVITE", "3 INVITE", "4 UPDATE"):
        answer = run.received("SIP/2.0 200", cseq)[0]
        assert "Session-Expires: 90;refresher=uac" in answer, answer
    assert media.codec.startswith("PCMA")


async def test_a_session_timer_that_is_too_short_is_refused_with_the_shortest(
    node: MakePlatform, pbx: RunSipp
) -> None:
    headers = "Supported: timer\nSession-Expires: 20"
    async with (
        node(account(flow=flow(record(key=None)))) as here,
        pbx(here, "refused_after_digest", STATUS="422", HEADERS=headers) as caller,
    ):
        run = await caller.done()
    run.check()
    assert "Min-SE: 90" in run.received("SIP/2.0 422")[0]


async def test_an_offer_without_a_codec_of_ours_is_refused_and_ends(node: MakePlatform, pbx: RunSipp) -> None:
    """The media stack refuses it by itself, without the callflow hearing of it."""
    async with node(account(flow=flow(record(key=None)))) as here:
        async with pbx(here, "refused_after_digest", STATUS="488", PAYLOADS="18") as caller:
            run = await caller.done()
        ended = await here.ended()
    run.check()
    assert ended.status is CallStatus.FAILED
    assert "488 Not Acceptable Here" in ended.reason


async def test_early_media_can_be_acknowledged_reliably(node: MakePlatform, pbx: RunSipp) -> None:
    headers = "Supported: 100rel\nRequire: 100rel"
    async with node(account(flow=flow(say("Hello.", early=True), hangup("busy")))) as here:
        async with pbx(here, "prack", STATUS="486", HEADERS=headers) as caller:
            run = await caller.done()
        steps = await here.notes.some(2, StepFinished)
    run.check()
    assert len(run.received("SIP/2.0 183")) == 1, "the 183 was sent again although it was acknowledged"
    assert [step.outcome for step in steps] == ["done", "done"]


async def test_a_refer_is_declined_and_calls_nobody(node: MakePlatform, pbx: RunSipp) -> None:
    async with phone("answer") as target:
        uri = f"sip:victim@{await target.address()}"
        async with node(account(flow=flow(record(key=None)))) as here:
            async with pbx(here, "refer", TARGET=uri) as caller:
                run = await caller.done()
            ended = await here.ended()
        assert not target.heard("incoming")
    run.check()
    assert ended.reason == "the caller hung up"


async def test_options_are_answered(node: MakePlatform, pbx: RunSipp) -> None:
    async with node(account()) as here, pbx(here, "options") as caller:
        run = await caller.done()
    run.check()
    assert "\nAllow: " in run.received("SIP/2.0 200")[0]


async def test_a_call_over_ipv6_runs_its_callflow(node: MakePlatform, tmp_path: Path) -> None:
    settings = settings_text().replace('udp = ["', 'udp = ["[::1]:0", "')
    declared = account(networks=("::1",), flow=flow(say("Hello.")))
    async with node(declared, settings) as here:
        who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
        door = next(door.sent_by for door in here.node.edge.addresses if door.ipv6)
        # Sound stays with IPv4: the address of RTP is configured once for a node.
        async with sipp(
            "call", door, *who, "-mi", "127.0.0.1", folder=tmp_path / "sipp", host="::1"
        ) as caller:
            run = await caller.done()
        ended = await here.ended()
    run.check()
    assert ended.status is CallStatus.ENDED


def _direction(message: str) -> str:
    """Of the sound, as SDP says it."""
    words = ("sendrecv", "sendonly", "recvonly", "inactive")
    (found,) = [word for word in words if f"\na={word}" in message]
    return found
