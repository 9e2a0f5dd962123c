"""Calls that are connected with somebody else: through gateways, by SIP URI, one of several."""

from __future__ import annotations

from pathlib import Path

from tests.audio import listen, read_wav
from tests.e2e.conftest import MakePlatform, Voices
from tests.e2e.ears import CLEAR, hears
from tests.e2e.flows import dial, flow, say, transfer
from tests.e2e.node import account, gateway, stored, trunkflow
from tests.phone import Phone, phone
from voice.records import CallStatus, LegChanged, LegStatus, StepFinished, StepStarted

SALES = "+31207654321"
LOCAL_HOLD, ACTIVE = 2, 1
"""pjsua2's words for the state of a telephone's sound."""


async def test_a_transfer_by_a_gateway_carries_sound_both_ways_and_is_all_on_record(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    caller_heard, callee_heard = tmp_path / "caller.wav", tmp_path / "callee.wav"
    async with phone(
        "answer", "--status", "180", "--play", voices(600), "--record", str(callee_heard)
    ) as callee:
        gateways = gateway("carrier", await callee.address(), 'prefixes = ["3120"]') + gateway(
            "elsewhere", "127.0.0.1:9", 'prefixes = ["31"]'
        )
        async with node(account(flow=flow(transfer(SALES))) + gateways) as here:
            async with here.pbx("--play", voices(1000), "--record", str(caller_heard)) as caller:
                invite = (await callee.event("incoming"))["invite"]
                await caller.event("state", status=180)
                await callee.do("answer", "200")
                await hears(caller_heard, 600)
                await hears(callee_heard, 1000)
                await caller.do("digits", "5")
                await callee.event("digit", digit="5")
                await callee.do("hangup")
                assert await caller.ended() == 200
            assert await callee.ended() == 200
            ended = await here.ended()
            inside = here.inside
        shown = await trunkflow("calls", "show", ended.call_id, config=here.config)
        history = await stored(here.settings, ended.call_id)
    assert invite.startswith(f"INVITE sip:{SALES}@127.0.0.1:")
    assert "x-trunkflow" not in invite.lower()
    assert inside not in invite
    assert ended.reason == f"{SALES} hung up."
    incoming, outgoing = history.legs
    assert (outgoing.gateway, outgoing.destination, outgoing.sip_status) == ("carrier", SALES, 200)
    assert None not in (outgoing.ringing_at, outgoing.answered_at, outgoing.ended_at)
    for leg in (incoming, outgoing):
        assert leg.status == LegStatus.HANGUP
        assert (leg.received_packets or 0) > 20
        assert (leg.sent_packets or 0) > 20
    for line in ("leg 1", "leg 2", "by gateway carrier", "ringing", "transfer transfer1 answered"):
        assert line in shown
    assert shown.count("PCMA/8000") == 2, "the media statistics of both legs"


async def test_hold_and_resume_in_a_transfer_to_a_sip_uri_until_the_caller_hangs_up(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    caller_heard, callee_heard = tmp_path / "caller.wav", tmp_path / "callee.wav"
    sound = ("--play", voices(600), "--record", str(callee_heard), "--codec", "PCMU")
    async with phone("answer", *sound) as callee:
        target = f"sip:bob@{await callee.address()}"
        async with node(account(flow=flow(transfer(target)))) as here:
            sound = ("--play", voices(1000), "--record", str(caller_heard), "--codec", "G722")
            async with here.pbx(*sound) as caller:
                await hears(caller_heard, 600)
                await hears(callee_heard, 1000)
                for one in (caller, callee):
                    await one.do("hold")
                    await one.event("media", status=LOCAL_HOLD)
                    await one.do("resume")
                    await one.event("media", nth=2, status=ACTIVE)
                    await hears(caller_heard, 600, after=_samples(caller_heard))
                    await hears(callee_heard, 1000, after=_samples(callee_heard))
                await caller.do("hangup")
                assert await caller.ended() == 200
            assert await callee.ended() == 200
            ended = await here.ended()
            step = await here.notes.first(StepFinished)
    assert ended.reason == "the caller hung up"
    assert step.outcome == "answered"


async def test_a_busy_callee_lets_the_next_step_speak(node: MakePlatform, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--status", "486") as callee:
        target = f"sip:bob@{await callee.address()}"
        async with node(account(flow=flow(transfer(target), say()))) as here:
            async with here.pbx("--record", str(heard)) as caller:
                await here.ended()
                assert await caller.ended() == 200
            prompt = await here.prompt()
            steps = here.notes.all(StepFinished)
    assert [step.outcome for step in steps] == ["busy", "done"]
    assert listen(read_wav(heard), prompt).score > CLEAR


async def test_a_callee_who_rings_too_long_is_cancelled_and_the_next_step_runs(node: MakePlatform) -> None:
    async with phone("answer", "--status", "180") as callee:
        target = f"sip:bob@{await callee.address()}"
        async with node(account(flow=flow(transfer(target, ring=1), say()))) as here:
            async with here.pbx() as caller:
                assert (await callee.event("state", state="DISCONNECTED"))["status"] == 487
                assert await caller.ended() == 200
            steps = here.notes.all(StepFinished)
    assert [step.outcome for step in steps] == ["no_answer", "done"]


async def test_a_caller_who_hangs_up_while_it_rings_cancels_the_callee(
    node: MakePlatform, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--status", "180") as callee:
        target = f"sip:bob@{await callee.address()}"
        # The prompt answers the caller: so ringing is a tone to hear, and hanging up a BYE.
        async with node(account(flow=flow(say("Hi."), transfer(target)))) as here:
            async with here.pbx("--record", str(heard)) as caller:
                await callee.event("incoming")
                await hears(heard, 425)
                await caller.do("hangup")
                assert (await callee.event("state", state="DISCONNECTED"))["status"] == 487
            ended = await here.ended()
            step = await here.notes.first(StepFinished, lambda step: step.action == "transfer")
    assert ended.reason == "the caller hung up"
    assert step.outcome == "cancelled"


async def test_the_first_to_answer_wins_and_the_others_stop_ringing(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with (
        phone("answer", "--status", "486") as unwilling,
        phone("answer", "--status", "180") as absent,
        phone("answer", "--status", "180", "--play", voices(600)) as willing,
    ):
        targets = [f"sip:{name}@{await one.address()}" for name, one in _named(unwilling, absent, willing)]
        async with node(account(flow=flow(dial(*targets)))) as here:
            async with here.pbx("--record", str(heard)) as caller:
                await unwilling.event("state", state="DISCONNECTED")
                await absent.event("incoming")
                await willing.event("incoming")
                await willing.do("answer", "200")
                await hears(heard, 600)
                assert (await absent.event("state", state="DISCONNECTED"))["status"] == 487
                await willing.do("hangup")
                assert await caller.ended() == 200
            step = await here.notes.first(StepFinished)
            codes = {leg.sip_status for leg in here.notes.all(LegChanged) if leg.sip_status}
    assert step.detail == f"{targets[2]} answered"
    assert {486, 487, 200} <= codes


async def test_who_declines_for_all_ends_the_dial(node: MakePlatform, voices: Voices) -> None:
    """RFC 3261 section 16.7, step 5: a 6xx speaks for the callee everywhere."""
    async with (
        phone("answer", "--status", "180") as declining,
        phone("answer", "--status", "180") as other,
    ):
        targets = [f"sip:{name}@{await one.address()}" for name, one in (("one", declining), ("two", other))]
        async with node(account(flow=flow(dial(*targets)))) as here, here.pbx() as caller:
            await other.event("incoming")
            await declining.event("incoming")
            await declining.do("answer", "603")
            assert (await other.event("state", state="DISCONNECTED"))["status"] == 487
            assert await caller.ended() == 603
            step = await here.notes.first(StepFinished)
    assert step.outcome == "busy"


async def test_hunting_tries_one_after_another(node: MakePlatform, voices: Voices, tmp_path: Path) -> None:
    heard = tmp_path / "heard.wav"
    async with (
        phone("answer", "--status", "180") as absent,
        phone("answer", "--status", "486") as busy,
        phone("answer", "--play", voices(600)) as third,
    ):
        targets = [f"sip:{name}@{await one.address()}" for name, one in _named(absent, busy, third)]
        async with node(account(flow=flow(dial(*targets, mode="serial", ring=1)))) as here:
            async with here.pbx("--record", str(heard)) as caller:
                await hears(heard, 600)
                await caller.do("hangup")
                await caller.ended()
            await third.ended()
            step = await here.notes.first(StepFinished)
    order = [one.heard("incoming")[0]["at"] for one in (absent, busy, third)]
    assert order == sorted(order)
    assert order[1] - order[0] > 0.9, "the second was tried before the first had rung its time"
    assert step.detail.startswith(f"{targets[2]} answered")


async def test_the_early_media_of_a_callee_is_heard_before_any_answer(
    node: MakePlatform, voices: Voices, tmp_path: Path
) -> None:
    heard = tmp_path / "heard.wav"
    async with phone("answer", "--status", "183", "--play", voices(600)) as callee:
        target = f"sip:bob@{await callee.address()}"
        async with node(account(flow=flow(transfer(target)))) as here:
            async with here.pbx("--record", str(heard)) as caller:
                await hears(heard, 600)
                assert not caller.heard("state", status=200)
                await callee.do("answer", "486")
                assert await caller.ended() == 486
            await here.ended()


async def test_a_flow_of_one_transfer_tells_the_caller_what_the_callee_said(node: MakePlatform) -> None:
    async with phone("answer", "--status", "486") as callee:
        target = f"sip:bob@{await callee.address()}"
        async with node(account(flow=flow(transfer(target)))) as here:
            async with here.pbx() as caller:
                assert await caller.ended() == 486
            ended = await here.ended()
            await here.notes.first(StepStarted)
    assert ended.status is CallStatus.BUSY


def _named(*phones: Phone) -> list[tuple[str, Phone]]:
    return [(f"desk{number}", one) for number, one in enumerate(phones, 1)]


def _samples(path: Path) -> int:
    """What a telephone has recorded so far."""
    return path.stat().st_size // 2
