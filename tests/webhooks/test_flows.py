"""Dynamic callflows from a real web server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiohttp import web
from messagebird.request_validator import RequestValidator
from yarl import URL

from callflows.canonical import parse_document
from tests.webhooks.conftest import Site
from voice.webhooks.client import ClientSettings, FetchFailed, SafeClient
from voice.webhooks.flows import FlowFetcher, FlowQuestion, question_url
from voice.webhooks.signing import JWT_HEADER

FLOW = """<?xml version="1.0" encoding="UTF-8"?>
<callflow>
  <steps>
    <step id="wait" action="pause"><length>1</length></step>
    <step id="bye" action="hangup"/>
  </steps>
</callflow>
"""

QUESTION = FlowQuestion(
    call_id="c1",
    source="+31612345678",
    destination="+14708000894",
    number_id="n1",
    variables={"dtmf": "12#4", "who": "Zoë & Co+"},
)


@pytest.fixture
async def fetcher() -> AsyncIterator[FlowFetcher]:
    async with SafeClient(ClientSettings(allow_private_networks=True)) as client:
        yield FlowFetcher(client, seconds=5)


def answering(body: str | bytes, status: int = 200) -> web.Response:
    content = body if isinstance(body, bytes) else body.encode()
    return web.Response(body=content, status=status, content_type="application/xml")


async def test_asks_as_messagebird_does(site: Site, fetcher: FlowFetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return answering(FLOW)

    site.handler = answer
    document = await fetcher.fetch(site.url("/flow?customer=7&tag=a%2Cb"), QUESTION)
    assert parse_document(document) == parse_document(FLOW)
    request = site.requests[0]
    assert request.method == "GET"
    assert dict(request.query) == {
        "customer": "7",
        "tag": "a,b",
        "callID": "c1",
        "destination": "14708000894",
        "numberID": "n1",
        "source": "31612345678",
        "variables": '{"dtmf":"12#4","who":"Zoë & Co+"}',
    }
    assert json.loads(request.query["variables"]) == QUESTION.variables
    assert request.raw_path.startswith("/flow?customer=7&tag=a%2Cb&callID=c1&destination=14708000894&")


@pytest.mark.parametrize("source", ["", "Restricted"])
async def test_a_withheld_caller_is_restricted(site: Site, fetcher: FlowFetcher, source: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return answering(FLOW)

    site.handler = answer
    question = FlowQuestion(call_id="c1", source=source, destination="sip:sales@acme.example")
    await fetcher.fetch(site.url(), question)
    assert dict(site.requests[0].query) == {
        "callID": "c1",
        "destination": "sip:sales@acme.example",
        "source": "Restricted",
        "variables": "{}",
    }


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("https://a.example", "https://a.example?callID=c1&"),
        ("https://a.example/x?", "https://a.example/x?callID=c1&"),
        ("https://a.example/x?y=%20+%2B", "https://a.example/x?y=%20+%2B&callID=c1&"),
        ("https://a.example/x?y&", "https://a.example/x?y&callID=c1&"),
        ("https://a.example/x#part?", "https://a.example/x?callID=c1&"),
    ],
)
def test_the_query_joins_the_urls_own(url: str, start: str) -> None:
    asked = question_url(url, QUESTION)
    assert asked.startswith(start)
    names = [name for name in URL(asked).query if name != "y"]
    assert names == ["callID", "destination", "numberID", "source", "variables"]
    assert " " not in asked
    assert asked.isascii()


async def test_a_byte_order_mark_is_none_of_the_callers_business(site: Site, fetcher: FlowFetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return answering(b"\xef\xbb\xbf" + FLOW.encode())

    site.handler = answer
    assert parse_document(await fetcher.fetch(site.url(), QUESTION)) == parse_document(FLOW)


@pytest.mark.parametrize(
    "body",
    [
        '{"title": "T", "steps": [{"id": "a", "action": "pause", "options": {"length": 1}}]}',
        '<Pause id="a" length="1"/>',
    ],
)
async def test_answers_in_other_encodings_become_canonical(
    site: Site, fetcher: FlowFetcher, body: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    site.handler = answer
    assert [step.action for step in parse_document(await fetcher.fetch(site.url(), QUESTION)).steps] == [
        "pause"
    ]


class Keys:
    async def current(self, account_id: str) -> str:
        assert account_id == "acme"
        return SECRET


SECRET = "the signing key of the account acme"


@pytest.fixture
async def signing() -> AsyncIterator[FlowFetcher]:
    async with SafeClient(ClientSettings(allow_private_networks=True)) as client:
        yield FlowFetcher(client, Keys(), seconds=5)


async def test_the_question_is_signed_for_the_sdks(site: Site, signing: FlowFetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        url = f"http://{request.host}{request.raw_path}"
        RequestValidator(SECRET).validate_signature(request.headers[JWT_HEADER], url, await request.read())
        return answering(FLOW)

    site.handler = answer
    await signing.fetch(site.url("/flow?b=1&a=2"), replace(QUESTION, account_id="acme"))


async def test_a_finished_recording_is_posted_bare_signed_and_without_a_content_type(
    site: Site, signing: FlowFetcher
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        url = f"http://{request.host}{request.raw_path}"
        RequestValidator(SECRET).validate_signature(request.headers[JWT_HEADER], url, body)
        assert json.loads(body) == {"id": "r1", "duration": 3}
        return answering(FLOW)

    site.handler = answer
    question = replace(QUESTION, account_id="acme")
    await signing.finished(site.url("/done"), {"id": "r1", "duration": 3}, question)
    (request,) = site.requests
    assert request.method == "POST"
    assert "Content-Type" not in request.headers
    assert request.query["callID"] == "c1"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "is no callflow: line 1"),
        ("<html><body>404</body></html>", "is no callflow: line 1.*“body”"),
        ('{"steps":[]}', "is no callflow"),
        (FLOW.replace("pause", "moonwalk"), r"line 4.*moonwalk"),
        (FLOW.replace("</steps>", ""), "line 7"),
        ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><callflow>&a;</callflow>', "is no callflow"),
        (b"\xff\xfe\x00", "is no callflow"),
        (" " * 40_000, "more than 32768 bytes"),
    ],
)
async def test_what_is_no_callflow_is_refused_with_its_faults(
    site: Site, fetcher: FlowFetcher, body: str | bytes, says: str
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return answering(body)

    site.handler = answer
    with pytest.raises(FetchFailed, match=says) as caught:
        await fetcher.fetch(site.url("/flow?key=sesame"), QUESTION)
    assert site.url("/flow") in str(caught.value)
    assert "sesame" not in str(caught.value)
    assert QUESTION.source.removeprefix("+") not in str(caught.value)


async def test_many_faults_make_one_message_of_bounded_length(site: Site, fetcher: FlowFetcher) -> None:
    steps = "".join(f'<step id="s{n}" action="moonwalk"/>' for n in range(100))

    async def answer(request: web.Request) -> web.StreamResponse:
        return answering(f"<callflow><steps>{steps}</steps></callflow>")

    site.handler = answer
    with pytest.raises(FetchFailed, match="and 95 more") as caught:
        await fetcher.fetch(site.url(), QUESTION)
    assert len(str(caught.value)) < 3000


async def test_a_server_error_is_named(site: Site, fetcher: FlowFetcher) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return answering(FLOW, status=500)

    site.handler = answer
    with pytest.raises(FetchFailed, match="answered 500"):
        await fetcher.fetch(site.url(), QUESTION)
