"""Calls that come from outside: to a call process when a callflow answers, else out by a gateway."""

from __future__ import annotations

from collections.abc import Callable

from sip_config.routing import RunCallflow, SendOut
from voice.edge.core.answers import Answers, Verdict
from voice.edge.core.best import Final
from voice.edge.core.branch import Branch
from voice.edge.core.call_facts import CallFacts, Kind
from voice.edge.core.crossing import Crossing
from voice.edge.core.farewell import Farewell
from voice.edge.core.gates import Admission
from voice.edge.core.guise import guise_of
from voice.edge.core.held_records import HeldRecords
from voice.edge.core.invite import Invite
from voice.edge.core.kernel import Kernel, new_id
from voice.edge.core.legs import Leg, hung_up, status_after
from voice.edge.core.live_calls import LiveCall
from voice.edge.core.over_limit import OverLimit
from voice.edge.core.pops import ELSEWHERE
from voice.edge.core.targets import Hop, Target, number_target
from voice.edge.core.tokens import DialogToken, ids_of
from voice.edge.core.wishes import SeatWanted
from voice.media.srtp import USUAL_SRTP, srtp_uri
from voice.pool.orders import CallOrder, Seat
from voice.records import CallChanged, CallEnded, CallStarted, CallStatus, Direction, Gate, LegStatus
from voice.sip.deadlines import Deadlines
from voice.sip.flow import Flow
from voice.sip.headers import printable
from voice.sip.message import Request, Response
from voice.sip.transactions import ServerTransaction

_POOL_GRACE = 120.0
"""Seconds beyond a callflow call's longest duration after which its place is given back in any case."""

_CALL_STATUS = {
    LegStatus.BUSY: CallStatus.BUSY,
    LegStatus.NO_ANSWER: CallStatus.NO_ANSWER,
}


