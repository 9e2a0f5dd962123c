"""Lists: every dialect of paging, the same rows once each while rows are added, filters."""

from __future__ import annotations

import uuid

import pytest

from tests.api.world import T0, World
from voice.api.bodies import form
from voice.api.fields import Fields
from voice.api.paging import MOST, Page, rest_list, voice_list


@pytest.mark.parametrize(
    ("query", "limit", "offset"),
    [
        ("", 10, 0),
        ("page=0", 10, 0),
        ("page=-4", 10, 0),
        ("page=3", 10, 20),
        ("page=3&perPage=5", 5, 10),
        ("page=3&perpage=5", 5, 10),
        ("currentPage=3&perPage=5", 5, 10),
        ("limit=5&page=0", 5, 0),
        ("limit=5&page=2", 5, 5),
        ("limit=5&offset=7", 5, 7),
        ("limit=5&offset=7&page=0", 5, 7),
        ("offset=-1", 10, 0),
        ("limit=0", 10, 0),
        ("limit=-1", 10, 0),
        ("limit=100000", MOST, 0),
        ("page=many&limit=few", 10, 0),
        ("page=99999999999999999999999999", 10, 0),
        ("page=²", 10, 0),
        ("PAGE=2", 10, 10),
        ("page=2&page=3", 10, 0),
    ],
)
def test_dialects(query: str, limit: int, offset: int) -> None:
    page = Page.of(Fields(form(query)))
    assert (page.limit, page.offset) == (limit, offset)


def test_the_last_page_and_beyond() -> None:
    page = Page(limit=10, offset=30)
    listed = voice_list([], page, 21, "/calls")
    assert listed["data"] == []
    assert listed["pagination"] == {"totalCount": 21, "pageCount": 3, "currentPage": 4, "perPage": 10}
    assert voice_list([], Page(limit=10, offset=0), 0, "/calls")["pagination"]["pageCount"] == 0


def test_links_of_the_rest_envelope() -> None:
    url = "https://api.example.com/voicemessages"
    first = rest_list([{}] * 20, Page(limit=20, offset=0), 41, url)
    assert first["links"] == {
        "first": f"{url}?offset=0&limit=20",
        "previous": None,
        "next": f"{url}?offset=20&limit=20",
        "last": f"{url}?offset=40&limit=20",
    }
    last = rest_list([{}], Page(limit=20, offset=40), 41, url)
    assert (last["links"]["next"], last["links"]["previous"]) == (None, f"{url}?offset=20&limit=20")
    assert (last["count"], last["totalCount"]) == (1, 41)


async def test_pages_stay_the_same_while_webhooks_are_added(api: World) -> None:
    made = [await _webhook(api, at) for at in range(25)]
    seen: list[str] = []
    page = 1
    while data := (await api.ask("GET", f"/webhooks?page={page}")).data:
        seen += [webhook["id"] for webhook in data]
        if page == 1:
            made.append(await _webhook(api, 25))
        page += 1
    assert seen == made
    assert (await api.ask("GET", "/webhooks?order=newest&limit=1")).data[0]["id"] == made[-1]


async def test_pages_of_equal_times(api: World) -> None:
    from voice.store.service_schema import webhooks

    ids = sorted(str(uuid.uuid4()) for _ in range(9))
    row = {"account_id": "acme-id", "url": "https://x.example", "created_at": T0, "updated_at": T0}
    await api.put(webhooks, *({**row, "id": one} for one in reversed(ids)))
    pages = [(await api.ask("GET", f"/webhooks?limit=4&offset={at}")).data for at in (0, 4, 8)]
    assert [webhook["id"] for page in pages for webhook in page] == ids


async def _webhook(api: World, at: int) -> str:
    made = await api.ask("POST", "/webhooks", {"url": f"https://example.com/{at}"})
    return str(made.data[0]["id"])
