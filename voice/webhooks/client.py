"""The one HTTP client for addresses that customers choose.

A URL from outside can be aimed at us: at services behind our firewall, at a server that never
answers or never stops, at a redirect to either.  So every request here has a bound on time, size,
redirects and connections, goes to public addresses only unless the settings allow more, and carries
nothing of ours: no cookies, no proxy from the environment, no credentials but the URL's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from callflows.ports import Unavailable
from voice.webhooks.connecting import (
    AddressRefused,
    CheckedResolver,
    Lookup,
    SystemLookup,
    guarded_socket,
    refuse_private,
)

LONGEST_URL = 4096
"""Characters; what common servers take."""

READ_BYTES = 65_536

HeaderMaker = Callable[[str], Mapping[str, str]]
"""Makes the headers for one exact URL.  Asked anew for each hop of a redirect: a signature covers the URL."""


class FetchFailed(Unavailable):
    """A request to a customer's URL failed.  The message names the URL (without credentials and query), what
    failed and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    allow_private_networks: bool = False
    """Customers' URLs may lead to private addresses: for nodes that serve one company inside its network."""
    total_seconds: float = 10.0
    """For everything: look-up, connection, redirects, the last byte."""
    connect_seconds: float = 4.0
    max_redirects: int = 3
    connections: int = 256
    connections_per_host: int = 8
    """A host that answers slowly holds up its own callers only."""
    user_agent: str = "trunkflow/0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whole.  Header names are looked up without case."""

    url: str
    """Of the last hop, without credentials and query."""
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of every hop."""

    method: str
    body: bytes | None
    max_bytes: int
    headers: HeaderMaker
    accept: frozenset[int]


class SafeClient:
    """Use as ``async with``, or `start` and `close`."""

    def __init__(self, settings: ClientSettings, *, lookup: Lookup | None = None) -> None:
        self._settings = settings
        self._lookup = lookup
        self._system_lookup: SystemLookup | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        settings = self._settings
        lookup = self._lookup
        if lookup is None:
            lookup = self._system_lookup = SystemLookup()
        connector = aiohttp.TCPConnector(
            resolver=CheckedResolver(lookup, allow_private=settings.allow_private_networks),
            socket_factory=None if settings.allow_private_networks else guarded_socket,
            limit=settings.connections,
            limit_per_host=settings.connections_per_host,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # A few bytes of gzip can be a gigabyte; callflows and sound gain little from it.
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_seconds),
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._system_lookup is not None:
            self._system_lookup.close()
            self._system_lookup = None

    async def get(
        self,
        url: str,
        *,
        max_bytes: int,
        seconds: float | None = None,
        headers: HeaderMaker = lambda url: {},
        accept: frozenset[int] = frozenset({200}),
    ) -> Answer:
        """GETs a URL, following redirects; any status outside `accept` is a failure.

        `seconds` is for everything, the settings' `total_seconds` by default.  Raises FetchFailed.
        """
        return await self._whole(_Asked("GET", None, max_bytes, headers, accept), url, seconds)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        max_bytes: int,
        seconds: float | None = None,
        headers: HeaderMaker = lambda url: {},
        accept: frozenset[int] = frozenset({200}),
    ) -> Answer:
        """POSTs to a URL; as `get`, but only redirects that keep the method and the body are followed.

        Without a Content-Type among `headers` there is none.  Raises FetchFailed.
        """
        return await self._whole(_Asked("POST", body, max_bytes, headers, accept), url, seconds)

    async def _whole(self, asked: _Asked, url: str, seconds: float | None) -> Answer:
        seconds = self._settings.total_seconds if seconds is None else seconds
        here = checked_url(url, allow_private=self._settings.allow_private_networks)
        try:
            async with asyncio.timeout(seconds):
                return await self._follow(here, asked)
        except TimeoutError:
            why = "a caller is waiting while this runs" if asked.body is None else "do the work afterwards"
            raise FetchFailed(
                f"{asked.method} {shown(here)} took longer than {seconds:g} s. Answer sooner: {why}."
            ) from None

    async def _follow(self, here: URL, asked: _Asked) -> Answer:
        start = shown(here)
        for _ in range(self._settings.max_redirects + 1):
            answer = await self._one(here, asked)
            if isinstance(answer, Answer):
                return answer
            here = self._next_hop(here, answer)
        raise FetchFailed(
            f"{asked.method} {start} was redirected more than {self._settings.max_redirects} times, "
            f"last to {shown(here)}. Configure the address it ends at."
        )

    def _next_hop(self, here: URL, location: str) -> URL:
        try:
            there = here.join(URL(location, encoded=location.isascii()))
        except ValueError:
            raise FetchFailed(
                f"{shown(here)} redirects to an address that is not a URL. Correct its Location header."
            ) from None
        if here.scheme == "https" and there.scheme == "http":
            raise FetchFailed(
                f"{shown(here)} redirects from https to http ({shown(there)}), "
                "where anyone on the way could read it. Redirect to an https address."
            )
        try:
            return checked_url(str(there), allow_private=self._settings.allow_private_networks)
        except FetchFailed as fault:
            raise FetchFailed(f"{shown(here)} redirects. {fault}") from None

    async def _one(self, here: URL, asked: _Asked) -> Answer | str:
        """One request: the answer, or the Location of a redirect."""
        if self._session is None:
            raise RuntimeError("the client is not started")
        request = self._session.request(
            asked.method,
            here,
            data=asked.body,
            headers=asked.headers(exact(here)),
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        )
        try:
            async with request as response:
                if response.status in _REDIRECTS:
                    return _location(response, here, asked)
                if response.status not in asked.accept:
                    raise FetchFailed(
                        f"{asked.method} {shown(here)} answered {_status(response)} where 200 is expected. "
                        "Look into that server's log."
                    )
                return Answer(
                    url=shown(here),
                    status=response.status,
                    headers=response.headers,
                    body=await _body(response, here, asked),
                )
        except (aiohttp.ClientError, OSError) as error:
            # asyncio.timeout's own TimeoutError is an OSError too, but is raised outside of here.
            raise FetchFailed(f"{asked.method} {shown(here)} failed: {_what_failed(error)}") from error


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPING = frozenset({307, 308})
"""Redirects that ask for the same request again (RFC 9110 section 15.4)."""


def _location(response: aiohttp.ClientResponse, here: URL, asked: _Asked) -> str:
    location = response.headers.get("Location")
    if not location:
        raise FetchFailed(
            f"{asked.method} {shown(here)} answered {response.status} without a Location header. Add it, "
            "or answer 200."
        )
    if asked.body is not None and response.status not in _KEEPING:
        raise FetchFailed(
            f"{asked.method} {shown(here)} was redirected with {response.status}, which would lose what is "
            "posted. Redirect with 307 or 308, or configure the address that it leads to."
        )
    return location


def exact(url: URL) -> str:
    """The URL as its server sees it: no user, no fragment, no default port, ``/`` for an empty path.

    It is what signatures cover (reference, section 8.1).
    """
    return f"{url.scheme}://{url.host_port_subcomponent}{url.raw_path_qs}"


def checked_url(url: str, *, allow_private: bool) -> URL:
    """The URL when it may be fetched at all.  Raises FetchFailed."""
    if len(url) > LONGEST_URL:
        raise FetchFailed(f"A URL of {len(url)} characters is too long: {LONGEST_URL} at most.")
    if not url.isprintable() or " " in url:
        raise FetchFailed("A URL with a space or control character in it cannot be fetched: encode it (%20).")
    try:
        parsed = URL(url, encoded=url.isascii())
        host, port = parsed.host, parsed.port
    except ValueError:
        raise FetchFailed("The address is not a URL: write https://host/path.") from None
    if parsed.scheme not in {"http", "https"} or not host:
        raise FetchFailed(f"{shown(parsed)} cannot be fetched: write http:// or https:// and a host.")
    if port == 0:
        raise FetchFailed(f"{shown(parsed)} has the port 0: write the port that the server listens on.")
    if _looks_like_address(host) and not allow_private:
        # aiohttp asks no resolver about these, and the system reads 127.1 and 2130706433 in its own way.
        try:
            refuse_private(host, f"{shown(parsed)} points at")
        except AddressRefused as refused:
            raise FetchFailed(f"{refused}. {_PRIVATE_REMEDY}") from None
    return parsed


def _looks_like_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def shown(url: URL) -> str:
    """A URL for messages: without user, password, query and fragment, where secrets are; 200 characters."""
    port = "" if url.explicit_port is None else f":{url.explicit_port}"
    text = f"{url.scheme}://{url.host_subcomponent or ''}{port}{url.raw_path}"
    return text if len(text) <= 200 else text[:199] + "…"


_PRIVATE_REMEDY = (
    "Use a public address, or let the operator set fetch.allow_private_networks where this is meant."
)


async def _body(response: aiohttp.ClientResponse, url: URL, asked: _Asked) -> bytes:
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchFailed(
            f"{asked.method} {shown(url)} answered compressed, though we accept identity only. "
            "Switch that off."
        )
    body = bytearray()
    async for chunk in response.content.iter_chunked(READ_BYTES):
        body += chunk
        if len(body) > asked.max_bytes:
            raise FetchFailed(
                f"{asked.method} {shown(url)} answered with more than {asked.max_bytes} bytes. "
                "Make what it sends smaller."
            )
    return bytes(body)


def _status(response: aiohttp.ClientResponse) -> str:
    reason = "".join(letter for letter in (response.reason or "")[:60] if letter.isprintable())
    return f"{response.status} {reason}".rstrip()


def _what_failed(error: aiohttp.ClientError | OSError) -> str:
    for cause in _causes(error):
        if isinstance(cause, AddressRefused):
            return f"{cause}. {_PRIVATE_REMEDY}"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host name has no address. Check the name, and that it is in the public DNS."
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return (
                f"TLS was refused ({_short(error)}). Install a certificate that public authorities vouch for."
            )
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return "no connection came about in time. Check that its port is open to us."
        case aiohttp.ClientConnectorError():
            why = _short(error.os_error)
            return f"no connection ({why}). Check that the server runs and that its port is open to us."
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | aiohttp.ClientOSError():
            return "the connection ended before the answer was whole. Look into that server's log."
        case _:
            return f"the answer is not HTTP as it should be ({_short(error)}). Look into that server's log."


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        os_error = getattr(following, "os_error", None)
        following = os_error if isinstance(os_error, BaseException) else following.__cause__
    return found


def _short(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(letter if letter.isprintable() else " " for letter in str(text))[:120]
