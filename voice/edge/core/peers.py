"""By which flow a peer is reached later, seen from one message of it.

Its Contact says so, unless it is behind NAT, or on a connection, or a call process of ours.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from voice.edge.core.doors import Door, Doors, NoDoor
from voice.edge.core.reach import Unreachable, port_of, wanted_transport
from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.uri import parse_uri

_REMEMBERED: Final = 4_096
_REMEMBERED_CHARS: Final = 256

Way = tuple[Flow, bool]
"""The flow, and whether the Contact names a host that has to be asked for first."""


class Peers:
    """Remembers its answers: the same telephones call again and again."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._known: dict[tuple[str, Flow, bool], Way] = {}

    def way_to(self, contact: str, source: Flow, door: Door, *, behind_nat: bool) -> Way:
        """How to reach whoever sent this Contact from this source to this door."""
        if door.inside or source.transport != "UDP":
            return source, False
        if len(contact) > _REMEMBERED_CHARS:
            return self._find(contact, source, behind_nat)
        key = (contact, source, behind_nat)
        way = self._known.get(key)
        if way is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            way = self._known[key] = self._find(contact, source, behind_nat)
        return way

    def _find(self, contact: str, source: Flow, behind_nat: bool) -> Way:
        try:
            uri = parse_uri(contact)
        except SipParseError:
            return source, False
        address = uri.address
        try:
            literal = ip_address(address)
        except ValueError:
            return source, bool(address)
        # A private address that is not the peer's own says that somebody between us translates addresses,
        # or that the peer wants us to send to a third party inside somebody's network.
        if behind_nat or (address != source.host and not literal.is_global):
            return source, False
        try:
            transport = wanted_transport(uri) or "UDP"
            door = self._doors.towards(transport, address)
        except (Unreachable, NoDoor):
            return source, False
        if transport == source.transport and address == source.host:
            # Of several sockets, the one that the peer knows.
            door = self._doors[source.local]
        name = address if transport == "TLS" else ""
        return Flow(transport, door.index, address, port_of(uri), 0, name), False
