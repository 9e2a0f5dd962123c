"""A gateway that redirects a call (RFC 3261 section 8.1.3.4): followed to gateways of ours and nowhere else.

Anything else would let a carrier, or who answers in its place, send our customers' calls anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sip_config.directory import Directory
from sip_config.model import Gateway, Transport
from sip_config.networks import packed
from sip_config.numbers import NumberFault, normalise
from sip_config.routing import dialled_as
from voice.edge.core.kernel import Kernel
from voice.edge.core.reach import port_of
from voice.edge.core.targets import Target
from voice.records import Event
from voice.sip.errors import SipParseError
from voice.sip.headers import printable
from voice.sip.message import Response
from voice.sip.uri import SipUri, parse_uri

_MOST_CONTACTS: Final = 10
"""Of one response that are looked at."""


def follow(kernel: Kernel, target: Target, by: Gateway, response: Response, account_id: str) -> str | None:
    """Puts the gateways that a 3xx names in front of the other ways, and returns None.

    When it names none that may be followed: what it named.  A call that went by TLS does not leave it
    (RFC 3261 section 26.2.2).
    """
    contacts = list(_contacts(response))[:_MOST_CONTACTS]
    directory = kernel.directory()
    named: dict[str, Gateway] = {}
    for uri in contacts:
        gateway = _gateway_of(kernel, directory, account_id, uri)
        if gateway is None or gateway.id in target.tried or not _means(uri, target.name, by):
            continue
        if by.transport is not Transport.TLS or gateway.transport is Transport.TLS:
            named.setdefault(gateway.id, gateway)
    if target.by_gateway is None or not named:
        return ", ".join(map(str, contacts)) or "no Contact"
    others = [gateway for gateway in target.gateways if gateway.id not in named]
    target.gateways[:] = [*named.values(), *others]
    return None


def refused_event(gateway: Gateway, named: str, call: tuple[str, str], now: float) -> Event:
    """The record of a redirection that is not followed."""
    return Event(
        at=now,
        kind="gateway-redirect-refused",
        detail=f"Gateway {gateway.name} redirected the call to {printable(named[:200])}, which is no gateway "
        "of this account that has not been tried, for the same number: add it as a gateway, or let the "
        "carrier carry the call.",
        call_id=call[0],
        account_id=call[1],
        data={"gateway": gateway.name},
    )


def _contacts(response: Response) -> Iterator[SipUri]:
    """Best first."""
    found = []
    try:
        for position, contact in enumerate(response.contacts):
            found.append((-_quality(contact.params.get("q")), position, contact.uri))
    except SipParseError:
        return
    for _, _, text in sorted(found):
        try:
            yield parse_uri(text)
        except SipParseError:
            continue


def _quality(text: str | None) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


def _gateway_of(kernel: Kernel, directory: Directory, account_id: str, uri: SipUri) -> Gateway | None:
    if uri.scheme != "sip":
        return None
    host = uri.address.lower()
    port = port_of(uri)
    address = packed(host)
    for gateway in directory.gateways:
        if gateway.account_id not in (None, account_id) or gateway.port != port:
            continue
        if gateway.host == host or (address is not None and packed(gateway.host) == address):
            return gateway
        if kernel.gateway_sources.is_at(gateway.id, host):
            return gateway
    return None


def _means(uri: SipUri, number: str, by: Gateway) -> bool:
    """Whether it asks for the same number: the limits of the call were checked for that one."""
    if uri.username is None or uri.username == dialled_as(by, number):
        return True
    try:
        return normalise(uri.username, by.options.country) == number
    except NumberFault:
        return False
