"""The gate that looks at the sound of a call: is it encrypted as the trunk wants it?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sip_config.admission import Admitted, Refused
from sip_config.model import Gateway, SrtpPolicy
from voice.edge.core.answers import Verdict
from voice.edge.core.sdp_exchange import offer_breach
from voice.edge.core.sdp_policy import Breach, Sides
from voice.records import RUNNING_CALL, Gate
from voice.sip.message import Request

STATUS = 488
_ANY = SrtpPolicy.OPTIONAL

_REMEDIES = {
    "srtp-forbidden": "takes sound that is not encrypted, and no other: switch SRTP off at the caller, "
    "or set its srtp to optional.",
    "srtp-required": "takes encrypted sound only: make SRTP mandatory at the caller (RTP/SAVP with keys by "
    "SDES), or set its srtp to optional.",
    "srtp-without-keys": "takes keys in the SDP only (SDES, RFC 4568): let the caller send a=crypto lines "
    "that encrypt, rather than use DTLS.",
    "sdp-unreadable": "looks at what is offered, and cannot read it: the caller has to send one "
    "application/sdp body as RFC 4566 describes it.",
}


@dataclass(frozen=True, slots=True)
class MediaRefused:
    """An offer that may not pass, and how that is told."""

    refused: Refused
    headers: tuple[tuple[str, str], ...]

    def verdict(
        self,
        gate: Gate,
        *,
        account_id: str | None = None,
        domain: str | None = None,
        admitted: Admitted | None = None,
    ) -> Verdict:
        """As `Answers.refuse` wants it."""
        return Verdict(
            status=STATUS,
            gate=gate,
            cause=self.refused.cause,
            rule=self.refused.rule,
            remedy=self.refused.remedy,
            headers=self.headers,
            account_id=account_id,
            domain=domain,
            admitted=admitted,
        )


def refusal(request: Request, policy: SrtpPolicy, owner: str, host: str) -> MediaRefused | None:
    """Whether the caller's own trunk takes its offer; `owner` is such as ``domain acme``."""
    broken = offer_breach(request, Sides(policy, _ANY))
    if broken is None:
        return None
    remedy = f"{owner[0].upper()}{owner[1:]} {_REMEDIES[broken.cause]}"
    return _refused(f"{owner}: srtp {policy}", f"{remedy} ({broken.says}.)", broken, host)


def change_refused(request: Request, sides: Sides, *, from_caller: bool, host: str) -> MediaRefused | None:
    """Whether a running call may go on with what one of its ends offers now."""
    broken = offer_breach(request, sides, from_caller=from_caller)
    if broken is None:
        return None
    rule = f"{RUNNING_CALL}srtp {sides.caller} of the caller, {sides.callee} of the called side"
    remedy = (
        f"The sound of a running call stays as its trunk wants it ({broken.says}): let the PBX keep to one "
        "profile during a call, or set srtp of the domain or gateway to optional."
    )
    return _refused(rule, remedy, broken, host)


def without_gateway(gateways: Iterable[Gateway], host: str) -> MediaRefused:
    """The refusal of an offer that no gateway takes, for each has another policy."""
    names = ", ".join(f"{gateway.name} ({gateway.srtp})" for gateway in gateways)
    broken = Breach(cause="srtp-gateways", says="no gateway takes what was offered", warning=302)
    remedy = (
        f"No gateway for this number takes the sound as it was offered: {names}. Offer RTP/SAVP with "
        "a=crypto where srtp is required, RTP/AVP where it is forbidden, or set a gateway to optional."
    )
    return _refused(f"srtp of gateways {names}", remedy, broken, host)


def taking(request: Request, policy: SrtpPolicy, gateways: Sequence[Gateway]) -> tuple[Gateway, ...]:
    """The gateways that take an offer, in the same order."""
    wanted = {gateway.srtp for gateway in gateways}
    fits = {one: offer_breach(request, Sides(policy, one)) is None for one in wanted}
    return tuple(one for one in gateways if fits[one.srtp])


def _refused(rule: str, remedy: str, broken: Breach, host: str) -> MediaRefused:
    warning = f'{broken.warning} {host} "{broken.says}"'
    return MediaRefused(Refused(cause=broken.cause, rule=rule, remedy=remedy), (("Warning", warning),))
