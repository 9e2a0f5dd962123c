"""The gates that an INVITE from outside passes, in one order: domain, ACL, digest, then identity,
limits, route.

Bans and the source come before (`voice.edge.core.sources`), then the parser.  The first gate that
refuses answers and leaves the record; a challenge is a refusal once it has not been answered
(`voice.edge.core.unanswered`).  Between digest and limits stands the choice of the POP
(`voice.edge.core.pop_relay`): who a caller is, is asked where the call came in; limits count and routes are
found where it is handled.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import Final

from sip_config.admission import Admitted, Credential, NeedsDigest, Refused
from sip_config.directory import Directory
from sip_config.model import Account, DigestAlgorithm, Domain, SipAccount, SrtpPolicy
from sip_config.routing import Route, SendOut, route_call, route_from_gateway
from voice.edge.core.answers import Answers, Verdict
from voice.edge.core.called import Delivery, delivery, dialled
from voice.edge.core.identity import Caller, caller_from_customer, caller_from_gateway
from voice.edge.core.kernel import Kernel, new_id
from voice.edge.core.live_calls import LiveCall, subjects_of
from voice.edge.core.media_gate import MediaRefused, refusal, taking, without_gateway
from voice.edge.core.pace import Pace
from voice.edge.core.relay_token import NotRelayed, RelayToken
from voice.edge.core.unanswered import Unanswered, refused_by_digest
from voice.records import Gate
from voice.sip.challenger import Challenger, Outcome
from voice.sip.flow import Flow
from voice.sip.headers import printable
from voice.sip.message import Request

_PRIVACY_NOT_POSSIBLE: Final = Refused(
    cause="privacy-not-possible",
    rule="Privacy: critical",
    remedy="The caller demands that its sound hides where it comes from (session), which a plain trunk "
    "cannot do, or a kind of privacy that the edge does not know: leave that or critical out of Privacy, or "
    "let a callflow answer and dial.",
)
_MOST_DOMAINS: Final = 65_536
_NONCE: Final = re.compile(rb'nonce="([0-9a-f]{32,128})"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """An INVITE that passed all gates."""

    account: Account
    domain: Domain | None
    """None: a carrier delivered the call."""
    admitted: Admitted | None
    """By which access control list, and as which SIP account; None: a carrier delivered the call."""
    caller: Caller
    destination: str
    """E.164 when it is a number, else the user part."""
    e164: str | None
    route: Route
    srtp: SrtpPolicy
    """Of the domain, or of the gateway that delivered the call."""
    call: LiveCall
    """It has its place."""
    directory: Directory
    came_from: Flow | None = None
    """The caller, as the POP saw it that relayed the call; None: it came here itself."""
    relayed_by: str | None = None
    """That POP."""
    from_trusted_gateway: bool = False

    @property
    def acl_name(self) -> str | None:
        return self.admitted.acl.name if self.admitted else None

    @property
    def sip_account(self) -> SipAccount | None:
        credential = self.admitted.credential if self.admitted else None
        return credential.sip_account if credential else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetIn:
    """An INVITE whose caller is known: what it asks for is not decided yet."""

    directory: Directory
    account: Account | None = None
    """None: a carrier delivers the call, and whose it is follows from the number."""
    domain: Domain | None = None
    admitted: Admitted | None = None
    delivered: Delivery | None = None
    came_from: Flow | None = None
    """The caller, as the POP saw it that relayed the call; None: it came here itself."""
    relayed_by: str | None = None
    """That POP."""


class Gates:
    """Lets in or refuses."""

    def __init__(self, kernel: Kernel, answers: Answers) -> None:
        self._kernel = kernel
        self._answers = answers
        settings = kernel.settings
        self._challenger = Challenger(
            realm=settings.base_domain, secret=settings.digest_secret, salt=os.urandom(4)
        )
        self._unanswered = Unanswered(kernel, answers)
        rules = settings.bans
        self._pace = Pace(
            rate=rules.domain_requests_per_second, burst=rules.domain_request_burst, most=_MOST_DOMAINS
        )

    def was_challenged(self, data: bytes, host: str, now: float) -> bool:
        """Whether a packet, not parsed yet, answers a challenge that was sent to this address."""
        found = _NONCE.search(data)
        return found is not None and self._challenger.was_sent_to(found[1].decode(), host, now)

    def let_in(self, request: Request, source: Flow, now: float) -> LetIn | None:
        """Who is calling; None: it was answered, by a refusal or by a challenge."""
        directory = self._kernel.directory()
        host = request.sip_uri.host
        domain = directory.domain_for_host(host)
        if domain is None:
            delivered = delivery(self._kernel.gateway_sources, directory, request, source.host)
            if delivered is not None:
                return LetIn(directory=directory, delivered=delivered)
            self._unknown_domain(request, source, directory, now)
            return None
        account = self._account_of(request, source, directory, domain, now)
        if account is None or not self._in_pace(request, source, domain, now):
            return None
        admitted = self._admitted(request, source, directory, domain, now)
        if admitted is None:
            return None
        return LetIn(directory=directory, account=account, domain=domain, admitted=admitted)

    def let_in_elsewhere(self, token: RelayToken) -> LetIn:
        """Who is calling, as the POP says that asked.  Raises NotRelayed when that means nothing here."""
        directory = self._kernel.directory()
        domain = directory.domain_for_label(token.domain)
        account = None if domain is None else directory.account(domain.account_id)
        if domain is None or account is None:
            raise NotRelayed(
                "relay-unknown-domain",
                f"POP {token.origin}: domain {token.domain} is not known here",
                f"POP {token.origin} let in a call to domain {token.domain}, which this POP does not know: "
                "give both the same configuration.",
            )
        admitted = directory.gate(domain).named(token.acl, token.sip_account)
        return LetIn(
            directory=directory,
            account=account,
            domain=domain,
            admitted=admitted,
            came_from=token.caller,
            relayed_by=token.origin,
        )

    def settle(self, request: Request, source: Flow, let_in: LetIn, now: float) -> Admission | None:
        """Whether the call is within its limits, and where it goes; None: it was refused."""
        directory, admitted = let_in.directory, let_in.admitted
        account, domain = let_in.account, let_in.domain
        if let_in.delivered is not None:
            return self._from_gateway(request, source, directory, let_in.delivered, now)
        assert account is not None
        assert domain is not None
        caller = _caller(request, directory, account, admitted)
        if isinstance(caller, Refused):
            return self._refused(request, source, Gate.IDENTITY, caller, 403, now, domain, admitted=admitted)
        media = refusal(request, domain.srtp, f"domain {domain.label}", directory.base_domain)
        if media is not None:
            return self._refused_media(request, source, Gate.MEDIA, media, now, account, (domain, admitted))
        destination, e164 = dialled(request, account.identity.country)
        route = route_call(directory, domain, e164, secure=request.sip_uri.scheme == "sips")
        goes_to = e164 if isinstance(route, SendOut) else None
        call = self._within_limits(request, source, account, domain, admitted, goes_to, now)
        if call is None:
            return None
        if isinstance(route, Refused):
            self._kernel.limits.release(call.call_id, now)
            return self._refused(request, source, Gate.ROUTE, route, 404, now, domain, admitted=admitted)
        if isinstance(route, SendOut) and caller.privacy.unprovidable:
            self._kernel.limits.release(call.call_id, now)
            return self._refused(
                request, source, Gate.ROUTE, _PRIVACY_NOT_POSSIBLE, 500, now, domain, admitted=admitted
            )
        if isinstance(route, SendOut):
            gateways = taking(request, domain.srtp, route.gateways)
            if not gateways:
                self._kernel.limits.release(call.call_id, now)
                media = without_gateway(route.gateways, directory.base_domain)
                return self._refused_media(
                    request, source, Gate.ROUTE, media, now, account, (domain, admitted)
                )
            route = SendOut(gateways=gateways)
        return Admission(
            account=account,
            domain=domain,
            admitted=admitted,
            caller=caller,
            destination=destination,
            e164=e164,
            route=route,
            srtp=domain.srtp,
            call=call,
            directory=directory,
            came_from=let_in.came_from,
            relayed_by=let_in.relayed_by,
        )

    def _unknown_domain(self, request: Request, source: Flow, directory: Directory, now: float) -> None:
        remedy = (
            f"{printable(request.sip_uri.host[:80])} is no domain of this platform: call "
            f"sip:NUMBER@LABEL.{directory.base_domain} with the label of your domain."
        )
        self._kernel.bans.unknown_domain(source.host, now, proven=source.transport != "UDP")
        # The rule names no host: a flood of guessed names is one flood.
        refused = Refused(cause="unknown-domain", rule="unknown domain", remedy=remedy)
        self._refused(request, source, Gate.DOMAIN, refused, 404, now)

    def _in_pace(self, request: Request, source: Flow, domain: Domain, now: float) -> bool:
        """Whether strangers may have one more challenge of this domain; who answers one has been counted."""
        host = source.host
        if (
            self._kernel.is_known(host, now)
            or self._pace.allows(domain.id, now)
            or self._challenger.answers_challenge(request, host, now)
        ):
            return True
        rule = f"domain {domain.label}: {self._pace.rate:g} calls of strangers per second"
        remedy = (
            f"Strangers called domain {domain.label} more than {self._pace.rate:g} times within a second: "
            "name the addresses of its PBXs in its access control lists, which are not counted."
        )
        refused = Refused(cause="domain-too-fast", rule=rule, remedy=remedy)
        self._refused(request, source, Gate.BAN, refused, 503, now, domain, (("Retry-After", "1"),))
        return False

    def _account_of(
        self, request: Request, source: Flow, directory: Directory, domain: Domain, now: float
    ) -> Account | None:
        account = directory.account(domain.account_id)
        if account is None:
            refused = Refused(
                cause="domain-without-account",
                rule=f"domain {domain.label}: no account",
                remedy=f"The account of domain {domain.label} is gone: remove the domain as well.",
            )
            self._refused(request, source, Gate.DOMAIN, refused, 404, now, domain)
        return account

    def _from_gateway(
        self, request: Request, source: Flow, directory: Directory, delivered: Delivery, now: float
    ) -> Admission | None:
        """A carrier delivers a call to a number."""
        gateway, destination, e164 = delivered.gateway, delivered.destination, delivered.e164
        number = directory.number(e164) if e164 else None
        route: Route = route_from_gateway(directory, gateway, e164 or destination)
        if isinstance(route, Refused):
            return self._refused(request, source, Gate.ROUTE, route, 404, now)
        account = directory.account(number.account_id) if number else None
        if account is None:
            refused = Refused(
                cause="number-without-account",
                rule=f"number {destination}: no account",
                remedy=f"The account of number {destination} is gone: remove the number as well.",
            )
            return self._refused(request, source, Gate.ROUTE, refused, 404, now)
        media = refusal(request, gateway.srtp, f"gateway {gateway.name}", directory.base_domain)
        if media is not None:
            return self._refused_media(request, source, Gate.MEDIA, media, now, account)
        call = self._within_limits(request, source, account, None, None, None, now)
        if call is None:
            return None
        return Admission(
            account=account,
            domain=None,
            admitted=None,
            caller=caller_from_gateway(request, gateway.options.country, trusted=gateway.options.trusted),
            from_trusted_gateway=gateway.options.trusted,
            destination=destination,
            e164=e164,
            route=route,
            srtp=gateway.srtp,
            call=call,
            directory=directory,
        )

    def _admitted(
        self, request: Request, source: Flow, directory: Directory, domain: Domain, now: float
    ) -> Admitted | None:
        decision = directory.gate(domain).by_source(
            source.host, self._kernel.names(source) if source.secure else ()
        )
        if isinstance(decision, Admitted):
            return decision
        if isinstance(decision, Refused):
            self._refused(request, source, Gate.ACL, decision, 403, now, domain)
            return None
        return self._proven(request, source, decision, domain, now)

    def _proven(
        self, request: Request, source: Flow, needed: NeedsDigest, domain: Domain, now: float
    ) -> Admitted | None:
        candidates: tuple[Credential, ...] = ()

        def lookup(username: str, algorithm: DigestAlgorithm) -> list[str | None]:
            nonlocal candidates
            candidates = needed.credentials(username)
            return [candidate.ha1(algorithm) for candidate in candidates]

        host = source.host
        self._unanswered.came_back(request, source)
        verdict = self._challenger.verify(request, lookup, algorithms=needed.algorithms, now=now, source=host)
        proven = verdict.source_proven or source.transport != "UDP"
        if verdict.ok and verdict.match is not None:
            if proven:
                self._kernel.bans.logged_in(host, now)
            self._unanswered.let_in(request, source)
            return needed.admit(candidates[verdict.match])
        challenges = tuple(
            ("Proxy-Authenticate", challenge)
            for challenge in self._challenger.challenges(
                needed.algorithms, now, stale=verdict.stale, source=host
            )
        )
        if verdict.outcome is Outcome.NO_CREDENTIALS or verdict.stale:
            self._answers.send(request, source, 407, None, challenges)
            self._unanswered.challenged(request, source, domain, verdict, now)
            return None
        wrong = verdict.outcome in (Outcome.UNKNOWN_USER, Outcome.WRONG_PASSWORD)
        if wrong and verdict.username is not None and verdict.algorithm is not None:
            refused = needed.refuse(verdict.username, verdict.algorithm)
            self._kernel.bans.wrong_password(host, verdict.username, now, proven=proven)
            self._refused(request, source, Gate.DIGEST, refused, 407, now, domain, challenges)
        else:
            why = replace(refused_by_digest(domain, verdict), headers=challenges)
            self._answers.refuse(request, source, why, now)
        return None

    def _within_limits(
        self,
        request: Request,
        source: Flow,
        account: Account,
        domain: Domain | None,
        admitted: Admitted | None,
        dialled: str | None,
        now: float,
    ) -> LiveCall | None:
        """The call with its place; `dialled`: the number that it goes out to."""
        credential = admitted.credential if admitted else None
        subjects = subjects_of(account, domain, credential.sip_account if credential else None)
        call = LiveCall(new_id(), account, subjects, trunk=dialled is not None, since=now)
        over = self._kernel.limits.admit(call, now, dialled)
        if over is None:
            return call
        headers = () if over.retry_after is None else (("Retry-After", str(over.retry_after)),)
        refused = Refused(cause=over.cause, rule=over.rule, remedy=over.remedy)
        self._refused(
            request,
            source,
            Gate.LIMITS,
            refused,
            over.status,
            now,
            domain,
            headers,
            account,
            admitted=admitted,
        )
        return None

    def _refused_media(
        self,
        request: Request,
        source: Flow,
        gate: Gate,
        media: MediaRefused,
        now: float,
        account: Account,
        admission: tuple[Domain, Admitted | None] | None = None,
    ) -> Admission | None:
        domain, admitted = admission or (None, None)
        verdict = media.verdict(
            gate, account_id=account.id, domain=domain.label if domain else None, admitted=admitted
        )
        self._answers.refuse(request, source, verdict, now)
        return None

    def _refused(
        self,
        request: Request,
        source: Flow,
        gate: Gate,
        refused: Refused,
        status: int,
        now: float,
        domain: Domain | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        account: Account | None = None,
        *,
        admitted: Admitted | None = None,
    ) -> Admission | None:
        """None, always, so that a gate can end with it."""
        verdict = Verdict(
            status=status,
            gate=gate,
            cause=refused.cause,
            rule=refused.rule,
            remedy=refused.remedy,
            headers=headers,
            account_id=account.id if account else domain.account_id if domain else None,
            domain=domain.label if domain else None,
            admitted=admitted,
        )
        self._answers.refuse(request, source, verdict, now)
        return None


def _caller(
    request: Request, directory: Directory, account: Account, admitted: Admitted | None
) -> Caller | Refused:
    credential = admitted.credential if admitted else None
    return caller_from_customer(
        request,
        account.identity,
        lambda e164: directory.owns(account.id, e164),
        credential.sip_account.username if credential else None,
    )
