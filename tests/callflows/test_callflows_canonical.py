"""The canonical XML by its properties: round trip, the schema's verdict, parses or raises its one error."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from callflows.build import Callflow, option_name, required_fields
from callflows.canonical import parse_document, schema, to_canonical
from callflows.faults import DocumentFaults, Fault
from callflows.kinds import Several
from callflows.model import Silence, Words
from callflows.spoken import SpokenText
from callflows.steps import STEPS, Say
from tests.callflows.strategies import callflows, typed_text, xml_text

SCHEMA = etree.RelaxNG(etree.fromstring(schema()))

A_RIGHT_VALUE = {
    "language": "en-GB",
    "text": "Hello",
    "source": "a.wav",
    "length": "1",
    "to": "+31201234567",
    "keys": "1",
    "url": "https://example.com/",
}

OPTIONS = [
    (action, name)
    for action, step in STEPS.items()
    for name, kind in step.options.items()
    if not isinstance(kind, SpokenText)
]


def faults(document: str | bytes) -> tuple[Fault, ...]:
    try:
        parse_document(document)
    except DocumentFaults as refused:
        return refused.faults or pytest.fail("refused without a fault")
    return ()


def parses(document: str | bytes) -> bool:
    found = faults(document)
    for fault in found:
        assert fault.line >= 1
        assert fault.element.startswith("/")
        assert fault.message.endswith(".")
        assert fault.remedy
    return not found


def spoken(text: str) -> tuple[Words | Silence, ...]:
    flow = parse_document(
        '<callflow><steps><step id="a" action="say"><language>en</language>'
        f"<text>{text}</text></step></steps></callflow>"
    )
    (step,) = flow.steps
    assert isinstance(step, Say)
    return step.text


@given(callflows)
def test_what_is_written_is_read_as_the_same_callflow(flow: Callflow) -> None:
    document = to_canonical(flow)
    assert parse_document(document) == flow
    assert SCHEMA.validate(etree.fromstring(document)), SCHEMA.error_log


@pytest.mark.parametrize(("action", "name"), OPTIONS)
@given(data=st.data())
def test_parser_and_schema_agree_on_every_value(action: str, name: str, data: st.DataObject) -> None:
    kind: Any = STEPS[action].options[name]
    value = data.draw(typed_text(kind.each if isinstance(kind, Several) else kind))
    given = {other: A_RIGHT_VALUE[other] for other in required_fields(STEPS[action])} | {name: value}
    options = "".join(
        f"<{option_name(tag)}>{escape(text, {chr(13): '&#13;'})}</{option_name(tag)}>"
        for tag, text in data.draw(st.permutations(sorted(given.items())))
    )
    document = f'<callflow><steps><step id="a" action="{action}">{options}</step></steps></callflow>'
    assert parses(document) == SCHEMA.validate(etree.fromstring(document)), document


@given(st.text())
def test_any_text_parses_or_raises_its_one_error(text: str) -> None:
    parses(text)


@given(st.binary())
def test_any_bytes_parse_or_raise_the_one_error(document: bytes) -> None:
    parses(document)


@given(callflows, st.data())
def test_a_damaged_document_parses_or_raises_the_one_error(flow: Callflow, data: st.DataObject) -> None:
    document = to_canonical(flow)
    at = data.draw(st.integers(0, len(document)))
    gone = data.draw(st.integers(0, 10))
    put = data.draw(
        xml_text | st.sampled_from(["<!DOCTYPE x>", "<a>", "</a>", "<!--", "]]>", "\x00", "\ud800"])
    )
    parses(document[:at] + put + document[at + gone :])


def test_layout_is_not_heard() -> None:
    assert spoken("\n   One\n\ttwo \u00a0 three  ") == (Words(text="One two three"),)


def test_text_pieces_of_one_rate_are_one() -> None:
    assert spoken("a<!-- x --> b<![CDATA[ & c]]> <prosody rate='medium'>d</prosody>") == (
        Words(text="a b & c d"),
    )


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("0ms", 0.0), ("500ms", 0.5), ("1s", 1.0), ("1.25s", 1.25), ("10s", 10.0), ("10000ms", 10.0)],
)
def test_breaks(time: str, seconds: float) -> None:
    assert spoken(f'a<break time="{time}"/>b') == (Words(text="a"), Silence(seconds=seconds), Words(text="b"))


@pytest.mark.parametrize(
    ("rate", "factor"),
    [
        ("x-slow", 0.5),
        ("slow", 0.75),
        ("default", 1.0),
        ("fast", 1.5),
        ("x-fast", 2.0),
        ("50%", 0.5),
        ("66.6%", 0.666),
        ("200%", 2.0),
        ("0.5", 0.5),
        ("1.333", 1.333),
        ("2", 2.0),
    ],
)
def test_rates(rate: str, factor: float) -> None:
    assert spoken(f'<prosody rate="{rate}">a</prosody>') == (Words(text="a", rate=factor),)


def test_a_fault_says_line_element_message_and_remedy() -> None:
    with pytest.raises(DocumentFaults) as refused:
        parse_document(
            "<callflow>\n<steps>\n"
            '<step id="a" action="pause"><length>soon</length></step>\n</steps>\n</callflow>'
        )
    (fault,) = refused.value.faults
    assert (fault.line, fault.element) == (3, "/callflow/steps/step/length")
    assert fault.message == "“soon” is no value for length."
    assert fault.remedy == "Write seconds without a unit, from 0.1 to 3600."
    assert str(refused.value) == (
        "line 3, /callflow/steps/step/length: “soon” is no value for length. "
        "Write seconds without a unit, from 0.1 to 3600."
    )


def test_a_long_value_is_quoted_short_and_on_one_line() -> None:
    with pytest.raises(DocumentFaults) as refused:
        parse_document(
            f'<callflow><steps><step id="a" action="pause"><length>x\n\u202e{"y" * 999}</length></step>'
            "</steps></callflow>"
        )
    (fault,) = refused.value.faults
    assert len(fault.message) < 100
    assert "\n" not in fault.message
    assert "\u202e" not in fault.message
