"""A node with an API key, and somebody to call behind a gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.e2e.conftest import MakePlatform
from tests.e2e.node import NUMBER, Platform, account, gateway
from tests.phone import phone
from tests.ports import free_port
from tests.sipp import sipp

SOURCE = NUMBER
"""A number that the account owns: the caller id."""
CALLEE = "+31687654321"
CALLS = 20


@asynccontextmanager
async def with_callee(
    node: MakePlatform, folder: Path, *, voice: str | None = None
) -> AsyncIterator[tuple[Platform, str, str]]:
    """The platform, the base URL of its API, and a live key of the account ``acme``.

    The callee takes one call and speaks this WAV file, or, without one, takes many and says nothing.
    """
    async with AsyncExitStack() as stack:
        if voice is None:
            port = free_port()
            peer = sipp("callee", None, folder=folder / "callee", port=port, calls=CALLS)
            await stack.enter_async_context(peer)
            address = f"127.0.0.1:{port}"
        else:
            callee = await stack.enter_async_context(phone("answer", "--play", voice, "--loop"))
            address = await callee.address()
        owned = f'[accounts.acme.numbers."{SOURCE}"]\n'
        here = await stack.enter_async_context(node(account(also=owned) + gateway("carrier", address)))
        yield here, here.api_url, await here.key()
