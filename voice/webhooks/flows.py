"""Dynamic callflows: a customer's web server is asked what to do with a call while the caller waits.

The question is MessageBird's: a GET with the call in its query, or, once a recording is finished, a POST of
it.  The answer is a callflow in any of the three encodings (reference, section 4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from callflows.canonical import LARGEST_DOCUMENT, to_canonical
from callflows.faults import DocumentFaults
from callflows.reading import read_callflow
from voice.store.errors import StoreError
from voice.webhooks.client import Answer, FetchFailed, HeaderMaker, SafeClient
from voice.webhooks.signing import signed_headers

RESTRICTED = "Restricted"
"""The source of a call whose caller withholds the number."""

FAULTS_SHOWN = 5
"""In one message; a document that is all wrong would fill a page with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowQuestion:
    """The call that a callflow is wanted for."""

    call_id: str
    source: str
    """Caller: E.164, SIP URI, ``Restricted`` or empty."""
    destination: str
    number_id: str | None = None
    """Of the number that was called; None when a domain's callflow is wanted."""
    variables: Mapping[str, str] = field(default_factory=dict)
    account_id: str | None = None
    """Whose signing key signs the question."""


class Secrets(Protocol):
    """Where signing keys come from (`voice.store.signing_keys`)."""

    async def current(self, account_id: str) -> str: ...


class FlowFetcher:
    """Fetches callflows.  `seconds` is for everything, from the look-up of the name to the last byte.

    Without `secrets` nothing is signed.
    """

    def __init__(self, client: SafeClient, secrets: Secrets | None = None, *, seconds: float = 8.0) -> None:
        self._client = client
        self._secrets = secrets
        self._seconds = seconds

    async def fetch(self, url: str, question: FlowQuestion) -> str:
        """The callflow for this call, checked, as canonical XML.  Raises FetchFailed (an Unavailable)."""
        answer = await self._client.get(
            question_url(url, question),
            max_bytes=LARGEST_DOCUMENT,
            seconds=self._seconds,
            headers=await self._headers(question, b""),
        )
        return _canonical(answer)

    async def finished(self, url: str, recording: Mapping[str, Any], question: FlowQuestion) -> str:
        """The callflow that goes on after a recording, which is posted as its bare JSON object.

        Without a Content-Type, as MessageBird does it.  Raises FetchFailed.
        """
        body = json.dumps(recording, separators=(",", ":")).encode()
        answer = await self._client.post(
            question_url(url, question),
            body,
            max_bytes=LARGEST_DOCUMENT,
            seconds=self._seconds,
            headers=await self._headers(question, body),
        )
        return _canonical(answer)

    async def _headers(self, question: FlowQuestion, body: bytes) -> HeaderMaker:
        if self._secrets is None or question.account_id is None:
            return lambda url: _ACCEPT
        try:
            signed = signed_headers(await self._secrets.current(question.account_id), body)
        except StoreError as fault:
            raise FetchFailed(f"The request cannot be signed: {fault}") from None
        return lambda url: {**_ACCEPT, **signed(url)}


_ACCEPT = {"Accept": "application/json, application/xml, text/xml;q=0.9, */*;q=0.1"}


def _canonical(answer: Answer) -> str:
    try:
        return to_canonical(read_callflow(answer.body, answer.headers.get("Content-Type")))
    except DocumentFaults as faults:
        raise FetchFailed(_refusal(answer.url, faults)) from None


def question_url(url: str, question: FlowQuestion) -> str:
    """The URL with the call in its query, beside what its own query says.

    Names in alphabetical order, nothing but unreserved characters bare, JSON without spaces: so every SDK of
    MessageBird's computes the same signature over it, whichever way it encodes.
    """
    asked = {
        "callID": question.call_id,
        "destination": _without_plus(question.destination),
        "numberID": question.number_id,
        "source": _without_plus(question.source) or RESTRICTED,
        "variables": json.dumps(dict(question.variables), separators=(",", ":"), ensure_ascii=False),
    }
    given = {name: value for name, value in asked.items() if value is not None}
    query = urlencode(given, quote_via=quote, safe="", errors="replace")
    address, _, _ = url.partition("#")
    if "?" not in address:
        return f"{address}?{query}"
    return f"{address}{query}" if address.endswith(("?", "&")) else f"{address}&{query}"


def _without_plus(number: str) -> str:
    return number.removeprefix("+")


def _refusal(url: str, faults: DocumentFaults) -> str:
    shown = "; ".join(str(fault) for fault in faults.faults[:FAULTS_SHOWN])
    more = len(faults.faults) - FAULTS_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"The answer of {url} is no callflow: {shown}{rest}"
