"""One call for a person to read: what happened, in order of time, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voice.cli.output import bytes_shown, print_line, print_table, rfc3339
from voice.store.queries import CallHistory, LegRow, RecordingRow, StepRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened at a time."""

    at: float
    who: str
    what: str


def moments(history: CallHistory) -> list[Moment]:
    """Everything that happened in a call, in order; what happened at the same time as it was recorded."""
    found = [*_call_moments(history)]
    for position, leg in enumerate(history.legs, 1):
        found += _leg_moments(f"leg {position}", leg)
    for step in history.steps:
        found += _step_moments(step)
    for recording in history.recordings:
        found += _recording_moments(recording)
    found += [
        Moment(at=event.at, who="event", what=f"{event.kind}: {event.detail}") for event in history.events
    ]
    last = [Moment(at=history.call.ended_at, who="call", what=_end(history))] if history.call.ended_at else []
    return sorted(found, key=lambda moment: moment.at) + last


def print_history(history: CallHistory) -> None:
    call = history.call
    print_line(f"Call {call.id}", style="bold")
    facts = (
        ("status", call.status),
        ("direction", call.direction),
        ("source", call.source),
        ("destination", call.destination),
        ("account", call.account or call.account_id),
        ("domain", call.domain),
        ("ACL", call.acl),
        ("from address", call.source_address),
        ("relayed by POP", call.relayed_by),
        ("SIP Call-ID", call.sip_call_id),
        ("begun", rfc3339(call.started_at)),
        ("answered", rfc3339(call.answered_at)),
        ("ended", rfc3339(call.ended_at)),
        ("end", call.end_reason),
    )
    print_table(("", ""), [fact for fact in facts if fact[1]], empty="")
    found = moments(history)
    beginning = (
        call.started_at if call.started_at is not None else min((one.at for one in found), default=0.0)
    )
    print_table(
        ("seconds", "who", "what"),
        [(f"{moment.at - beginning:+.3f}", moment.who, moment.what) for moment in found],
        empty="Nothing else is on record.",
    )
    _print_media(history)
    _print_recordings(history)


def _call_moments(history: CallHistory) -> Iterator[Moment]:
    call = history.call
    if call.started_at is not None:
        by = f", let in by ACL {call.acl}" if call.acl else ""
        yield Moment(at=call.started_at, who="call", what=f"{call.source} to {call.destination}{by}")
    if call.answered_at is not None:
        yield Moment(at=call.answered_at, who="call", what="answered")


def _end(history: CallHistory) -> str:
    return f"{history.call.status}: {history.call.end_reason}"


def _leg_moments(who: str, leg: LegRow) -> Iterator[Moment]:
    if leg.started_at is not None:
        by = f" by gateway {leg.gateway}" if leg.gateway else ""
        yield Moment(
            at=leg.started_at, who=who, what=f"{leg.direction}, {leg.source} to {leg.destination}{by}"
        )
    if leg.ringing_at is not None:
        yield Moment(at=leg.ringing_at, who=who, what="ringing")
    if leg.answered_at is not None:
        yield Moment(at=leg.answered_at, who=who, what=f"answered{_response(leg)}")
    if leg.ended_at is not None:
        # The response that an answered leg has on record is that of its beginning.
        response = "" if leg.answered_at is not None else _response(leg)
        yield Moment(at=leg.ended_at, who=who, what=f"ended, {leg.status}{response}")


def _response(leg: LegRow) -> str:
    return f", {leg.sip_status} {leg.sip_reason or ''}".rstrip() if leg.sip_status else ""


def _step_moments(step: StepRow) -> Iterator[Moment]:
    who = f"step {step.seq}"
    what = f"{step.action} {step.step_id}"
    if step.started_at is not None:
        yield Moment(at=step.started_at, who=who, what=what)
    if step.finished_at is not None:
        detail = f": {step.detail}" if step.detail else ""
        taken = f" after {step.seconds:.3f} s" if step.seconds is not None else ""
        yield Moment(at=step.finished_at, who=who, what=f"{what} {step.outcome}{taken}{detail}")


def _recording_moments(recording: RecordingRow) -> Iterator[Moment]:
    if recording.started_at is not None:
        yield Moment(at=recording.started_at, who="recording", what=f"begun: {recording.path}")
    if recording.ended_at is not None:
        length = f"{recording.seconds:.1f} s" if recording.seconds is not None else ""
        what = f"{recording.status}, {length}, {bytes_shown(recording.size)}: {recording.path}"
        yield Moment(at=recording.ended_at, who="recording", what=what)


def _print_media(history: CallHistory) -> None:
    rows = [
        (
            f"leg {position}",
            leg.codec,
            leg.received_packets,
            leg.received_lost,
            _milliseconds(leg.received_jitter_ms),
            leg.sent_packets,
            leg.sent_lost,
            _milliseconds(leg.sent_jitter_ms),
        )
        for position, leg in enumerate(history.legs, 1)
        if leg.codec
    ]
    if rows:
        columns = ("media", "codec", "received", "lost", "jitter", "sent", "lost", "jitter")
        print_table(columns, rows, empty="")


def _print_recordings(history: CallHistory) -> None:
    rows = [
        (
            recording.kind,
            recording.status,
            "" if recording.seconds is None else f"{recording.seconds:.1f} s",
            bytes_shown(recording.size),
            recording.path,
        )
        for recording in history.recordings
    ]
    if rows:
        print_table(("recording", "status", "length", "size", "file"), rows, empty="")


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} ms"
