from __future__ import annotations

import pytest

from bench.sip_messages import BYE, INVITE, OK
from tests.sip.messages import request_with
from voice.gauntlet.torture import torture_messages
from voice.sip.errors import StreamError
from voice.sip.framing import PING, Ping, StreamFramer
from voice.sip.message import MAX_MESSAGE_BYTES, Request, parse_message

TORTURE = {one.file: one.data for one in torture_messages()}


def frames(*pieces: bytes) -> list[bytes | Ping]:
    framer = StreamFramer()
    return [frame for piece in pieces for frame in framer.feed(piece)]


def lost(*pieces: bytes) -> StreamError:
    framer = StreamFramer()

    def feed_all() -> None:
        for piece in pieces:
            list(framer.feed(piece))

    with pytest.raises(StreamError) as caught:
        feed_all()
    with pytest.raises(StreamError):
        list(framer.feed(BYE))
    return caught.value


def test_messages_come_whole_however_they_are_cut() -> None:
    stream = INVITE + OK + BYE
    assert frames(stream) == [INVITE, OK, BYE]
    for cut in range(1, len(stream), 7):
        assert frames(stream[:cut], stream[cut:]) == [INVITE, OK, BYE]
    assert frames(*(stream[at : at + 1] for at in range(len(stream)))) == [INVITE, OK, BYE]


def test_pings_and_empty_lines() -> None:
    assert frames(b"\r\n\r\n") == [PING]
    assert frames(b"\r\n", b"\r", b"\n") == [PING]
    assert frames(b"\r\n" + BYE + b"\r\n\r\n\r\n" + BYE + b"\r\n\r\n\r\n\r\n") == [BYE, PING, BYE, PING, PING]
    assert frames(b"\r\n", BYE, b"\r\n", BYE) == [BYE, BYE]


def test_midway_says_whether_a_message_is_begun() -> None:
    framer = StreamFramer()
    states = []
    for piece, whole in ((b"\r\n" + BYE, [BYE]), (BYE[:20], []), (BYE[20:], [BYE])):
        assert list(framer.feed(piece)) == whole
        states.append(framer.midway)
    assert states == [False, True, False]


def test_length_in_every_way_it_can_be_written() -> None:
    for line in (
        b"l: 5",
        b"L  :5",
        b"CONTENT-LENGTH: 0005 ",
        b"Content-Length:\r\n 5",
        b"content-length\t:\t5\t",
    ):
        message = request_with(line, without=b"Content-Length") + b"12345"
        assert frames(message + BYE) == [message, BYE]
        assert parse_message(message).body == b"12345"
    # Inside other values it means nothing.
    message = request_with(b"X: Content-Length: 7\r\n Content-Length: 8\r\n l: 9")
    assert frames(message) == [message]


@pytest.mark.parametrize(
    ("data", "status", "problem"),
    [
        (request_with(without=b"Content-Length"), 400, "no Content-Length"),
        (request_with(b"l: 0"), 400, "more than one Content-Length"),
        (TORTURE["mcl01.dat"], 400, "more than one Content-Length"),
        (TORTURE["ncl.dat"], 400, "not a number"),
        (request_with(b"l: 1 2", without=b"Content-Length"), 400, "not a number"),
        (request_with(b"l:", without=b"Content-Length"), 400, "not a number"),
        (request_with(b"l: 65536", without=b"Content-Length"), 513, "more than 65535"),
        (request_with(b"l: 65400", without=b"Content-Length"), 513, "longer than 65535"),
        (request_with(b"l: 99999999999999999999", without=b"Content-Length"), 513, "more than 65535"),
        (BYE[:-2] + b"X: " + b"y" * MAX_MESSAGE_BYTES, 513, "headers are longer"),
        (BYE[:-2] + b"X: " + b"y" * MAX_MESSAGE_BYTES + b"\r\n\r\n", 513, "headers are longer"),
        (b"x" * MAX_MESSAGE_BYTES, 513, "headers are longer"),
    ],
)
def test_a_lost_stream_says_why_and_whom_to_answer(data: bytes, status: int, problem: str) -> None:
    error = lost(data)
    assert error.status == status
    assert problem in str(error)
    assert isinstance(error.partial, Request) is not data.startswith(b"xxx")
    later = lost(BYE, *(data[at : at + 4096] for at in range(0, len(data), 4096)))
    assert (str(later), later.status) == (str(error), status)


def test_what_came_before_the_fault_is_delivered() -> None:
    framer = StreamFramer()
    iterator = framer.feed(BYE + b"\r\n\r\n" + request_with(b"l: 0"))
    assert next(iterator) == BYE
    assert next(iterator) is PING
    with pytest.raises(StreamError):
        next(iterator)


def test_rfc_4475_on_a_stream() -> None:
    iterator = StreamFramer().feed(TORTURE["dblreq.dat"])
    starts = [b"REGISTER sip:example.com", b"INVITE sip:joe@example.com"]
    for start, message in zip(starts, iterator, strict=False):
        assert isinstance(message, bytes)
        assert message.startswith(start)
    # More is announced than came: wait for it, and take no more than that.
    framer = StreamFramer()
    assert list(framer.feed(TORTURE["clerr.dat"])) == []
    assert framer.midway


def test_the_biggest_message_fits() -> None:
    body = b"x" * (MAX_MESSAGE_BYTES - len(request_with(b"l: 65000", without=b"Content-Length")))
    message = request_with(b"l: %05d" % len(body), without=b"Content-Length") + body
    assert len(message) == MAX_MESSAGE_BYTES
    assert frames(message, BYE) == [message, BYE]
    assert frames(message + BYE) == [message, BYE]
