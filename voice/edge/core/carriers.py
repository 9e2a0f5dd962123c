"""What the edge does for gateways by itself: OPTIONS, registrations, names; and how each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sip_config.directory import Directory
from sip_config.model import Gateway
from sip_config.networks import packed
from voice.edge.core.gateway_health import Health
from voice.edge.core.gateway_names import GatewayName
from voice.edge.core.keepalive import Keepalive
from voice.edge.core.kernel import Kernel
from voice.edge.core.registration import Registration, RegistrationView

_LOOK_SECONDS: Final = 1.0
"""How long a change of the configuration may go unnoticed here."""

_AFTER_LEAVING: Final = 3.0
"""Seconds between taking a registration back and asking for another at the same gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayView:
    """How a gateway is, for people to look at."""

    name: str
    account_id: str | None
    calls: int
    addresses: int
    """From which it may call, beyond one that is configured."""
    health: Health
    registration: RegistrationView | None
    name_problem: str | None
    """Why DNS does not know its host."""


class _Work:
    """What is done for one gateway."""

    __slots__ = ("gateway", "keepalive", "name", "registration")

    def __init__(self, kernel: Kernel, gateway: Gateway) -> None:
        options = gateway.options
        self.gateway = gateway
        self.keepalive = Keepalive(kernel, gateway) if options.keepalive_seconds is not None else None
        self.registration: Registration | None = None
        self.name = GatewayName(kernel, gateway) if packed(gateway.host) is None else None


class Carriers:
    """All gateways of one edge; begins by itself with the first turn of the clock."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._works: dict[str, _Work] = {}
        self._leaving: list[Registration] = []
        self._seen: Directory | None = None
        self._stopped = False
        self._look_at = 0.0
        kernel.gateway_health.when_back = self._back

    @property
    def leaving(self) -> bool:
        """Whether a registration is still being taken back."""
        return any(not registration.over for registration in self._leaving)

    def leave(self, now: float) -> None:
        """The edge is being stopped: no more calls from carriers."""
        if self._stopped:
            return
        self._stopped = True
        for work in self._works.values():
            if work.keepalive is not None:
                work.keepalive.stop(now)
            if work.name is not None:
                work.name.stop()
            self._leave(work, now)

    def view(self, now: float) -> dict[str, GatewayView]:
        """By the id of the gateway."""
        kernel = self._kernel
        return {
            gateway_id: GatewayView(
                name=work.gateway.name,
                account_id=work.gateway.account_id,
                calls=kernel.gateway_places.taken(gateway_id),
                addresses=kernel.gateway_sources.count(gateway_id),
                health=kernel.gateway_health.view(work.gateway, now),
                registration=work.registration.view() if work.registration is not None else None,
                name_problem=work.name.problem if work.name is not None else None,
            )
            for gateway_id, work in self._works.items()
        }

    def get_timer(self) -> float | None:
        return None if self._stopped else self._look_at

    def handle_timer(self, now: float) -> None:
        """Takes over a configuration that has changed."""
        if self._stopped or now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        directory = self._kernel.directory()
        if directory is self._seen:
            return
        self._seen = directory
        kernel = self._kernel
        wanted = {gateway.id: gateway for gateway in directory.gateways}
        replaced: set[str] = set()
        for gateway_id, work in list(self._works.items()):
            gateway = wanted.get(gateway_id)
            if gateway is None or _work_of(gateway) != _work_of(work.gateway):
                del self._works[gateway_id]
                self._end(work, now)
                if work.registration is not None:
                    replaced.add(gateway_id)
            elif gateway is not work.gateway:
                work.gateway = gateway
        for known in (kernel.gateway_health, kernel.gateway_places, kernel.gateway_sources):
            known.keep(wanted.keys())
        for gateway_id, gateway in wanted.items():
            if gateway_id not in self._works:
                self._works[gateway_id] = self._begun(gateway, now, gateway_id in replaced)

    def _back(self, gateway: Gateway, now: float) -> None:
        work = self._works.get(gateway.id)
        if work is not None and work.registration is not None:
            work.registration.renew(now)

    def _begun(self, gateway: Gateway, now: float, replaced: bool) -> _Work:
        work = _Work(self._kernel, gateway)
        if work.keepalive is not None:
            work.keepalive.start(now)
        if work.name is not None:
            work.name.start(now)
        if gateway.options.register:
            work.registration = Registration(self._kernel, gateway)
            # The one before is taken back first: both have the same Contact.
            work.registration.start(now + _AFTER_LEAVING if replaced else now)
        return work

    def _end(self, work: _Work, now: float) -> None:
        if work.keepalive is not None:
            work.keepalive.stop(now)
            self._kernel.gateway_health.probes_ended(work.gateway.id)
        if work.name is not None:
            work.name.stop()
        self._kernel.gateway_sources.forget(work.gateway.id)
        self._leave(work, now)

    def _leave(self, work: _Work, now: float) -> None:
        self._leaving = [registration for registration in self._leaving if not registration.over]
        if work.registration is not None:
            work.registration.leave(now)
            self._leaving.append(work.registration)


def _work_of(gateway: Gateway) -> tuple[object, ...]:
    """What the work for a gateway depends on: a change of the rest disturbs nothing."""
    options = gateway.options
    return (
        *(gateway.host, gateway.port, gateway.transport, gateway.name),
        *(gateway.username, gateway.password, gateway.attempt_seconds),
        *(options.keepalive_seconds, options.cooldown_after),
        *(options.register, options.register_seconds, options.register_user, options.register_domain),
    )
