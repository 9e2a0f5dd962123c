"""Lists in pages, in all the dialects that the SDKs speak (reference section 0.16).

Lists are in order of creation, the oldest first, then by id: what is added while somebody pages goes to
the end, so nothing is shown twice or left out.  ``order=newest`` turns that round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from voice.api.faults import Json
from voice.api.fields import Fields
from voice.api.readers import LARGEST_INTEGER, Misfit
from voice.store.listing import Window

USUAL_VOICE: Final = 10
USUAL_REST: Final = 20
MOST: Final = 200
"""Of one page; asked for more, this many are shown."""

PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "page": {"type": "integer", "description": "Counts from 1 (0 is taken for 1)."},
    "perPage": {"type": "integer", "description": f"Up to {MOST}. Also called perpage and limit."},
    "currentPage": {"type": "integer", "description": "The same as page."},
    "limit": {"type": "integer", "description": "The same as perPage."},
    "offset": {"type": "integer", "description": "How many are left out, instead of page."},
    "order": {"type": "string", "enum": ["oldest", "newest"], "description": "Oldest first by default."},
}
"""For the documentation of operations that answer lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    limit: int
    offset: int
    newest_first: bool = False

    @property
    def number(self) -> int:
        """Counts from 1."""
        return self.offset // self.limit + 1

    @property
    def window(self) -> Window:
        """The same for the store."""
        return Window(limit=self.limit, offset=self.offset, newest_first=self.newest_first)

    @classmethod
    def of(cls, query: Fields, *, usual: int = USUAL_VOICE) -> Page:
        """The page that a query asks for.  Nonsense is taken for the nearest sense; nothing is refused."""
        limit = _first(query, "perPage", "limit")
        limit = usual if limit is None or limit < 1 else min(limit, MOST)
        newest = str(query.raw("order") or "").lower() == "newest"
        page = _first(query, "page", "currentPage")
        offset = _first(query, "offset")
        if offset is not None and (page is None or page < 1):
            return cls(limit=limit, offset=max(offset, 0), newest_first=newest)
        return cls(limit=limit, offset=(max(page or 1, 1) - 1) * limit, newest_first=newest)


def voice_list(objects: Sequence[Json], page: Page, total: int, path: str, **links: str) -> Json:
    """The envelope of a list in the voice API; past the end it is an empty list with the true counts."""
    return {
        "data": list(objects),
        "_links": {"self": f"{path}?page={page.number}", **links},
        "pagination": {
            "totalCount": total,
            "pageCount": -(-total // page.limit),
            "currentPage": page.number,
            "perPage": page.limit,
        },
    }


def voice_one(shown: Json, path: str, **links: str) -> Json:
    """The envelope of one object in the voice API."""
    return {
        "data": [shown],
        "_links": {"self": path, **links},
        "pagination": {"totalCount": 0, "pageCount": 0, "currentPage": 0, "perPage": 0},
    }


def rest_list(items: Sequence[Json], page: Page, total: int, url: str) -> Json:
    """The envelope of a list in the REST API; `url` is absolute, its links are as well."""

    def link(offset: int) -> str:
        return f"{url}?{urlencode({'offset': offset, 'limit': page.limit})}"

    last = max(total - 1, 0) // page.limit * page.limit
    following = page.offset + page.limit
    return {
        "offset": page.offset,
        "limit": page.limit,
        "count": len(items),
        "totalCount": total,
        "links": {
            "first": link(0),
            "previous": link(max(page.offset - page.limit, 0)) if page.offset else None,
            "next": link(following) if following < total else None,
            "last": link(last),
        },
        "items": list(items),
    }


def _first(query: Fields, *names: str) -> int | None:
    for name in names:
        value = query.raw(name)
        if value is None:
            continue
        try:
            return _whole(value)
        except Misfit:
            continue
    return None


def _whole(value: Any) -> int:
    if not isinstance(value, str) or not value.strip().lstrip("-").isascii():
        raise Misfit("no number")
    digits = value.strip()
    if not digits.removeprefix("-").isdigit() or len(digits) > 15:
        raise Misfit("no number")
    return max(min(int(digits), LARGEST_INTEGER), -1)
