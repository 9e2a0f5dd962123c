"""Dynamic callflows: a customer's web server is asked what to do with a call while the caller waits.

The question is MessageBird's: a GET with the call in its query.  The answer is a canonical document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from callflows.canonical import LARGEST_DOCUMENT, parse_document
from callflows.faults import DocumentFaults
from voice.webhooks.client import FetchFailed, SafeClient

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


class FlowFetcher:
    """Fetches callflows.  `seconds` is for everything, from the look-up of the name to the last byte."""

    def __init__(self, client: SafeClient, *, seconds: float = 8.0) -> None:
        self._client = client
        self._seconds = seconds

    async def fetch(self, url: str, question: FlowQuestion) -> str:
        """The document for this call, checked.  Raises FetchFailed (an Unavailable)."""
        answer = await self._client.get(
            question_url(url, question),
            max_bytes=LARGEST_DOCUMENT,
            seconds=self._seconds,
            headers=_headers,
        )
        try:
            parse_document(answer.body)
        except DocumentFaults as faults:
            raise FetchFailed(_refusal(answer.url, faults)) from None
        return answer.body.decode("utf-8-sig")


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


def _headers(url: str) -> Mapping[str, str]:
    """The headers of the question to this exact URL."""
    return {"Accept": "application/xml, text/xml;q=0.9, */*;q=0.1"}


def _without_plus(number: str) -> str:
    return number.removeprefix("+")


def _refusal(url: str, faults: DocumentFaults) -> str:
    shown = "; ".join(str(fault) for fault in faults.faults[:FAULTS_SHOWN])
    more = len(faults.faults) - FAULTS_SHOWN
    rest = f"; and {more} more" if more > 0 else ""
    return f"The answer of {url} is no callflow: {shown}{rest}"
