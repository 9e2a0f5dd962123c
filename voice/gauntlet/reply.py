"""What a server sent, read as tolerantly as can be: a bad answer has to be shown, not refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voice.sip.header_names import key_of

_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?", re.IGNORECASE)
_REQUEST: Final = re.compile(r"(\S+) \S+ SIP/2\.0", re.IGNORECASE)
_FOLD: Final = re.compile(r"\r\n[ \t]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """One message that came."""

    data: bytes
    status: int
    """0: it is a request, or no SIP."""
    method: str
    """Of a request; empty: it is a response, or no SIP."""
    fields: tuple[tuple[str, str], ...]
    """Lower-case long name and value, in order."""

    @property
    def final(self) -> bool:
        return self.status >= 200

    @property
    def let_in(self) -> bool:
        """Whether a call got further than the gate: it rings, or somebody answered."""
        return 100 < self.status < 300

    def get(self, name: str) -> str:
        """The first value; "" when there is none."""
        return next((value for key, value in self.fields if key == name), "")

    def lines(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    @property
    def cseq_method(self) -> str:
        return self.get("cseq").rpartition(" ")[2]

    def __str__(self) -> str:
        return str(self.status) if self.status else self.method or f"{len(self.data)} bytes that are no SIP"


def read_reply(data: bytes) -> Reply:
    head = data.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    first, *lines = _FOLD.sub(" ", head).split("\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields.append((key_of(name.strip()), value.strip()))
    status = _STATUS.match(first)
    request = None if status else _REQUEST.fullmatch(first)
    return Reply(data, int(status[1]) if status else 0, request[1] if request else "", tuple(fields))


def statuses(replies: Sequence[Reply]) -> str:
    """What came, in one phrase."""
    if not replies:
        return "nothing"
    texts = [str(reply) for reply in replies]
    shown = [f"{text} ({texts.count(text)} times)" if texts.count(text) > 1 else text for text in texts]
    return ", ".join(dict.fromkeys(shown))
