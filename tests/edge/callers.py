"""Callers and carriers for tests of who calls."""

from __future__ import annotations

from dataclasses import replace

from sip_config.gateway_options import GatewayOptions
from sip_config.identity_policy import IdentityPolicy, OtherCallers
from sip_config.model import Gateway, Number
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    DOMAIN,
    EDGE,
    NUMBER,
    PBX,
    World,
    an_account,
    directory,
    gateway,
)
from voice.sip.message import Request, Response

OWN = "+31201111111"
VERIFIED = "+442079460000"
STRANGER = "+31209999999"
ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=x'
TRUSTED = gateway(options=GatewayOptions(trusted=True))
PLAIN = gateway()

POLICY = IdentityPolicy(
    country="NL", verified=(VERIFIED,), ranges=("+31203333300-+31203333399",), others=OtherCallers.PASS
)


def world_of(
    *gateways: Gateway, policy: IdentityPolicy = POLICY, most_seconds: int = 3_600, **config: object
) -> World:
    own = Number(id="n", account_id=ACCOUNT, e164=OWN)
    account = replace(an_account(max_call_seconds=most_seconds), identity=policy)
    return World(directory(account=account, gateways=gateways, numbers=[own], **config))  # type: ignore[arg-type]


def sent(
    *headers: tuple[str, str], carrier: Gateway = TRUSTED, policy: IdentityPolicy = POLICY, from_: str = OWN
) -> Request:
    """The INVITE of a PBX as the carrier gets it."""
    world = world_of(carrier, policy=policy)
    pbx, agent = world.agent(PBX), world.agent(CARRIER)
    shown = from_ if ";tag=" in from_ else f'"Desk" <sip:{from_}@{DOMAIN}>;tag=x'
    pbx.send(pbx.invite(NUMBER, *headers, from_=shown))
    return agent.gets_request("INVITE")


def asserted(message: Request | Response) -> list[str]:
    return message.headers.values("P-Asserted-Identity")


def both(number: str, display: str = "") -> list[str]:
    name = f'"{display}" ' if display else ""
    return [f"{name}<sip:{number}@{EDGE}>", f"<tel:{number}>"]


def last_request(messages: list[Request | Response]) -> Request:
    """The last one, which has to be a request."""
    last = messages[-1]
    assert isinstance(last, Request)
    return last
