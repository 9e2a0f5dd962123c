"""The edge's own sockets, as the core sees them: what to write into messages that leave by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INSIDE: Final = 0
"""`Door.index` of the loopback socket that call processes use."""


class NoDoor(LookupError):
    """The edge has no socket of this transport and address family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One socket (UDP) or listener (TCP)."""

    index: int
    transport: str
    """``UDP`` or ``TCP``."""
    host: str
    """What peers reach it by: a name or an address, IPv6 in brackets."""
    port: int
    ipv6: bool
    local_host: str = ""
    """The address it is bound to."""

    @property
    def inside(self) -> bool:
        return self.index == INSIDE

    @property
    def sent_by(self) -> str:
        return f"{self.host}:{self.port}"

    def uri(self, user: str, params: str = "") -> str:
        """A SIP URI that leads to this door."""
        transport = "" if self.transport == "UDP" else ";transport=tcp"
        return f"sip:{user}@{self.host}:{self.port}{transport}{params}"


class Doors:
    """All doors; the first is the inside one."""

    def __init__(self, doors: tuple[Door, ...]) -> None:
        if not doors or doors[0].index != INSIDE or [door.index for door in doors] != list(range(len(doors))):
            raise ValueError("doors are numbered from 0 in order, and the first is the inside one")
        self.all = doors
        self.inside = doors[INSIDE]
        self.own_addresses = frozenset((door.host.lower().strip("[]"), door.port) for door in doors)
        """What a Request-URI that means the edge itself says."""
        self._towards: dict[tuple[str, bool], Door] = {}
        for door in doors[1:]:
            self._towards.setdefault((door.transport, door.ipv6), door)

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
