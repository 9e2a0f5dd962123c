"""The three encodings mean the same, and each is read as its users write it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callflows.build import Callflow
from callflows.canonical import LARGEST_DOCUMENT, parse_document, to_canonical
from callflows.compact import parse_compact, to_compact
from callflows.faults import DocumentFaults
from callflows.json_flow import from_json, parse_json, to_json
from callflows.model import Condition, Operator, Silence, Words
from callflows.reading import read_callflow
from callflows.steps import FetchCallFlow, Hangup, Pause, Play, Record, Say, SendKeys, Transfer
from tests.callflows.strategies import callflows

pytestmark = pytest.mark.long


@given(callflows)
def test_what_json_says_is_read_back(flow: Callflow) -> None:
    assert from_json(json.loads(json.dumps(to_json(flow)))) == flow


@given(callflows)
def test_what_compact_xml_says_is_read_back(flow: Callflow) -> None:
    written = to_compact(flow)
    if len(written.encode()) <= LARGEST_DOCUMENT:
        assert parse_compact(written) == flow


def test_a_title_of_nought_is_a_title() -> None:
    flow = parse_compact('<CallFlow title="0" record="0" maxDuration="0"><Hangup id="a"/></CallFlow>')
    assert (flow.title, flow.record, flow.max_duration) == ("0", False, None)
    assert from_json(to_json(flow)) == flow
    assert from_json({**to_json(flow), "title": 0}).title is None


@given(callflows)
def test_one_door_reads_all_three(flow: Callflow) -> None:
    assert read_callflow(to_canonical(flow)) == flow
    assert read_callflow(json.dumps(to_json(flow)).encode(), "application/xml") == flow
    assert read_callflow(to_compact(flow), "text/html") == flow


@given(st.text() | st.binary())
def test_anything_is_read_or_refused_with_its_faults(document: str | bytes) -> None:
    for read in (parse_json, parse_compact, read_callflow):
        try:
            read(document)
        except DocumentFaults as refused:
            assert str(refused)  # noqa: PT017 - refusing is as good as reading


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["steps", "action", "options", "payload", "media", "conditions", "length", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        parse_json(json.dumps(value))
    except DocumentFaults as refused:
        assert str(refused)  # noqa: PT017 - refusing is as good as reading


def one(value: dict[str, Any]) -> Any:
    (step,) = from_json({"steps": [value]}).steps
    return step


def test_the_ivr_of_the_reference() -> None:
    pair = {"onKeypressGoto": "bar", "onKeypressVar": "foo"}
    flow = from_json(
        {
            "steps": [
                {
                    "action": "say",
                    "options": {"payload": "Press", "language": "en-US", "voice": "male"},
                    **pair,
                },
                {"action": "pause", "options": {"length": 10}, **pair},
                {"action": "hangup"},
                {
                    "id": "bar",
                    "action": "say",
                    "options": {"payload": "One", "language": "en-US", "voice": "male"},
                    "conditions": [{"variable": "foo", "operator": "==", "value": "1"}],
                },
            ]
        }
    )
    assert [step.action for step in flow.steps] == ["say", "pause", "hangup", "say"]
    assert len({step.id for step in flow.steps}) == 4
    assert flow.steps[1].on_keypress_goto == "bar"
    assert flow.steps[3].condition == (Condition(variable="foo", operator=Operator.EQUAL, value="1"),)


def test_zeros_are_what_nobody_set() -> None:
    unset = {
        "repeat": 0, "length": 0, "maxLength": 0, "timeout": 0, "machineTimeout": 0, "duration": 0,
        "interval": "0", "transcribe": False, "mask": False, "onFinish": None, "ifMachine": "",
    }  # fmt: skip
    said = one({"action": "say", "options": {"payload": "x", "language": "nl-NL", **unset}})
    assert said == Say(id=said.id, language="nl-NL", text=(Words(text="x"),))
    recorded = one({"action": "record", "options": {**unset, "repeat": 7}})
    assert recorded == Record(id=recorded.id)


def test_go_writes_nanoseconds_and_other_cases() -> None:
    said = one(
        {"Action": "SAY", "Options": {"Payload": "x", "Language": "en-GB", "Repeat": 2, "Voice": "Male"}}
    )
    assert (said.repeat, said.voice) == (2, "male")
    recorded = one({"action": "record", "options": {"maxLength": 10_000_000_000, "timeout": "5"}})
    assert (recorded.max_length, recorded.timeout) == (10.0, 5.0)


def test_ruby_writes_json_into_texts() -> None:
    flow = parse_json(
        json.dumps(json.dumps({"steps": json.dumps([{"action": "pause", "options": {"length": "2"}}])}))
    )
    assert flow.steps == (Pause(id=flow.steps[0].id, length=2.0),)


@pytest.mark.parametrize(
    "media", ["http://a.example/x.wav", ["http://a.example/x.wav"], {"0": "http://a.example/x.wav"}]
)
def test_media_come_alone_or_together(media: object) -> None:
    played = one({"action": "play", "options": {"media": media}})
    assert played == Play(id=played.id, source=("http://a.example/x.wav",))


@pytest.mark.parametrize("number", ["31612345678", 31612345678, "+31612345678", "+31 6-12345678"])
def test_numbers_come_with_and_without_a_plus(number: object) -> None:
    transferred = one({"action": "transfer", "options": {"destination": number}})
    assert transferred.to == "+31612345678"


def test_keys_that_are_zero_are_keys() -> None:
    keys = one({"action": "sendKeys", "options": {"keys": "0"}, "endKey": "0", "maxNumKeys": "3"})
    assert keys == SendKeys(id=keys.id, keys="0", end_key="0", max_num_keys=3)


def test_spoken_marks_are_read_where_they_are_well_formed() -> None:
    said = one({"action": "say", "options": {"payload": 'A <break time="1s"/> b', "language": "en-GB"}})
    assert said.text == (Words(text="A"), Silence(seconds=1.0), Words(text="b"))
    said = one({"action": "say", "options": {"payload": "2 < 3 & <b", "language": "en-GB"}})
    assert said.text == (Words(text="2 < 3 & <b"),)
    said = one({"action": "say", "options": {"payload": "<break is no mark", "language": "en-GB"}})
    assert said.text == (Words(text="<break is no mark"),)


def test_all_faults_of_a_json_document_at_once_with_pointers() -> None:
    with pytest.raises(DocumentFaults) as refused:
        parse_json(
            json.dumps(
                {
                    "record": "perhaps",
                    "maxDuration": -1,
                    "steps": [
                        {"action": "dance"},
                        {"action": "say", "options": {"language": "e"}},
                        "nothing",
                        {"action": "pause", "options": {"length": "x"}, "onKeypressGoto": "nowhere"},
                        {"action": "hangup", "conditions": [{"variable": "1", "operator": "=~"}]},
                    ],
                }
            )
        )
    assert [fault.element for fault in refused.value.faults] == [
        "", "", "/steps/2", "/steps/0", "/steps/1/options/language", "/steps/1", "/steps/3/options/length",
        "/steps/4/conditions/0", "/steps/4/conditions/0", "/steps/4/conditions/0",
    ]  # fmt: skip
    assert "say has no payload. Add payload with" in str(refused.value)


def test_an_id_that_is_taken_says_by_whom() -> None:
    with pytest.raises(DocumentFaults, match="is taken by /steps/0"):
        from_json({"steps": [{"id": "a", "action": "hangup"}, {"id": "a", "action": "hangup"}]})


def test_a_jump_to_nowhere_is_refused() -> None:
    with pytest.raises(DocumentFaults, match="names the step “nowhere”, which does not exist"):
        one({"action": "hangup", "onKeypressGoto": "nowhere"})


@pytest.mark.parametrize(
    ("document", "step"),
    [
        (
            '<?xml version="1.0" encoding="UTF-8"?><Transfer destination="31612345678" mask="true" />',
            Transfer,
        ),
        ('<Transfer destination="31612345678" mask="true" make=\'true\' />', Transfer),
        ('<Say language="en-GB" voice="female">text</Say>', Say),
        ("<Response><Hangup/></Response>", Hangup),
        ('<fetchcallflow url="https://example.com/"/>', FetchCallFlow),
        ("<Play><Media>http://a.example/a.wav</Media><Media>http://a.example/b.wav</Media></Play>", Play),
    ],
)
def test_compact_documents_as_customers_write_them(document: str, step: type) -> None:
    (read,) = read_callflow(document).steps
    assert isinstance(read, step)
    if isinstance(read, Transfer):
        assert read.mask


def test_faults_of_compact_xml_have_lines() -> None:
    with pytest.raises(DocumentFaults) as refused:
        read_callflow("<CallFlow>\n<Say>x</Say>\n\n<Dance/>\n</CallFlow>")
    assert [fault.line for fault in refused.value.faults] == [2, 4]
    with pytest.raises(DocumentFaults, match="stands outside of any step") as refused:
        read_callflow("<CallFlow>\n<Hangup/>\n\nstray<Dance/></CallFlow>")
    assert [fault.line for fault in refused.value.faults] == [4, 4]


@pytest.mark.parametrize("nested", ["[" * 30_000, '{"steps":' * 3_000, "9" * 30_000, "<a>" * 9_000])
def test_deep_and_long_documents_are_refused(nested: str) -> None:
    with pytest.raises(DocumentFaults):
        read_callflow(nested)


def test_canonical_documents_say_what_json_says() -> None:
    flow = parse_document(
        '<callflow title="T" record="true" maxDuration="60"><steps><step id="a" action="pause">'
        "<length>1</length><onKeypressVar>v</onKeypressVar></step></steps></callflow>"
    )
    assert to_json(flow) == {
        "title": "T",
        "record": True,
        "maxDuration": 60,
        "steps": [{"id": "a", "action": "pause", "onKeypressVar": "v", "options": {"length": 1}}],
    }


@pytest.mark.parametrize(
    "document",
    [
        '<CallFlow record="Yes"><Hangup/></CallFlow>',
        "<CallFlow record='TRUE'><Hangup/></CallFlow>",
        '{"record": "True", "steps": [{"action": "hangup"}]}',
        '{"record": 1, "steps": [{"action": "hangup"}]}',
        '\ufeff{"record": true, "steps": [{"action": "hangup"}]}',
    ],
)
def test_truth_has_many_spellings_and_a_byte_order_mark_is_no_fault(document: str) -> None:
    assert read_callflow(document).record
    assert read_callflow(document.encode()).record


def test_no_is_a_truth_value_too() -> None:
    assert not read_callflow("<CallFlow record='no'><Hangup/></CallFlow>").record
