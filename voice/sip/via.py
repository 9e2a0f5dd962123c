"""One Via value: the way back (RFC 3261 sections 18.2 and 20.42, RFC 3581)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from sip_config.networks import as_sockets_say
from voice.sip.errors import SipParseError
from voice.sip.header_names import TCHARS
from voice.sip.headers import Headers
from voice.sip.params import Params, params_text, parse_params
from voice.sip.uri import HOST, checked_host, checked_port

MAGIC_COOKIE: Final = "z9hG4bK"
"""What a branch begins with that identifies its transaction by itself (RFC 3261 section 8.1.1.7)."""

_SENT_BY: Final = re.compile(
    rf"([{TCHARS}]++/[{TCHARS}]++)/([{TCHARS}]++)[ \t]++({HOST})(?::([0-9]{{1,5}}+))?"
)
_SPACES: Final = re.compile(r"[ \t]++")
_AROUND_MARK: Final = re.compile(" ?([/:]) ?")
_DEFAULT_PORTS: Final = {"TLS": 5061, "TLS-SCTP": 5061, "WSS": 443, "WS": 80}


class Via(NamedTuple):
    protocol: str
    """Protocol and version, ``SIP/2.0``."""
    transport: str
    """In upper case."""
    host: str
    """The sent-by host; an IPv6 address in brackets."""
    port: int | None
    params: Params

    @property
    def branch(self) -> str | None:
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address the request came from, without brackets."""
        value = self.params.get("received")
        return value[1:-1] if value and value.startswith("[") else value

    @property
    def wants_rport(self) -> bool:
        """Whether the response is to go back to the port the request came from (RFC 3581)."""
        return "rport" in self.params

    @property
    def rport(self) -> int | None:
        """The port the request came from, once a server wrote it down."""
        digits = self.params.get("rport")
        return int(digits) if digits and digits.isascii() and digits.isdigit() and len(digits) <= 5 else None

    @property
    def has_rfc3261_branch(self) -> bool:
        """Whether the branch alone identifies the transaction; RFC 3261 section 17.2.3 has the other way."""
        branch = self.branch
        return branch is not None and branch.startswith(MAGIC_COOKIE)

    @property
    def address(self) -> str:
        """The sent-by host without the brackets of an IPv6 reference."""
        return as_sockets_say(self.host[1:-1]) if self.host.startswith("[") else self.host

    @property
    def sent_by(self) -> tuple[str, int]:
        """Host in lower case, without brackets, and port, the transport's default filled in."""
        return self.address.lower(), self.port or _DEFAULT_PORTS.get(self.transport, 5060)

    @property
    def reply_to(self) -> tuple[str, int]:
        """Where a response goes over an unreliable transport (RFC 3261 section 18.2.2, RFC 3581 section 4).

        maddr is passed over: it is for multicast, and would let a request aim our responses at anybody.
        """
        host, port = self.sent_by
        return self.received or host, self.rport or port

    def stamped(self, address: str, port: int) -> Via:
        """With where the request really came from written down (RFC 3261 section 18.2.1, RFC 3581)."""
        params = dict(self.params)
        if "rport" in params:
            params["rport"] = str(port)
            params["received"] = address
        elif self.address != address:
            params["received"] = address
        elif "received" in params:
            del params["received"]
        else:
            return self
        return Via(self.protocol, self.transport, self.host, self.port, params)

    def __str__(self) -> str:
        sent_by = self.host if self.port is None else f"{self.host}:{self.port}"
        return f"{self.protocol}/{self.transport} {sent_by}{params_text(self.params)}"


def parse_via(text: str) -> Via:
    """Parses one Via value.  Raises SipParseError (400)."""
    sent_by, semicolon, params = text.partition(";")
    if len(sent_by) <= _REMEMBERED_CHARS:
        protocol, transport, host, port = _parse_remembered(sent_by)
    else:
        protocol, transport, host, port = _parse_sent_by(sent_by)
    values = parse_params(semicolon + params) if semicolon else {}
    if values.get("branch", "") is None:
        raise SipParseError("the branch has no value")
    return Via(protocol, transport, host, port, values)


def _parse_sent_by(text: str) -> tuple[str, str, str, int | None]:
    match = _SENT_BY.fullmatch(text)
    if match is None:
        match = _SENT_BY.fullmatch(_compact(text))
        if match is None:
            raise SipParseError(f"not a Via value: {text[:80]!r}")
    protocol, transport, host, port = match.groups()
    return protocol, transport.upper(), checked_host(host), None if port is None else checked_port(port)


# Everything before the parameters is the same in each message of a peer.
_parse_remembered: Final = lru_cache(1_024)(_parse_sent_by)
_REMEMBERED_CHARS: Final = 128


def _compact(text: str) -> str:
    """What stands before the parameters, without the white space that the grammar allows around its marks."""
    return _AROUND_MARK.sub(r"\1", _SPACES.sub(" ", text)).strip(" ")


def stamp_top_via(headers: Headers, via: Via, address: str, port: int) -> Via:
    """Writes down in the topmost Via, which is `via`, where its request came from; returns the new one."""
    stamped = via.stamped(address, port)
    if stamped is not via:
        headers.replace_first_value("Via", str(stamped))
    return stamped
