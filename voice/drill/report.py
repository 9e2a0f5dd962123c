"""What a drill has shown: time to recover, calls lost, wrong retries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from voice.drill.pop_loss import Course
from voice.drill.traffic import Call

ALLOWED_SECONDS: Final = 4.0
"""For a new call, whatever POP is lost."""
_SLOW: Final = 0.9
"""A call waited for a POP when it took this share of the time that a silent one is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Seconds, unless a name says otherwise."""

    pop: str
    blackhole_seconds: float
    calls: int
    """Of all, before, during and after."""
    calls_during: int
    answered: int
    busy: int
    """Final answers of a busy callee, which came back as they were."""
    refused_by_rule: int
    """To names bound to a region of which nothing was left: 503 is right."""
    lost: tuple[str, ...]
    """Calls that got no answer, or another than is right."""
    delayed: tuple[str, ...]
    """Calls that waited for a POP before they were answered."""
    usual_seconds: float
    """Median time to the answer before the loss."""
    slowest_seconds: float
    recovered_after: float
    """From the loss on, until no call that began before its end was delayed any more."""
    returned_after: float
    """From the end of the loss on, until every edge sent calls to the POP again."""
    wrong_retries: tuple[str, ...]
    standing: int
    standing_untouched: int
    """Calls that stood at other POPs, and those of them that could be ended during the loss."""
    standing_through_lost: int
    standing_resumed: int
    """Calls that stood through the lost POP, and those of them that could be ended after its return."""

    @property
    def good(self) -> bool:
        """Whether the platform did what it promises."""
        return (
            not self.lost
            and not self.wrong_retries
            and self.slowest_seconds < ALLOWED_SECONDS
            and self.standing_untouched == self.standing
            and self.standing_resumed == self.standing_through_lost
        )


def report_of(course: Course, silence_seconds: float) -> Report:
    """Judges a drill; `silence_seconds`: how long a silent POP holds a call up."""
    plan, calls = course.plan, course.calls
    done = [call for call in calls if call.seconds is not None]
    usual = [call.seconds for call in done if call.begun < course.lost_at and call.seconds is not None]
    later = [call for call in done if call.settled is not None and call.settled >= course.lost_at]
    slow = [call for call in later if (call.seconds or 0.0) >= _SLOW * silence_seconds]
    by_rule = [call for call in calls if call.status == 503 and _nobody_left(course, call)]
    return Report(
        pop=plan.lost.name,
        blackhole_seconds=plan.blackhole_seconds,
        calls=len(calls),
        calls_during=sum(course.lost_at <= call.begun < course.restored_at for call in calls),
        answered=sum(call.status == 200 for call in calls),
        busy=sum(call.busy and call.status == 486 for call in calls),
        refused_by_rule=len(by_rule),
        lost=tuple(_line(course, call) for call in calls if not _right(course, call)),
        delayed=tuple(_line(course, call) for call in slow),
        usual_seconds=median(usual) if usual else 0.0,
        slowest_seconds=max((call.seconds or 0.0 for call in later), default=0.0),
        recovered_after=max(
            (
                (call.settled or 0.0) - course.lost_at
                for call in slow
                if course.lost_at - silence_seconds < call.begun < course.restored_at
            ),
            default=0.0,
        ),
        returned_after=course.returned_at - course.restored_at,
        wrong_retries=tuple(_wrong_retries(course)),
        standing=len(course.standing),
        standing_untouched=sum(call.bye == 200 for call in course.standing),
        standing_through_lost=len(course.standing_through_lost),
        standing_resumed=sum(call.bye == 200 for call in course.standing_through_lost),
    )


def _right(course: Course, call: Call) -> bool:
    if call.busy:
        return call.status == 486
    return call.status == 200 or (call.status == 503 and _nobody_left(course, call))


def _nobody_left(course: Course, call: Call) -> bool:
    """Whether the call is bound to a region of which nothing was there when it was placed."""
    bound, lost = call.route.bound, course.plan.lost
    left = any(pop.region is lost.region for pop in course.plan.survivors)
    away = course.lost_at <= (call.settled or call.begun) and call.begun <= course.returned_at
    return bound is not None and bound.region is lost.region and not left and away


def _wrong_retries(course: Course) -> Iterator[str]:
    regions = {pop.name: pop.region for pop in course.plan.pops}
    survivors = {pop.region for pop in course.plan.survivors}
    lost = course.plan.lost
    for call in course.calls:
        # A call that the lost POP had passed on when it vanished has to be tried again: nobody can know.
        if len(call.handled) > 1 and call.handled[0] != lost.name:
            yield f"handled {len(call.handled)} times: {_line(course, call)}"
        bound, home = call.route.bound, call.route.home
        for pop in call.handled:
            if bound is not None and regions[pop] is not bound.region:
                yield f"left its region: {_line(course, call)}"
            away = course.lost_at <= (call.settled or call.begun) and call.begun <= course.returned_at
            there = home in survivors or (home is lost.region and not away)
            if home is not None and there and regions[pop] is not home:
                yield f"left its home region, which was there: {_line(course, call)}"


def _line(course: Course, call: Call) -> str:
    took = "no answer" if call.seconds is None else f"{call.status} after {call.seconds:.2f} s"
    return (
        f"{call.begun - course.lost_at:+.2f} s, {call.route.host} at {call.route.edge}: {took}, "
        f"handled by {', '.join(call.handled) or 'nobody'}"
    )
