"""Signing keys: what the requests to an account's servers are signed with; changed with an overlap."""

from __future__ import annotations

from typing import Any, Final

from voice.api.admin import shapes
from voice.api.admin.editing import full, page_of, refuse_test_key
from voice.api.faults import Family, Forbidden, Json, NotFound
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS
from voice.api.readers import number
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import timestamp
from voice.store.signing_keys import SigningKey, SigningKeys

MOST_KEYS: Final = 20
"""Of one account that are not revoked."""
LONGEST_NOTICE: Final = 30 * 86_400.0

_SCOPE: Final = "signing-keys"
_BODY: Final = {
    "signsInSeconds": shapes.described(
        {"type": "number", "minimum": 0, "maximum": LONGEST_NOTICE},
        "When it begins to sign, so that your servers can learn it first; at once unless said.",
    )
}
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.ID,
        "href": shapes.HREF,
        "createdAt": shapes.TIME,
        "signsFrom": shapes.described(shapes.TIME, "Of those that have begun, the newest signs."),
        "revokedAt": shapes.maybe(shapes.TIME),
        "secret": shapes.described(shapes.TEXT, "Not in lists."),
    },
    title="SigningKey",
    optional=("secret",),
)


class _SigningKeys:
    def __init__(self, services: Services) -> None:
        self._keys = SigningKeys(services.database, services.clock)

    async def list(self, request: Request) -> Reply:
        found = await self._keys.list(request.account_id)
        return page_of(request, [_shown(request, key) for key in reversed(found)])

    async def view(self, request: Request) -> Reply:
        if not request.by.may(_SCOPE, reading=False):
            raise Forbidden(f"A key that may only read cannot see secrets; it needs the scope {_SCOPE}.")
        for key in await self._keys.list(request.account_id):
            if key.id == request.path["signing_key"]:
                return Reply.json({**_shown(request, key), "secret": key.secret})
        raise NotFound("signing key", request.path["signing_key"])

    async def create(self, request: Request) -> Reply:
        refuse_test_key(request)
        notice = request.body.get("signsInSeconds", number(least=0, most=LONGEST_NOTICE), 0.0)
        request.body.check()
        good = [key for key in await self._keys.list(request.account_id) if key.revoked_at is None]
        full(good, "signing keys", MOST_KEYS)
        key = await self._keys.create(request.account_id, signs_in=notice)
        return Reply.json({**_shown(request, key), "secret": key.secret}, status=201)

    async def revoke(self, request: Request) -> Reply:
        refuse_test_key(request)
        if not await self._keys.revoke(request.path["signing_key"], request.account_id):
            raise NotFound("signing key", request.path["signing_key"])
        return Reply.empty()


def _shown(request: Request, key: SigningKey) -> Json:
    return {
        "id": key.id,
        "href": f"{request.public_url}/signing-keys/{key.id}",
        "createdAt": timestamp(key.created_at),
        "signsFrom": timestamp(key.signs_from),
        "revokedAt": None if key.revoked_at is None else timestamp(key.revoked_at),
    }


def operations(services: Services) -> tuple[Operation, ...]:
    keys = _SigningKeys(services)
    every, one = "/signing-keys", "/signing-keys/{signing_key}"
    table: tuple[tuple[str, str, Any, str, Any, str], ...] = (
        ("GET", every, keys.list, "List signing keys", {200: shapes.many(_SHOWN)}, ""),
        (
            "POST",
            every,
            keys.create,
            "Create a signing key",
            {201: _SHOWN},
            "To change keys without a gap: create one that signs in an hour, teach it to your servers, and "
            "revoke the old one once the new one signs.",
        ),
        ("GET", one, keys.view, "View a signing key", {200: _SHOWN}, "With its secret."),
        ("DELETE", one, keys.revoke, "Revoke a signing key", {204: ""}, "It signs nothing any more."),
    )
    return tuple(
        Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag="Signing keys",
            scope=_SCOPE,
            summary=summary,
            description=description,
            body=shapes.fields(_BODY) if method == "POST" else None,
            answers=answers,
            query={**PARAMETERS, **shapes.OWNER} if path == every and method == "GET" else shapes.OWNER,
        )
        for method, path, run, summary, answers, description in table
    )
