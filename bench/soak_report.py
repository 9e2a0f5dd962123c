"""What `bench.soak` prints at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.callers import Outcome
from bench.figures import Target, mean, percentile, print_targets
from bench.holdings import Holdings
from bench.nodes import BenchNode
from bench.wiretap import CallTimes

ALLOWED_GROWTH: Final = 1.05
"""Of memory between the first 1,000 calls and the end: what allocators do without leaking."""
ENOUGH_PACKETS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Calls that were placed in one go, and what the node did meanwhile."""

    calls: int
    outcome: Outcome
    times: list[CallTimes]
    unseen: int
    """Packets that the measurement missed."""
    call_cpu: float
    parent_cpu: float
    table: list[Holdings]
    at_rest: Holdings
    """A few seconds after the last call."""


def report(
    node: BenchNode, fresh: Holdings, phases: Sequence[Phase], *, others: int, recorded_seconds: float
) -> int:
    """Prints everything; returns how many calls were lost.

    `others` calls were placed beside those of the phases.
    """
    times = [one for phase in phases for one in phase.times]
    lost = _calls(node, phases, times, others, recorded_seconds)
    answers = [one.answered - one.invited for one in times if one.answered]
    packets = [one.first_packet - one.invited for one in times if one.first_packet]
    print(f"\nmilliseconds {'p50':>32} {'p95':>8} {'p99':>8} {'max':>8}")
    _print_times("INVITE to 200", answers)
    _print_times("  after the INVITE with digest", [o.answered - o.authorised for o in times if o.answered])
    _print_times("INVITE to first audio packet", packets)
    heard = [one.first_sound - one.invited for one in times if one.first_sound]
    _print_times("INVITE to sound above -42 dBFS", heard)
    gaps = [one.longest_gap for one in times if one.packets > ENOUGH_PACKETS]
    _print_times("longest gap in its first second", gaps)
    _cost(phases, times)
    print_targets([*_targets(fresh, phases, answers, packets, lost), *_growth(phases)])
    return lost


def _calls(
    node: BenchNode,
    phases: Sequence[Phase],
    times: Sequence[CallTimes],
    others: int,
    recorded_seconds: float,
) -> int:
    calls = sum(phase.calls for phase in phases)
    succeeded = sum(phase.outcome.succeeded for phase in phases)
    silent = sum(1 for one in times if one.answered and not one.first_sound)
    (recorded, shortest, longest), *_ = node.query(
        "SELECT count(*), min(seconds), max(seconds) FROM recordings"
        f" WHERE status = 'done' AND seconds > {recorded_seconds * 0.9}"
    )
    endings = node.query(
        "SELECT count(*), status, end_reason FROM calls GROUP BY 2, 3 ORDER BY 1 DESC LIMIT 8"
    )
    print(
        f"\n{calls} calls placed: {succeeded} ended well for the caller, {calls - succeeded} did not;"
        f" {silent} were answered without a sound\n"
        f"{sum(phase.outcome.retransmissions for phase in phases)} retransmissions of the caller;"
        f" {sum(phase.unseen for phase in phases)} packets not seen by the measurement\n"
        f"the node's records, with {others} calls to warm up: "
        + "; ".join(f"{count} {status} ({reason})" for count, status, reason in endings)
        + f"\nrecordings of full length: {recorded}, {shortest:.2f} to {longest:.2f} s"
    )
    refusals = [one.refused for one in times if one.refused]
    for refusal in sorted(set(refusals)):
        print(f"refused: {refusals.count(refusal)} x {refusal}")
    for phase in phases:
        if phase.outcome.failed:
            print(f"sipp: {phase.outcome.errors}")
    complaints = node.complaints()
    print(f"the node's log: {len(complaints)} lines")
    for line in complaints[:10]:
        print(f"  {line}")
    return max(calls - succeeded, silent, calls + others - int(recorded))


def _print_times(name: str, seconds: Sequence[float]) -> None:
    shares = [percentile(seconds, share) * 1e3 for share in (0.5, 0.95, 0.99, 1.0)]
    print(f"  {name:<34}" + " ".join(f"{value:8.1f}" for value in shares) + f"   ({len(seconds)} calls)")


def _cost(phases: Sequence[Phase], times: Sequence[CallTimes]) -> None:
    calls = max(1, len(times))
    talked = sum(one.said_bye - one.answered for one in times if one.said_bye and one.answered)
    call_cpu = sum(phase.call_cpu for phase in phases)
    parent_cpu = sum(phase.parent_cpu for phase in phases)
    print(
        f"\nCPU: {call_cpu / calls * 1e3:.1f} ms per call of {talked / calls:.1f} s in call processes,"
        f" {parent_cpu / calls * 1e3:.1f} ms per call in the parent and the zygote"
    )


def _targets(
    fresh: Holdings,
    phases: Sequence[Phase],
    answers: Sequence[float],
    packets: Sequence[float],
    lost: int,
) -> list[Target]:
    busy = [line.busy_private for phase in phases for line in phase.table if line.busy]
    answer, packet = percentile(answers, 0.95) * 1e3, percentile(packets, 0.95) * 1e3
    return [
        Target(name="INVITE to 200, p95", value=answer, most=30, unit="ms"),
        Target(name="INVITE to first audio packet, p95", value=packet, most=80, unit="ms"),
        Target(name="private memory, idle call process", value=fresh.idle_private, most=4, unit="MB"),
        Target(name="private memory, call process with a call", value=mean(busy), most=12, unit="MB"),
        Target(name="calls lost", value=lost, most=0, unit=""),
    ]


def _growth(phases: Sequence[Phase]) -> list[Target]:
    """What the node holds at the end against what it held after the first calls."""
    if len(phases) < 2:
        return []
    before, after = phases[0].at_rest, phases[-1].at_rest
    return [
        Target(
            name="parent's resident memory, against the first phase's",
            value=after.parent_resident,
            most=round(before.parent_resident * ALLOWED_GROWTH, 1),
            unit="MB",
        ),
        Target(
            # Each call process is one descriptor, and the pool keeps those that a busier moment needed.
            name="parent's descriptors beside call processes, likewise",
            value=after.parent_descriptors - after.processes,
            most=before.parent_descriptors - before.processes,
            unit="",
        ),
        Target(
            name="private memory of an idle call process, likewise",
            value=after.idle_private,
            most=round(before.idle_private * ALLOWED_GROWTH, 2),
            unit="MB",
        ),
    ]
