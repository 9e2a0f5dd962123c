"""The administration over HTTP, on a database of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.conformance import Conformance
from tests.api.world import World, world
from voice.api.admin.resources import operations
from voice.api.server import ApiServer


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, ()) as made:
        all_of_it = operations(made.services)
        async with ApiServer(made.settings.api, made.services, all_of_it) as server:
            made.server = server
            made.conformance = Conformance(all_of_it)
            yield made