class Calls:
    """Begins calls that were let in, and knows when they have ended."""

    def __init__(self, kernel: Kernel, answers: Answers) -> None:
        self._kernel = kernel
        self._answers = answers
        self._longest: Deadlines[LiveCall] = Deadlines()
        self.begun = 0

    def begin(
        self, request: Request, server: ServerTransaction, source: Flow, admission: Admission, now: float
    ) -> None:
        """Takes an admitted INVITE on."""
        kernel = self._kernel
        call = admission.call
        call_id, leg_id = call.call_id, new_id()
        caller = admission.caller
        shown = caller.known_as
        account = admission.account
        route = admission.route
        flow = route.callflow if isinstance(route, RunCallflow) else None
        number = route.number if isinstance(route, RunCallflow) else None
        journal = HeldRecords(kernel.journal)
        if admission.relayed_by is None or isinstance(route, SendOut):
            journal.tell()
        journal.write(
            CallStarted(
                call_id=call_id,
                at=now,
                account_id=account.id,
                direction=Direction.INCOMING,
                source=shown,
                destination=admission.destination,
                domain=admission.domain.label if admission.domain else None,
                acl=admission.acl_name,
                sip_account=admission.sip_account.username if admission.sip_account else None,
                number_id=number.id if number else None,
                sip_call_id=printable(request.call_id[:256]),
                source_address=_shown(admission.came_from or source),
                relayed_by=admission.relayed_by,
                callflow_id=flow.id if flow else None,
                node=kernel.settings.node if isinstance(route, RunCallflow) else None,
            )
        )
        leg = Leg(
            journal,
            leg_id,
            call_id,
            Direction.INCOMING,
            source=shown,
            destination=admission.destination,
            gateway=None,
            now=now,
        )
        trunk = isinstance(route, SendOut)
        self._began(call, now)
        crossing = Crossing(
            request,
            source,
            kernel.door_of(source),
            ids=ids_of(call_id, leg_id),
            from_caller=True,
            trunk=trunk,
        )
        facts = CallFacts(
            kind=Kind.TRUNK if trunk else Kind.CALLFLOW,
            call_id=call_id,
            account_id=account.id,
            source=shown,
            incoming_leg=leg,
            srtp=admission.srtp,
            answered=self._trunk_answered(call, crossing, leg_id) if trunk else None,
        )
        if isinstance(route, SendOut):
            assert admission.e164 is not None
            invite = Invite(kernel, server, crossing, facts, self._trunk_ended(call_id))
            gateways = kernel.gateway_health.ordered(route.gateways, now)
            target = number_target(
                admission.directory,
                kernel.doors,
                gateways,
                account.id,
                admission.e164,
                caller,
                request.call_id,
            )
            call.give_up = invite.cancel
            invite.begin([target], now)
        else:
            self._seek_seat(server, crossing, facts, admission, journal, now)

    def reserve(self, call_id: str, account_id: str, now: float) -> OverLimit | None:
        """A place for a call that the account places through the API, within the same limits.

        None: it has one, until `ended`.  Raises LookupError when there is no such account.
        """
        account = self._kernel.directory().account(account_id)
        if account is None:
            raise LookupError(f"there is no account {account_id}")
        call = LiveCall(call_id, account, since=now)
        over = self._kernel.limits.admit(call, now)
        if over is None:
            self._began(call, now)
        return over

    def ended(self, call_id: str, now: float) -> None:
        """The pool says that a callflow call is over."""
        self._release(call_id, now)

    def saw(self, token: DialogToken, request: Request, source: Flow) -> None:
        """A request of a call passes in its dialog."""
        call = self._kernel.limits.calls.get(token.call_id) if token.trunk else None
        if call is not None and call.farewell is not None:
            call.farewell.saw(token, request, source)

    def hang_up(self, call_id: str, reason: str, now: float) -> bool:
        """Ends a trunk call with BYE to both sides, or by CANCEL; False: it is none of this edge."""
        call = self._kernel.limits.calls.get(call_id)
        if call is None or not call.trunk:
            return False
        farewell, give_up, legs = call.farewell, call.give_up, call.legs
        if farewell is not None:
            farewell.say(now)
            hung_up(self._kernel.journal, call_id, legs, now)
        self._trunk_over(call_id, CallStatus.ENDED, reason, now)
        if give_up is not None:
            give_up(now)
        return True

    def dialog_ended(self, token: DialogToken) -> Callable[[float], None]:
        """What a BYE that was answered means for its call."""

        def ended(now: float) -> None:
            hung_up(self._kernel.journal, token.call_id, token.legs, now)
            for leg_id in token.legs:
                self._kernel.gateway_places.release(leg_id)
            self._kernel.limits.talks_end(token.call_id, token.legs, now)
            if token.trunk:
                who = "caller" if token.from_caller else "called party"
                self._trunk_over(token.call_id, CallStatus.ENDED, f"The {who} hung up.", now)

        return ended

    def get_timer(self) -> float | None:
        times = (self._longest.next(), self._kernel.limits.get_timer())
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Ends calls that have lasted as long as they may."""
        self._kernel.limits.handle_timer(now)
        while (call := self._longest.due(now)) is not None:
            reason = f"The call reached the longest duration of {call.whose_limit}: {call.most_seconds} s."
            if not self.hang_up(call.call_id, reason, now):
                self._release(call.call_id, now)

    def beyond_their_day(self, now: float) -> list[tuple[str, str]]:
        """Calls whose subjects have used up what they may in a day, each with a sentence that says so."""
        found = self._kernel.limits.beyond_their_day(now)
        return [(call.call_id, f"A limit ended the call: {over.rule}.") for call, over in found]

    def _release(self, call_id: str, now: float) -> bool:
        self._kernel.gateway_places.release_call(call_id)
        call = self._kernel.limits.release(call_id, now)
        if call is None:
            return False
        call.give_up = call.farewell = None
        self._longest.stop(call)
        return True

    def _began(self, call: LiveCall, now: float) -> None:
        self.begun += 1
        call.wanted = now + call.most_seconds + (0.0 if call.trunk else _POOL_GRACE)
        self._longest.changed(call)

    def _trunk_answered(
        self, call: LiveCall, crossing: Crossing, leg_id: str
    ) -> Callable[[Branch, Response, Flow, float], None]:
        def answered(branch: Branch, answer: Response, source: Flow, now: float) -> None:
            if not call.rows:
                return
            assert branch.leg is not None
            self._kernel.journal.write(CallChanged(call_id=call.call_id, at=now, status=CallStatus.ONGOING))
            call.give_up = None
            call.farewell = Farewell(self._kernel, crossing, branch, answer, source)
            call.legs = (leg_id, branch.leg.id)
            self._kernel.limits.let_go(call, call.holds)
            call.wanted = now + call.most_seconds
            self._longest.changed(call)

        return answered

    def _trunk_ended(self, call_id: str) -> Callable[[Final, float], None]:
        def ended(final: Final, now: float) -> None:
            if final.status >= 300 and call_id in self._kernel.limits.calls:
                outcome = _CALL_STATUS.get(status_after(final.status), CallStatus.FAILED)
                self._trunk_over(
                    call_id, outcome, f"Not answered: {final.status} {printable(final.reason)}.", now
                )

        return ended

    def _trunk_over(self, call_id: str, status: CallStatus, reason: str, now: float) -> None:
        self._release(call_id, now)
        self._kernel.journal.write(CallEnded(call_id=call_id, at=now, status=status, reason=reason))

    def _seek_seat(
        self,
        server: ServerTransaction,
        crossing: Crossing,
        facts: CallFacts,
        admission: Admission,
        journal: HeldRecords,
        now: float,
    ) -> None:
        kernel = self._kernel
        call_id = facts.call_id
        caller = admission.caller
        guise = guise_of(
            caller, caller.asserted, callee_trusted=True, caller_trusted=admission.from_trusted_gateway
        )
        seated = False

        def invite_ended(final: Final, later: float) -> None:
            if final.status < 300:
                return
            if seated:
                # The pool knows whether the call process has begun the call, and says how it ended.
                kernel.release_seat(call_id, f"{final.status} {printable(final.reason)}")
                return
            self._release(call_id, later)
            outcome = _CALL_STATUS.get(status_after(final.status), CallStatus.FAILED)
            reason = f"Not begun: {final.status} {printable(final.reason)}."
            journal.tell()
            journal.write(CallEnded(call_id=call_id, at=later, status=outcome, reason=reason))

        invite = Invite(kernel, server, crossing, facts, invite_ended)

        def given(seat: Seat, later: float) -> None:
            nonlocal seated
            if invite.decided:
                kernel.release_seat(call_id, None)
                return
            seated = True
            journal.tell()
            uri = f"sip:{call_id}@{seat.host}:{seat.port}"
            hop = Hop(
                uri=uri,
                flow=kernel.inside_flow(seat.host, seat.port),
                trusted=True,
                guise=guise,
                shown=_shown_inside(crossing, admission),
            )
            invite.begin([Target(name=admission.destination, hops=[hop])], later)

        def full(problem: str, retry_after: int, later: float) -> None:
            # To another POP that relayed the call: it may try a third.
            when = ELSEWHERE if admission.came_from else str(retry_after)
            refused(problem, "pool-full", "call pool", (("Retry-After", when),), later)

        def failed(problem: str, later: float) -> None:
            headers = (("Retry-After", ELSEWHERE),) if admission.came_from else ()
            refused(problem, "pool-failed", "call pool failed", headers, later)

        def refused(
            problem: str, cause: str, rule: str, headers: tuple[tuple[str, str], ...], later: float
        ) -> None:
            if invite.decided:
                return
            self._pool_refused(crossing, admission, cause, rule, problem, later)
            journal.drop()
            invite.refuse(503, None, later, headers)

        kernel.wishes.append(
            SeatWanted(order=_order(facts, admission), given=given, full=full, failed=failed)
        )

    def _pool_refused(
        self, crossing: Crossing, admission: Admission, cause: str, rule: str, problem: str, now: float
    ) -> None:
        request, domain = crossing.request, admission.domain
        assert request is not None
        verdict = Verdict(
            status=503,
            gate=Gate.POOL,
            cause=cause,
            rule=rule,
            remedy=f"{problem}: call again later, or give the node a larger call pool.",
            account_id=admission.account.id,
            domain=domain.label if domain else None,
            admitted=admission.admitted,
        )
        self._answers.record(request, admission.came_from or crossing.source, verdict, now)


def _shown(source: Flow) -> str:
    return f"{source.host}:{source.port}"


def _order(facts: CallFacts, admission: Admission) -> CallOrder:
    route = admission.route
    assert isinstance(route, RunCallflow)
    assert facts.incoming_leg is not None
    account = admission.account
    fallback = account.fallback_callflow_id
    fallback_flow = admission.directory.callflow(fallback) if fallback else None
    return CallOrder(
        call_id=facts.call_id,
        leg_id=facts.incoming_leg.id,
        account_id=account.id,
        domain=admission.domain.label if admission.domain else None,
        source=admission.caller.known_as,
        destination=admission.destination,
        number_id=route.number.id if route.number else None,
        callflow_id=route.callflow.id if route.callflow else None,
        document=route.callflow.document if route.callflow else None,
        url=route.url,
        fallback_document=fallback_flow.document if fallback_flow else None,
        asserted=admission.caller.asserted,
        withheld=admission.caller.shown is None,
        srtp=admission.srtp,
        max_seconds=admission.call.most_seconds,
    )


def _shown_inside(crossing: Crossing, admission: Admission) -> tuple[str, str] | None:
    """From and To of an INVITE for a call process, whose media stack finds the policy by its To."""
    if admission.srtp is USUAL_SRTP:
        return None
    return crossing.from_.uri, srtp_uri(admission.srtp)
