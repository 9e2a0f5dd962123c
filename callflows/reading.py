"""One door for callflow documents of every encoding: JSON, canonical XML, compact XML."""

from __future__ import annotations

import re
from typing import Final

from callflows.build import Callflow
from callflows.canonical import parse_document
from callflows.compact import parse_compact
from callflows.faults import DocumentFaults, Fault
from callflows.json_flow import parse_json

_CANONICAL: Final = re.compile(r"<callflow[\s>][^<]{0,2000}(?:<!--.{0,2000}?-->\s*)?<steps[\s/>]", re.DOTALL)
"""A canonical document; other wrappers of compact ones may be called CallFlow as well."""


def read_callflow(document: str | bytes, content_type: str | None = None) -> Callflow:
    """The callflow of a document, whose encoding shows in its first signs.

    `content_type` counts only in the message about a document that is neither.  Raises DocumentFaults.
    """
    text = document.decode("utf-8", "replace") if isinstance(document, bytes) else document
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith(("{", "[", '"')):
        # json takes a byte order mark in front of bytes, but not in front of a text.
        return parse_json(document.removeprefix("\ufeff") if isinstance(document, str) else document)
    if text.startswith("<"):
        return parse_document(document) if _CANONICAL.search(text[:8000]) else parse_compact(document)
    said = f" (it was sent as {content_type[:60]})" if content_type else ""
    message = f"The document is neither JSON nor XML{said}." if text else "The document is empty."
    remedy = 'Write a callflow, such as {"steps": [{"action": "hangup"}]} or <Hangup/>.'
    raise DocumentFaults((Fault(line=1, element="", message=message, remedy=remedy),))
