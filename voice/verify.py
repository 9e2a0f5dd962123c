"""Codes that are told by telephone: how they are made, kept, and read out."""

from __future__ import annotations

import hmac
import secrets
from typing import Final
from xml.sax.saxutils import escape

from callflows.canonical import to_canonical
from callflows.json_flow import from_json

MARK: Final = "%token"
BETWEEN_DIGITS: Final = "500ms"
TIMES_READ: Final = 2


def new_token(length: int) -> str:
    """So many random digits."""
    return "".join(secrets.choice("0123456789") for _ in range(length))


def digest(key: bytes, verification_id: str, token: str) -> str:
    """What is stored of a code: it is too short for a plain hash, so a key of the node is in it."""
    return hmac.digest(key, f"{verification_id}:{token}".encode(), "sha256").hex()


def spoken(template: str, token: str, *, language: str, voice: str) -> str:
    """The callflow that reads a code digit by digit, twice, in canonical XML.  Raises DocumentFaults."""
    digits = f' <break time="{BETWEEN_DIGITS}"/> '.join(token)
    read = "".join(
        digits if piece == MARK else escape(piece)
        for piece in template.replace(MARK, f"\0{MARK}\0").split("\0")
    )
    options = {
        "payload": f'<speak>{read} <break time="1s"/></speak>',
        "language": language,
        "voice": voice,
        "repeat": TIMES_READ,
    }
    return to_canonical(from_json({"steps": [{"id": "code", "action": "say", "options": options}]}))
