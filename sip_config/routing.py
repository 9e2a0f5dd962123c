"""Where a call goes: what answers it, which gateways carry it, and how a gateway is addressed."""

from __future__ import annotations

from dataclasses import dataclass

from sip_config.admission import Refused
from sip_config.directory import Directory
from sip_config.gateway_options import CallerIdFormat
from sip_config.model import CallerIdRule, Callflow, Domain, Gateway, Number, Transport
from sip_config.number_formats import dialled_for, written_for
from sip_config.numbers import NumberFault, normalise


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCallflow:
    """The call is answered by a callflow: a stored document, or one that is fetched from `url`."""

    callflow: Callflow | None
    url: str | None
    number: Number | None
    """The dialled number, when it decided; None when the domain did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOut:
    """The domain is a plain trunk: the call leaves by the first of these gateways that takes it."""

    gateways: tuple[Gateway, ...]


Route = RunCallflow | SendOut | Refused


def route_call(directory: Directory, domain: Domain, e164: str | None, *, secure: bool = False) -> Route:
    """What becomes of a call that `domain` admitted; `e164` None: what was dialled is not a number.

    `secure`: the caller was promised TLS on the whole way, so that only gateways with TLS will do.

    The dialled number's callflow comes first (the account's default one, when the number has none), then
    the domain's, then the gateways.  A number of another account is not looked at: that customer's flow
    answers when the call arrives there by a carrier.
    """
    number = directory.number(e164) if e164 else None
    if number is not None and number.account_id == domain.account_id:
        flow = _flow_of_number(directory, number)
        if flow is not None:
            return flow
    flow = _flow(directory, domain.callflow_id, domain.callflow_url, None)
    if flow is not None:
        return flow
    if e164 is None:
        return Refused(
            cause="not-a-number",
            rule=f"domain {domain.label}: no callflow",
            remedy=f"Domain {domain.label} has no callflow, so what is dialled must be a number in E.164, "
            "such as +31201234567.",
        )
    gateways = directory.gateways_for(domain.account_id, e164)
    usable = tuple(one for one in gateways if one.transport is Transport.TLS) if secure else gateways
    if usable:
        return SendOut(gateways=usable)
    if gateways:
        return Refused(
            cause="no-secure-gateway",
            rule=f"domain {domain.label}: no gateway with TLS for {e164}",
            remedy=f"The sips URI that was called promises TLS on the whole way, and no gateway for {e164} "
            'has it: call a sip URI, or give a gateway transport = "TLS".',
        )
    return Refused(
        cause="no-gateway",
        rule=f"domain {domain.label}: no gateway for {e164}",
        remedy=f"Nothing answers {e164}: give the number or domain {domain.label} a callflow, "
        "or add a gateway whose prefixes fit the number.",
    )


def route_from_gateway(directory: Directory, gateway: Gateway, e164: str) -> RunCallflow | Refused:
    """What answers a call that a carrier delivers: its number's callflow, if the account uses the gateway."""
    number = directory.number(e164)
    if number is None or gateway.account_id not in (None, number.account_id):
        return Refused(
            cause="number-unknown",
            rule=f"gateway {gateway.name}: number {e164}",
            remedy=f"No account that uses gateway {gateway.name} owns {e164}: add the number to the account.",
        )
    return _flow_of_number(directory, number) or Refused(
        cause="number-without-callflow",
        rule=f"number {e164}: no callflow",
        remedy=f"Number {e164} has no callflow to answer with: give it one or a callflow URL, "
        "or make one of the account's callflows its default.",
    )


def _flow_of_number(directory: Directory, number: Number) -> RunCallflow | None:
    """A number that names nothing is answered by the default; one that names what has gone, by nothing."""
    if number.callflow_id is None and number.callflow_url is None:
        default = directory.default_callflow(number.account_id)
        return None if default is None else RunCallflow(callflow=default, url=None, number=number)
    return _flow(directory, number.callflow_id, number.callflow_url, number)


def _flow(
    directory: Directory, callflow_id: str | None, url: str | None, number: Number | None
) -> RunCallflow | None:
    callflow = directory.callflow(callflow_id) if callflow_id else None
    if callflow is None and url is None:
        return None
    return RunCallflow(callflow=callflow, url=url, number=number)


def dialled_as(gateway: Gateway, e164: str) -> str:
    """The number as this gateway wants it written."""
    options = gateway.options
    return dialled_for(e164, gateway.number_format, options.country, options.strip_prefix, options.add_prefix)


def caller_id_for(directory: Directory, gateway: Gateway, account_id: str, wanted: str | None) -> str | None:
    """The caller's number that this gateway is shown, as the gateway wants numbers written; None: nobody's.

    `wanted` is the caller id of the call: an E.164 number, or any other user part; None when it is withheld.
    """
    e164 = _e164_or_none(wanted)
    match gateway.caller_id_rule:
        case CallerIdRule.PASS:
            shown = e164 or wanted
        case CallerIdRule.OWN if e164 and directory.may_show(account_id, e164):
            shown = e164
        case _:
            shown = gateway.caller_id
    if not shown or gateway.options.caller_id_format is CallerIdFormat.NONE:
        return None
    if not shown.startswith("+"):
        return shown
    return written_for(shown, gateway.number_format, gateway.options.country)


def asserted_for(gateway: Gateway, asserted: str | None) -> str | None:
    """The caller's asserted identity as this gateway wants numbers written; None: it wants none."""
    if asserted is None or gateway.options.caller_id_format is CallerIdFormat.NONE:
        return None
    if not asserted.startswith("+"):
        return asserted
    return written_for(asserted, gateway.number_format, gateway.options.country)


def _e164_or_none(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return normalise(text)
    except NumberFault:
        return None
