"""Lines of keys, with `tomllib` as the second opinion on which keys there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_config.faults import ConfigurationFaults
from sip_config.toml_source import MAX_CHARACTERS, Path, read_toml

TEXT = '''\
first = 1
"quoted.key" . sub = """a
b \\""" c
d"""""   # a comment = 1
[table]  # comment
array = [1, # one ]
  [2, 3], { x = 1, y.z = "]}" },
  """#""",
]
when = 2024-01-01 10:00:00Z
empty = []
none = {}
literal = '\\'
[table.inner.most]
value = \'\'\'x
]'y\'\'\'\'
[[items]]
name = "a"
[items.part]
k = true
[[items]]
name = "b"
[[items.many]]
n = 1
[[items.many]]
n = 2
[items.many.deep]
n = 3
[explicit.later]
a = 1
[explicit]
b = 1
'''


def paths(value: Any, at: Path = ()) -> set[Path]:
    """The path of every key and element."""
    found = {at} if at else set()
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        found |= paths(inner, (*at, step))
    return found


def test_every_key_and_element_has_its_line() -> None:
    source = read_toml(TEXT, "x.toml")
    assert set(source.lines) == paths(source.values)
    lines = {
        ("first",): 1,
        ("quoted.key", "sub"): 2,
        ("table",): 5,
        ("table", "array"): 6,
        ("table", "array", 0): 6,
        ("table", "array", 1, 1): 7,
        ("table", "array", 2, "y", "z"): 7,
        ("table", "array", 3): 8,
        ("table", "when"): 10,
        ("table", "literal"): 13,
        ("table", "inner"): 14,
        ("table", "inner", "most", "value"): 15,
        ("items",): 17,
        ("items", 0, "part", "k"): 20,
        ("items", 1): 21,
        ("items", 1, "many", 1): 25,
        ("items", 1, "many", 1, "deep", "n"): 28,
        ("explicit",): 31,
        ("explicit", "b"): 32,
    }
    assert {path: source.lines[path] for path in lines} == lines


def test_windows_line_ends() -> None:
    source = read_toml(TEXT.replace("\n", "\r\n"), "x.toml")
    assert source.lines == read_toml(TEXT, "x.toml").lines


def test_what_is_not_there_has_the_line_of_the_table_around_it() -> None:
    source = read_toml(TEXT, "x.toml")
    assert source.line(("table", "inner", "missing", "x")) == 14
    assert source.line(("nowhere",)) is None


_SCALARS = st.one_of(
    st.integers(-5, 5).map(str),
    st.sampled_from(
        ["true", '"a b"', "'#'", '"]\\""', '"""x\n\\"""\n"""', "'''\n'\n'''", "1979-05-27 07:32:00"]
    ),
)
_KEYS = st.sampled_from(["a", "b", "c-d", '"e.f"', "'g'", '"\\u0041"'])
_GAPS = st.sampled_from(["", " ", "\n", " # ]\n", "\n\n"])


@st.composite
def _values(draw: st.DrawFn, depth: int = 2) -> str:
    kind = draw(st.integers(0, 3 if depth else 0))
    if kind < 2:
        return draw(_SCALARS)
    if kind == 2:
        inner = draw(st.lists(_values(depth - 1), max_size=3))
        return "[" + ",".join(draw(_GAPS) + value + draw(_GAPS) for value in inner) + draw(_GAPS) + "]"
    keys = draw(st.lists(_KEYS, max_size=2, unique=True))
    return "{" + ", ".join(f"{key} = {draw(_values(depth - 1))}" for key in keys) + "}"


@st.composite
def _documents(draw: st.DrawFn) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        keys = ".".join(draw(st.lists(_KEYS, min_size=1, max_size=3)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            lines.append(f"[ {keys} ]")
        elif kind == 1:
            lines.append(f"[[{keys}]] # [x]")
        else:
            lines.append(f"{keys} = {draw(_values())}")
        lines += [""] * draw(st.integers(0, 1))
    return "\n".join(lines)


@given(_documents())
def test_whatever_tomllib_reads_has_its_lines(text: str) -> None:
    try:
        source = read_toml(text, "x.toml")
    except ConfigurationFaults:
        return
    assert set(source.lines) == paths(source.values)
    assert all(1 <= line <= text.count("\n") + 1 for line in source.lines.values())


@given(st.text(alphabet="ab=.\"'[]{},#\n \\1", max_size=40))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        source = read_toml(text, "x.toml")
    except ConfigurationFaults:
        return
    assert set(source.lines) == paths(source.values)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \n", 2),
        ("a = 1\n[b", 2),
        ("a = 1\n\n[t]\n[t]\n", 4),
        ("x = 1\nx = 2", 2),
        ("a = \x00", 1),
    ],
)
def test_what_is_no_toml_is_one_fault_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigurationFaults) as caught:
        read_toml(text, "x.toml")
    (fault,) = caught.value.faults
    assert (fault.source, fault.line) == ("x.toml", line)
    assert "TOML" in fault.remedy


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "{b=" * 50_000, "#" * (MAX_CHARACTERS + 1)]
)
def test_hostile_files_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationFaults) as caught:
        read_toml(text, "x.toml")
    assert len(str(caught.value)) < 500
