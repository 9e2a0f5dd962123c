"""The response context of an INVITE (RFC 3261 section 16): its branches, and what its sender hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voice.edge.core import attempts, media_attempts
from voice.edge.core.best import Final, best_of, challenges_of
from voice.edge.core.branch import Branch
from voice.edge.core.call_facts import CallFacts, Kind
from voice.edge.core.crossing import LEG_HEADER, TARGET_HEADER, Crossing, Passage
from voice.edge.core.gateway_auth import answered_challenge
from voice.edge.core.header_rules import apply_rules
from voice.edge.core.kernel import Alarm, Kernel, new_id
from voice.edge.core.legs import Leg
from voice.edge.core.orphans import hang_up
from voice.edge.core.relay import destination
from voice.edge.core.targets import Hop, Target
from voice.edge.core.tokens import ids_of
from voice.records import Direction
from voice.sip.flow import Flow
from voice.sip.headers import printable
from voice.sip.message import Request, Response
from voice.sip.respond import make_response
from voice.sip.transactions import ServerTransaction
from voice.sip.uri import parse_uri


class Invite:
    """One INVITE from its arrival to its last response.

    `ended` is called once, with the first final response that its sender was given.
    """

    def __init__(
        self,
        kernel: Kernel,
        server: ServerTransaction,
        crossing: Crossing,
        facts: CallFacts,
        ended: Callable[[Final, float], None],
    ) -> None:
        self.kernel = kernel
        self.server = server
        self.crossing = crossing
        self.facts = facts
        self._ended = ended
        self._targets: list[Target] = []
        """Those not begun yet."""
        self._serial = False
        self._ring_seconds: float | None = None
        self._ring: Alarm | None = None
        self._leg_id = facts.leg_id
        self._branches: list[Branch] = []
        self._finals: list[Final] = []
        self._cancelled: Final | None = None
        self._answered = False
        self._handed_on = False
        server.owner = self

    @property
    def decided(self) -> bool:
        """Whether nothing more can be begun: it was answered, cancelled or refused."""
        return self._answered or self._handed_on or self._cancelled is not None or self.server.answered

    def begin(
        self,
        targets: Sequence[Target],
        now: float,
        *,
        serial: bool = False,
        ring_seconds: float | None = None,
    ) -> None:
        """Sends the INVITE to all targets at once, or to one after another."""
        self._targets.extend(targets)
        self._serial = serial
        self._ring_seconds = ring_seconds
        if not serial:
            self._arm_ring(now)
        self._begin_targets(now)
        self._conclude(now)

    def cancel(self, now: float, status: int = 487, reason: str = "Request Terminated") -> None:
        """The sender no longer wants it (section 16.10)."""
        if self.decided:
            return
        self._cancelled = Final.local(status, reason)
        self._give_up_others(self._cancelled, now)
        self._conclude(now)

    def refuse(
        self, status: int, reason: str | None, now: float, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answers it ourselves, before any branch was begun."""
        if not self.server.answered:
            self._answer_ourselves(Final.local(status, reason), now, headers)

    def transaction_over(self) -> None:
        """Lets go of the branches, which refer back, once nothing can come for any of them."""
        clients = (branch.client for branch in self._branches)
        if (self.server.over or self._handed_on) and all(client is None or client.over for client in clients):
            self._branches.clear()
            self._finals.clear()

    def response(self, branch: Branch, response: Response, source: Flow, now: float) -> None:
        """A response came on a branch."""
        status = response.status
        if 100 < status < 300 and media_attempts.unfit(branch, response, now):
            return
        if not branch.over:
            attempts.heard(self.kernel, branch, response, now)
        if status < 200:
            branch.heard(response, now)
            if status > 100 and not branch.over and not self.decided:
                self._tell_leg(branch, response, now)
                self._relay(branch, response, source, now)
        elif status < 300:
            self._answered_by(branch, response, source, now)
        elif not branch.over:
            if status in (401, 407) and self._answer_challenge(branch, response, now):
                return
            assert branch.passage is not None
            self._tell_leg(branch, response, now)
            final = (
                branch.end_as
                or attempts.redirected(self.kernel, branch, response, self.facts.account_id, now)
                or attempts.final_of(branch, response, branch.passage, source)
            )
            self.branch_failed(branch, final, now)

    def branch_failed(self, branch: Branch, final: Final, now: float) -> None:
        """A branch is over and brought no answer."""
        if branch.over:
            return
        if branch.leg is not None:
            branch.leg.responded(final.status, final.reason, now)
        if branch.hop.took is not None and not self.decided:
            branch.hop.took(final.came is not None)
        branch.finish()
        attempts.over(self.kernel, branch)
        self._finals.append(final)
        next_one = attempts.may_fail_over(branch, final)
        if final.status >= 600 and not next_one:
            self._give_up_others(final, now)
        elif next_one and not self.decided:
            if branch.flows and attempts.other_address_first(branch, final):
                self._begin_branch(branch.target, branch.hop, branch.flows, now, branch.began)
            else:
                self._begin_hop(branch.target, now)
        self._conclude(now)

    def branch_lost(self, branch: Branch, *, transport: bool, now: float, problem: str = "") -> None:
        """No final response will come: the next hop cannot be reached, or stayed silent."""
        datagram, branch.datagram = branch.datagram, None
        if transport and datagram is not None and branch.end_as is None and not (branch.over or self.decided):
            self._send_by(branch, datagram, self.facts.cseq_delta, now)
            return
        self.gateway_failed(branch, "no way" if transport else "no response", now)
        final = Final.local(408)
        if transport:
            why = f": {printable(problem[:160])}" if problem else ""
            final = Final.local(503, f"The next hop cannot be reached{why}")
        self.branch_failed(branch, branch.end_as or final, now)

    def pop_lost(self, pop: str, now: float) -> None:
        """A POP is down: a call that waits for it goes elsewhere, and does not go there."""
        for branch in self._branches:
            branch.target.hops[:] = [hop for hop in branch.target.hops if hop.pop != pop]
        for branch in [branch for branch in self._branches if branch.hop.pop == pop]:
            branch.lost(f"POP {pop} is down", now)

    def gateway_failed(self, branch: Branch, reason: str, now: float) -> None:
        """The gateway of a branch could not be reached, or stayed silent."""
        if not branch.over:
            attempts.failed(self.kernel, branch, reason, now)

    def _begin_targets(self, now: float) -> None:
        while self._targets and not self.decided:
            self._begin_hop(self._targets.pop(0), now)
            if self._serial and any(not branch.over for branch in self._branches):
                self._arm_ring(now)
                return

    def _begin_hop(self, target: Target, now: float) -> None:
        hop = target.next_hop()
        if hop is None:
            if target.problem is not None:
                if self._leg_id is not None:
                    # Whoever named the leg looks for how it ended.
                    problem = target.problem
                    self._new_leg(target, None, now).responded(problem.status, problem.reason, now)
                self._finals.append(target.problem)
                target.problem = None
            return
        if not media_attempts.fits(self, hop):
            self._finals.append(Final.local(488, f"{target.name} cannot be reached with this sound"))
            self._begin_hop(target, now)
            return
        gateway = hop.gateway
        if gateway is not None and hop.token is None:
            over = self.kernel.gateway_places.over_limit(gateway, now)
            if over is not None:
                self._pass_over(target, gateway.name, over, now)
                return
        if hop.flow is not None:
            self._begin_branch(target, hop, (hop.flow,), now)
            return
        branch = self._new_branch(target, hop, now)

        def found(flows: Sequence[Flow], later: float) -> None:
            if branch.over:
                return
            barred = [] if hop.barred is None else [hop.barred(flow.host) for flow in flows]
            if problem := next(filter(None, barred), None):
                self.branch_failed(branch, problem, later)
            else:
                self._send(branch, flows, later)

        def failed(problem: str, later: float) -> None:
            self.gateway_failed(branch, problem, later)
            self.branch_failed(branch, Final.local(503, problem), later)

        if hop.token is not None:
            destination(self.kernel, hop.token, self.facts.routes, found, failed, now)
        else:
            self.kernel.locate(parse_uri(hop.uri), trusted=hop.trusted, found=found, failed=failed, now=now)

    def _pass_over(self, target: Target, gateway: str, why: str, now: float) -> None:
        """A gateway that may not be given the call: recorded as a leg that failed at once."""
        final = Final.local(503, why)
        self._new_leg(target, gateway, now).responded(final.status, final.reason, now)
        self._finals.append(final)
        self._begin_hop(target, now)

    def _begin_branch(
        self, target: Target, hop: Hop, flows: Sequence[Flow], now: float, began: float | None = None
    ) -> None:
        self._send(self._new_branch(target, hop, now, began), flows, now)

    def _new_branch(self, target: Target, hop: Hop, now: float, began: float | None = None) -> Branch:
        leg = None
        if self.facts.kind in (Kind.TRUNK, Kind.DIAL):
            leg = self._new_leg(target, hop.gateway.name if hop.gateway else None, now)
        if leg is not None and hop.gateway is not None:
            self.kernel.gateway_places.take(hop.gateway, leg.id, leg.call_id)
        branch = Branch(self, target, hop, leg, began)
        self._branches.append(branch)
        return branch

    def _new_leg(self, target: Target, gateway: str | None, now: float) -> Leg:
        leg_id, self._leg_id = self._leg_id or new_id(), None
        return Leg(
            self.kernel.journal,
            leg_id,
            self.facts.call_id,
            Direction.OUTGOING,
            source=self.facts.source,
            destination=target.name,
            gateway=gateway,
            now=now,
        )

    def _send(self, branch: Branch, flows: Sequence[Flow], now: float) -> None:
        branch.flows = flows[1:]
        self._send_by(branch, flows[0], self.facts.cseq_delta, now)

    def _send_by(
        self, branch: Branch, flow: Flow, cseq_delta: int, now: float, *credentials: tuple[str, str]
    ) -> None:
        sent = self._made(branch, flow, cseq_delta, now, credentials)
        carrier = self.kernel.carrier(len(sent[3]), flow, now)
        if carrier != flow:
            branch.datagram, flow = flow, carrier
            sent = self._made(branch, flow, cseq_delta, now, credentials)
        branch.send(*sent, flow, now)

    def _made(
        self,
        branch: Branch,
        flow: Flow,
        cseq_delta: int,
        now: float,
        credentials: tuple[tuple[str, str], ...],
    ) -> tuple[Request, str, Passage, bytes]:
        """The request for a flow, the branch of its Via, its passage, and its bytes."""
        kernel = self.kernel
        ids = self.crossing.ids if branch.leg is None else self.crossing.ids + ids_of(branch.leg.id)
        passage = Passage(
            self.crossing,
            kernel.tokens,
            kernel.peers,
            kernel.door_of(flow),
            ids=ids,
            cseq_delta=cseq_delta,
            shown=branch.hop.shown,
            guise=branch.hop.guise,
            sides=media_attempts.sides(self, branch.hop),
        )
        added = (*branch.hop.headers, *credentials)
        request, via_branch = passage.forward(branch.hop.uri, self.facts.routes, now, added)
        if branch.hop.gateway is not None:
            apply_rules(branch.hop.gateway.options.headers, request.headers)
        return request, via_branch, passage, request.to_bytes()

    def _answer_challenge(self, branch: Branch, response: Response, now: float) -> bool:
        """Sends the INVITE anew with the gateway's credentials; False: there is nothing to answer with."""
        client, passage, gateway = branch.client, branch.passage, branch.hop.gateway
        if client is None or passage is None or gateway is None or self.decided or branch.end_as is not None:
            return False
        credentials = answered_challenge(gateway, client.request, response, branch.challenged)
        if credentials is None:
            return False
        branch.challenged += 1
        self._send_by(branch, client.flow, passage.cseq_delta + 1, now, *credentials)
        return True

    def _answered_by(self, branch: Branch, response: Response, source: Flow, now: float) -> None:
        client = branch.client
        assert client is not None
        if self._handed_on or (self.server.answered and not self._answered):
            # The sender has been told that it failed: nobody else would ever end this call.
            hang_up(self.kernel, client, response, now)
            return
        first = not self._answered
        self._answered = True
        if first:
            attempts.answered(self.kernel, branch)
        if branch.leg is not None and not branch.over:
            self.kernel.limits.talk_begins(self.facts.call_id, branch.leg.id, branch.target.name, now)
        branch.finish()
        self._tell_leg(branch, response, now)
        self._relay(branch, response, source, now)
        if first:
            if branch.hop.took is not None:
                branch.hop.took(True)
            if self.facts.answered is not None:
                self.facts.answered(branch, response, source, now)
            self._give_up_others(Final.local(487, "Answered elsewhere"), now)
            self.crossing.let_go()
            client.let_go()
            self._end(Final.local(response.status, response.reason), now)

    def _relay(self, branch: Branch, response: Response, source: Flow, now: float) -> None:
        passage = branch.passage
        assert passage is not None
        upward = passage.backward(response, source, now)
        if self.crossing.up.inside and branch.leg is not None:
            upward.headers.set(LEG_HEADER, branch.leg.id)
            upward.headers.set(TARGET_HEADER, branch.target.name)
        if not self.server.over:
            self.server.respond(upward, now)

    def _tell_leg(self, branch: Branch, response: Response, now: float) -> None:
        for leg in (branch.leg, self.facts.incoming_leg if response.status < 300 else None):
            if leg is not None:
                leg.responded(response.status, response.reason, now)

    def _give_up_others(self, end_as: Final, now: float) -> None:
        self._stop_ring()
        self._targets.clear()
        for branch in self._branches:
            branch.target.give_up()
            was_over = branch.over
            branch.cancel(end_as, now)
            if branch.over and not was_over:
                attempts.over(self.kernel, branch)
                self._finals.append(end_as)
                if branch.leg is not None:
                    branch.leg.responded(end_as.status, end_as.reason, now)

    def _conclude(self, now: float) -> None:
        """Passes the best response on when nothing is pending any more."""
        if self.server.answered or self._handed_on or any(not branch.over for branch in self._branches):
            return
        if self._targets and self._cancelled is None:
            self._begin_targets(now)
            if any(not branch.over for branch in self._branches):
                return
        final = self._cancelled or self._best()
        if self.facts.untaken is not None and self._cancelled is None and final.came is None:
            self._hand_on(self.facts.untaken, now)
        elif final.came is None:
            self._answer_ourselves(final, now)
        else:
            self._pass_on(final, *final.came, now)

    def _best(self) -> Final:
        if self.facts.kind is Kind.POP:
            # One platform: what the POP answered that handled the call is passed on as it is.
            return next((final for final in self._finals if final.came is not None), Final.local(503))
        return best_of(self._finals or [Final.local(480)])

    def _hand_on(self, untaken: Callable[[bool, float], None], now: float) -> None:
        """Nobody took the call, and its sender waits for somebody else's answer."""
        self._stop_ring()
        self._handed_on = True
        self.server.owner = None
        untaken(any(final.declined for final in self._finals), now)

    def _pass_on(self, final: Final, response: Response, passage: Passage, source: Flow, now: float) -> None:
        upward = passage.backward(response, source, now)
        for name, value in challenges_of(self._finals, final):
            upward.headers.add(name, value)
        self._close(final, now)
        self.server.respond(upward, now)

    def _answer_ourselves(self, final: Final, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        request = self.crossing.request
        assert request is not None, "the request has been let go"
        tag = new_id().replace("-", "")
        response = make_response(request, final.status, final.reason, to_tag=tag, headers=headers)
        self._close(final, now)
        self.server.respond(response, now)

    def _close(self, final: Final, now: float) -> None:
        self._stop_ring()
        self.crossing.let_go()
        if self.facts.incoming_leg is not None:
            self.facts.incoming_leg.responded(final.status, final.reason, now)
        self._end(final, now)

    def _end(self, final: Final, now: float) -> None:
        ended, self._ended = self._ended, _said_already
        ended(final, now)

    def _arm_ring(self, now: float) -> None:
        if self._ring_seconds is not None:
            self._stop_ring()
            self._ring = Alarm(self.kernel, self._rung_out)
            self._ring.set(now + self._ring_seconds)

    def _stop_ring(self) -> None:
        if self._ring is not None:
            self._ring.stop()
            self._ring = None

    def _rung_out(self, now: float) -> None:
        """The ring time has passed: of this target when serial, of all when parallel."""
        late = Final.local(408, "Nobody answered in time")
        waiting = self._targets.copy()
        self._give_up_others(late, now)
        if self._serial and waiting and not self.decided:
            self._targets = waiting
            self._begin_targets(now)
        self._conclude(now)


def _said_already(_final: Final, _now: float) -> None:
    """The end is told once; whoever was told may refer back to the INVITE, and is let go."""
