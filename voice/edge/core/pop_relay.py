"""Calls that pass from one POP to another: sent on with a token, and taken over with one.

A call that was relayed is never relayed again, whatever this edge would choose: the token it carries is for
this POP.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from voice.edge.core.answers import Answers, Verdict
from voice.edge.core.best import Final
from voice.edge.core.call_facts import CallFacts, Kind
from voice.edge.core.crossing import Crossing
from voice.edge.core.gates import LetIn
from voice.edge.core.guise import TO_ANOTHER_EDGE
from voice.edge.core.invite import Invite
from voice.edge.core.kernel import Kernel, new_id
from voice.edge.core.liveness import Liveness
from voice.edge.core.pops import (
    ELSEWHERE,
    HERE,
    RETRY_AFTER_SECONDS,
    Choice,
    choose,
    not_secure,
    not_taken,
    region_down,
)
from voice.edge.core.relay_token import HEADER, NotRelayed, RelayToken, RelayTokens, taken_from
from voice.edge.core.targets import Hop, Target
from voice.edge.core.tokens import ids_of
from voice.edge.seal import SealError
from voice.records import Gate
from voice.sip.flow import Flow
from voice.sip.message import Request
from voice.sip.transactions import ServerTransaction


class PopRelay:
    """The relay between the edges of a platform."""

    def __init__(self, kernel: Kernel, answers: Answers, liveness: Liveness) -> None:
        self._kernel = kernel
        self._answers = answers
        self._liveness = liveness
        relay = kernel.settings.relay
        self._tokens = None if relay.key is None else RelayTokens(relay.key, relay.second_key)
        self._pending: dict[str, Invite] = {}
        """Relayed, and not decided yet."""
        liveness.when_down = self._down

    def taken_over(self, request: Request, source: Flow, now: float) -> RelayToken | None:
        """A call that another POP relays to this one; None: it is an ordinary call.

        Raises NotRelayed for one that must not begin.
        """
        sealed = taken_from(request)
        if sealed is None or self._tokens is None:
            return None
        try:
            return self._tokens.open(sealed, request, self._kernel.directory().pop, now)
        except SealError:
            if not self._kernel.is_peer(source.host):
                return None  # Whoever says so knows nothing: the gates decide, as for anybody.
            raise NotRelayed(
                "relay-seal",
                "relay token of another key",
                f"{source.host} is the address of a POP, and its relay token does not open: give all POPs "
                "the same key in [node.relay].",
            ) from None

    def begun(self, request: Request, token: RelayToken, now: float) -> None:
        """The call was taken: its token is used up."""
        if self._tokens is not None:
            self._tokens.use(token, request, now)

    def choice(self, request: Request, let_in: LetIn) -> Choice:
        """Which POP handles a call that was let in here."""
        if self._tokens is None or let_in.domain is None:
            return HERE
        host = request.sip_uri.host
        choice = choose(let_in.directory, host, let_in.domain, self._liveness.alive, request.call_id)
        if choice.elsewhere and self._may_not_leave(request):
            # Handled here, unless its name is bound to another region.
            return HERE if choice.here else choice._replace(elsewhere=())
        return choice

    def _may_not_leave(self, request: Request) -> bool:
        """Whether a call asks for TLS on every hop, and the POPs do not speak it."""
        return request.sip_uri.scheme == "sips" and self._kernel.settings.relay.transport != "TLS"

    def relay(
        self,
        request: Request,
        server: ServerTransaction,
        source: Flow,
        let_in: LetIn,
        choice: Choice,
        handle_here: Callable[[float], None],
        now: float,
    ) -> None:
        """Sends the call to the first of the chosen POPs that takes it; `handle_here` when none does."""
        kernel, domain = self._kernel, let_in.domain
        assert domain is not None
        # What the INVITE calls back must not refer to it: such a circle would wait for the cycle collector.
        key = new_id()
        crossing = Crossing(
            request,
            source,
            kernel.door_of(source),
            ids=ids_of(key),
            from_caller=True,
            trunk=False,
        )

        def ended(_final: Final, _later: float) -> None:
            # The POP that handles the call keeps its records.
            self._pending.pop(key, None)

        def untaken(declined: bool, later: float) -> None:
            self._pending.pop(key, None)
            if choice.here:
                handle_here(later)
            else:
                self.no_pop(request, server, source, let_in, choice, later, declined=declined)

        facts = CallFacts(kind=Kind.POP, call_id="", account_id=domain.account_id, source="", untaken=untaken)
        hops = self._hops(request, source, let_in, choice, now)
        invite = Invite(kernel, server, crossing, facts, ended)
        self._pending[key] = invite
        invite.begin([Target(name=request.uri, hops=hops)], now)

    def _down(self, pop: str, now: float) -> None:
        for invite in list(self._pending.values()):
            invite.pop_lost(pop, now)

    def no_pop(
        self,
        request: Request,
        server: ServerTransaction,
        source: Flow,
        let_in: LetIn,
        choice: Choice,
        now: float,
        *,
        declined: bool = False,
    ) -> None:
        """Nobody in the region of a bound name takes the call; `declined`: though somebody is there."""
        bound, domain = choice.bound, let_in.domain
        assert bound is not None
        if self._may_not_leave(request):
            refused = not_secure(bound)
        else:
            refused = not_taken(bound) if declined else region_down(let_in.directory, bound)
        verdict = Verdict(
            status=503,
            gate=Gate.POP,
            cause=refused.cause,
            rule=refused.rule,
            remedy=refused.remedy,
            reason=refused.rule,
            headers=(("Retry-After", str(RETRY_AFTER_SECONDS)),),
            account_id=domain.account_id if domain else None,
            domain=domain.label if domain else None,
            admitted=let_in.admitted,
        )
        with self._answers.through(server, now):
            self._answers.refuse(request, source, verdict, now)

    def _hops(self, request: Request, source: Flow, let_in: LetIn, choice: Choice, now: float) -> list[Hop]:
        tokens, domain = self._tokens, let_in.domain
        assert tokens is not None
        assert domain is not None
        assert let_in.admitted is not None
        user = let_in.admitted.credential
        hops = []
        for pop in choice.elsewhere:
            flow = self._liveness.flow(pop.name)
            if flow is None:
                continue
            token = RelayToken(
                issued=now,
                origin=let_in.directory.pop,
                target=pop.name,
                domain=domain.label,
                acl=let_in.admitted.acl.name,
                sip_account=user.sip_account.username if user else "",
                source_host=source.host,
                source_port=source.port,
            )
            hops.append(
                Hop(
                    guise=TO_ANOTHER_EDGE,
                    uri=request.uri,
                    flow=flow,
                    trusted=True,
                    patience=self._kernel.settings.relay.silence_seconds,
                    pop=pop.name,
                    took=partial(self._liveness.took, pop.name),
                    headers=((HEADER, tokens.make(token, request)),),
                )
            )
        return hops


def not_taken_over(refused: NotRelayed) -> Verdict:
    """A token that a POP made does not fit: the POP may try the next, or handle the call itself."""
    return Verdict(
        status=503,
        gate=Gate.POP,
        cause=refused.cause,
        rule=refused.rule,
        remedy=refused.remedy,
        headers=(("Retry-After", ELSEWHERE),),
    )
