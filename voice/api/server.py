"""The HTTP server: from a request to the operation, and from its reply to the response.

Every fault becomes an answer here and nowhere else; what nobody expected is a 500 with the request's id,
and in the log with the same.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from voice.api import bodies, resources
from voice.api.connections import BoundedServer
from voice.api.faults import ApiFault, Code, Family, Problem, Unavailable, render
from voice.api.fields import Fields
from voice.api.gate import Gate
from voice.api.operation import Operation
from voice.api.reply import Reply
from voice.api.request import ACCOUNT_HEADER, ACCOUNT_PARAMETER, Request
from voice.api.routes import Place, Routes
from voice.api.services import Services
from voice.settings import ApiSettings, SocketAddress
from voice.store.errors import StoreError
from voice.store.listing import Accounts

log = logging.getLogger(__name__)
access_log = logging.getLogger("voice.api.access")

REQUEST_ID: Final = "X-Request-Id"
OVERRIDE: Final = "_method"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
STOP_SECONDS: Final = 5.0
"""How long running requests may go on when the server stops."""
SLOWEST_BYTES: Final = 16_384
"""Bytes a second at which a file must be taken on average."""

_LEAST_FILE_SECONDS: Final = 60.0
_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")


@dataclass(slots=True, kw_only=True)
class _Told:
    """What the access log says of a request; found out as it is answered."""

    id: str
    family: Family = Family.VOICE
    key_id: str = "-"
    operation: str = "-"


class ApiServer:
    """`async with ApiServer(settings, services) as server: ...`; or start and stop."""

    def __init__(
        self, settings: ApiSettings, services: Services, operations: Iterable[Operation] | None = None
    ) -> None:
        """Serves every resource there is, unless `operations` are given."""
        self._settings = settings
        self._routes = Routes(resources.operations(services) if operations is None else operations)
        self._gate = Gate(services.keys, Accounts(services.database), settings)
        self._server: BoundedServer | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listens.  Raises OSError for an address that is taken."""
        self._server = BoundedServer(self._handle, most=self._settings.max_connections)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=STOP_SECONDS, handle_signals=False)
        await self._runner.setup()
        try:
            for address in self._settings.listen:
                await web.TCPSite(self._runner, address.host, address.port, backlog=512).start()
        except BaseException:
            await self.stop()
            raise
        log.info("the API listens on %s", ", ".join(map(str, self.addresses)))

    async def stop(self) -> None:
        """Lets running requests end, up to some seconds; takes no new ones."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> ApiServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """Where it listens, with the ports that the system chose."""
        runner = self._runner
        found = runner.addresses if runner is not None else []
        return tuple(SocketAddress(host=str(one[0]), port=int(one[1])) for one in found)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._server is not None
        self._server.works(request.protocol)
        began = time.monotonic()
        given = request.headers.get(REQUEST_ID, "")
        told = _Told(id=given if _GIVEN_ID.fullmatch(given) else str(uuid.uuid4()))
        reply = await self._reply(request, told)
        try:
            return _response(reply, told.id)
        finally:
            access_log.info(
                "%s %s %s %d %s key=%s %.1f ms",
                told.id,
                request.method,
                told.operation,
                reply.status,
                request.remote or "-",
                told.key_id,
                (time.monotonic() - began) * 1_000,
            )
            self._server.waits(request.protocol)

    async def _reply(self, request: web.BaseRequest, told: _Told) -> Reply:
        try:
            return await self._answer(request, told)
        except ApiFault as fault:
            return _refusal(fault, told.family)
        except StoreError as fault:
            log.error("request %s: %s", told.id, fault)
            return _refusal(Unavailable("The database cannot be reached. Try again."), told.family)
        except (ConnectionError, web.RequestPayloadError):
            # Nobody reads the answer to a body that broke off.
            return _refusal(ApiFault(400, _bad("The body broke off.")), told.family)
        except Exception:
            log.exception("request %s: %s failed", told.id, told.operation)
            message = f"Internal error. Report it with the request id {told.id}."
            return _refusal(ApiFault(500, Problem(code=Code.INTERNAL, message=message)), told.family)

    async def _answer(self, request: web.BaseRequest, told: _Told) -> Reply:
        place = self._routes.find(request.rel_url.raw_path)
        query = Fields(bodies.form(request.rel_url.raw_query_string))
        if place is None:
            message = "There is no such resource. GET /openapi.json lists all there are."
            raise ApiFault(404, Problem(code=Code.NO_SUCH_RESOURCE, message=message))
        told.family = next(iter(place.methods.values()))[0].family
        method = _method(request.method, query)
        if method == "OPTIONS":
            return Reply(status=204, headers={"Allow": ", ".join(place.allowed)})
        operation = place.operation(method)
        if operation is None:
            raise _not_allowed(method, place)
        told.operation = operation.path
        asked = await self._admit(request, operation, place, method, query, told)
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                return await operation.run(asked)
        except TimeoutError:
            log.error("request %s: %s took too long", told.id, told.operation)
            raise Unavailable("It took too long to answer. Try again.") from None

    async def _admit(
        self,
        request: web.BaseRequest,
        operation: Operation,
        place: Place,
        method: str,
        query: Fields,
        told: _Told,
    ) -> Request:
        """The request as the operation sees it, once its key was let in and its body was read."""
        headers = request.headers
        principal = account = None
        if operation.scope is not None:
            principal = await self._gate.principal(headers.get("Authorization", ""), request.remote or "-")
            told.key_id = principal.key_id
            named = query.raw(ACCOUNT_PARAMETER)
            account = await self._gate.account(
                principal, operation, headers.get(ACCOUNT_HEADER), named if isinstance(named, str) else None
            )
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        content = b"" if principal is None else await self._content(request, operation)
        fields = {} if operation.raw_body else _fields(content, content_type, operation)
        if method != request.method and not fields:
            # A client that can only GET says everything in the query.
            fields = dict(query.mapping)
        return Request(
            id=told.id,
            method=method,
            url_path=place.path,
            public_url=self._settings.public_url or _origin(request),
            principal=principal,
            account=account,
            path=place.parameters(method),
            query=query,
            body=Fields(fields),
            content=content,
            content_type=content_type,
            accept=headers.get("Accept", ""),
        )

    async def _content(self, request: web.BaseRequest, operation: Operation) -> bytes:
        """The body, not larger and not slower than allowed."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise bodies.unsupported("Compressed bodies are not read here.")
        most = operation.largest_body
        if (request.content_length or 0) > most:
            raise _too_large(most)
        if not request.body_exists:
            return b""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        content = bytearray()
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while chunk := await request.content.readany():
                    content += chunk
                    if len(content) > most:
                        raise _too_large(most)
        except TimeoutError:
            seconds = self._settings.body_seconds
            problem = _bad(f"The body did not arrive within {seconds:g} s.")
            raise ApiFault(408, problem, headers=_CLOSE) from None
        return bytes(content)


