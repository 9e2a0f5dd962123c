"""A customer's web server, on loopback, that answers as a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from tests.ports import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """Answers every request with `handler`; keeps what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.port = 0

        async def empty(request: web.Request) -> web.StreamResponse:
            return web.Response(text="hello")

        self.handler: Handler = empty

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, web.Request)
        self.requests.append(request)
        return await self.handler(request)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        # Two addresses of this machine, so that a test can call one of them public.
        site.port = free_port()
        for host in ("127.0.0.1", "127.0.0.2"):
            await web.TCPSite(runner, host, site.port).start()
        yield site
    finally:
        await runner.cleanup()
