"""Where gateways that are given by host name are, so that calls from there are known as theirs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from sip_config.model import Gateway, Transport
from voice.edge.core.kernel import Alarm, Kernel
from voice.edge.core.targets import gateway_uri
from voice.edge.core.wishes import AddressesWanted

_SECONDS: Final = 60.0
"""Between two questions; the resolver remembers answers as long as DNS says."""
_FIRST_WITHIN: Final = 1.0


class GatewayName:
    """Asks for the addresses of one gateway's name again and again."""

    def __init__(self, kernel: Kernel, gateway: Gateway, dice: Callable[[], float] = random.random) -> None:
        self._kernel = kernel
        self._gateway = gateway
        self._dice = dice
        self._alarm = Alarm(kernel, self._ask)
        self._stopped = False
        self.problem: str | None = None
        """Why DNS gave no addresses the last time."""

    def start(self, now: float) -> None:
        self._alarm.set(now + self._dice() * _FIRST_WITHIN)

    def stop(self) -> None:
        self._stopped = True
        self._alarm.stop()

    def _ask(self, now: float) -> None:
        gateway = self._gateway
        self._kernel.wishes.append(
            AddressesWanted(
                host=gateway.host,
                port=gateway_uri(gateway).port,
                transport=None if gateway.transport is Transport.UDP else gateway.transport.value,
                found=self._found,
                failed=self._failed,
            )
        )
        self._alarm.set(now + _SECONDS * (0.9 + 0.2 * self._dice()))

    def _found(self, addresses: Sequence[tuple[str, str, int]], now: float) -> None:
        if not self._stopped:
            self.problem = None
            hosts = dict.fromkeys(address for _, address, _ in addresses)
            self._kernel.gateway_sources.seen(self._gateway.id, hosts, now)

    def _failed(self, problem: str, _now: float) -> None:
        # What was known stays known for a while: a DNS server that is down must not keep carriers out.
        self.problem = problem
