"""Where a request may go: targets, and for each the hops that are tried for it one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from sip_config.directory import Directory
from sip_config.model import Gateway, SrtpPolicy, Transport
from sip_config.routing import asserted_for, caller_id_for, dialled_as
from voice.edge.core.best import Final
from voice.edge.core.caller_claims import claims_for
from voice.edge.core.doors import Doors
from voice.edge.core.guise import PLAIN, Guise, guise_of
from voice.edge.core.identity import Caller
from voice.edge.core.reach import default_port
from voice.edge.core.tokens import DialogToken
from voice.sip.flow import Flow
from voice.sip.uri import SipUri, escape_user

MOST_GATEWAYS = 32
"""Of one number that are tried, best first: each that is tried or passed over leaves a record."""

ANONYMOUS = "sip:anonymous@anonymous.invalid"
"""RFC 3323 section 4.1.1.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One way to a target."""

    uri: str
    """Request-URI."""
    flow: Flow | None = None
    """None: found by the URI."""
    trusted: bool = False
    """The operator said where it leads."""
    gateway: Gateway | None = None
    shown: tuple[str, str] | None = None
    """URIs in From and To; None: as they came."""
    guise: Guise = PLAIN
    token: DialogToken | None = None
    """Inside a dialog: its token says where it leads."""
    srtp: SrtpPolicy = SrtpPolicy.OPTIONAL
    """Whether the sound of calls by it is encrypted."""
    patience: float | None = None
    """Seconds without any response after which the next hop is tried; None: what the transaction waits."""
    pop: str | None = None
    """Another POP, to which the call is relayed."""
    took: Callable[[bool], None] | None = None
    """Told whether the POP took the call."""
    headers: tuple[tuple[str, str], ...] = ()
    """That the request carries beside its own."""
    barred: Callable[[str], Final | None] | None = None
    """How the attempt ends because of the address that the URI was found to lead to; None: it may go on."""


@dataclass(slots=True, kw_only=True)
class Target:
    """One destination that was asked for."""

    name: str
    hops: list[Hop] = field(default_factory=list)
    """Those not tried yet."""
    gateways: list[Gateway] = field(default_factory=list)
    """Those not tried yet; ways by them are made when it is their turn, which most never have."""
    problem: Final | None = None
    """Why there is no hop."""
    by_gateway: Callable[[Gateway], Hop] | None = None
    """The way by another gateway; None: it is not reached by gateways."""
    tried: set[str] = field(default_factory=set)
    """Ids of the gateways that were tried."""

    def next_hop(self) -> Hop | None:
        """The next way to try; None: there is none left."""
        if self.hops:
            return self.hops.pop(0)
        if not self.gateways or self.by_gateway is None:
            return None
        gateway = self.gateways.pop(0)
        self.tried.add(gateway.id)
        return self.by_gateway(gateway)

    def give_up(self) -> None:
        """Nothing more is tried."""
        self.hops.clear()
        self.gateways.clear()


def number_target(
    directory: Directory,
    doors: Doors,
    gateways: Iterable[Gateway],
    account_id: str,
    e164: str,
    caller: Caller,
    call_id: str | None = None,
) -> Target:
    """A number, by these gateways in this order."""

    def by_gateway(gateway: Gateway) -> Hop:
        return gateway_hop(gateway, directory, doors, account_id, e164, caller, call_id)

    return Target(name=e164, gateways=list(islice(gateways, MOST_GATEWAYS)), by_gateway=by_gateway)


def gateway_hop(
    gateway: Gateway,
    directory: Directory,
    doors: Doors,
    account_id: str,
    e164: str,
    caller: Caller,
    call_id: str | None = None,
) -> Hop:
    """The way to a number by a gateway, with the names that the gateway wants to see.

    `call_id` of a caller outside: of those that want it, not even the Call-ID is told.
    """
    transport = gateway.transport.value
    uri = gateway_uri(gateway, dialled_as(gateway, e164))
    # A caller that is withheld is not shown by the number of its company either.
    shown = None if caller.shown is None else caller_id_for(directory, gateway, account_id, caller.shown)
    own = _own_uri(doors, transport, gateway.host, shown)
    asserted = asserted_for(gateway, caller.asserted)
    return Hop(
        uri=str(uri),
        flow=doors.flow_to(transport, gateway.host, gateway.port),
        trusted=True,
        gateway=gateway,
        shown=(own, str(uri._replace(params=()))),
        headers=claims_for(
            gateway, caller, own, asserted and _own_uri(doors, transport, gateway.host, asserted)
        ),
        guise=guise_of(caller, asserted, callee_trusted=gateway.options.trusted, call_id=call_id),
        patience=gateway.attempt_seconds,
        srtp=gateway.srtp,
    )


def gateway_uri(gateway: Gateway, user: str | None = None) -> SipUri:
    """Where a gateway is, and whom to reach there."""
    transport = gateway.transport.value
    return SipUri(
        "sip",
        None if user is None else escape_user(user),
        f"[{gateway.host}]" if ":" in gateway.host else gateway.host,
        None if gateway.port == default_port(transport) else gateway.port,
        params=() if gateway.transport is Transport.UDP else (("transport", transport.lower()),),
    )


def uri_hop(uri: SipUri, doors: Doors, caller: Caller, srtp: SrtpPolicy) -> Hop:
    """The way to a SIP URI that a callflow dials."""
    transport = "TLS" if uri.scheme == "sips" else (uri.transport or "udp").upper()
    to = str(SipUri(uri.scheme, uri.user, uri.host, uri.port))
    shown = (_own_uri(doors, transport, uri.address, caller.shown), to)
    return Hop(uri=str(uri), shown=shown, srtp=srtp)


def _own_uri(doors: Doors, transport: str, towards: str, user: str | None) -> str:
    """A From that is ours: the user at the host that this edge shows in the direction of the next hop."""
    if user is None:
        return ANONYMOUS
    return f"sip:{escape_user(user)}@{doors.shown_host(transport, ':' in towards)}"
