"""Re-INVITEs of ours that the far end refuses, answers oddly, or meets with one of its own."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callflows.ports import CallGone, LineState, Prompt, RecordingPlace
from tests.audio import tone, write_wav
from tests.media.conftest import Stage
from tests.pool.bare import PATIENCE_SECONDS, Bare, bare, sdp
from voice.media.pj import reinvite
from voice.media.seam import MediaError
from voice.pool.line import LiveLine


@asynccontextmanager
async def talking(stage: Stage, mode: str = "sendrecv") -> AsyncIterator[tuple[LiveLine, Bare]]:
    """A call from an end made of bare messages; `mode`: what it offers."""
    host, port = stage.engine.address
    async with bare(f"sip:{uuid.uuid4()}@{host}:{port}") as end:
        end.invite(sdp(mode=mode))
        line = await stage.arrival()
        answering = asyncio.create_task(line.answer())
        await end.response(200)
        end.ack()
        await asyncio.wait_for(answering, PATIENCE_SECONDS)
        yield line, end


async def their_invite(end: Bare, nth: int = 1) -> str:
    """Our nth re-INVITE as they got it."""
    cseq = int(re.findall(r"\r\nCSeq: *(\d+) INVITE", await end.message("INVITE "))[0])
    return await end.message(rf"INVITE (?s:.*)\r\nCSeq: *{cseq + nth - 1} INVITE\r\n")


async def test_a_hold_offers_to_send_only_and_its_end_to_do_both(stage: Stage) -> None:
    async with talking(stage) as (line, end):
        holding = asyncio.create_task(line.hold())
        invite = await their_invite(end)
        assert "a=sendonly" in invite
        end.answer(invite, "200 OK", sdp(mode="recvonly"))
        await holding
        ending = asyncio.create_task(line.unhold())
        invite = await their_invite(end, 2)
        assert "a=sendrecv" in invite
        end.answer(invite, "200 OK", sdp())
        await ending


async def test_a_hold_that_is_refused_is_told_and_the_call_goes_on(stage: Stage) -> None:
    async with talking(stage) as (line, end):
        holding = asyncio.create_task(line.hold())
        end.answer(await their_invite(end), "488 Not Acceptable Here")
        with pytest.raises(MediaError, match="488"):
            await holding
        end.invite(sdp())
        assert "a=sendrecv" in await end.response(200)
        end.ack()
        again = asyncio.create_task(line.hold())
        end.answer(await their_invite(end, 2), "200 OK", sdp(mode="recvonly"))
        await again


async def test_a_hold_that_meets_a_reinvite_of_theirs_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reinvite, "GLARE_SECONDS_AS_CALLEE", (0.0, 0.05))
    async with talking(stage) as (line, end):
        holding = asyncio.create_task(line.hold())
        end.answer(await their_invite(end), "491 Request Pending")
        end.answer(await their_invite(end, 2), "200 OK", sdp(mode="recvonly"))
        await holding


async def test_a_far_end_that_makes_all_inactive_is_recorded_as_silence_and_comes_back(
    stage: Stage, tmp_path: Path
) -> None:
    async with talking(stage) as (line, end):
        place = RecordingPlace(id="r", path=str(tmp_path / "r.wav"))
        clock = asyncio.get_running_loop().time
        recorder, began = await line.record(place, whole=True), clock()
        end.invite(sdp(mode="inactive"))
        await end.response(200)
        end.ack()
        await asyncio.sleep(0.6)
        end.invite(sdp())
        await end.response(200)
        end.ack()
        await asyncio.sleep(0.2)
        seconds = (await recorder.stop()).seconds
        assert seconds == pytest.approx(clock() - began, abs=0.3)


async def test_a_call_that_begins_inactive_is_answered_and_heard_from_when_it_is_active(
    stage: Stage, tmp_path: Path
) -> None:
    prompt = write_wav(tmp_path / "prompt.wav", tone(440, 0.3))
    async with talking(stage, "inactive") as (line, end):
        assert line.state is LineState.ANSWERED
        playing = asyncio.create_task(line.play(Prompt(path=str(prompt), seconds=0.3)))
        end.invite(sdp())
        await end.response(200)
        end.ack()
        await asyncio.wait_for(playing, PATIENCE_SECONDS)


async def test_a_hold_whose_far_end_hangs_up_is_over(stage: Stage) -> None:
    async with talking(stage) as (line, end):
        holding = asyncio.create_task(line.hold())
        await their_invite(end)
        end.request("BYE")
        with pytest.raises(CallGone):
            await holding
