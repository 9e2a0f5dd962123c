"""Header fields that a gateway's rules may change, as they are written in a configuration."""

from __future__ import annotations

import re
from typing import Final

from sip_config.faults import Unfit, quoted

MOST_RULES: Final = 32
"""Of each kind, for one gateway."""
_LONGEST_VALUE: Final = 512
_NAME: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{2,64}")
_OURS: Final = "x-trunkflow-"
_DECISIVE: Final = frozenset(
    (
        # Where a request goes, which call and transaction it belongs to, how long it may travel.
        *("via", "route", "record-route", "path", "service-route", "contact", "max-forwards"),
        *("from", "to", "call-id", "cseq", "rseq", "rack", "replaces", "join", "event"),
        # What the body is.
        *("content-length", "content-type", "content-encoding", "content-disposition", "mime-version"),
        # What both sides agree on.
        *("require", "proxy-require", "supported", "unsupported", "allow", "session-expires", "min-se"),
        *("expires", "refer-to", "referred-by", "subscription-state"),
        # Secrets.
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
    )
)
_CLAIMS: Final = frozenset(("p-asserted-identity", "p-preferred-identity", "remote-party-id", "privacy"))


def header_name(text: str) -> str:
    """The name of a field that may be changed.  Raises Unfit."""
    if not _NAME.fullmatch(text):
        raise Unfit(f"{quoted(text)} is no header name.", "Write its long name, such as User-Agent.")
    lower = text.lower()
    if lower in _CLAIMS:
        raise Unfit(
            f"{text} says who calls, which no header rule may.", "Use caller_id_format and trusted instead."
        )
    if lower in _DECISIVE or lower.startswith(_OURS):
        raise Unfit(f"SIP itself needs {text}, so it cannot be changed.", "Remove this rule.")
    return text


def header_field(text: str) -> tuple[str, str]:
    """``Name: value`` of such a field.  Raises Unfit."""
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not colon or not value:
        raise Unfit(f"{quoted(text)} is no header field.", 'Write name and value, such as "X-Trunk: 4711".')
    if len(value) > _LONGEST_VALUE or not value.isprintable():
        raise Unfit(
            f"The value of {quoted(name)} cannot be sent.",
            f"Use at most {_LONGEST_VALUE} printable characters on one line.",
        )
    return header_name(name.rstrip(" \t")), value
