"""Bans: which sources the edges keep out, and letting them in again.  For operators."""

from __future__ import annotations

from typing import Any, Final

from sip_config.faults import Unfit
from voice.api.admin import shapes
from voice.api.admin.editing import refuse_test_key
from voice.api.faults import Family, Json, NotFound
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS, USUAL_REST, Page, rest_list
from voice.api.readers import fitting, number
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.bans import LONGEST_SECONDS, MEANING, Ban, BanReason, read_ban_key
from voice.objects import timestamp as shown_time
from voice.store.bans import BanStore

_USUAL_SECONDS: Final = 3_600.0

_BODY: Final = {
    "address": shapes.described(shapes.TEXT, "An IP address; of IPv6 all of its /64 is banned."),
    "seconds": shapes.described(
        {"type": "number", "minimum": 1, "maximum": LONGEST_SECONDS}, "How long; an hour unless said."
    ),
}
_SHOWN: Final = shapes.shape(
    {
        "address": shapes.described(shapes.TEXT, "An IPv4 address, or an IPv6 network of 64 bits."),
        "href": shapes.HREF,
        "since": shapes.TIME,
        "until": shapes.TIME,
        "reason": shapes.word(*BanReason),
        "meaning": shapes.described(shapes.TEXT, "The reason as a sentence part."),
        "level": shapes.described(shapes.WHOLE, "How many bans in a row this is: each is longer."),
        "transports": shapes.described(
            shapes.word("all", "udp"), "udp: only datagrams say so, and only datagrams are kept out."
        ),
    },
    title="Ban",
)


class _Bans:
    def __init__(self, services: Services) -> None:
        self._store = BanStore(services.database, services.bells.bans, services.clock)

    async def list(self, request: Request) -> Reply:
        page = Page.of(request.query, usual=USUAL_REST)
        found, total = await self._store.in_force(limit=page.limit, offset=page.offset)
        items = [_shown(request, ban) for ban in found]
        return Reply.json(rest_list(items, page, total, request.public_url + request.url_path))

    async def impose(self, request: Request) -> Reply:
        refuse_test_key(request)
        body = request.body
        address = body.required("address", fitting(read_ban_key))
        seconds = body.get("seconds", number(least=1, most=LONGEST_SECONDS), _USUAL_SECONDS)
        body.check()
        return Reply.json(_shown(request, await self._store.impose(address, seconds)), status=201)

    async def release(self, request: Request) -> Reply:
        refuse_test_key(request)
        named = request.path["address"]
        try:
            address = read_ban_key(named)
        except Unfit:
            raise NotFound("ban", named) from None
        if not await self._store.release(address):
            raise NotFound("ban", named)
        return Reply.empty()


def _shown(request: Request, ban: Ban) -> Json:
    return {
        "address": ban.address,
        "href": f"{request.public_url}/sip/bans/{ban.address.replace('/', '%2F')}",
        "since": shown_time(ban.since),
        "until": shown_time(ban.until),
        "reason": ban.reason,
        "meaning": MEANING[ban.reason],
        "level": ban.level,
        "transports": "all" if ban.proven else "udp",
    }


def operations(services: Services) -> tuple[Operation, ...]:
    bans = _Bans(services)
    every, one = "/sip/bans", "/sip/bans/{address}"
    table: tuple[tuple[str, str, Any, str, Any, Any, str], ...] = (
        ("GET", every, bans.list, "List bans", None, {200: shapes.many(_SHOWN)}, "The newest first."),
        (
            "POST",
            every,
            bans.impose,
            "Ban a source",
            shapes.fields(_BODY, required=("address",)),
            {201: _SHOWN},
            "Also one that an access control list names, which is not banned otherwise.",
        ),
        (
            "DELETE",
            one,
            bans.release,
            "Release a source",
            None,
            {204: ""},
            "An IPv6 address releases its /64. The nodes let it in within a second.",
        ),
    )
    return tuple(
        Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag="Bans",
            scope="bans",
            account=Owner.OPERATOR,
            summary=summary,
            description=description,
            body=body,
            answers=answers,
            query=PARAMETERS if method == "GET" else {},
        )
        for method, path, run, summary, body, answers, description in table
    )
