"""Connections of the API: how many there may be, and how long one may say nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from typing import Any, Final, cast

from aiohttp import web

from voice.api.faults import ApiFault, Code, Family, Problem, render

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 30.0
"""For the headers of the next request, the first one included."""
LONGEST_LINE: Final = 8_190
LONGEST_HEADER: Final = 8_190
MOST_HEADERS: Final = 100
LINGERING_SECONDS: Final = 2.0
"""How long the rest of a refused body is read and thrown away, so that the client sees the answer."""


class Connection(web.RequestHandler):
    """One client's connection: aiohttp's, with a bound on their number, and errors in our own shape."""

    __slots__ = ("_server",)

    def __init__(self, server: BoundedServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.made(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._server.gone(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers what is no HTTP."""
        problem = Problem(code=Code.BAD_REQUEST, message="This is no request of HTTP/1.1.")
        body = json.dumps(render(ApiFault(status, problem), Family.VOICE)).encode()
        response = web.Response(status=status, body=body, content_type="application/json")
        response.force_close()
        return response


class BoundedServer(web.Server):
    """Makes room for a new connection by closing the one that has waited longest without a request."""

    def __init__(self, handler: Any, *, most: int) -> None:
        super().__init__(
            handler,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_HEADER,
            max_headers=MOST_HEADERS,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,
            access_log=None,
        )
        self._most = most
        self._waiting: OrderedDict[Connection, None] = OrderedDict()
        self._all: set[Connection] = set()

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def made(self, connection: Connection) -> None:
        self._all.add(connection)
        self._waiting[connection] = None
        while len(self._all) > self._most and self._waiting:
            # The newest one waits as well: when all others work, it is the one that goes.
            oldest, _ = self._waiting.popitem(last=False)
            self._all.discard(oldest)
            oldest.force_close()

    def works(self, connection: web.RequestHandler) -> None:
        """A request of it has begun: it is not closed to make room."""
        self._waiting.pop(cast("Connection", connection), None)

    def waits(self, connection: web.RequestHandler) -> None:
        """Its request is answered."""
        mine = cast("Connection", connection)
        if mine in self._all:
            self._waiting[mine] = None

    def gone(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._waiting.pop(connection, None)
