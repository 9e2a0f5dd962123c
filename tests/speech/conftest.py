"""A sound library in a directory of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.webhooks.conftest import Site, site
from voice.speech.library import SoundLibrary, SoundSettings
from voice.webhooks.client import ClientSettings, SafeClient

__all__ = ["Site", "site"]


@pytest.fixture
def sound_settings(tmp_path: Path) -> SoundSettings:
    return SoundSettings(cache=tmp_path / "cache", uploads=tmp_path / "uploads")


@pytest.fixture
async def client() -> AsyncIterator[SafeClient]:
    async with SafeClient(ClientSettings(allow_private_networks=True)) as client:
        yield client


@pytest.fixture
async def library(sound_settings: SoundSettings, client: SafeClient) -> AsyncIterator[SoundLibrary]:
    async with SoundLibrary(sound_settings, client) as library:
        yield library
