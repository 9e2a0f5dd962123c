"""Fixtures of all tests; above all the one that fails a test which leaves something behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.leaks import RUN_MARK, CensusTaker

GRACE_SECONDS = 10.0
"""How long what is on its way out may take: a process being reaped, a thread ending."""

# Time bounds of single examples alarm falsely on a busy machine.  Function-scoped fixtures (the one
# below applies to every test) are set up once for all examples, which is what is meant here.
settings.register_profile(
    "trunkflow",
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("trunkflow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(inspect.unwrap(item.obj)):
            # Before the test's own asynchronous fixtures, so that it looks after they have cleaned up.
            item.fixturenames.insert(
                item.fixturenames.index("nothing_left_behind") + 1, "no_task_left_behind"
            )


@pytest.fixture(scope="session", autouse=True)
def census_taker(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[CensusTaker]:
    """Gives the session a directory for temporary files of its own, and marks its processes."""
    with pytest.MonkeyPatch.context() as patch:
        own = tmp_path_factory.mktemp("system-temporary", numbered=False)
        patch.setenv("TMPDIR", str(own))
        patch.setattr(tempfile, "tempdir", str(own))
        mark = uuid.uuid4().hex
        patch.setenv(RUN_MARK, mark)
        yield CensusTaker(mark, pytestconfig.rootpath)


@pytest.fixture(autouse=True)
def nothing_left_behind(census_taker: CensusTaker) -> Iterator[None]:
    """Fails a test that leaves behind a descriptor, thread, process or file (outside `tmp_path`)."""
    before = census_taker.take()
    yield
    deadline = time.monotonic() + GRACE_SECONDS
    while extra := before.extra(census_taker.take()):
        # A cycle may hold what nobody can reach any more; unclosed, it warns, and a warning fails the test.
        gc.collect()
        if time.monotonic() > deadline:
            pytest.fail("left behind:\n  " + "\n  ".join(extra), pytrace=False)
        time.sleep(0.01)


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fails an asynchronous test whose tasks still run when it and its fixtures are done."""
    before = asyncio.all_tasks()
    yield
    deadline = time.monotonic() + GRACE_SECONDS
    while extra := asyncio.all_tasks() - before - {_this_task()}:
        if time.monotonic() > deadline:
            pytest.fail("left behind:\n  " + "\n  ".join(map(repr, extra)), pytrace=False)
        await asyncio.sleep(0.005)


def _this_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).resolve().parent.parent
