"""What tests of the edge share beside `tests.edge.world`."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What earlier tests left behind is collected before this one, and nothing is collected during it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
