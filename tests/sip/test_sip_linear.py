"""Hostile input takes time in proportion to its length: nothing is looked at or copied again and again.

Each message below is as long as one may be and made of what is worst for some part of the parser.  Linear
work on it takes milliseconds; quadratic work would take from tens of seconds to hours.  The bound between is
so wide that a slow or busy machine does not matter, and CPU time of this thread is what counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import pytest

from bench.sip_messages import BYE
from tests.sip.messages import request_with
from voice.sip.address import parse_name_addr
from voice.sip.digest import parse_challenge, parse_credentials
from voice.sip.errors import SipParseError, StreamError
from voice.sip.framing import StreamFramer
from voice.sip.headers import Headers, printable, split_list
from voice.sip.mandatory import parse_call_id, parse_cseq
from voice.sip.message import MAX_MESSAGE_BYTES, parse_message
from voice.sip.params import parse_params
from voice.sip.uri import parse_uri, unescape
from voice.sip.via import parse_via

_T = TypeVar("_T")

CPU_SECONDS: Final = 2.0
ROOM: Final = MAX_MESSAGE_BYTES - len(BYE) - 40
LINE: Final = 16_000

UNITS: Final = [
    *(
        b" ",
        b"\t",
        b" \t",
        b"a",
        b"0",
        b"9",
        b"-",
        b".",
        b"a.",
        b"a ",
        b" a",
        b"%",
        b"%4",
        b"%41",
        b"%25",
        b"\\",
    ),
    *(
        b'"',
        b'\\"',
        b'""',
        b'" ',
        b'"a',
        b"<",
        b">",
        b"<>",
        b"<sip:",
        b",",
        b" ,",
        b", ",
        b";",
        b" ; ",
        b";a",
    ),
    *(
        b";a=",
        b";a=b",
        b'; a = "',
        b"=",
        b" = ",
        b":",
        b"::",
        b":::",
        b"[",
        b"]",
        b"[::",
        b"@",
        b"a@",
        b"/",
        b" / ",
    ),
    *(
        b"?",
        b"&",
        b"a=b&",
        b"sip:",
        b"tel:",
        b"SIP/2.0/UDP ",
        b"SIP / 2.0 / UDP a,",
        b'a="',
        b'a="b",',
        b"a=b, ",
    ),
    *(b"1.", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"(", b"\\\0"),
]
LEADS: Final = [
    *(
        b"",
        b"sip:",
        b"<sip:",
        b'"',
        b'"a" <sip:a@b>',
        b"<sip:a@b>;",
        b"sip:a@[",
        b"sip:a@b;",
        b"tel:",
        b"tel:1;a=",
    ),
    *(b"SIP/2.0/UDP h", b"SIP/2.0/UDP h;", b"SIP / 2.0 ", b"Digest ", b'Digest a="', b"1 "),
]
PARSERS: Final[list[Callable[[str], object]]] = [
    *(parse_uri, parse_via, parse_name_addr, parse_params, parse_challenge, parse_credentials, split_list),
    *(parse_cseq, parse_call_id, unescape, printable),
]


def cpu_seconds(work: Callable[[_T], object], argument: _T) -> float:
    start = time.thread_time()
    with suppress(SipParseError, StreamError):
        work(argument)
    return time.thread_time() - start


def parse_with_contacts(data: bytes) -> object:
    return parse_message(data).contacts


def frame(stream: bytes) -> object:
    return list(StreamFramer().feed(stream))


def take_all_vias(headers: Headers) -> None:
    while headers.remove_first_value("Via"):
        pass


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: str(parse.__name__))
def test_values(parse: Callable[[str], object]) -> None:
    for lead in LEADS:
        for unit in UNITS:
            for end in (b"", b"x", b'"', b">"):
                data = lead + unit * (LINE // len(unit)) + end
                text = data.decode("utf-8", "surrogateescape")
                assert cpu_seconds(parse, text) < CPU_SECONDS, (lead, unit, end)


@pytest.mark.parametrize(
    "name", [b"Via", b"From", b"CSeq", b"Call-ID", b"Max-Forwards", b"Content-Length", b"Contact", b"X"]
)
def test_messages_with_a_long_line(name: bytes) -> None:
    for unit in UNITS:
        data = request_with(name + b": " + unit * (LINE // len(unit)), without=name)
        assert cpu_seconds(parse_with_contacts, data) < CPU_SECONDS, unit


@pytest.mark.parametrize(
    "filling",
    [
        *(
            b"\r\n",
            b"\r\n ",
            b"\r\n\t \r\n",
            b"\r\nX: y",
            b"\r\nX:",
            b"\r\nx",
            b"\r\n:",
            b"\r\nVia: SIP/2.0/UDP h",
        ),
        *(
            b"\r\nl: 0",
            b"\r\nl:\r\n ",
            b"\r\nl \t",
            b"\r",
            b"\n",
            b"\0",
            b"\\\0",
            b"X: " + b"\xff" * 50 + b"\r\n",
        ),
    ],
)
def test_messages_full_of_one_thing(filling: bytes) -> None:
    start = BYE.removesuffix(b"\r\n\r\n")
    for end in (b"\r\n\r\n", b"", b"\r\n"):
        data = start + filling * (ROOM // len(filling)) + end
        assert cpu_seconds(parse_message, data) < CPU_SECONDS
        assert cpu_seconds(frame, data) < CPU_SECONDS


def test_a_stream_that_comes_byte_by_byte() -> None:
    """The work per byte is counted: what the framer looks at again is at most the last three."""
    data = BYE.removesuffix(b"\r\n\r\n") + b"\r\nX: " + b"y" * ROOM
    looked_at = 0
    framer = StreamFramer()
    for at in range(30_000):
        list(framer.feed(data[at : at + 1]))
        looked_at += at + 1 - framer._searched
    assert looked_at <= 3 * 30_000


def test_many_small_messages_in_one_piece() -> None:
    stream = BYE * 5_000
    assert cpu_seconds(frame, stream) < CPU_SECONDS
    assert cpu_seconds(frame, b"\r\n" * 500_000) < CPU_SECONDS


def test_vias_taken_off_one_by_one() -> None:
    headers = Headers([("Via", ", ".join(["SIP/2.0/UDP h"] * 64)) for _ in range(16)])
    assert cpu_seconds(take_all_vias, headers) < CPU_SECONDS
    assert "Via" not in headers
