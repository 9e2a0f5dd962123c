"""Gateways: the carriers and PBXs to which calls are sent, and from which calls to numbers come.

Operators change them: a gateway's address decides whose calls an account gets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sip_config import bounds, words
from sip_config.configuration import Configuration, new_id
from sip_config.declared_gateway import gateway_faults
from sip_config.model import AccountId, CallerIdRule, Gateway, NumberFormat, Origin, SrtpPolicy, Transport
from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.admin.entries import Kind, operations_of
from voice.api.admin.gateway_fields import OPTIONS, RATE_COUNT, RATES, read_options, shown_options
from voice.api.admin.gateway_state import STATES, Gateways
from voice.api.admin.reading import NAME, OWN_NUMBER, PASSWORD, USERNAME, kept
from voice.api.faults import Json
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.readers import Misfit, choice, fitting, integer, number
from voice.api.request import Request
from voice.api.services import Services

MOST_PREFIXES: Final = 1_000

_FIELD_NAMES: Final = {
    "caller_id_rule": "callerIdRule",
    "transport": "transport",
    "register": "register",
    "number_format": "numberFormat",
    "ringing_seconds": "ringingSeconds",
    None: "password",
}
_BODY: Final = {
    "name": shapes.described(shapes.TEXT, "Unique among the gateways of its account."),
    "host": shapes.described(shapes.TEXT, "An IP address or a host name."),
    "port": {"type": "integer", "minimum": 1, "maximum": bounds.PORT["most"]},
    "transport": shapes.word(Transport.UDP, Transport.TCP, Transport.TLS),
    "prefixes": shapes.described(
        shapes.listed({"type": "string", "pattern": r"^\+?[0-9]{0,15}$"}),
        'Of the numbers it carries, without +; "" fits every number.',
    ),
    "priority": shapes.described(
        {"type": "integer", "minimum": 0, "maximum": bounds.PRIORITY["most"]}, "The lowest is tried first."
    ),
    "username": shapes.maybe(shapes.TEXT),
    "password": shapes.described(shapes.maybe(shapes.TEXT), "Is never shown again."),
    "callerIdRule": shapes.word(*CallerIdRule),
    "callerId": shapes.maybe(shapes.TEXT),
    "numberFormat": shapes.word(*NumberFormat),
    "attemptSeconds": {
        "type": "number",
        "minimum": bounds.ATTEMPT_SECONDS["least"],
        "maximum": bounds.ATTEMPT_SECONDS["most"],
    },
    "srtp": shapes.described(shapes.word(*SrtpPolicy), "Whether the sound of calls by it is encrypted."),
    **OPTIONS,
    **RATES,
}
_WRITTEN_ONLY: Final = ("password", "rates")
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.ID,
        "href": shapes.HREF,
        "accountId": shapes.described(shapes.maybe(shapes.TEXT), "Null: every account may use it."),
        **{name: schema for name, schema in _BODY.items() if name not in _WRITTEN_ONLY},
        **RATE_COUNT,
        "states": STATES,
        "origin": shapes.ORIGIN,
    },
    title="Gateway",
)


def _read(request: Request, old: Gateway | None, _: Configuration) -> Gateway:
    body = request.body
    host = fitting(words.host)
    if old is None:
        owner = None if request.account is None else AccountId(request.account)
        usual = Gateway(
            id=new_id(),
            account_id=owner,
            name=body.required("name", NAME),
            host=body.required("host", host),
            origin=Origin.API,
        )
    else:
        usual = replace(old, name=body.get("name", NAME, old.name), host=body.get("host", host, old.host))
    transport = body.get("transport", choice(Transport), usual.transport)
    # A port that is the usual one of the transport before means just that.
    port = transport.usual_port if usual.port == usual.transport.usual_port else usual.port
    gateway = replace(
        usual,
        port=body.get("port", integer(**bounds.PORT), port),
        transport=transport,
        prefixes=body.get("prefixes", _prefixes, usual.prefixes),
        priority=body.get("priority", integer(**bounds.PRIORITY), usual.priority),
        username=kept(body, "username", USERNAME, usual.username),
        password=kept(body, "password", PASSWORD, usual.password),
        caller_id_rule=body.get("callerIdRule", choice(CallerIdRule), usual.caller_id_rule),
        caller_id=kept(body, "callerId", OWN_NUMBER, usual.caller_id),
        number_format=body.get("numberFormat", choice(NumberFormat), usual.number_format),
        attempt_seconds=body.get("attemptSeconds", number(**bounds.ATTEMPT_SECONDS), usual.attempt_seconds),
        srtp=body.get("srtp", choice(SrtpPolicy), usual.srtp),
        options=read_options(body, usual.options),
    )
    body.check()
    for field, fault in gateway_faults(gateway):
        body.fault(_FIELD_NAMES[field], str(fault))
    body.check()
    return gateway


def _prefixes(value: object) -> tuple[str, ...]:
    """A list, in which the empty prefix counts."""
    given = value if isinstance(value, list) else [value]
    if not 1 <= len(given) <= MOST_PREFIXES:
        raise Misfit(f'Give 1 to {MOST_PREFIXES} prefixes; "" fits every number.')
    read = fitting(words.prefix)
    found = {"" if one == "" else read(one) for one in given}
    return tuple(sorted(found))


def _shown(gateway: Gateway, _: Configuration) -> Json:
    return {
        "accountId": gateway.account_id,
        "name": gateway.name,
        "host": gateway.host,
        "port": gateway.port,
        "transport": gateway.transport,
        "prefixes": list(gateway.prefixes),
        "priority": gateway.priority,
        "username": gateway.username,
        "callerIdRule": gateway.caller_id_rule,
        "callerId": gateway.caller_id,
        "numberFormat": gateway.number_format,
        "attemptSeconds": gateway.attempt_seconds,
        "srtp": gateway.srtp,
        **shown_options(gateway.options),
        "states": [],
        "origin": gateway.origin,
    }


def operations(services: Services, editor: Editor) -> tuple[Operation, ...]:
    kind: Kind[Gateway] = Kind(
        table="gateways",
        noun="gateway",
        plural="gateways",
        path="/sip/gateways",
        called=lambda gateway: gateway.name,
        id=lambda gateway: gateway.id,
        owner=lambda gateway: gateway.account_id,
        shown=_shown,
        read=_read,
    )
    return operations_of(
        Gateways(editor, kind, services),
        tag="Gateways",
        scope="gateways",
        shown=_SHOWN,
        body=_BODY,
        required=("name", "host"),
        create=Owner.OPERATOR,
        change=Owner.OPERATOR,
        delete=Owner.OPERATOR,
        about="An account's key sees the gateways that are its own. Created with ?account=, a gateway is for "
        "that account only, else for all.",
    )
