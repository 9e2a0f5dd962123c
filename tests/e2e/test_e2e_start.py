"""Nodes that start in odd places, or cannot start: what they say then."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.e2e.flows import flow, record, say
from tests.e2e.node import account, platform, settings_text
from tests.e2e.served import served
from voice.config_file import read_config_file
from voice.node import NodeError, running
from voice.records import CallEnded, RecordingDone, RecordingStarted
from voice.settings import Settings


def settings_in(folder: Path) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "trunkflow.toml"
    config.write_text(settings_text())
    return read_config_file(config, {}).settings


async def test_an_odd_folder(tmp_path: Path) -> None:
    folder = tmp_path / "Ünï 電 %41 'x'"
    folder.mkdir()
    async with platform(folder, account(flow=flow(say("Hello."), record(key="#")))) as here:
        async with here.pbx("--digits", "#", "--digits-after", "4") as caller:
            assert await caller.ended() == 200
        done = await here.notes.first(RecordingDone)
        started = await here.notes.first(RecordingStarted)
        ended = await here.notes.first(CallEnded)
    assert (done.status, ended.reason) == ("done", "The callflow came to its end.")
    assert Path(started.path).stat().st_size == done.size


async def test_what_callers_say_is_nobody_elses_to_hear(tmp_path: Path) -> None:
    async with platform(tmp_path, account(flow=flow(record(key="#")))) as here:
        async with here.pbx("--digits", "#", "--digits-after", "1") as caller:
            assert await caller.ended() == 200
        started = await here.notes.first(RecordingStarted)
        path = Path(started.path)
        assert path.stat().st_mode & 0o077 == 0
        assert here.settings.recordings_directory.stat().st_mode & 0o077 == 0


async def test_the_data_directory_that_a_node_makes_is_its_own(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with running(settings):
        assert settings.data_directory.stat().st_mode & 0o777 == 0o700


async def test_a_second_node_in_the_same_data_directory_is_told_so(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with running(settings):
        with pytest.raises(NodeError, match="Another node is running with the data directory"):
            async with running(settings):
                pass


async def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.data_directory.write_text("a file, not a directory")
    with pytest.raises(NodeError, match=r"data cannot be used: File exists\. Choose another data_directory"):
        async with running(settings):
            pass


async def test_a_data_directory_whose_socket_would_have_too_long_a_path(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / ("long" * 25))
    with pytest.raises(NodeError, match="Choose a shorter data_directory"):
        async with running(settings):
            pass


async def test_a_node_has_room_for_the_connections_that_it_promises(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, hard))
    try:
        async with served(tmp_path, account()) as node:
            room, _ = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
            promised = read_config_file(node.config, {}).settings.sip.connections.total
            assert room >= min(promised + 1_024, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
