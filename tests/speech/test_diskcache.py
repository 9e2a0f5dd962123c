from __future__ import annotations

import os
from pathlib import Path

import pytest

from callflows.ports import Unavailable
from voice.speech.beep import write_beep
from voice.speech.diskcache import SPARED_SECONDS, DiskCache, file_name


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(directory: Path, max_bytes: int, clock: Clock) -> DiskCache:
    cache = DiskCache(directory, max_bytes, clock)
    cache.open()
    return cache


def put(cache: DiskCache, what: str, size: int = 4096) -> str:
    unfinished = cache.unfinished()
    unfinished.write_bytes(b"x" * size)
    name = file_name(".json", what)
    cache.keep(unfinished, name)
    return name


def test_the_least_recently_used_goes_first(tmp_path: Path, clock: Clock) -> None:
    cache = opened(tmp_path / "c", 3 * 4096, clock)
    names = []
    for what in "abc":
        names.append(put(cache, what))
        clock.now += 1
    clock.now += SPARED_SECONDS
    assert cache.find(names[0]) is not None
    clock.now += SPARED_SECONDS + 1
    put(cache, "d")
    assert [cache.find(name) is not None for name in names] == [True, False, True]
    assert cache.bytes == 3 * 4096


def test_what_was_just_handed_out_stays_and_twice_the_space_is_the_end(tmp_path: Path, clock: Clock) -> None:
    cache = opened(tmp_path / "c", 2 * 4096, clock)
    names = [put(cache, what) for what in "abcd"]
    assert all(cache.find(name) for name in names)
    with pytest.raises(Unavailable, match="full of sounds"):
        put(cache, "e")
    clock.now += SPARED_SECONDS + 1
    clock.now += 0
    with pytest.raises(Unavailable):
        put(cache, "f", 9 * 4096)
    put(cache, "e2", 0 + 1) if cache.bytes < 4 * 4096 else None


def test_tiny_files_count_as_what_they_take(tmp_path: Path, clock: Clock) -> None:
    cache = opened(tmp_path / "c", 10 * 4096, clock)
    for number in range(100):
        put(cache, f"{number}", 10)
        clock.now += SPARED_SECONDS + 1
    assert len(list((tmp_path / "c").iterdir())) == 10


def test_a_restart_finds_what_was_kept_and_its_order(tmp_path: Path, clock: Clock) -> None:
    first = opened(tmp_path / "c", 10 * 4096, clock)
    names = []
    for what in "abc":
        names.append(put(first, what))
        (path, _) = first.find(names[-1]) or (tmp_path, 0)
        os.utime(path, (clock.now, clock.now))
        clock.now += 1
    clock.now += SPARED_SECONDS
    second = opened(tmp_path / "c", 2 * 4096, clock)
    assert [second.find(name) is not None for name in names] == [False, True, True]


def test_a_restart_clears_away_what_a_crash_left_and_nothing_else(tmp_path: Path, clock: Clock) -> None:
    directory = tmp_path / "c"
    cache = opened(directory, 1 << 20, clock)
    name = file_name(".wav", "beep")
    beep = cache.unfinished(".wav")
    write_beep(beep, 8000)
    whole = beep.read_bytes()
    cache.keep(beep, name)
    torn = directory / file_name(".wav", "torn")
    torn.write_bytes(whole[:500])
    young, old, foreign = cache.unfinished(".wav"), cache.unfinished(), directory / "README"
    for path, age in ((young, 10), (old, 4000), (foreign, 99999)):
        path.write_bytes(b"x")
        os.utime(path, (clock.now - age, clock.now - age))
    opened(directory, 1 << 20, clock)
    assert {path.name for path in directory.iterdir()} == {name, young.name, "README"}


def test_files_of_another_process_are_found_and_missed(tmp_path: Path, clock: Clock) -> None:
    one, other = (opened(tmp_path / "c", 1 << 20, clock) for _ in range(2))
    name = put(one, "a")
    found = other.find(name)
    assert found is not None
    found[0].unlink()
    assert one.find(name) is None
    assert one.bytes == 0


def test_names_cover_every_ingredient() -> None:
    assert file_name(".wav", "a", "bc") != file_name(".wav", "ab", "c")
    assert file_name(".wav", "\ud800").endswith(".wav")
