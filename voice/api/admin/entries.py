"""What the resources of configured entries have in common: list, view, create, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from sip_config.configuration import Configuration
from sip_config.model import Account, AccountId, Acl, Domain, Gateway, Number, Pop
from voice.api.admin import shapes
from voice.api.admin.editing import Editor, full, page_of
from voice.api.faults import Family, Json, NotFound
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS
from voice.api.reply import Reply
from voice.api.request import Request

E = TypeVar("E", bound=Account | Acl | Domain | Gateway | Number | Pop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[E]):
    """What is peculiar to one kind of entry."""

    table: str
    """The field of `Configuration` that holds them."""
    noun: str
    plural: str
    path: str
    """Such as ``/sip/acls``."""
    called: Callable[[E], str]
    """What people call it, which may stand in the path as well as its id."""
    id: Callable[[E], str]
    owner: Callable[[E], str | None]
    """The account that may see it."""
    shown: Callable[[E, Configuration], Json]
    read: Callable[[Request, E | None, Configuration], E]
    """What a body makes of an entry, or of nothing.  Raises Invalid."""


class Entries(Generic[E]):
    def __init__(self, editor: Editor, kind: Kind[E]) -> None:
        self.editor = editor
        self.kind = kind

    async def list(self, request: Request) -> Reply:
        current = await self.editor.load()
        mine = (entry for entry in self.all(current) if self.sees(request, entry))
        live = await self.live()
        return page_of(request, [self.json(request, entry, current, live) for entry in mine])

    async def view(self, request: Request) -> Reply:
        current = await self.editor.load()
        found = self.found(request, current)
        return Reply.json(self.json(request, found, current, await self.live()))

    async def create(self, request: Request) -> Reply:
        made: list[E] = []

        def edit(current: Configuration) -> Configuration:
            entry = self.kind.read(request, None, current)
            owner = self.kind.owner(entry)
            full([one for one in self.all(current) if self.kind.owner(one) == owner], self.kind.plural)
            made.append(entry)
            return self.with_all(current, (*self.all(current), entry))

        await self.editor.change(request, edit)
        return await self._reply(request, self.kind.id(made[0]), status=201)

    async def change(self, request: Request) -> Reply:
        return await self.edit(request, lambda old, current: self.kind.read(request, old, current))

    async def edit(self, request: Request, edit: Callable[[E, Configuration], E]) -> Reply:
        """Changes the entry that the path names; answers it."""
        changed: list[str] = []

        def edit_one(current: Configuration) -> Configuration:
            old = self.found(request, current)
            changed.append(self.kind.id(old))
            new = edit(old, current)
            return self.with_all(current, (new if one is old else one for one in self.all(current)))

        await self.editor.change(request, edit_one)
        return await self._reply(request, changed[0])

    async def delete(self, request: Request) -> Reply:
        def edit(current: Configuration) -> Configuration:
            gone = self.found(request, current)
            return self.with_all(current, (one for one in self.all(current) if one is not gone))

        await self.editor.change(request, edit)
        return Reply.empty()

    def found(self, request: Request, current: Configuration) -> E:
        """The entry that the path names by its id or what it is called.  Raises NotFound."""
        named = next(iter(request.path.values()))
        mine = [entry for entry in self.all(current) if self.sees(request, entry)]
        found = [entry for entry in mine if self.kind.id(entry) == named] or [
            entry for entry in mine if self.kind.called(entry) == named
        ]
        if len(found) != 1:
            raise NotFound(self.kind.noun, named)
        return found[0]

    def all(self, current: Configuration) -> tuple[E, ...]:
        entries: tuple[E, ...] = getattr(current, self.kind.table)
        return entries

    def with_all(self, current: Configuration, entries: Iterable[E]) -> Configuration:
        values: dict[str, Any] = {self.kind.table: tuple(entries)}
        return replace(current, **values)

    async def live(self) -> Mapping[str, Json]:
        """What is shown of each entry, by id, that is not configured."""
        return {}

    def json(self, request: Request, entry: E, current: Configuration, live: Mapping[str, Json]) -> Json:
        entry_id = self.kind.id(entry)
        href = f"{request.public_url}{self.kind.path}/{quote(entry_id, safe='')}"
        return {"id": entry_id, "href": href, **self.kind.shown(entry, current), **live.get(entry_id, {})}

    def sees(self, request: Request, entry: E) -> bool:
        return request.account is None or self.kind.owner(entry) == request.account

    async def _reply(self, request: Request, entry_id: str, *, status: int = 200) -> Reply:
        current = await self.editor.load()
        for entry in self.all(current):
            if self.kind.id(entry) == entry_id:
                live = await self.live()
                return Reply.json(self.json(request, entry, current, live), status=status)
        raise NotFound(self.kind.noun, entry_id)  # somebody was quick to delete it


def operations_of(
    entries: Entries[E],
    *,
    tag: str,
    scope: str,
    shown: Mapping[str, Any],
    body: Mapping[str, Mapping[str, Any]],
    required: tuple[str, ...],
    create: Owner = Owner.REQUIRED,
    change: Owner = Owner.OPTIONAL,
    delete: Owner = Owner.OPTIONAL,
    read: Owner = Owner.OPTIONAL,
    about: str = "",
) -> tuple[Operation, ...]:
    """The five operations of a kind; `create` and the others say whose keys may, and for which account."""
    kind = entries.kind
    item = f"{kind.path}/{{{kind.noun.replace(' ', '_').lower()}}}"
    one = f"{'an' if kind.noun[0] in 'aeiouA' else 'a'} {kind.noun}"
    asked = shapes.fields(body, required=required)
    query = {} if read is Owner.OPERATOR else shapes.OWNER

    def operation(method: str, path: str, run: Any, owner: Owner, summary: str, **more: Any) -> Operation:
        return Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag=tag,
            scope=scope,
            account=owner,
            summary=summary,
            **more,
        )

    listing = {**PARAMETERS, **query}
    answer = dict(shown)
    return (
        operation(
            "GET",
            kind.path,
            entries.list,
            read,
            f"List {kind.plural}",
            answers={200: shapes.many(answer)},
            query=listing,
            description=about,
        ),
        operation(
            "POST",
            kind.path,
            entries.create,
            create,
            f"Create {one}",
            answers={201: answer},
            query=query,
            body=asked,
            description=_only(create),
        ),
        operation("GET", item, entries.view, read, f"View {one}", answers={200: answer}, query=query),
        operation(
            "PUT",
            item,
            entries.change,
            change,
            f"Change {one}",
            answers={200: answer},
            query=query,
            body=shapes.fields(body),
            description=f"Fields that are left out stay as they are. {_only(change)}".strip(),
        ),
        operation(
            "DELETE",
            item,
            entries.delete,
            delete,
            f"Delete {one}",
            answers={204: ""},
            query=query,
            description=_only(delete),
        ),
    )


def _only(owner: Owner) -> str:
    return "Only with an operator's key." if owner is Owner.OPERATOR else ""


def owner_of(request: Request) -> AccountId:
    """The account that something is made for.  Raises Invalid when an operator's key names none."""
    return AccountId(request.account_id)
