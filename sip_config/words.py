"""The words of a configuration: each function returns its text in stored form, or raises Unfit."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from phonenumbers import SUPPORTED_REGIONS

from sip_config.faults import Unfit, quoted
from sip_config.networks import as_sockets_say, packed
from sip_config.numbers import looks_complete, normalise

_LABEL: Final = re.compile(r"[0-9A-Za-z]{1,63}")
_HOST_LABEL: Final = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")
_FILE_NAME: Final = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_. -]{0,127}")
_FAILOVER: Final = re.compile(r"[456](?:xx|[0-9]{2})")
_DIGITS_IN_FRONT: Final = re.compile(r"\+?[0-9*#]{0,15}")
_DIGITS: Final = re.compile(r"[0-9]{0,15}")
_NUMBER_RANGE: Final = re.compile(r" *(\+[0-9]{7,15}) *- *(\+[0-9]{7,15}) *")
_LONGEST_NAME: Final = 64
_LONGEST_HOST: Final = 253


def label(text: str) -> str:
    """A customer's name inside the base domain."""
    if not _LABEL.fullmatch(text):
        raise Unfit(
            f"{quoted(text)} cannot be a domain's label.",
            "Use 1 to 63 characters from 0-9, a-z and A-Z only.",
        )
    return text.lower()


def name(text: str) -> str:
    """What an entry is called.  No slash: records and listings write ``account/entry``."""
    if not 1 <= len(text) <= _LONGEST_NAME or not text.isprintable() or "/" in text or text != text.strip():
        raise Unfit(
            f"{quoted(text)} cannot be a name.",
            f"Use 1 to {_LONGEST_NAME} printable characters, no slash, no blank at either end.",
        )
    return text


def file_name(text: str) -> str:
    """What an uploaded file is called: as a file in its account's folder."""
    if not _FILE_NAME.fullmatch(text):
        raise Unfit(
            f"{quoted(text)} cannot be the name of an uploaded file.",
            "Use 1 to 128 characters from 0-9, a-z, A-Z, blank, dot, dash and underscore; not a dot first.",
        )
    return text


def username(text: str) -> str:
    """A user name of digest authentication: no colon, which separates it from the realm (RFC 7616)."""
    fits = 1 <= len(text) <= _LONGEST_NAME and text.isprintable() and not set(text) & set(' :"\\/')
    if not fits:
        raise Unfit(
            f"{quoted(text)} cannot be a user name.",
            f"Use 1 to {_LONGEST_NAME} printable characters, without blanks, colons, slashes and quotes.",
        )
    return text


def secret(text: str) -> str:
    if not text or not text.isprintable():
        raise Unfit("This password is empty or holds control characters.", "Use printable characters.")
    return text


def own_number(text: str) -> str:
    """An E.164 number that is configured; it must have a length that its country uses, to catch slips."""
    number = normalise(text)
    if not looks_complete(number):
        raise Unfit(f"{quoted(text)} is too short or too long for its country.", "Count its digits.")
    return number


def number_range(text: str) -> str:
    """``+31201234500-+31201234599``: E.164 numbers from the first to the last."""
    match = _NUMBER_RANGE.fullmatch(text)
    if match is None:
        raise Unfit(
            f"{quoted(text)} is no range of numbers.",
            'Write the first and the last one, such as "+31201234500-+31201234599".',
        )
    first, last = own_number(match[1]), own_number(match[2])
    if len(first) != len(last) or first > last:
        raise Unfit(
            f"{quoted(text)} does not lead from a number to a later one.",
            "Write the lower number first, and both with as many digits.",
        )
    return f"{first}-{last}"


def country(text: str) -> str:
    """A country by its two letters (ISO 3166), of those that have telephone numbers."""
    code = text.upper()
    if code not in SUPPORTED_REGIONS:
        raise Unfit(f"{quoted(text)} is no country code.", 'Write its two letters (ISO 3166), such as "NL".')
    return code


def prefix(text: str) -> str:
    """The first digits of E.164 numbers, without ``+``; empty fits every number."""
    digits = text.removeprefix("+")
    if not _DIGITS.fullmatch(digits) or digits.startswith("0"):
        raise Unfit(
            f"{quoted(text)} cannot be a prefix of E.164 numbers.",
            'Write the digits after the +, such as "31"; "" fits every number.',
        )
    return digits


def web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text:
        raise Unfit(
            f"{quoted(text)} is not a web address.", "Write it whole, such as https://app.example.com/flow."
        )
    return text


def host(text: str) -> str:
    """An IP address, IPv6 with or without brackets, or a host name; in the form that a resolver takes."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if packed(bare) is not None:
        return as_sockets_say(bare)
    return host_name(text)


def host_name(text: str) -> str:
    """A name in DNS, in lower case and without the final dot."""
    bare = text.removesuffix(".")
    labels = bare.split(".")
    # The last label of a name is not a number: 192.0.2.300 is a mistyped address (RFC 3696 section 2).
    if (
        len(bare) > _LONGEST_HOST
        or not all(_HOST_LABEL.fullmatch(one) for one in labels)
        or labels[-1].isdigit()
    ):
        raise Unfit(
            f"{quoted(text)} is neither an IP address nor a host name.",
            "Write one of the two, such as 192.0.2.10 or sip.example.com.",
        )
    return bare.lower()


def host_and_port(text: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``."""
    if packed(text) is not None:
        return host(text), None
    bare, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return host(text), None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535):
        raise Unfit(f"{quoted(text)} does not end in a port.", "Write host:port, with a port up to 65535.")
    if ":" in bare and not bare.startswith("["):
        raise Unfit(f"{quoted(text)} is ambiguous.", "Write an IPv6 address in brackets: [2001:db8::1]:5060.")
    return host(bare), int(port)


def failover(text: str) -> str:
    """A response, or a class of them, after which another gateway is tried."""
    word = text.strip().lower()
    if not _FAILOVER.fullmatch(word):
        raise Unfit(
            f"{quoted(text)} is no final response.", 'Write a code such as "503", or "5xx" for all 5xx.'
        )
    return word


def digits_in_front(text: str) -> str:
    """What may stand in front of a number as a gateway wants it."""
    if not _DIGITS_IN_FRONT.fullmatch(text):
        raise Unfit(f"{quoted(text)} cannot stand in front of a number.", "Use digits, +, * and #.")
    return text
