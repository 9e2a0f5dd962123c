"""What is refused of the destinations of one dial plan, above all by the limits.

A callflow may dial what a trunk call of its account might call, and nothing else: also a SIP URI that leads
to a gateway counts as the number in it.
"""

from __future__ import annotations

from collections.abc import Callable

from sip_config.admission import Refused
from sip_config.model import Gateway
from sip_config.networks import packed
from sip_config.numbers import NumberFault, normalise
from voice.edge.core.best import Final
from voice.edge.core.kernel import Kernel
from voice.edge.core.live_calls import LiveCall, subjects_of
from voice.edge.core.over_limit import OverLimit, gateway_by_uri
from voice.pool.orders import DialPlan, Hunting
from voice.records import CALL_SOURCE, Gate, Refusal
from voice.sip.headers import printable
from voice.sip.uri import SipUri

_LONGEST_REASON = 120
_FORBIDDEN = 403
"""Whatever the limit: no other trunk is to be tried."""


class Permit:
    """Of one dial plan, from its INVITE to the end of that."""

    def __init__(self, kernel: Kernel, plan: DialPlan, now: float) -> None:
        self._kernel = kernel
        self._plan = plan
        self._call = self._live_call(now)
        self._held: list[float] = []

    def refused(self, number: str, now: float) -> Final | None:
        """How dialling a number ends at once; None: it may be dialled."""
        return self._refused(number, number, now)

    def refused_uri(self, text: str, uri: SipUri, now: float) -> Final | None:
        """The same for a SIP URI."""
        gateway = self._gateway_named(uri.address)
        if gateway is not None:
            return self._refused_at(gateway, text, uri, now)
        return self._refused(text, text, now)

    def guard(self, uri: SipUri, now: float) -> Callable[[str], Final | None] | None:
        """Looks at the addresses that the host of a URI turns out to have."""
        if packed(uri.address) is not None:
            return None
        kernel = self._kernel

        def barred(address: str) -> Final | None:
            gateway = kernel.gateway_sources.gateway_for(kernel.directory(), address)
            return None if gateway is None else self._refused_at(gateway, str(uri), uri, now)

        return barred

    def over(self) -> None:
        """The INVITE was answered, or failed: nothing needs to be set apart for its targets any more."""
        if self._call is not None and self._call.rows:
            self._kernel.limits.let_go(self._call, self._held)
        self._held.clear()

    def _live_call(self, now: float) -> LiveCall | None:
        """A call from before a restart is only known by its account."""
        kernel, plan = self._kernel, self._plan
        call = kernel.limits.calls.get(plan.call_id)
        if call is None:
            account = kernel.directory().account(plan.account_id)
            if account is None:
                return None
            call = LiveCall(plan.call_id, account, subjects_of(account), since=now)
        return call

    def _gateway_named(self, host: str) -> Gateway | None:
        directory = self._kernel.directory()
        name = host.lower()
        for gateway in directory.gateways:
            if gateway.host.lower() == name:
                return gateway
        return self._kernel.gateway_sources.gateway_for(directory, host)

    def _refused_at(self, gateway: Gateway, text: str, uri: SipUri, now: float) -> Final | None:
        """A URI that leads to a gateway: to the account's own with the number in it, to others not at all."""
        call = self._call
        if call is None or gateway.account_id != call.account_id:
            account = "" if call is None else str(call.subjects[0])
            return self.refuse(Gate.LIMITS, gateway_by_uri(gateway.name, account, text), text, now)
        try:
            country = self._kernel.directory().country_of(call.account_id)
            return self._refused(normalise(uri.username or "", country), text, now)
        except NumberFault:
            return self._refused(text, text, now)

    def _refused(self, destination: str, text: str, now: float) -> Final | None:
        call = self._call
        if call is None:
            return None
        # Of targets that are tried one after another, one is talked to.
        hold = bool(call.rows) and not (self._held and self._plan.hunting is Hunting.SERIAL)
        over = self._kernel.limits.dial(call, destination, now, hold=hold)
        if over is not None:
            return self.refuse(Gate.LIMITS, over, text, now)
        if hold:
            self._held.append(call.holds[-1])
        return None

    def refuse(
        self, gate: Gate, refused: Refused | OverLimit, text: str, now: float, status: int = _FORBIDDEN
    ) -> Final:
        """How dialling a target ends at once that this gate refuses; it is on record."""
        plan, refusals = self._plan, self._kernel.refusals
        source = f"{CALL_SOURCE}{plan.call_id}"
        if not refusals.again(source, refused.cause, refused.rule):
            refusals.write(
                Refusal(
                    at=now,
                    gate=gate,
                    cause=refused.cause,
                    rule=refused.rule,
                    remedy=refused.remedy,
                    sip_status=status,
                    source_address=source,
                    method="INVITE",
                    request_uri=printable(text[:256]),
                    sip_call_id=plan.call_id,
                    account_id=plan.account_id,
                ),
                source,
                now,
                ours=True,
            )
        return Final.local(status, printable(refused.remedy[:_LONGEST_REASON]))
