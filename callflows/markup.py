"""Spoken text in encodings that have only plain text for it, with ``<break/>`` and ``<prosody>`` as in SSML.

A text without those marks is just words, whatever signs are in it.
"""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import escape, quoteattr, unescape

from lxml import etree

from callflows.raw import RawOption

_MARKS: Final = re.compile("<(speak|break|prosody)[ \t\r\n/>]", re.IGNORECASE)
_DEEPEST: Final = 6


def payload_content(text: str) -> tuple[str | RawOption, ...]:
    """The content of a `say` step's text: with marks where they are there and well-formed, else the words."""
    if not _MARKS.search(text) or "<!" in text or "<?" in text:
        return (text,)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(f"<text>{text}</text>", parser)
    except (etree.XMLSyntaxError, ValueError):
        return (text,)
    if (
        len(root) == 1
        and root[0].tag == "speak"
        and not (root.text or "").strip() + (root[0].tail or "").strip()
    ):
        root = root[0]
    return _content(root, 1)


def payload_text(content: tuple[str | RawOption, ...]) -> str:
    """The other way: plain words stay as they are, marks are written inside ``<speak>``."""
    if all(isinstance(piece, str) for piece in content):
        words = "".join(piece for piece in content if isinstance(piece, str))
        if not _MARKS.search(words):
            return words
    return f"<speak>{_written(content)}</speak>"


def inner_text(element: etree._Element, skip: tuple[str, ...]) -> str:
    """What stands inside an element, with its marks; children named in `skip` (lower case) are left out."""
    pieces = [escape(element.text or "")] if len(element) else [element.text or ""]
    for child in element:
        if str(child.tag).lower() not in skip:
            child_text = etree.tostring(child, encoding="unicode", with_tail=False)
            pieces.append(child_text)
        pieces.append(escape(child.tail or ""))
    text = "".join(pieces)
    has_marks = any(str(child.tag).lower() not in skip for child in element)
    return f"<speak>{text}</speak>" if has_marks else unescape(text) if len(element) else text


def _content(element: etree._Element, depth: int) -> tuple[str | RawOption, ...]:
    pieces: list[str | RawOption] = [element.text or ""]
    for child in element:
        attributes = {str(name): str(value) for name, value in child.attrib.items()}
        inside = _content(child, depth + 1) if depth < _DEEPEST else ()
        pieces.append(RawOption(name=str(child.tag), content=inside, attributes=attributes))
        pieces.append(child.tail or "")
    return tuple(piece for piece in pieces if piece != "")


def _written(content: tuple[str | RawOption, ...]) -> str:
    text = ""
    for piece in content:
        if isinstance(piece, str):
            text += escape(piece)
            continue
        attributes = "".join(f" {name}={quoteattr(value)}" for name, value in piece.attributes.items())
        inside = _written(piece.content)
        text += (
            f"<{piece.name}{attributes}>{inside}</{piece.name}>" if inside else f"<{piece.name}{attributes}/>"
        )
    return text
