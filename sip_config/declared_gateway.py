"""Gateways and POPs in the declarative file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sip_config import bounds, words
from sip_config.declared_options import option_faults, read_options
from sip_config.faults import Unfit
from sip_config.model import AccountId, CallerIdRule, Gateway, Pop, Region, Transport
from sip_config.reading import Section


def read_gateways(section: Section, *, owner: str | None, folder: Path | None) -> Iterator[Gateway]:
    """The gateways of an account, by the account's name, or those that all accounts share."""
    for name, inner in section.sections("gateways", words.name):
        yield _gateway(inner, name, owner, folder)
        inner.reject_unknown()


def _gateway(section: Section, name: str, owner: str | None, folder: Path | None) -> Gateway:
    called = name if owner is None else f"{owner}/{name}"
    usual = Gateway(id="", account_id=None, name=name, host="")
    transport = section.choice("transport", usual.transport)
    gateway = Gateway(
        id=f"gateway {called}",
        account_id=None if owner is None else AccountId(f"account {owner}"),
        name=name,
        host=section.fitting("host", words.host, "", required=True),
        port=section.integer("port", transport.usual_port, **bounds.PORT),
        transport=transport,
        prefixes=tuple(
            sorted(
                section.each(
                    "prefixes",
                    words.prefix,
                    usual.prefixes,
                    if_empty='Leave the key out, or list "", for a gateway that carries every number.',
                )
            )
        ),
        priority=section.integer("priority", usual.priority, **bounds.PRIORITY),
        username=section.fitting("username", words.username, None),
        password=section.fitting("password", words.secret, None),
        caller_id_rule=section.choice("caller_id_rule", usual.caller_id_rule),
        caller_id=section.fitting("caller_id", words.own_number, None),
        number_format=section.choice("number_format", usual.number_format),
        attempt_seconds=section.number("attempt_seconds", usual.attempt_seconds, **bounds.ATTEMPT_SECONDS),
        srtp=section.choice("srtp", usual.srtp),
        options=read_options(section, folder),
    )
    for key, fault in gateway_faults(gateway):
        section.fault(key, fault.message, fault.remedy)
    return gateway


def gateway_faults(gateway: Gateway) -> Iterator[tuple[str | None, Unfit]]:
    """What is wrong with a gateway whose fields are right one by one; with the field, where one decides."""
    yield from option_faults(gateway)
    if (gateway.username is None) != (gateway.password is None):
        yield (
            None,
            Unfit(
                "A gateway's challenge is answered with a user name and a password.",
                "Give both username and password, or neither.",
            ),
        )
    if gateway.caller_id_rule is not CallerIdRule.PASS and gateway.caller_id is None:
        yield (
            "caller_id_rule",
            Unfit(
                f"The rule {gateway.caller_id_rule} needs a number to show.",
                'Add caller_id = "+31201234567".',
            ),
        )
    if gateway.transport in (Transport.WS, Transport.WSS):
        yield (
            "transport",
            Unfit(
                "A WebSocket is opened by the caller, so no gateway can be reached by one (RFC 7118).",
                'Write "UDP", "TCP" or "TLS".',
            ),
        )


def read_pops(root: Section) -> Iterator[Pop]:
    """The points of presence; a file that has any names all of them."""
    for written, section in root.sections("pops", words.label):
        address = section.fitting("address", pop_address, None)
        if not section.has("region"):
            section.fault(None, "The key region is missing.", 'Add region = "EU", "US" or "APAC".')
        yield Pop(name=words.label(written), region=section.choice("region", Region.EU), address=address)
        section.reject_unknown()


def pop_address(text: str) -> str:
    """``host[:port]`` of an edge's SIP socket."""
    host, port = words.host_and_port(text)
    if port == 0:
        raise Unfit("Port 0 cannot be called.", "Write the port of the edge's SIP socket.")
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
