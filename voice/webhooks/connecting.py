"""Names to addresses, and sockets to those, with the addresses checked at both places.

What is checked is what is connected to: the answer of the one look-up that a connection is made
with, and once more the address of each socket just before it connects.  So a name that answers
differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from voice.webhooks.addresses import why_not_public

Lookup = Callable[[str], Awaitable[list[str]]]
"""Host name -> its addresses; raises OSError when there are none."""

LOOKUP_THREADS = 16
"""A look-up cannot be cancelled, and a name server may take 10 s: a few must not hold up the rest."""


class AddressRefused(OSError):
    """A name or socket leads to an address that is not public.  The message is a sentence."""


class SystemLookup:
    """`getaddrinfo` in threads of its own: slow name servers of customers must not fill asyncio's own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="customer-dns")

    async def __call__(self, host: str) -> list[str]:
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(self._threads, _getaddrinfo, host)
        return list(dict.fromkeys(str(info[4][0]) for info in infos))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str) -> list[tuple[Any, ...]]:
    try:
        return list(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG))
    except UnicodeError as error:  # a label that is empty or longer than 63 octets
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None


class CheckedResolver(AbstractResolver):
    """aiohttp's resolver, refusing a name when any of its addresses is not public."""

    def __init__(self, lookup: Lookup, *, allow_private: bool) -> None:
        self._lookup = lookup
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host)
        if not self._allow_private:
            for address in addresses:
                refuse_private(address, f"{host} is at")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to release: the look-up belongs to who made it."""


def guarded_socket(info: tuple[Any, ...]) -> socket.socket:
    """aiohttp's socket factory: the last check, on the very address that is about to be connected to."""
    family, kind, protocol, _, address = info
    refuse_private(address[0], "the connection would go to")
    return socket.socket(family, kind, protocol)


def refuse_private(address: str, lead: str) -> None:
    """Raises AddressRefused, its message beginning with `lead`, when the address is not public."""
    if (what := why_not_public(address)) is not None:
        raise AddressRefused(f"{lead} {address}, which is not a public address: {what}")
