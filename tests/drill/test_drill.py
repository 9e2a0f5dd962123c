"""Drills: a platform that loses a POP and does as it should, and reports that say so when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sip_config.model import Pop, Region
from voice.drill.laboratory import directory_of, laboratory
from voice.drill.pop_loss import Course, DrillFailed, Plan, rehearse
from voice.drill.report import Report, report_of
from voice.drill.traffic import Call, Route
from voice.edge.core.liveness import PopState
from voice.edge.settings import PopRelay

BASE = "sip.example.com"
EU1, EU2, US1 = (
    Pop(name="eu1", region=Region.EU),
    Pop(name="eu2", region=Region.EU),
    Pop(name="us1", region=Region.US),
)
QUICK = PopRelay(key=bytes(32), interval_seconds=0.5, misses_until_down=3, silence_seconds=0.8)


async def drilled(
    lost: Pop, *pops: Pop, relay: PopRelay = QUICK, seconds: float = 3.0
) -> tuple[Report, Course]:
    plan = Plan(lost=lost, pops=pops, base_domain=BASE, blackhole_seconds=seconds, interval=0.1)
    async with laboratory(BASE, pops, relay) as wire:
        course = await rehearse(plan, wire, lambda _: None)
    return report_of(course, relay.silence_seconds), course


async def test_a_pop_is_lost_and_comes_back() -> None:
    report, course = await drilled(EU1, EU1, EU2, US1)
    assert report.good, report
    assert report.calls > 100
    assert report.answered + report.busy == report.calls
    assert len(report.delayed) > 0, "some calls came before anybody knew"
    assert QUICK.silence_seconds * 0.9 < report.slowest_seconds < 4.0
    assert 0 < report.recovered_after < 4.0
    during = [call for call in course.calls if course.lost_at < call.begun < course.restored_at - 0.1]
    assert {pop for call in during for pop in call.handled} == {"eu2", "us1"}
    after = [call for call in course.calls if call.begun > course.returned_at]
    assert "eu1" in {pop for call in after for pop in call.handled}


async def test_of_a_region_with_one_pop_bound_names_are_refused_by_rule() -> None:
    report, course = await drilled(US1, EU1, US1)
    assert report.good, report
    assert report.refused_by_rule > 0
    plain = [call for call in course.calls if call.route.home is Region.US and call.begun > course.lost_at]
    assert plain
    assert all(call.status in (200, 486) for call in plain)


async def test_a_platform_that_waits_too_long_misses_its_promise() -> None:
    slow = replace(QUICK, silence_seconds=4.5, misses_until_down=100)
    report, _ = await drilled(EU1, EU1, EU2, relay=slow, seconds=6.0)
    assert report.slowest_seconds > 4.0
    assert not report.good


async def test_a_platform_without_a_key_is_no_platform() -> None:
    plan = Plan(lost=EU1, pops=(EU1, EU2), base_domain=BASE, blackhole_seconds=1.0, patience=0.3)
    async with laboratory(BASE, (EU1, EU2), replace(QUICK, key=None)) as wire:
        assert wire.believes("eu2", "eu1") is PopState.UNKNOWN
        with pytest.raises(DrillFailed, match=r"edge of eu2 did not find POP eu1"):
            await rehearse(plan, wire, lambda _: None)


async def test_the_only_pop_cannot_be_lost() -> None:
    plan = Plan(lost=EU1, pops=(EU1,), base_domain=BASE, blackhole_seconds=1.0)
    async with laboratory(BASE, (EU1,), QUICK) as wire:
        with pytest.raises(DrillFailed, match="is the only one"):
            await rehearse(plan, wire, lambda _: None)


def judged(*calls: Call, standing: tuple[Call, ...] = ()) -> Report:
    """The report of a drill in which eu1 was lost from 100 to 160 and back at 163."""
    course = Course(
        plan=Plan(lost=EU1, pops=(EU1, EU2, US1), base_domain=BASE, blackhole_seconds=60.0),
        lost_at=100.0,
        restored_at=160.0,
        returned_at=163.0,
        calls=calls,
        standing=standing,
        standing_through_lost=(),
    )
    return report_of(course, 1.0)


PLAIN_EU = Route("us1", "drilleu", None, Region.EU)
BOUND_EU1 = Route("us1", "drilleu.eu1", EU1, None)


def call(begun: float, seconds: float | None, *handled: str, route: Route = PLAIN_EU, **more: object) -> Call:
    status = more.pop("status", 200)
    made = Call(route, begun, **more)  # type: ignore[arg-type]
    made.handled = list(handled)
    if seconds is not None:
        made.settled, made.status = begun + seconds, int(str(status))
    return made


def test_a_good_drill() -> None:
    report = judged(call(90, 0.1, "eu1"), call(101, 1.2, "eu2"), call(120, 0.1, "eu2"), call(170, 0.1, "eu1"))
    assert report.good
    assert (len(report.delayed), report.calls_during) == (1, 2)
    assert report.recovered_after == pytest.approx(2.2)
    assert report.slowest_seconds == pytest.approx(1.2)
    assert report.returned_after == pytest.approx(3.0)


@pytest.mark.parametrize(
    "bad",
    [
        call(101, None),
        call(101, 0.1, status=480),
        call(101, 0.1, status=503, route=BOUND_EU1),
        call(101, 0.1, "eu2", busy=True),
    ],
)
def test_calls_that_are_lost(bad: Call) -> None:
    report = judged(bad)
    assert len(report.lost) == 1
    assert "us1" in report.lost[0]
    assert not report.good


@pytest.mark.parametrize(
    "bad",
    [
        call(120, 0.1, "eu2", "us1"),
        call(120, 0.1, "eu2", "us1", status=486, busy=True),
        call(120, 0.1, "us1", route=BOUND_EU1),
        call(120, 0.1, "us1"),
        call(90, 0.1, "us1"),
    ],
)
def test_retries_that_are_wrong(bad: Call) -> None:
    report = judged(bad)
    assert report.wrong_retries
    assert not report.good


def test_a_call_that_the_lost_pop_had_passed_on_may_be_tried_again() -> None:
    assert judged(call(99.99, 2.5, "eu1", "eu2")).good


def test_standing_calls_have_to_be_untouched() -> None:
    touched = call(90, 0.1, "eu2", lasting=True)
    assert not judged(standing=(touched,)).good
    touched.bye = 200
    assert judged(standing=(touched,)).good


def test_the_directory_of_a_drill_lets_in_the_caller_alone() -> None:
    directory = directory_of(BASE, "eu1", [EU1], {"eu1": ("127.0.0.9", 5)}, "127.0.0.8", ("127.0.0.7", 7))
    assert directory.could_admit("127.0.0.8")
    assert not directory.could_admit("127.0.0.6")
