"""Calls that callflows place: a call process sends one INVITE to a ticket, whose plan says where to."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from secrets import token_hex

from sip_config.admission import Refused
from sip_config.directory import Directory
from sip_config.identity_policy import E164_ONLY
from sip_config.model import SrtpPolicy
from sip_config.numbers import NumberFault, normalise
from voice.edge.core.best import Final
from voice.edge.core.call_facts import CallFacts, Kind
from voice.edge.core.crossing import Crossing
from voice.edge.core.identity import Caller, caller_of_callflow
from voice.edge.core.invite import Invite
from voice.edge.core.kernel import Alarm, Kernel
from voice.edge.core.permits import Permit
from voice.edge.core.targets import Target, number_target, uri_hop
from voice.edge.core.tokens import ids_of
from voice.media.srtp import USUAL_SRTP
from voice.pool.orders import DialPlan, Hunting, Seat, Ticket
from voice.records import Event, Gate
from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.headers import printable
from voice.sip.message import Request
from voice.sip.respond import make_response
from voice.sip.transactions import ServerTransaction
from voice.sip.uri import SipUri, parse_uri

MAX_TARGETS = 32
"""Of one plan: each is an INVITE of its own."""


class Dials:
    """Keeps filed plans, and the INVITEs of call processes that are not decided yet."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._plans: dict[str, tuple[DialPlan, Alarm]] = {}
        self._pending: dict[tuple[str, int], set[Invite]] = {}

    def file(self, plan: DialPlan, now: float) -> Ticket:
        """Keeps a plan.  Raises ValueError."""
        if not 1 <= len(plan.targets) <= MAX_TARGETS:
            raise ValueError(f"a dial plan needs 1 to {MAX_TARGETS} targets, not {len(plan.targets)}")
        ids_of(plan.call_id, *filter(None, (plan.leg_id,)))  # Have to be UUIDs: tokens carry them.
        ticket = token_hex(16)
        alarm = Alarm(self._kernel, lambda _now: self._forget(ticket))
        self._plans[ticket] = plan, alarm
        alarm.set(now + self._kernel.settings.ticket_seconds)
        return Ticket(uri=self._kernel.doors.inside.uri(ticket), srtp=self._offered(plan))

    def _offered(self, plan: DialPlan) -> SrtpPolicy:
        """What serves all that the plan leads to: where they differ, keys that each hop can do without.

        The edge takes the keys out for a gateway that forbids SRTP, and insists on them for one that
        requires it (`voice.edge.core.sdp_policy`).
        """
        directory = self._kernel.directory()
        account = directory.account(plan.account_id)
        country = None if account is None else account.identity.country
        policies: set[SrtpPolicy] = set()
        for target in plan.targets:
            if _is_uri(target):
                policies.add(plan.srtp)
                continue
            with suppress(NumberFault):
                number = normalise(target.removeprefix("tel:"), country)
                policies.update(one.srtp for one in directory.gateways_for(plan.account_id, number))
        return policies.pop() if len(policies) == 1 else USUAL_SRTP

    def begin(self, request: Request, server: ServerTransaction, source: Flow, now: float) -> None:
        """Forks the INVITE of a call process as its plan says."""
        kernel = self._kernel
        plan, alarm = self._plans.pop(request.sip_uri.user or "", (None, None))
        if plan is None or alarm is None:
            server.respond(make_response(request, 404, "No dial plan for this ticket"), now)
            kernel.journal.write(
                Event(
                    at=now,
                    kind="dial-without-plan",
                    detail="A call process dialled a ticket that was never filed, was used, or has expired.",
                )
            )
            return
        alarm.stop()
        crossing = Crossing(
            request, source, kernel.doors.inside, ids=ids_of(plan.call_id), from_caller=True, trunk=False
        )
        facts = CallFacts(
            kind=Kind.DIAL,
            call_id=plan.call_id,
            account_id=plan.account_id,
            source=plan.caller_id,
            leg_id=plan.leg_id,
        )
        process = (source.host, source.port)
        permit = Permit(kernel, plan, now)

        def ended(_final: Final, _now: float) -> None:
            permit.over()
            pending = self._pending.get(process)
            if pending is not None:
                pending.discard(invite)
                if not pending:
                    del self._pending[process]

        invite = Invite(kernel, server, crossing, facts, ended)
        self._pending.setdefault(process, set()).add(invite)
        directory = kernel.directory()
        account = directory.account(plan.account_id)
        policy = E164_ONLY if account is None else account.identity
        caller = caller_of_callflow(
            plan.caller_id,
            plan.asserted,
            policy,
            lambda e164: directory.owns(plan.account_id, e164),
            withheld=plan.withheld,
        )
        targets = [
            Target(name=printable(text[:128]), problem=permit.refuse(Gate.IDENTITY, caller, text, now))
            if isinstance(caller, Refused)
            else self._target(text, plan, directory, caller, policy.country, permit, now)
            for text in plan.targets
        ]
        serial = plan.hunting is Hunting.SERIAL
        invite.begin(targets, now, serial=serial, ring_seconds=plan.ring_seconds)

    def process_lost(self, seat: Seat, now: float) -> None:
        """Cancels what a process asked for that is gone."""
        for invite in list(self._pending.get((seat.host, seat.port), ())):
            invite.cancel(now)

    def _forget(self, ticket: str) -> None:
        self._plans.pop(ticket, None)

    def _target(
        self,
        text: str,
        plan: DialPlan,
        directory: Directory,
        caller: Caller,
        country: str | None,
        permit: Permit,
        now: float,
    ) -> Target:
        try:
            if _is_uri(text):
                uri = _sip_uri(text)
                refused = permit.refused_uri(text, uri, now)
                if refused is not None:
                    return Target(name=text, problem=refused)
                hop = uri_hop(uri, self._kernel.doors, caller, plan.srtp)
                return Target(name=text, hops=[replace(hop, barred=permit.guard(uri, now))])
            number = normalise(text.removeprefix("tel:"), country)
        except (SipParseError, NumberFault) as fault:
            status = fault.status if isinstance(fault, SipParseError) else 484
            faulty = permit.refuse(Gate.PARSE, _no_destination(text, fault), text, now, status)
            return Target(name=printable(text[:128]), problem=faulty)
        refused = permit.refused(number, now)
        if refused is not None:
            return Target(name=number, problem=refused)
        gateways = directory.gateways_for(plan.account_id, number)
        if not gateways:
            return Target(name=number, problem=permit.refuse(Gate.ROUTE, _no_way(number), text, now, 404))
        return number_target(
            directory,
            self._kernel.doors,
            self._kernel.gateway_health.ordered(gateways, now),
            plan.account_id,
            number,
            caller,
        )


def _no_destination(text: str, fault: Exception) -> Refused:
    return Refused(
        cause="callflow-destination",
        rule=f"destination {printable(text[:64])}",
        remedy=f"{printable(str(fault)[:200]).rstrip('.')}: dial a number in E.164 or a SIP URI.",
    )


def _no_way(number: str) -> Refused:
    return Refused(
        cause="callflow-no-gateway",
        rule=f"no gateway for {number}",
        remedy=f"No gateway for {number}: add one whose prefixes fit the number.",
    )


def _is_uri(target: str) -> bool:
    return target.lower().startswith(("sip:", "sips:"))


def _sip_uri(text: str) -> SipUri:
    uri = parse_uri(text)
    if uri.scheme == "tel":
        raise SipParseError("dial a tel URI by its number", status=416)
    return uri
