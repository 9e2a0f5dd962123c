"""Access keys: made here, shown once; a key can give away no right that it lacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from voice.access_scopes import SCOPES, Scope, read_scope
from voice.api.admin import shapes
from voice.api.admin.editing import full, page_of, refuse_test_key
from voice.api.faults import Conflict, Family, Forbidden, Json, NotFound
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.paging import PARAMETERS
from voice.api.readers import fitting, number, several, text, timestamp, truth
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.objects import timestamp as shown_time
from voice.store.access_keys import AccessKey

MOST_KEYS: Final = 200
"""Of one account; those that were revoked or expired do not count."""
USUAL_OVERLAP: Final = 86_400.0
LONGEST_OVERLAP: Final = 30 * 86_400.0

_BODY: Final = {
    "label": shapes.described(shapes.TEXT, "What people know it by; up to 100 characters."),
    "scopes": shapes.described(
        shapes.listed(shapes.TEXT),
        f"What it may do: * is all; {', '.join(SCOPES)}; with :read at the end, only GET. Default: *.",
    ),
    "test": shapes.described(shapes.TRUTH, "Calls are simulated; the administration can only be read."),
    "expiresAt": shapes.described(shapes.maybe(shapes.TIME), "Null: never."),
}
_ROTATION: Final = {
    "overlapSeconds": shapes.described(
        {"type": "number", "minimum": 0, "maximum": LONGEST_OVERLAP},
        "How long the old key works beside the new one; a day unless said.",
    )
}
_SHOWN: Final = shapes.shape(
    {
        "id": shapes.ID,
        "href": shapes.HREF,
        "accountId": shapes.described(shapes.maybe(shapes.TEXT), "Null: an operator's."),
        "label": shapes.TEXT,
        "test": shapes.TRUTH,
        "scopes": shapes.listed(shapes.TEXT),
        "shown": shapes.described(shapes.TEXT, "Its first characters."),
        "createdAt": shapes.TIME,
        "expiresAt": shapes.maybe(shapes.TIME),
        "revokedAt": shapes.maybe(shapes.TIME),
        "key": shapes.described(shapes.TEXT, "The key itself, this once."),
    },
    title="AccessKey",
    optional=("key",),
)


class _Keys:
    def __init__(self, services: Services) -> None:
        self._keys = services.keys
        self._clock = services.clock

    async def list(self, request: Request) -> Reply:
        found = await self._keys.list(request.account, everybody=request.account is None)
        return page_of(request, [_shown(request, key) for key in found])

    async def view(self, request: Request) -> Reply:
        return Reply.json(_shown(request, await self._found(request)))

    async def create(self, request: Request) -> Reply:
        refuse_test_key(request)
        body = request.body
        now = self._clock()
        label = body.get("label", text(longest=100, least=0), "")
        everything: tuple[Scope, ...] = (Scope("*"),)
        scopes = body.get("scopes", several(fitting(read_scope), least=1, most=len(SCOPES) * 2), everything)
        test = body.get("test", truth, False)
        expires_at = body.optional("expiresAt", timestamp)
        if expires_at is not None and expires_at <= now:
            body.fault("expiresAt", "This time is past. Give one that is to come, or none.")
        body.check()
        _may_give(request, scopes)
        mine = await self._keys.list(request.account)
        full([key for key in mine if key.is_good(now)], "access keys", MOST_KEYS)
        key, made = await self._keys.create(
            request.account, test=test, scopes=scopes, label=label, expires_at=expires_at
        )
        return Reply.json({**_shown(request, made), "key": key}, status=201)

    async def rotate(self, request: Request) -> Reply:
        refuse_test_key(request)
        overlap = request.body.get("overlapSeconds", number(least=0, most=LONGEST_OVERLAP), USUAL_OVERLAP)
        request.body.check()
        old = await self._found(request)
        _may_give(request, old.scopes)
        rotated = await self._keys.rotate(old.id, overlap_seconds=overlap)
        if rotated is None:
            raise Conflict("The key has been revoked or has expired. Create a new one.")
        key, made = rotated
        return Reply.json({**_shown(request, made), "key": key}, status=201)

    async def revoke(self, request: Request) -> Reply:
        refuse_test_key(request)
        await self._keys.revoke((await self._found(request)).id)
        return Reply.empty()

    async def _found(self, request: Request) -> AccessKey:
        named = request.path["access_key"]
        key = await self._keys.get(named)
        if key is None or request.account not in (None, key.account_id):
            raise NotFound("access key", named)
        return key


def _may_give(request: Request, scopes: Iterable[str]) -> None:
    """Raises Forbidden for a right that the asking key has not itself."""
    for scope in sorted(scopes):
        family, _, reading = scope.partition(":")
        if not request.by.may(family, reading=bool(reading)):
            raise Forbidden(f"This access key lacks the scope {scope} itself, so it cannot give it away.")


def _shown(request: Request, key: AccessKey) -> Json:
    return {
        "id": key.id,
        "href": f"{request.public_url}/access-keys/{key.id}",
        "accountId": key.account_id,
        "label": key.label,
        "test": key.test,
        "scopes": sorted(key.scopes),
        "shown": key.shown,
        "createdAt": shown_time(key.created_at),
        "expiresAt": None if key.expires_at is None else shown_time(key.expires_at),
        "revokedAt": None if key.revoked_at is None else shown_time(key.revoked_at),
    }


def operations(services: Services) -> tuple[Operation, ...]:
    keys = _Keys(services)
    all_keys, one = "/access-keys", "/access-keys/{access_key}"
    about = (
        "An operator's key makes keys of an account with ?account=, else operators' keys, and sees all. "
        "The key itself is in this answer only."
    )
    table: tuple[tuple[str, str, Any, str, Any, Any, str], ...] = (
        ("GET", all_keys, keys.list, "List access keys", None, {200: shapes.many(_SHOWN)}, ""),
        ("POST", all_keys, keys.create, "Create an access key", shapes.fields(_BODY), {201: _SHOWN}, about),
        ("GET", one, keys.view, "View an access key", None, {200: _SHOWN}, ""),
        ("DELETE", one, keys.revoke, "Revoke an access key", None, {204: ""}, "It ends within seconds."),
        (
            "POST",
            f"{one}/rotate",
            keys.rotate,
            "Rotate an access key",
            shapes.fields(_ROTATION),
            {201: _SHOWN},
            "Makes a key with the same rights; the old one ends after the overlap.",
        ),
    )
    return tuple(
        Operation(
            method=method,
            path=path,
            run=run,
            family=Family.REST,
            tag="Access keys",
            scope="access-keys",
            account=Owner.OPTIONAL,
            summary=summary,
            description=description,
            body=body,
            answers=answers,
            query={**PARAMETERS, **shapes.OWNER} if method == "GET" and path == all_keys else shapes.OWNER,
        )
        for method, path, run, summary, body, answers, description in table
    )
