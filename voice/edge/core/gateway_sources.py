"""From where a gateway calls us, beyond an IP address that the configuration names.

Known are the addresses that a gateway's host name leads to, those that took our registration, and the
mark in the Contact that we registered, which only the carrier has seen (as ``line`` in other systems).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from hashlib import blake2b
from ipaddress import IPv6Network
from typing import Final

from sip_config.directory import Directory
from sip_config.model import Gateway
from sip_config.networks import packed
from voice.sip.flow import Flow

MARK: Final = "line"
"""URI parameter of the Contact of a registration."""
_MARK_IN_URI: Final = b";" + MARK.encode() + b"="
_MARK_CHARS: Final = 32
_REQUEST_LINE: Final = 512
"""Bytes of a packet in which the mark of its Request-URI has to stand."""
MOST_ADDRESSES: Final = 64
"""Of one gateway: names that change their addresses drop the oldest."""
REMEMBERED_SECONDS: Final = 900.0
"""After an address was seen last: DNS may give other ones in between."""

_MARK_WRITTEN: Final = re.compile(rf";{MARK}=[0-9a-f]{{{_MARK_CHARS}}}")

Address = tuple[int, int]


def unmarked(uri: str) -> str:
    """A URI as records show it: whoever has a mark can call as the carrier."""
    return _MARK_WRITTEN.sub(f";{MARK}=...", uri) if MARK in uri else uri


class GatewaySources:
    """What is known of all gateways of one edge."""

    def __init__(self, key: bytes) -> None:
        self._key = blake2b(key, digest_size=32, person=b"gateway line").digest()
        self._addresses: dict[str, dict[Address, float]] = {}
        """Gateway -> address -> until when."""
        self._gateways: dict[Address, tuple[str, ...]] = {}
        self._marks: dict[bytes, str] = {}
        """Mark -> gateway that it was registered at."""

    def mark_for(self, gateway_id: str) -> str:
        """The mark of a gateway: the same after a restart, so that a registration replaces the one before."""
        mark = blake2b(gateway_id.encode(), key=self._key, digest_size=_MARK_CHARS // 2).hexdigest()
        self._marks[mark.encode()] = gateway_id
        return mark

    def seen(
        self, gateway_id: str, addresses: Iterable[str], now: float, seconds: float = REMEMBERED_SECONDS
    ) -> None:
        """A gateway is at these addresses, for so long at least."""
        known = self._addresses.setdefault(gateway_id, {})
        before = set(known)
        for text in addresses:
            address = packed(text)
            if address is not None:
                until = max(now + seconds, known.pop(address, 0.0))
                known[address] = until
        for address in [one for one, until in known.items() if until <= now]:
            del known[address]
        while len(known) > MOST_ADDRESSES:
            del known[next(iter(known))]
        if set(known) != before:
            self._index()

    def knows(self, address: str) -> bool:
        """Whether a gateway may call from this address; asked for every packet that nothing else admits."""
        return bool(self._gateways) and packed(address) in self._gateways

    def knows_within(self, network: IPv6Network) -> bool:
        """Whether a gateway may call from an IPv6 network of 64 bits."""
        upper = int(network.network_address) >> 64
        return any(width == 128 and value >> 64 == upper for width, value in self._gateways)

    def marked(self, data: bytes) -> bool:
        """Whether the Request-URI of a packet carries a mark of ours."""
        if not self._marks:
            return False
        line = data[:_REQUEST_LINE].partition(b"\r\n")[0]
        at = line.find(_MARK_IN_URI)
        if at < 0:
            return False
        at += len(_MARK_IN_URI)
        return line[at : at + _MARK_CHARS] in self._marks

    def gateway_for(
        self, directory: Directory, address: str, account_id: str | None = None
    ) -> Gateway | None:
        """The gateway that calls from an address, best one that this account may use."""
        gateway = directory.gateway_for_source(address, account_id)
        if gateway is not None:
            return gateway
        for gateway_id in self._gateways.get(packed(address) or (0, 0), ()):
            gateway = directory.gateway(gateway_id)
            if gateway is not None and (account_id is None or gateway.account_id in (None, account_id)):
                return gateway
        return None if account_id is None else self.gateway_for(directory, address)

    def gateway_marked(self, directory: Directory, mark: str | None) -> Gateway | None:
        """The gateway whose registration had this mark in its Contact."""
        gateway_id = self._marks.get(mark.encode("utf-8", "replace")) if mark else None
        return None if gateway_id is None else directory.gateway(gateway_id)

    def is_at(self, gateway_id: str, address: str) -> bool:
        """Whether a gateway is known to be at an address."""
        return packed(address) in self._addresses.get(gateway_id, ())

    def gateway_behind(self, directory: Directory, flow: Flow) -> Gateway | None:
        """The gateway at an address, for requests inside a dialog with it."""
        for gateway in directory.gateways:
            if (gateway.host, gateway.port) == (flow.host, flow.port):
                return gateway
        return self.gateway_for(directory, flow.host)

    def count(self, gateway_id: str) -> int:
        """At how many addresses a gateway is known to be."""
        return len(self._addresses.get(gateway_id, ()))

    def forget(self, gateway_id: str) -> None:
        """The gateway may be elsewhere from now on."""
        self._addresses.pop(gateway_id, None)
        self._index()

    def keep(self, gateway_ids: Collection[str]) -> None:
        """Forgets all other gateways."""
        self._addresses = {key: known for key, known in self._addresses.items() if key in gateway_ids}
        self._marks = {mark: key for mark, key in self._marks.items() if key in gateway_ids}
        self._index()

    def _index(self) -> None:
        table: dict[Address, tuple[str, ...]] = {}
        for gateway_id, known in self._addresses.items():
            for address in known:
                table[address] = (*table.get(address, ()), gateway_id)
        self._gateways = table
