"""Callflows and documents for hypothesis to invent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from callflows.addresses import E164, SIP_URI
from callflows.build import Callflow
from callflows.conditions import VARIABLE
from callflows.model import Condition, IfMachine, Operator, Silence, Words
from callflows.ports import Sides
from callflows.steps import Dial, FetchCallFlow, Hangup, Pause, Play, Record, Say, SendKeys, Transfer
from callflows.steps.base import STEP_ID, Step
from callflows.steps.dial import Mode
from callflows.steps.hangup import REASONS
from callflows.steps.say import Voice

xml_text = st.text(
    alphabet=st.one_of(
        st.characters(min_codepoint=0x20, max_codepoint=0xD7FF),
        st.characters(min_codepoint=0xE000, max_codepoint=0xFFFD),
        st.characters(min_codepoint=0x10000),
        st.sampled_from("\t\n\r<>&\"']]>"),
    ),
    max_size=40,
)
"""What XML can carry."""

_spoken = xml_text.map(lambda text: " ".join(text.split())).filter(bool)


def _thousandths(minimum: float, maximum: float) -> st.SearchStrategy[float]:
    return st.integers(round(minimum * 1000), round(maximum * 1000)).map(lambda count: count / 1000)


@st.composite
def _parts(draw: st.DrawFn) -> tuple[Words | Silence, ...]:
    """Words of one rate stand in one piece, as the parser leaves them."""
    parts: list[Words | Silence] = [Words(text=draw(_spoken))]
    for _ in range(draw(st.integers(0, 4))):
        before = parts[-1]
        if isinstance(before, Silence) or draw(st.booleans()):
            rate = draw(_thousandths(0.5, 2))
            if isinstance(before, Words) and before.rate == rate:
                continue
            parts.append(Words(text=draw(_spoken), rate=rate))
        else:
            parts.append(Silence(seconds=draw(_thousandths(0, 10))))
    return tuple(parts)


_ids = st.from_regex(STEP_ID, fullmatch=True)
_targets = st.from_regex(f"{E164}|{SIP_URI}", fullmatch=True).filter(lambda uri: len(uri) <= 255)
_caller_ids = st.none() | st.from_regex(E164, fullmatch=True)
_sources = st.sampled_from(["a.wav", "Welcome", "https://example.com/x.mp3", "http://[::1]:8080/a?b=c.WAV"])

_variables = st.from_regex(VARIABLE, fullmatch=True)
_conditions = st.builds(
    Condition,
    variable=_variables,
    operator=st.sampled_from(Operator),
    value=st.text(alphabet="abc 1<&\"'", max_size=8),
)
_common: dict[str, Any] = {
    "condition": st.lists(_conditions, max_size=3).map(tuple),
    "on_keypress_var": st.none() | _variables,
    "end_key": st.none() | st.sampled_from("0*#A"),
    "max_num_keys": st.integers(1, 100),
}
"""`on_keypress_goto` has to name a step that exists, so `callflows` adds it."""

_OF_EACH: tuple[st.SearchStrategy[Step], ...] = (
    st.builds(
        Say,
        id=_ids,
        language=st.sampled_from(["en-GB", "nl", "zh-Hans-CN"]),
        text=_parts(),
        voice=st.sampled_from(Voice),
        speed=_thousandths(0.5, 2),
        early=st.booleans(),
        repeat=st.integers(1, 10),
        if_machine=st.sampled_from(IfMachine),
        machine_timeout=st.integers(400, 10_000),
        **_common,
    ),
    st.builds(
        Play, id=_ids, source=st.lists(_sources, min_size=1, max_size=20).map(tuple), early=st.booleans()
    ),
    st.builds(Pause, id=_ids, length=_thousandths(0.1, 3600)),
    st.builds(
        Record,
        id=_ids,
        timeout=st.none() | _thousandths(1, 120),
        max_length=_thousandths(1, 14400),
        finish_on_key=st.frozensets(st.sampled_from("0123456789*#ABCD")),
        beep=st.booleans(),
        transcribe=st.booleans(),
        transcribe_language=st.none() | st.just("en-US"),
        on_finish=st.none() | st.sampled_from(["https://example.com/a?b=c", "http://[::1]:8080/"]),
    ),
    st.builds(
        Transfer,
        id=_ids,
        to=_targets,
        timeout=_thousandths(1, 180),
        caller_id=_caller_ids,
        record=st.none() | st.sampled_from(Sides),
        mask=st.booleans(),
        if_machine=st.sampled_from(IfMachine),
        machine_timeout=st.integers(400, 10_000),
    ),
    st.builds(
        SendKeys,
        id=_ids,
        keys=st.from_regex("[0-9*#A-Dw]{1,20}", fullmatch=True),
        duration=st.integers(40, 2000),
        interval=st.integers(40, 5000),
        **_common,
    ),
    st.builds(FetchCallFlow, id=_ids, url=st.just("https://example.com/menu")),
    st.builds(
        Dial,
        id=_ids,
        to=st.lists(_targets, min_size=1, max_size=10).map(tuple),
        mode=st.sampled_from(Mode),
        timeout=_thousandths(1, 180),
        caller_id=_caller_ids,
    ),
    st.builds(Hangup, id=_ids, reason=st.sampled_from([*REASONS.values(), 400, 488, 699])),
)

steps: st.SearchStrategy[Step] = st.one_of(*_OF_EACH)


@st.composite
def _callflows(draw: st.DrawFn) -> Callflow:
    made = draw(st.lists(steps, min_size=1, max_size=6, unique_by=lambda step: step.id))
    targets = st.none() | st.sampled_from([step.id for step in made])
    return Callflow(
        steps=tuple(replace(step, on_keypress_goto=draw(targets)) for step in made),
        title=draw(st.none() | xml_text.map(lambda text: " ".join(text.split())).filter(bool)),
        record=draw(st.booleans()),
        max_duration=draw(st.none() | st.integers(1, 86_400)),
    )


callflows: st.SearchStrategy[Callflow] = _callflows()


def typed_text(kind: Any) -> st.SearchStrategy[str]:
    """Text that is near a value of this kind: right, nearly right, or anything."""
    near = ["0.5", "2", "120", "14400", "180.0", "180.001", "00", "+5", ".5", "5.", "1e1", "true", "false"]
    near += [
        "any",
        "none",
        "12#",
        "busy",
        "486",
        "486.0",
        "male",
        "serial",
        "en-GB",
        "+31201234567",
        "sip:a@b",
    ]
    near += ["sip:a", "sip:@b", "a.wav", "https://a/b.wav", "http://a:1/.mp3", "http://a.wav", "-", "٣", "Ａ"]
    patterns = [pattern for pattern in (getattr(kind, "pattern", None),) if pattern]
    made = [st.from_regex(pattern, fullmatch=True) for pattern in patterns]
    around = st.sampled_from(["", " ", "\n\t", "\u00a0", "x"])
    exact = st.one_of(st.sampled_from(near), xml_text, *made)
    return st.builds(lambda before, value, after: before + value + after, around, exact, around)
