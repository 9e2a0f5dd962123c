"""Points of presence: the edges of a platform that has several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from sip_config import words
from sip_config.configuration import Configuration
from sip_config.declared_gateway import pop_address
from sip_config.directory import DEFAULT_POPS
from sip_config.model import Origin, Pop, Region
from voice.api.admin import shapes
from voice.api.admin.editing import Editor
from voice.api.admin.entries import Entries, Kind, operations_of
from voice.api.admin.reading import kept
from voice.api.faults import Conflict, Invalid, Json
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.readers import choice, fitting
from voice.api.request import Request
from voice.edge.core.liveness import PopState
from voice.live import LiveState
from voice.relay_key import missing_key
from voice.settings import Settings

_BODY: Final = {
    "name": shapes.described(shapes.TEXT, "Letters and digits, such as eu1."),
    "region": shapes.word(*Region),
    "address": shapes.described(shapes.maybe(shapes.TEXT), "host[:port] of its SIP socket; null: unknown."),
}
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.TEXT,
        "href": shapes.HREF,
        **_BODY,
        "state": shapes.described(
            shapes.maybe(shapes.word(*PopState)),
            "What the node that answers believes of it; null: the API runs alone.",
        ),
        "origin": shapes.ORIGIN,
    },
    title="Pop",
)


def _read(request: Request, old: Pop | None, _: Configuration) -> Pop:
    body = request.body
    address = fitting(pop_address)
    if old is None:
        pop = Pop(
            name=body.required("name", fitting(words.label)),
            region=body.required("region", choice(Region)),
            address=body.optional("address", address),
            origin=Origin.API,
        )
    else:
        if body.get("name", fitting(words.label), old.name) != old.name:
            raise Invalid.field("name", "A POP keeps its name. Delete it, and create another.")
        pop = replace(
            old,
            region=body.get("region", choice(Region), old.region),
            address=kept(body, "address", address, old.address),
        )
    body.check()
    return pop


class Pops(Entries[Pop]):
    """With the usual ones while none are configured; the first change writes those down."""

    def __init__(self, editor: Editor, kind: Kind[Pop], settings: Settings) -> None:
        super().__init__(editor, kind)
        self._settings = settings

    def sees(self, request: Request, entry: Pop) -> bool:
        """They are of no account, whichever an operator's client names everywhere."""
        return True

    def all(self, current: Configuration) -> tuple[Pop, ...]:
        return current.pops or tuple(replace(pop, origin=Origin.API) for pop in DEFAULT_POPS)

    def with_all(self, current: Configuration, entries: Iterable[Pop]) -> Configuration:
        wanted = tuple(entries)
        own = self._settings.pop
        if all(pop.name != own for pop in wanted):
            raise Conflict(f"POP {own} is the one that answers here; it cannot be deleted.")
        fault = missing_key(wanted, self._settings)
        if fault is not None:
            raise Conflict(str(fault))
        return super().with_all(current, wanted)


def operations(editor: Editor, settings: Settings, live: LiveState | None) -> tuple[Operation, ...]:
    """`settings` and `live` are of this node, which is in one of the POPs."""

    def shown(pop: Pop, _: Configuration) -> Json:
        states = (
            {} if live is None else {one["name"]: one["state"] for one in live.snapshot()["edge"]["pops"]}
        )
        return {
            "name": pop.name,
            "region": pop.region,
            "address": pop.address,
            "state": states.get(pop.name),
            "origin": pop.origin,
        }

    kind: Kind[Pop] = Kind(
        table="pops",
        noun="POP",
        plural="POPs",
        path="/sip/pops",
        called=lambda pop: pop.name,
        id=lambda pop: pop.name,
        owner=lambda pop: None,
        shown=shown,
        read=_read,
    )
    return operations_of(
        Pops(editor, kind, settings),
        tag="Points of presence",
        scope="pops",
        shown=_SHOWN,
        body=_BODY,
        required=("name", "region"),
        create=Owner.OPERATOR,
        change=Owner.OPERATOR,
        delete=Owner.OPERATOR,
        read=Owner.OPERATOR,
    )
