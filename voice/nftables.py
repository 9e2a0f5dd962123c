"""Bans as elements of nftables sets, so that the kernel drops packets before the edge has to read them.

A table of our own, ``inet trunkflow``, which is made at the start and removed at the end; each element has
the time of its ban, so that nobody stays out when the node dies.  The program ``nft`` does it: it needs the
capability CAP_NET_ADMIN.  What goes wrong is logged, the edge keeps out the banned by itself in any case.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from voice.bans import Ban

log = logging.getLogger(__name__)

TABLE: Final = "inet trunkflow"
MOST_ELEMENTS: Final = 65_536
"""Of each set."""
NFT_SECONDS: Final = 10.0
_AGAIN_SECONDS: Final = 60.0
"""After a fault the table is made anew, at most so often."""
_AT_A_TIME: Final = 2_000
_SETS: Final = {
    "banned4": "ipv4_addr; flags timeout",
    "banned6": "ipv6_addr; flags interval, timeout",
    "banned4_udp": "ipv4_addr; flags timeout",
    "banned6_udp": "ipv6_addr; flags interval, timeout",
}


class NftFailed(Exception):
    """The program nft could not do it; the message is what it said."""


class Nftables:
    """`ports`: where the edge takes SIP.  `command`: how nft is called."""

    def __init__(self, ports: Iterable[int], command: Sequence[str] = ("nft",)) -> None:
        self._ports = ", ".join(map(str, sorted(set(ports))))
        self._command = tuple(command)
        self._fed: dict[str, Ban] = {}
        self._made = False
        self._try_at = float("-inf")

    async def apply(self, wanted: Sequence[Ban], now: float) -> None:
        """Makes the sets hold these bans."""
        if not self._made and now < self._try_at:
            return
        try:
            if not self._made:
                await self._run(self._table())
                self._fed, self._made = {}, True
                log.info("banned sources are kept out by nftables, table %s", TABLE)
            await self._feed({ban.address: ban for ban in wanted[:MOST_ELEMENTS]}, now)
        except NftFailed as fault:
            self._made = False
            self._try_at = now + _AGAIN_SECONDS
            log.error(
                "nftables does not keep out banned sources, the edge does: %s. Install nftables and give the "
                "node CAP_NET_ADMIN, or set nftables = false in [node.bans].",
                fault,
            )

    async def close(self) -> None:
        """Removes the table."""
        if self._made:
            self._made = False
            try:
                await self._run(f"delete table {TABLE}\n")
            except NftFailed as fault:
                log.error("nftables: table %s could not be removed: %s", TABLE, fault)

    async def _feed(self, wanted: dict[str, Ban], now: float) -> None:
        gone = [ban for address, ban in self._fed.items() if wanted.get(address) != ban]
        come = [ban for address, ban in wanted.items() if self._fed.get(address) != ban]
        lines = [_removed(ban) for ban in gone if ban.until > now + 1]
        lines += [_added(ban, now) for ban in come if ban.until > now + 1]
        for start in range(0, len(lines), _AT_A_TIME):
            await self._run("".join(lines[start : start + _AT_A_TIME]))
        self._fed = wanted

    def _table(self) -> str:
        sets = "".join(f"  set {name} {{ type {of}; size {MOST_ELEMENTS}; }}\n" for name, of in _SETS.items())
        all_of_it = f"meta l4proto {{ tcp, udp }} th dport {{ {self._ports} }} counter drop"
        datagrams = f"udp dport {{ {self._ports} }} counter drop"
        return (
            # What an earlier node left behind is removed; deleting what is not there would be a fault.
            f"add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n{sets}"
            "  chain input {\n    type filter hook input priority -10; policy accept;\n"
            f"    ip saddr @banned4 {all_of_it}\n    ip6 saddr @banned6 {all_of_it}\n"
            f"    ip saddr @banned4_udp {datagrams}\n    ip6 saddr @banned6_udp {datagrams}\n  }}\n}}\n"
        )

    async def _run(self, script: str) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                "-f",
                "-",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as fault:
            raise NftFailed(f"{self._command[0]}: {fault.strerror}") from None
        try:
            async with asyncio.timeout(NFT_SECONDS):
                _, said = await process.communicate(script.encode())
        except TimeoutError:
            raise NftFailed(f"it did not end within {NFT_SECONDS:g} s") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            first = said.decode("utf-8", "replace").strip().partition("\n")[0]
            raise NftFailed(first or f"exit status {process.returncode}")


def _set_of(ban: Ban) -> str:
    family = "banned6" if ":" in ban.address else "banned4"
    return family if ban.proven else f"{family}_udp"


def _removed(ban: Ban) -> str:
    # Added first, because removing what has timed out would be a fault.
    element = f"element {TABLE} {_set_of(ban)} {{ {ban.address} }}\n"
    return f"add {element}delete {element}"


def _added(ban: Ban, now: float) -> str:
    element = f"element {TABLE} {_set_of(ban)} {{ {ban.address}"
    return f"add {element} timeout {max(1, round(ban.until - now))}s }}\n"
