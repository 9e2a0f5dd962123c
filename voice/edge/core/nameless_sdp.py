"""Session descriptions without what they say of who made them, beside where its sound comes from."""

from __future__ import annotations

import re
from typing import Final

_SESSION: Final = re.compile(rb"^v=0[ \t]*\r?$", re.MULTILINE)
_ORIGIN: Final = re.compile(rb"^o=\S+( \S+ \S+ IN IP[46] )(\S+)", re.MULTILINE)
_ADDRESS: Final = re.compile(rb"[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_SUBJECT: Final = re.compile(rb"^s=[^\r\n]*", re.MULTILINE)
_PERSONAL: Final = re.compile(
    rb"^(?:[iuep]=|a=tool:|a=ssrc:\S+ cname:)[^\r\n]*(?:\r\n|\r|\n|\Z)", re.MULTILINE
)


def nameless(body: bytes) -> bytes:
    """The same session without its maker's name, host, program, addresses and telephone numbers.

    A body that holds no session description, by itself or as a part, stays as it is.
    """
    if _SESSION.search(body) is None:
        return body
    body = _ORIGIN.sub(_nobody, body)
    body = _SUBJECT.sub(b"s=-", body)
    return _PERSONAL.sub(b"", body)


def _nobody(origin: re.Match[bytes]) -> bytes:
    address = origin[2] if _ADDRESS.fullmatch(origin[2]) else b"anonymous.invalid"
    return b"o=-" + origin[1] + address
