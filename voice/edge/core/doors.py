"""The edge's own sockets, as the core sees them: what to write into messages that leave by them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sip_config.networks import packed
from voice.sip.flow import Flow

_FLOWS_REMEMBERED: Final = 1_024
_TRANSPORT_PARAMS: Final = {
    "UDP": "",
    "TCP": ";transport=tcp",
    "TLS": ";transport=tls",
    "WS": ";transport=ws",
    "WSS": ";transport=ws",  # RFC 7118 section 5.2.2 has no other.
}
INSIDE: Final = 0
"""`Door.index` of the loopback socket that call processes use."""


class NoDoor(LookupError):
    """The edge has no socket of this transport and address family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One socket (UDP) or listener (TCP and what runs on it)."""

    index: int
    transport: str
    """``UDP``, ``TCP``, ``TLS``, ``WS`` or ``WSS``."""
    host: str
    """What peers reach it by: a name or an address, IPv6 in brackets."""
    port: int
    ipv6: bool
    local_host: str = ""
    """The address it is bound to."""
    inside: bool = field(init=False)
    sent_by: str = field(init=False)
    _after_user: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inside", self.index == INSIDE)
        object.__setattr__(self, "sent_by", f"{self.host}:{self.port}")
        transport = _TRANSPORT_PARAMS[self.transport]
        object.__setattr__(self, "_after_user", f"@{self.sent_by}{transport}")

    def uri(self, user: str, params: str = "", *, scheme: str = "sip") -> str:
        """A SIP URI that leads to this door; ``sips`` for a call that was promised to stay on TLS."""
        return f"{scheme}:{user}{self._after_user}{params}"


class Doors:
    """All doors; the first is the inside one."""

    def __init__(self, doors: tuple[Door, ...]) -> None:
        if not doors or doors[0].index != INSIDE or [door.index for door in doors] != list(range(len(doors))):
            raise ValueError("doors are numbered from 0 in order, and the first is the inside one")
        self.all = doors
        self.inside = doors[INSIDE]
        self.own_addresses = frozenset((door.host.lower().strip("[]"), door.port) for door in doors)
        """What a Request-URI that means the edge itself says."""
        self._flows: dict[tuple[str, str, int], Flow | None] = {}
        self.transports = frozenset(door.transport for door in doors[1:])
        self._towards: dict[tuple[str, bool], Door] = {}
        for door in doors[1:]:
            self._towards.setdefault((door.transport, door.ipv6), door)

    def flow_to(self, transport: str, address: str, port: int) -> Flow | None:
        """The flow to a peer that is known by its address; None: it is a name, or no door leads there."""
        key = (transport, address, port)
        if key not in self._flows:
            door = self._towards.get((transport, ":" in address))
            if len(self._flows) >= _FLOWS_REMEMBERED:
                self._flows.clear()
            known = door is not None and packed(address) is not None
            name = address if transport == "TLS" else ""
            self._flows[key] = Flow(transport, door.index, address, port, 0, name) if door and known else None
        return self._flows[key]

    def shown_host(self, transport: str, ipv6: bool) -> str:
        """What the outside that is reached like this knows the edge by."""
        door = self._towards.get((transport, ipv6)) or next(iter(self._towards.values()), self.inside)
        return door.host

    def __getitem__(self, index: int) -> Door:
        return self.all[index]

    def towards(self, transport: str, address: str) -> Door:
        """The outside door by which to reach an address.  Raises NoDoor."""
        try:
            return self._towards[transport, ":" in address]
        except KeyError:
            family = "IPv6" if ":" in address else "IPv4"
            raise NoDoor(
                f"the edge has no {transport} socket for {family}: add one to its listen addresses"
            ) from None