_CLOSE: Final[Mapping[str, str]] = {"Connection": "close"}


def _fields(content: bytes, content_type: str, operation: Operation) -> dict[str, object]:
    return bodies.fields_of(content, content_type, bare=operation.bare)


def _method(method: str, query: Fields) -> str:
    """The verb that is meant: `_method` in the query is for clients that can only GET or POST."""
    meant = query.raw(OVERRIDE)
    if method in {"GET", "POST"} and isinstance(meant, str) and meant.upper() in METHODS:
        return meant.upper()
    return method


def _not_allowed(method: str, place: Place) -> ApiFault:
    allowed = ", ".join(place.allowed)
    shown = method if method in METHODS else "This method"
    problem = Problem(
        code=Code.NO_SUCH_RESOURCE, message=f"{shown} is not possible here; these are: {allowed}."
    )
    return ApiFault(405, problem, headers={"Allow": allowed})


def _too_large(most: int) -> ApiFault:
    return ApiFault(413, _bad(f"The body is larger than {most} bytes."), headers=_CLOSE)


def _bad(message: str) -> Problem:
    return Problem(code=Code.BAD_REQUEST, message=message)


def _refusal(fault: ApiFault, family: Family) -> Reply:
    return Reply.json(render(fault, family), status=fault.status, headers=fault.headers)


def _origin(request: web.BaseRequest) -> str:
    """The address that the client used; it only goes back to the same client."""
    host = request.headers.get("Host", "")
    return f"http://{host if _HOST.fullmatch(host) else 'localhost'}"


def _response(reply: Reply, id: str) -> web.StreamResponse:
    headers = {
        **reply.headers,
        REQUEST_ID: id,
        "Server": "trunkflow",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    if reply.content_type is not None:
        headers["Content-Type"] = reply.content_type
    if reply.path is not None:
        return _File(reply.path, headers=headers)
    response = web.Response(status=reply.status, body=reply.body or None, headers=headers)
    if headers.get("Connection") == "close":
        response.force_close()
    return response


class _File(web.FileResponse):
    """Streams it: whole, or the range that was asked for.  A client that hardly reads is let go of."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        size = await asyncio.to_thread(lambda: self._path.stat().st_size if self._path.is_file() else 0)
        try:
            async with asyncio.timeout(_LEAST_FILE_SECONDS + size / SLOWEST_BYTES):
                return await super().prepare(request)
        except TimeoutError:
            log.info("a file of %d bytes was not taken in time by %s", size, request.remote)
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client reads too slowly") from None
