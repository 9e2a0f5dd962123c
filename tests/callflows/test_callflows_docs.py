"""docs/callflows.md says what is: its examples, its tables of options, outcomes, endings and limits."""

from __future__ import annotations

import contextlib
import io
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from callflows import build, canonical, spoken
from callflows.build import option_name, required_fields
from callflows.canonical import parse_document
from callflows.endings import UNANSWERED, Cause
from callflows.faults import DocumentFaults
from callflows.interpreter import ANSWER_WITHIN, UNNOTICED
from callflows.kinds import Number, Several, decimal_text
from callflows.prompts import LONGEST_WAIT
from callflows.steps import STEPS
from callflows.steps.base import Step, Word
from callflows.steps.hangup import REASONS

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "callflows.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")

XML = re.findall(r"(<!-- refused -->\n)?```xml\n(.*?)```(?:\n\n```text\n(.*?)```)?", TEXT, re.DOTALL)
TAKEN = [block for refused, block, _ in XML if not refused]
REFUSED = [(block, said) for refused, block, said in XML if refused]


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def rows(title: str) -> list[list[str]]:
    """The cells of the section's table."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("block", TAKEN)
def test_an_example_is_taken(block: str) -> None:
    document = block if block.startswith("<callflow>") else f"<callflow><steps>{block}</steps></callflow>"
    assert parse_document(document).steps


@pytest.mark.parametrize(("block", "said"), REFUSED)
def test_a_faulty_example_is_refused_as_it_says(block: str, said: str) -> None:
    with pytest.raises(DocumentFaults) as refused:
        parse_document(block)
    assert str(refused.value) == said.strip()


def test_there_are_examples() -> None:
    assert len(TAKEN) == 2 + len(STEPS)
    assert len(REFUSED) == 2


@pytest.mark.parametrize("action", STEPS)
def test_every_option_is_there_with_its_default_and_bounds(action: str) -> None:
    step = STEPS[action]
    table = {cells[0].strip("`"): cells[1:] for cells in rows(action)}
    assert set(table) == {option_name(name) for name in step.options}
    for name, kind in step.options.items():
        default, value = table[option_name(name)]
        assert default.strip("`") == default_of(step, name), name
        if isinstance(kind, Several):
            assert f"up to {kind.at_most} times" in value
        if isinstance(kind, Number):
            assert f"{decimal_text(kind.minimum)} to {decimal_text(kind.maximum)}" in value


def default_of(step: type[Step], name: str) -> str:
    if name in required_fields(step):
        return "required"
    (default,) = [field.default for field in fields(step) if field.name == name]
    assert default is not MISSING
    kind = step.options[name]
    assert not isinstance(kind, Several)
    return "none" if default is None else str(kind.write(default)[0])


def test_every_action_is_in_the_table() -> None:
    assert re.findall(r"^\| \[(\w+)\]\(#\1\) \|", TEXT, re.MULTILINE) == list(STEPS)


def test_every_reason_is_there() -> None:
    ((_, _, value),) = rows("hangup")
    assert dict(re.findall(r"`(\w+)` \((\d+)\)", value)) == {
        word: str(code) for word, code in REASONS.items()
    }


def test_every_outcome_is_there() -> None:
    assert [cells[0].strip("`") for cells in rows("How a step went")] == list(Word)


def test_every_ending_is_there_with_its_status() -> None:
    table = {cells[0].strip("`"): cells[-1] for cells in rows("How a call ends")}
    assert list(table) == list(Cause)
    for cause in (Cause.END_OF_STEPS, Cause.MAX_SECONDS, Cause.STOPPED, Cause.INTERNAL_ERROR):
        assert table[cause].endswith(str(UNANSWERED[cause]))


def test_the_limits_are_those_of_the_code() -> None:
    limits = "\n".join(" ".join(cells) for cells in rows("Limits"))
    for limit in (
        f"{canonical.LARGEST_DOCUMENT} bytes",
        f"elements in a document {canonical.MOST_ELEMENTS}",
        f"steps {build.MOST_STEPS}",
        f"{spoken.LONGEST_TEXT} characters, {spoken.LONGEST_SILENCE:g} s of breaks",
    ):
        assert limit in limits
    answering = " ".join(section("When a call is answered").split())
    assert f"longer than {UNNOTICED:g} s" in answering
    assert f"longer than {ANSWER_WITHIN:g} s" in answering
    assert f"not ready after {LONGEST_WAIT:g} s" in section("How a step went")


def test_the_python_example_runs_and_prints_what_it_says() -> None:
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(DOCUMENT), "exec"), {})
    assert out.getvalue() == printed
