"""Responses that the edge gives by itself without keeping a transaction, and the records of refusals.

A refusal that anyone may provoke costs no memory: its tag is computed from the request, so that a
retransmission gets the same one (RFC 3261 section 8.2.7).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b

from sip_config.admission import Admitted
from voice.edge.core.gateway_sources import unmarked
from voice.edge.core.identity import from_on_record
from voice.edge.core.kernel import Kernel
from voice.records import Gate, Refusal
from voice.sip.flow import Flow
from voice.sip.headers import printable
from voice.sip.message import Request
from voice.sip.respond import make_response
from voice.sip.transactions import ServerTransaction

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE"
MAX_RECORDED_CHARS = 256
"""Of a URI or Call-ID in a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a request is not let in, and how it is told."""

    status: int
    gate: Gate
    cause: str
    rule: str
    remedy: str
    reason: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    account_id: str | None = None
    domain: str | None = None
    admitted: Admitted | None = None
    """What the gates before had let in."""


class Answers:
    """Answers requests without a transaction."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._through: tuple[ServerTransaction, float] | None = None
        self._caller: Flow | None = None
        self._tag_key = blake2b(kernel.settings.digest_secret, digest_size=32, person=b"to tag").digest()

    def send(
        self,
        request: Request,
        source: Flow,
        status: int,
        reason: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """A stateless response; none to an ACK."""
        if request.method != "ACK":
            response = make_response(request, status, reason, to_tag=self.tag(request), headers=headers)
            if self._through is not None:
                server, now = self._through
                server.respond(response, now)
            else:
                self._kernel.send(response, reply_flow(request, source))

    @contextmanager
    def through(self, server: ServerTransaction, now: float) -> Iterator[None]:
        """What is sent meanwhile answers a request that has a transaction already."""
        self._through = server, now
        try:
            yield
        finally:
            self._through = None

    @contextmanager
    def on_behalf_of(self, caller: Flow) -> Iterator[None]:
        """What is refused meanwhile is on record as this caller's, whoever relayed it."""
        self._caller = caller
        try:
            yield
        finally:
            self._caller = None

    def refuse(self, request: Request, source: Flow, verdict: Verdict, now: float) -> None:
        """Answers with the verdict and leaves a record of it."""
        self.record(request, source, verdict, now)
        self.send(request, source, verdict.status, verdict.reason, verdict.headers)

    def record(self, request: Request | None, source: Flow, verdict: Verdict, now: float) -> None:
        refusals = self._kernel.refusals
        source = self._caller or source
        call_id = _call_id(request) if request and request.method == "INVITE" else ""
        if not refusals.again(source.host, verdict.cause, verdict.rule, call_id):
            refusals.write(self.refusal(request, source, verdict, now), source.host, now)

    def refusal(self, request: Request | None, source: Flow, verdict: Verdict, now: float) -> Refusal:
        """What a verdict leaves on record."""
        admitted = verdict.admitted
        delivered = verdict.account_id is not None and verdict.domain is None
        credential = admitted.credential if admitted else None
        return Refusal(
            at=now,
            gate=verdict.gate,
            cause=verdict.cause,
            rule=verdict.rule,
            remedy=verdict.remedy,
            sip_status=verdict.status,
            source_address=f"{source.host}:{source.port}",
            method=_short(request.method) if request else "",
            request_uri=_short(unmarked(request.uri)) if request else "",
            from_uri=from_on_record(request, delivered=delivered) if request else "",
            sip_call_id=_call_id(request) if request else "",
            account_id=verdict.account_id,
            domain=verdict.domain,
            acl=admitted.acl.name if admitted else None,
            sip_account=credential.sip_account.username if credential else None,
        )

    def tag(self, request: Request) -> str:
        """The To tag for a request that keeps no state."""
        text = (
            f"{request.headers.get('Via')}\0{request.headers.get('Call-ID')}\0{request.headers.get('From')}"
        )
        return blake2b(text.encode("utf-8", "surrogateescape"), key=self._tag_key, digest_size=8).hexdigest()


def reply_flow(request: Request, source: Flow) -> Flow:
    """Where the responses to a request go (RFC 3261 section 18.2.2, RFC 3581 section 4)."""
    if source.transport != "UDP":
        return source
    via = request.via
    port = source.port if via.wants_rport else via.port or 5060
    return source if port == source.port else Flow("UDP", source.local, source.host, port)


def _call_id(request: Request) -> str:
    return _short(request.headers.get("Call-ID") or "")


def _short(text: str) -> str:
    return printable(text[:MAX_RECORDED_CHARS])
