"""A node for each test, and voices to tell its callers apart by."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from tests.audio import tone, write_wav
from tests.e2e.node import Platform, platform

MakePlatform = Callable[..., AbstractAsyncContextManager[Platform]]


LONG = 60.0
"""Seconds of a voice: longer than any call of a test."""


class Voices(Protocol):
    """Makes WAV files that hold a tone."""

    def __call__(self, hertz: float, seconds: float = LONG) -> str: ...


@pytest.fixture
def node(tmp_path: Path) -> MakePlatform:
    """Starts a node with a declaration: ``async with node(account(...)) as here``."""
    return partial(platform, tmp_path)


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Voices:
    """The path of a WAV file that holds a tone of this frequency."""
    folder = tmp_path_factory.mktemp("voices")

    def voice(hertz: float, seconds: float = LONG) -> str:
        path = folder / f"{hertz:g}-{seconds:g}.wav"
        if not path.exists():
            write_wav(path, tone(hertz, seconds))
        return str(path)

    return voice
