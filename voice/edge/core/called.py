"""Which gateway delivers a call, and to which number."""

from __future__ import annotations

from dataclasses import dataclass

from sip_config.directory import Directory
from sip_config.model import Gateway
from sip_config.numbers import NumberFault, normalise
from voice.edge.core.gateway_sources import MARK, GatewaySources
from voice.sip.address import parse_name_addr
from voice.sip.errors import SipParseError
from voice.sip.headers import printable
from voice.sip.message import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A call that comes from a gateway."""

    gateway: Gateway
    destination: str
    """E.164 when it is a number, else the user part."""
    e164: str | None


def dialled(request: Request, country: str | None = None) -> tuple[str, str | None]:
    """What was dialled, and as E.164 when it is a number; `country`: whose national format is understood."""
    user = request.sip_uri.username or ""
    number = _number(user, country)
    return number or printable(user[:128]), number


def delivery(
    sources: GatewaySources, directory: Directory, request: Request, address: str
) -> Delivery | None:
    """What a carrier delivers from this address; None: it is no carrier's."""
    uri = request.sip_uri
    marked = sources.gateway_marked(directory, uri.param(MARK))
    gateway = marked or sources.gateway_for(directory, address)
    if gateway is None:
        return None
    options = gateway.options
    destination, e164 = dialled(request, options.country)
    if marked is not None or (
        options.register and uri.username == (options.register_user or gateway.username)
    ):
        # The Request-URI repeats the Contact that we registered: the number stands elsewhere.
        e164 = _elsewhere(request, options.country) or e164
        destination = e164 or destination
    number = directory.number(e164) if e164 else None
    if marked is None and number is not None:
        # Of several gateways at the address, one that the owner of the number may use.
        gateway = sources.gateway_for(directory, address, number.account_id) or gateway
    return Delivery(gateway=gateway, destination=destination, e164=e164)


def _elsewhere(request: Request, country: str | None) -> str | None:
    """The number in P-Called-Party-ID (RFC 7315 section 4.2), else in To."""
    for text in (request.headers.get("P-Called-Party-ID"), request.headers.get("To")):
        try:
            number = _number(parse_name_addr(text).sip_uri.username or "", country) if text else None
        except SipParseError:
            continue
        if number is not None:
            return number
    return None


def _number(user: str, country: str | None) -> str | None:
    try:
        return normalise(user, country)
    except NumberFault:
        return None
