"""Changes of the configuration by the API: one transaction each, in force within a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sip_config.clashes import Clash
from sip_config.configuration import Configuration, without_dangling
from sip_config.model import AccountId, MediaFile
from voice.api.faults import Code, Conflict, Forbidden, Json
from voice.api.paging import USUAL_REST, Page, rest_list
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.store.config import ConfigStore

MOST_ENTRIES: Final = 1_000
"""Of one kind in one account: each is loaded whenever the configuration changes."""


class Editor:
    """Reads and changes what is configured, for whoever the request comes from."""

    def __init__(self, services: Services) -> None:
        self.realm = services.settings.base_domain
        self.store = ConfigStore(
            services.database,
            media_folder=services.settings.media_directory,
            bells=services.bells,
            clock=services.clock,
        )

    async def load(self) -> Configuration:
        configuration, _ = await self.store.load(realm=self.realm)
        return configuration

    async def change(self, request: Request, edit: Callable[[Configuration], Configuration]) -> None:
        """Stores what `edit` makes of the configuration; what `edit` raises comes out.

        What points at something that is gone points at nothing afterwards.  Raises Conflict for a name that
        is taken, without saying by whom.
        """
        refuse_test_key(request)
        try:
            await self.store.change(lambda current: without_dangling(edit(current)), realm=self.realm)
        except Clash as clash:
            raise _taken(clash) from None

    async def upload(self, request: Request, name: str, content: bytes) -> MediaFile:
        refuse_test_key(request)
        return await self.store.upload(AccountId(request.account_id), name, content, realm=self.realm)


def refuse_test_key(request: Request) -> None:
    """What a test key could change here would be in force for real calls.  Raises Forbidden."""
    if request.is_test:
        raise Forbidden("A test key changes nothing in the administration: use a live key.")


def full(entries: Sequence[Any], what: str, most: int = MOST_ENTRIES) -> None:
    """Raises Conflict when an account has as many as it may."""
    if len(entries) >= most:
        raise Conflict(f"There are {most} {what} already, which is the most. Delete one first.")


def page_of(request: Request, shown: Sequence[Json]) -> Reply:
    """The part of a list that is asked for."""
    page = Page.of(request.query, usual=USUAL_REST)
    items = shown[page.offset : page.offset + page.limit]
    return Reply.json(rest_list(items, page, len(shown), request.public_url + request.url_path))


def _taken(clash: Clash) -> Conflict:
    return Conflict(
        f"The {clash.kind} {clash.key} is taken. Choose another.", code=Code.DUPLICATE, parameter=clash.field
    )
