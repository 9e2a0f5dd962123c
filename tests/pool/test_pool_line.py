"""Moments at which a step is cancelled just as what it began succeeds: nothing is left without an owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from callflows.ports import DialRequest, Prompt, RecordingPlace
from sip_config.model import SrtpPolicy
from tests.pool.conftest import order_for
from voice.media.seam import (
    DialogFacts,
    Established,
    EventSink,
    FileWriter,
    FileWritten,
    MediaEngine,
    MediaLeg,
    Playback,
)
from voice.pool.line import LiveLine
from voice.pool.orders import CallOrder, DialPlan, FirstLeg, Ticket

FACTS = DialogFacts(
    call_id="c", local="<sip:a@b>;tag=1", remote="<sip:c@d>;tag=2", target="sip:c@d", routes=()
)


class Stage:
    """Where the script of a test comes in: before and after the operation of this name."""

    def __init__(self) -> None:
        self.before: dict[str, Callable[[], object]] = {}
        self.after: dict[str, Callable[[], object]] = {}
        self.done: list[str] = []

    async def play(self, name: str) -> None:
        self.before.get(name, lambda: None)()
        await asyncio.sleep(0)
        self.done.append(name)
        self.after.get(name, lambda: None)()


class StagedFile:
    """A playback, or a recording."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def start(self) -> None:
        await self._stage.play("started")

    async def finished(self) -> None:
        await asyncio.Event().wait()

    async def silent(self, seconds: float) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> FileWritten:
        await self._stage.play("stopped")
        return FileWritten(seconds=0.0, size=44)


class StagedLeg:
    """A leg whose operations all succeed."""

    def __init__(self, stage: Stage, name: str) -> None:
        self._stage = stage
        self._name = name

    async def invite(self, target: str, *, caller_id: str, srtp: SrtpPolicy) -> None:
        await self._stage.play("invited")

    def playback(self, path: str) -> Playback:
        return StagedFile(self._stage)  # type: ignore[return-value]  # it gives more back

    def writer(self, path: str, *, whole: bool = False) -> FileWriter:
        return StagedFile(self._stage)

    async def ringback(self, on: bool) -> None:
        await self._stage.play(f"ringback {on}")

    async def hangup(self) -> None:
        await self._stage.play(f"{self._name} hung up")


class StagedEngine:
    """Makes one callee."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.tell: EventSink

    def leg(self, sink: EventSink) -> MediaLeg:
        self.tell = sink
        return cast(MediaLeg, StagedLeg(self._stage, "callee"))


class Scene:
    def __init__(self, order: CallOrder | None = None) -> None:
        self.stage = Stage()
        self.engine = StagedEngine(self.stage)
        self.plans: list[DialPlan] = []
        self.line = LiveLine(
            order or order_for(None),
            cast(MediaLeg, StagedLeg(self.stage, "caller")),
            cast(MediaEngine, self.engine),
            self._ticket,
            lambda event, party: None,
        )

    async def _ticket(self, plan: DialPlan) -> Ticket:
        self.plans.append(plan)
        return Ticket(uri="sip:ticket@127.0.0.1")

    async def cancelled(self, work: asyncio.Task[object]) -> list[str]:
        """What had been done when the work, which cancels itself on the way, had ended."""
        with pytest.raises(asyncio.CancelledError):
            await work
        return self.stage.done


DIAL = DialRequest(targets=("+31201234567",), serial=False, ring_seconds=30.0)


async def test_a_sound_that_begins_as_its_step_is_cancelled_is_stopped() -> None:
    scene = Scene()
    work = asyncio.ensure_future(scene.line.play(Prompt(path="x.wav", seconds=1.0)))
    scene.stage.after["started"] = work.cancel
    assert await scene.cancelled(work) == ["started", "stopped"]


async def test_a_recording_that_begins_as_its_step_is_cancelled_is_stopped() -> None:
    scene = Scene()
    work = asyncio.ensure_future(scene.line.record(RecordingPlace(id="r", path="x.wav")))
    scene.stage.after["started"] = work.cancel
    assert await scene.cancelled(work) == ["started", "stopped"]


async def test_a_callee_who_is_called_as_the_step_is_cancelled_is_hung_up() -> None:
    scene = Scene()
    work = asyncio.ensure_future(scene.line.dial(DIAL))
    scene.stage.after["invited"] = work.cancel
    assert (await scene.cancelled(work))[-1] == "callee hung up"


async def test_a_callee_who_answers_as_the_step_is_cancelled_is_hung_up() -> None:
    scene = Scene()
    work = asyncio.ensure_future(scene.line.dial(DIAL))
    scene.stage.after["invited"] = lambda: scene.engine.tell(Established(dialog=FACTS, headers={}))
    scene.stage.before["ringback False"] = work.cancel
    assert (await scene.cancelled(work))[-1] == "callee hung up"


OUTGOING = FirstLeg(target="+4915112345678", caller_id="+31201234567", ring_seconds=30.0)


@pytest.mark.parametrize(
    ("order", "request_", "shown"),
    [
        ({}, {}, "+31201234567"),
        ({}, {"mask": True}, "+31207654321"),
        ({}, {"mask": True, "caller_id": "+442071234567"}, "+442071234567"),
        ({"destination": "sip:desk@acme.sip.example.com"}, {"mask": True}, "+31201234567"),
        ({"outbound": OUTGOING, "destination": "+4915112345678"}, {"mask": True}, "+31201234567"),
    ],
    ids=["the caller", "masked", "asked for", "no number to mask with", "whom we called is not shown"],
)
async def test_what_a_callee_is_shown(order: dict[str, str], request_: dict[str, str], shown: str) -> None:
    scene = Scene(replace(order_for(None), **order))  # type: ignore[arg-type]
    work = asyncio.ensure_future(scene.line.dial(replace(DIAL, **request_)))  # type: ignore[arg-type]
    scene.stage.after["invited"] = work.cancel
    await scene.cancelled(work)
    assert [plan.caller_id for plan in scene.plans] == [shown]


@pytest.mark.parametrize(
    ("request_", "asserted", "withheld"),
    [
        ({}, "+31208888888", True),
        ({"mask": True}, None, False),
        ({"caller_id": "+442071234567"}, None, False),
    ],
    ids=["the caller", "masked", "asked for"],
)
async def test_what_is_known_of_the_caller_goes_with_its_own_number_alone(
    request_: dict[str, str], asserted: str | None, withheld: bool
) -> None:
    scene = Scene(replace(order_for(None), source="Restricted", asserted="+31208888888", withheld=True))
    work = asyncio.ensure_future(scene.line.dial(replace(DIAL, **request_)))  # type: ignore[arg-type]
    scene.stage.after["invited"] = work.cancel
    await scene.cancelled(work)
    (plan,) = scene.plans
    assert (plan.asserted, plan.withheld) == (asserted, withheld)


async def test_a_leg_that_has_an_id_is_filed_with_it_and_known_while_it_rings() -> None:
    scene = Scene()
    work = asyncio.ensure_future(scene.line.dial(DIAL, quietly=True, leg_id="leg-1"))
    known: list[str] = []
    scene.stage.before["invited"] = lambda: known.extend(party.leg_id for party in scene.line.parties)
    scene.stage.after["invited"] = work.cancel
    assert (await scene.cancelled(work))[-1] == "callee hung up"
    assert known == [plan.leg_id for plan in scene.plans] == ["leg-1"]
    assert scene.line.parties == ()
