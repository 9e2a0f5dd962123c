"""The names of header fields: long and compact, and which of them hold lists."""

from __future__ import annotations

import re
from typing import Final

TCHARS: Final = r"A-Za-z0-9\-.!%*_+`'~"
"""The characters of a token (RFC 3261 section 25.1), for use inside a character class."""

_TOKEN: Final = re.compile(rf"[{TCHARS}]++")

# Name, compact form if there is one (RFC 3261 section 7.3.3 and the extensions' own), and whether the grammar
# is a comma-separated list (section 7.3.1); in any field that is none, a comma is part of the value.
_TABLE: Final = (
    ("Accept", "", True),
    ("Accept-Contact", "a", True),
    ("Accept-Encoding", "", True),
    ("Accept-Language", "", True),
    ("Alert-Info", "", True),
    ("Allow", "", True),
    ("Allow-Events", "u", True),
    ("Authentication-Info", "", False),
    ("Authorization", "", False),
    ("Call-ID", "i", False),
    ("Call-Info", "", True),
    ("Contact", "m", True),
    ("Content-Disposition", "", False),
    ("Content-Encoding", "e", True),
    ("Content-Language", "", True),
    ("Content-Length", "l", False),
    ("Content-Type", "c", False),
    ("CSeq", "", False),
    ("Date", "", False),
    ("Diversion", "", True),
    ("Error-Info", "", True),
    ("Event", "o", False),
    ("Expires", "", False),
    ("From", "f", False),
    ("Geolocation", "", True),
    ("History-Info", "", True),
    ("Identity", "y", False),
    ("Identity-Info", "", False),
    ("In-Reply-To", "", True),
    ("Max-Forwards", "", False),
    ("MIME-Version", "", False),
    ("Min-Expires", "", False),
    ("Min-SE", "", False),
    ("Organization", "", False),
    ("P-Access-Network-Info", "", False),
    ("P-Asserted-Identity", "", True),
    ("P-Charging-Vector", "", False),
    ("P-Early-Media", "", False),
    ("P-Preferred-Identity", "", True),
    ("Path", "", True),
    ("Priority", "", False),
    ("Privacy", "", False),
    ("Proxy-Authenticate", "", False),
    ("Proxy-Authorization", "", False),
    ("Proxy-Require", "", True),
    ("RAck", "", False),
    ("Reason", "", True),
    ("Record-Route", "", True),
    ("Recv-Info", "", True),
    ("Refer-Sub", "", False),
    ("Refer-To", "r", False),
    ("Referred-By", "b", False),
    ("Reject-Contact", "j", True),
    ("Remote-Party-ID", "", True),
    ("Replaces", "", False),
    ("Reply-To", "", False),
    ("Request-Disposition", "d", False),
    ("Require", "", True),
    ("Retry-After", "", False),
    ("Route", "", True),
    ("RSeq", "", False),
    ("Server", "", False),
    ("Service-Route", "", True),
    ("Session-Expires", "x", False),
    ("SIP-ETag", "", False),
    ("SIP-If-Match", "", False),
    ("Subject", "s", False),
    ("Subscription-State", "", False),
    ("Supported", "k", True),
    ("Timestamp", "", False),
    ("To", "t", False),
    ("Unsupported", "", True),
    ("User-Agent", "", False),
    ("Via", "v", True),
    ("Warning", "", True),
    ("WWW-Authenticate", "", False),
)

LISTS: Final = frozenset(name.lower() for name, _, is_list in _TABLE if is_list)
"""Keys of the fields that hold lists."""

_COMPACT: Final = {short: name.lower() for name, short, _ in _TABLE if short}
LONG: Final = {name.lower(): name for name, _, _ in _TABLE}
"""Keys to names as they are usually written."""


KEYS: Final[dict[str, str]] = {
    **{name: name.lower() for name, _, _ in _TABLE},
    **{name.lower(): name.lower() for name, _, _ in _TABLE},
    **_COMPACT,
    **{short.upper(): key for short, key in _COMPACT.items()},
}
"""The key of every usual spelling of a known name: one look-up for nearly every line that arrives."""


def key_of(name: str) -> str:
    """The key of a name in any spelling: its long form in lower case."""
    known = KEYS.get(name)
    if known is not None:
        return known
    lower = name.lower()
    return _COMPACT.get(lower, lower)


def long_name(name: str) -> str:
    """The long form of a name as it is usually written; an unknown name unchanged."""
    return LONG.get(key_of(name), name)


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None
