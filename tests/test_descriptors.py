"""Room for as many connections as the settings promise."""

from __future__ import annotations

import resource

import pytest

from voice.descriptors import make_room


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What this process was given and asked for; the real one keeps its own."""
    given = [(1_024, 20_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: given[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: given.append(pair))
    return given


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ((1_024, 20_000), (6_024, 20_000)),
        ((1_024, resource.RLIM_INFINITY), (6_024, resource.RLIM_INFINITY)),
        ((8_192, 20_000), None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_there_is_room_for_what_may_come(
    given: tuple[int, int],
    asked: tuple[int, int] | None,
    limits: list[tuple[int, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits[:] = [given]
    make_room(5_000)
    assert limits[1:] == ([asked] if asked else [])
    assert not caplog.records


def test_less_than_needed_is_said(limits: list[tuple[int, int]], caplog: pytest.LogCaptureFixture) -> None:
    limits[:] = [(1_024, 4_096)]
    make_room(5_000)
    assert limits[-1] == (4_096, 4_096)
    assert "4096 files and connections open, and 6024 may be needed" in caplog.text
