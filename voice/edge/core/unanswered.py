"""Challenges that nobody answers: a call that is given up over one was refused, as shows some seconds later.

Bounded: while strangers ask for more challenges than are remembered, some of theirs leave no record.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from sip_config.model import Domain
from voice.edge.core.answers import Answers, Verdict
from voice.edge.core.kernel import Alarm, Kernel
from voice.records import Gate
from voice.sip.challenger import Outcome
from voice.sip.challenger import Verdict as Judgement
from voice.sip.flow import Flow
from voice.sip.headers import Headers
from voice.sip.message import Request

ANSWERED_WITHIN: Final = 10.0
"""Seconds for the answer; a PBX that has a password needs none to speak of."""
MOST_WAITING: Final = 4_096
_MOST_LET_IN: Final = 16_384
"""The last eleven seconds of 1,500 calls per second."""
_LONGEST: Final = 512
"""Characters that are kept of what a request says."""


class _Challenged(NamedTuple):
    """What it takes to tell of a challenge; most are answered, and nothing more is made of them."""

    at: float
    source: Flow
    domain: Domain
    judgement: Judgement
    uri: str
    from_: str
    call_id: str


class Unanswered:
    """Those that may still be answered."""

    def __init__(self, kernel: Kernel, answers: Answers) -> None:
        self._kernel = kernel
        self._answers = answers
        self._waiting: OrderedDict[tuple[str, str], _Challenged] = OrderedDict()
        """By source and Call-ID."""
        self._let_in: OrderedDict[tuple[str, str], None] = OrderedDict()
        """Source and Call-ID of those that proved a password lately."""
        self._alarm: Alarm | None = None

    def challenged(
        self, request: Request, source: Flow, domain: Domain, judgement: Judgement, now: float
    ) -> None:
        """A call was challenged."""
        waiting, call_id = self._waiting, request.call_id[:_LONGEST]
        key = source.host, call_id
        if judgement.outcome is Outcome.REPLAY and key in self._let_in:
            return  # It is only sent again, because what it came to was lost or slow.
        if len(waiting) >= MOST_WAITING:
            if not self._kernel.is_known(source.host, now):
                return
            waiting.popitem(last=False)
        from_ = (request.headers.get("from") or "")[:_LONGEST]
        uri = request.uri[:_LONGEST]
        waiting[key] = _Challenged(now, source, domain, judgement, uri, from_, call_id)
        if self._alarm is None:
            self._alarm = Alarm(self._kernel, self._over)
            self._alarm.set(now + ANSWERED_WITHIN)

    def came_back(self, request: Request, source: Flow) -> None:
        """The call is asked for again, with an answer or without."""
        self._waiting.pop((source.host, request.call_id[:_LONGEST]), None)

    def let_in(self, request: Request, source: Flow) -> None:
        """The call proved a password."""
        if len(self._let_in) >= _MOST_LET_IN:
            self._let_in.popitem(last=False)
        self._let_in[source.host, request.call_id[:_LONGEST]] = None

    def _over(self, now: float) -> None:
        waiting = self._waiting
        while waiting:
            key, challenged = next(iter(waiting.items()))
            if challenged.at + ANSWERED_WITHIN > now:
                assert self._alarm is not None
                self._alarm.set(challenged.at + ANSWERED_WITHIN)
                return
            del waiting[key]
            self._record(challenged, now)
        self._alarm = None

    def _record(self, challenged: _Challenged, now: float) -> None:
        refusals, source = self._kernel.refusals, challenged.source
        verdict = refused_by_digest(challenged.domain, challenged.judgement)
        if not refusals.again(source.host, verdict.cause, verdict.rule, challenged.call_id):
            headers = Headers([("From", challenged.from_), ("Call-ID", challenged.call_id)])
            request = Request("INVITE", challenged.uri, headers)
            refusals.write(self._answers.refusal(request, source, verdict, challenged.at), source.host, now)


def refused_by_digest(domain: Domain, judgement: Judgement) -> Verdict:
    """What a digest that is not right, not there or not new means for a call."""
    return Verdict(
        status=407,
        gate=Gate.DIGEST,
        cause=judgement.outcome.name.lower().replace("_", "-"),
        rule=f"domain {domain.label}: {judgement.outcome}",
        remedy=judgement.remedy,
        account_id=domain.account_id,
        domain=domain.label,
    )
