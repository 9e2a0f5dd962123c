"""Whatever arrives is parsed or refused with the one error there is for it, and nothing else happens.

Seeds are the torture messages and usual ones: cut up, repeated, joined, strewn with what is special in SIP.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.sip_messages import BYE, INVITE, OK
from voice.gauntlet.torture import torture_messages
from voice.sip.address import parse_name_addr
from voice.sip.digest import parse_challenge, parse_credentials
from voice.sip.errors import SipParseError, StreamError
from voice.sip.framing import Ping, StreamFramer
from voice.sip.headers import printable, split_list
from voice.sip.message import Request, Response, parse_message
from voice.sip.params import parse_params
from voice.sip.respond import make_response
from voice.sip.uri import equivalent, parse_uri
from voice.sip.via import parse_via, stamp_top_via

SEEDS: Final = [INVITE, OK, BYE, *(one.data for one in torture_messages())]
PIECES: Final = [
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\n",
        b"\r\n ",
        b"\0",
        b"\t",
        b" ",
        b'"',
        b"\\",
        b"<",
        b">",
        b",",
        b";",
        b":",
    ),
    *(b"=", b"%", b"%00", b"@", b"[", b"]", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\xc2\x85", b"\xc2\xb2"),
    *(b"Via: ", b"v:", b"l: 5\r\n", b"Content-Length: 0", b"SIP/2.0", b"sip:", b"tel:", b"z9hG4bK", b"*"),
    *(b"0", b"-1", b"99999999999999999999", b"From: <sip:a@b>\r\n", b"CSeq: 1 ACK\r\n", b";tag=x", b";rport"),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A known message with a few changes."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        match draw(st.sampled_from(("insert", "replace", "delete", "repeat", "join"))):
            case "insert":
                data = data[:at] + draw(st.sampled_from(PIECES)) + data[at:]
            case "replace":
                data = data[:at] + draw(st.sampled_from(PIECES)) + data[end:]
            case "delete":
                data = data[:at] + data[end:]
            case "repeat":
                data = data[:end] + data[at:end] * draw(st.integers(1, 4)) + data[end:]
            case _:
                data = data[:at] + draw(st.sampled_from(SEEDS))[at:]
    return data


ANYTHING: Final = st.one_of(
    mutated(), st.binary(max_size=300), st.lists(st.sampled_from(PIECES)).map(b"".join)
)
TEXT: Final = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from([piece.decode("utf-8", "surrogateescape") for piece in PIECES])).map("".join),
    st.text(alphabet='sip:tel@<>"\\;,=%2[]().1a \t', max_size=60),
)


def parsed(data: bytes) -> Request | Response | None:
    try:
        return parse_message(data)
    except SipParseError as caught:
        error = caught
    assert 400 <= error.status <= 513
    assert str(error).isprintable()
    if error.partial is not None:
        parse_head_of(make_response(error.partial, error.status, to_tag="t").to_bytes())
    return None


def parse_head_of(data: bytes) -> None:
    """An answer to a faulty request may repeat its faults, but is one message."""
    head, end, rest = data.partition(b"\r\n\r\n")
    assert (end, rest) == (b"\r\n\r\n", b"")
    assert head.startswith(b"SIP/2.0 ")
    for line in head.split(b"\r\n")[1:]:
        assert line.split(b":")[0] in (
            b"Via",
            b"From",
            b"To",
            b"Call-ID",
            b"CSeq",
            b"Content-Length",
            b"Timestamp",
        )


@settings(max_examples=1500)
@given(ANYTHING)
@example(b"")
@example(b"\r\n\r\n")
def test_a_message_is_parsed_or_refused(data: bytes) -> None:
    message = parsed(data)
    if message is None:
        return
    again = parse_message(message.to_bytes())
    assert list(again.headers) == list(message.headers)
    assert again.body == message.body
    assert (again.via, again.from_, again.to) == (message.via, message.from_, message.to)
    assert (again.call_id, again.cseq, again.max_forwards) == (
        message.call_id,
        message.cseq,
        message.max_forwards,
    )
    if isinstance(message, Request):
        assert isinstance(again, Request)
        assert (again.method, again.uri) == (message.method, message.uri)
    else:
        assert isinstance(again, Response)
        assert (again.status, again.reason) == (message.status, message.reason)


@settings(max_examples=700)
@given(mutated())
def test_what_parsed_can_be_relayed_and_answered(data: bytes) -> None:
    message = parsed(data)
    if not isinstance(message, Request):
        return
    sender = message.via
    relayed = message.copy()
    stamp_top_via(relayed.headers, relayed.via, "203.0.113.9", 4711)
    relayed.headers.prepend("Via", "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKours")
    relayed.headers.prepend("Record-Route", "<sip:198.51.100.1;lr>")
    relayed.headers.set("Max-Forwards", "69")
    there = parse_message(relayed.to_bytes())
    assert isinstance(there, Request)
    assert there.via.branch == "z9hG4bKours"
    back = parse_message(make_response(there, 200, to_tag="theirs").to_bytes())
    assert back.headers.remove_first_value("Via") == "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKours"
    home = parse_message(back.to_bytes())
    assert home.via.branch == sender.branch
    assert home.via.sent_by == sender.sent_by
    if sender.wants_rport:
        assert home.via.reply_to == ("203.0.113.9", 4711)
    assert home.call_id == message.call_id


@given(mutated())
def test_accessors_give_a_value_or_the_one_error(data: bytes) -> None:
    message = parsed(data)
    if message is None:
        return
    for get in ("vias", "contacts", "contact", "routes", "record_routes", "sip_uri"):
        if hasattr(type(message), get):
            with suppress(SipParseError):
                getattr(message, get)
    for name, value in message.headers:
        assert message.headers.get(name) is not None
        assert printable(value).isprintable()
        printable(value).encode()


PARSERS: Final[list[Callable[[str], object]]] = [
    *(parse_uri, parse_via, parse_name_addr, parse_params, parse_challenge, parse_credentials, split_list)
]


@settings(max_examples=600)
@given(TEXT, st.sampled_from(PARSERS))
def test_a_value_is_parsed_or_refused(text: str, parse: Callable[[str], object]) -> None:
    with suppress(SipParseError):
        parse(text)


@given(TEXT, st.sampled_from(["sip:", "sips:", "tel:", "sip:a@"]))
def test_a_uri_that_parses_is_written_as_it_came(rest: str, scheme: str) -> None:
    try:
        uri = parse_uri(scheme + rest)
    except SipParseError:
        return
    if ":::" not in rest:
        assert parse_uri(str(uri)) == uri
        if uri.port is None:
            assert str(uri) == scheme + rest
    assert equivalent(uri, uri)


def framed(pieces: list[bytes]) -> list[bytes | str]:
    framer = StreamFramer()
    out: list[bytes | str] = []
    for piece in pieces:
        try:
            for frame in framer.feed(piece):
                out.append("ping" if isinstance(frame, Ping) else frame)
        except StreamError as error:
            out.append(f"{error.status} {error} {error.partial}")
            break
    return out


STREAM: Final = st.lists(
    st.one_of(st.sampled_from([INVITE, OK, BYE, b"\r\n", b"\r\n\r\n"]), mutated()), max_size=5
).map(b"".join)


@settings(max_examples=500)
@given(STREAM, st.data())
def test_cuts_do_not_change_what_a_stream_means(stream: bytes, data: st.DataObject) -> None:
    whole = framed([stream])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert framed(pieces) == whole
    for frame in whole:
        if isinstance(frame, bytes):
            message = parsed(frame)
            assert message is None or frame.endswith(message.body)


@settings(max_examples=60)
@given(STREAM)
def test_byte_by_byte_is_the_same_stream(stream: bytes) -> None:
    assert framed([stream[at : at + 1] for at in range(len(stream))]) == framed([stream])
