from __future__ import annotations

import pytest

from bench.sip_messages import BYE, INVITE, OK, SDP
from tests.sip.messages import request_with
from voice.sip.builders import make_ack, make_cancel
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers
from voice.sip.mandatory import MAX_VIAS
from voice.sip.message import (
    MAX_HEADER_LINE_BYTES,
    MAX_HEADER_LINES,
    MAX_MESSAGE_BYTES,
    Request,
    Response,
    parse_message,
)
from voice.sip.respond import REASONS, make_response, reason_phrase


def parse_request(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def refusal(data: bytes) -> SipParseError:
    with pytest.raises(SipParseError) as caught:
        parse_message(data)
    return caught.value


@pytest.mark.parametrize("data", [INVITE, OK, BYE])
def test_a_message_is_relayed_byte_by_byte(data: bytes) -> None:
    assert parse_message(data).to_bytes() == data


def test_octets_that_are_no_utf8_survive() -> None:
    data = request_with(b"Subject: caf\xe9 \xff\xfe\x80 \xc3\xa9 \xed\xa0\x80")
    message = parse_message(data)
    assert (message.headers.get("Subject") or "").startswith("caf\udce9 ")
    relayed = Headers()
    relayed.set("Subject", message.headers.get("Subject") or "")
    message.headers.set("Subject", relayed.get("Subject") or "")
    assert b"Subject: caf\xe9 \xff\xfe\x80 \xc3\xa9 \xed\xa0\x80\r\n" in message.to_bytes()


def test_accessors_of_a_request() -> None:
    invite = parse_request(INVITE)
    assert (invite.method, invite.uri) == ("INVITE", "sip:+31201234567@acme.sip.example.com")
    assert invite.sip_uri.username == "+31201234567"
    assert invite.via.branch == "z9hG4bKPj3c1b7a0e-9c1d-4d7b-8a57"
    assert (invite.from_.display, invite.from_.tag, invite.to.tag) == ("Alice", "6f1a3e0b-77aa", None)
    assert invite.cseq == (26093, "INVITE")
    assert invite.call_id == "2c7f4f7e-1b23-4ff8-9f1c-d4b1c3a2e5f6"
    assert invite.max_forwards == 70
    assert invite.contact is not None
    assert invite.contact.sip_uri.has_param("ob")
    assert invite.routes == invite.record_routes == []
    assert "REFER" in invite.headers.values("Allow")
    assert invite.body == SDP


def test_accessors_follow_every_change() -> None:
    invite = parse_request(INVITE)
    assert invite.via.host == "192.0.2.10"
    twin = invite.copy()
    invite.headers.prepend("Via", "SIP/2.0/TCP us;branch=z9hG4bK2")
    assert invite.via.transport == "TCP"
    invite.headers.remove_first_value("Via")
    assert invite.via.transport == "UDP"
    invite.headers.set("CSeq", "7 INVITE")
    assert invite.cseq.number == 7
    invite.headers.append_to_first("To", ";tag=new")
    assert invite.to.tag == "new"
    invite.uri = "sip:else@where"
    assert invite.sip_uri.host == "where"
    invite.headers.remove("Max-Forwards")
    assert invite.max_forwards is None
    assert (twin.via.transport, twin.cseq.number, twin.to.tag, twin.max_forwards) == ("UDP", 26093, None, 70)
    invite.headers.remove("From")
    with pytest.raises(SipParseError, match="From: the header is missing"):
        _ = invite.from_


def test_empty_lines_before_a_message_are_passed_over() -> None:
    assert parse_message(b"\r\n\r\n\r\n" + BYE).to_bytes() == BYE


def test_version_is_read_without_case() -> None:
    assert parse_request(BYE.replace(b" SIP/2.0\r\n", b" sip/2.0\r\n", 1)).method == "BYE"
    assert isinstance(parse_message(OK.replace(b"SIP/2.0 2", b"sip/2.0 2", 1)), Response)


def test_content_length_is_set_right_when_sent() -> None:
    bye = parse_request(BYE)
    bye.body = b"12345"
    assert bye.to_bytes().endswith(b"\r\nContent-Length: 5\r\n\r\n12345")
    bare = parse_request(request_with(without=b"Content-Length"))
    assert bare.to_bytes() == BYE
    padded = parse_request(request_with(b"l: 0000", without=b"Content-Length"))
    assert padded.to_bytes() == BYE


@pytest.mark.parametrize(
    ("line", "header"),
    [
        (b"CSeq: 1 BYE", "CSeq"),
        (b"From: <sip:c@d>;tag=2", "From"),
        (b"f: <sip:c@d>;tag=2", "From"),
        (b"TO : <sip:c@d>", "To"),
        (b"i: another", "Call-ID"),
        (b"Max-Forwards: 70", "Max-Forwards"),
        (b"L: 0", "Content-Length"),
        (b"no colon", None),
        (b": no name", None),
        (b"two words: x", None),
        ("näme: x".encode(), None),
        (b"X: a\rb", None),
        (b"X: a\nFrom: <sip:evil@x>", None),
        (b"X: a\0b", None),
        (b"X: \x1b[31m", None),
        (b"X: \\\\\0", None),
        (b"X: \x7f", None),
    ],
)
def test_a_bad_line_is_refused_and_can_be_answered(line: bytes, header: str | None) -> None:
    error = refusal(request_with(line))
    assert (error.status, error.header) == (400, header)
    if not any(octet < 32 for octet in line):
        assert error.partial is not None
        assert error.partial.call_id.startswith("2c7f4f7e")


@pytest.mark.parametrize("name", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
def test_what_is_missing_is_named(name: bytes) -> None:
    error = refusal(request_with(without=name))
    assert (error.header, error.problem) == (name.decode(), "the header is missing")
    assert (error.partial is None) is (name == b"Via")


@pytest.mark.parametrize(
    "start",
    [
        *(
            b"",
            b"BYE",
            b"BYE sip:a@b",
            b"BYE  sip:a@b SIP/2.0",
            b"BYE sip:a@b SIP/2.0 ",
            b" BYE sip:a@b SIP/2.0",
        ),
        *(b"B(E sip:a@b SIP/2.0", b"BYE sip:a@b;x=; SIP/2.0", b"BYE sip:a@b HTTP/1.1", b"BYE a@b SIP/2.0"),
        *(b"BYE sip:a@b\tSIP/2.0", b"BYE * SIP/2.0", b"BYE sip:a@b?x=y SIP/2.0", b"BYE sip:a@b SIP/2"),
        *(
            b"SIP/2.0",
            b"SIP/2.0 99 X",
            b"SIP/2.0 700 X",
            b"SIP/2.0 2000 X",
            b"SIP/2.0 2OO X",
            b"SIP/2 200 OK",
        ),
        *(b"SIP/2.0  200 OK", b"SIP/2.0 \xd9\xa2\xd9\xa0\xd9\xa0 OK", b"BYE sip:a@b SIP/2.0\r\n folded: on"),
    ],
)
def test_a_bad_start_line_is_refused(start: bytes) -> None:
    assert refusal(start + BYE[BYE.index(b"\r\n") :]).status == 400


def test_other_versions_have_their_own_status() -> None:
    error = refusal(BYE.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1))
    assert error.status == 505
    assert error.partial is not None


def test_neither_an_ack_nor_a_response_is_ever_answered() -> None:
    ack = BYE.replace(b"BYE", b"ACK").replace(b"Max-Forwards: 70", b"Max-Forwards: x")
    assert refusal(ack).partial is None
    assert refusal(OK.replace(b"26093", b"x")).partial is None


def test_limits() -> None:
    room = MAX_MESSAGE_BYTES - len(INVITE)
    biggest = INVITE.replace(
        b"Content-Length: %d" % len(SDP), b"Content-Length: %05d" % (len(SDP) + room - 2)
    )
    assert len(parse_message(biggest + b"x" * (room - 2)).body) == len(SDP) + room - 2
    assert refusal(INVITE + b"x" * (room + 1)).status == 513

    lines = [b"X: y"] * (MAX_HEADER_LINES - 10)
    assert len(parse_message(request_with(*lines)).headers) == MAX_HEADER_LINES - 1
    assert refusal(request_with(*lines, b"X: y")).status == 513

    assert "X" in parse_message(request_with(b"X: " + b"y" * (MAX_HEADER_LINE_BYTES - 3))).headers
    assert refusal(request_with(b"X: " + b"y" * (MAX_HEADER_LINE_BYTES - 2))).status == 513
    assert refusal(request_with(b"X: y", *([b" z" * 50] * (MAX_HEADER_LINES - 20)))).status == 513


def test_vias_are_limited_however_they_are_written() -> None:
    more = [b"SIP/2.0/UDP h%d" % index for index in range(MAX_VIAS - 1)]
    assert len(parse_message(request_with(*(b"Via: " + via for via in more))).vias) == MAX_VIAS
    assert len(parse_message(request_with(b"Via: " + b",".join(more))).vias) == MAX_VIAS
    top = request_with(b"Via: " + b",".join([*more, b"SIP/2.0/UDP x"]), without=b"Via")
    assert len(parse_message(top).vias) == MAX_VIAS
    one_more = [*more, b"SIP/2.0/UDP x"]
    for lines in ([b"Via: " + via for via in one_more], [b"v: " + b",".join(one_more)]):
        error = refusal(request_with(*lines))
        assert (error.status, error.header) == (513, "Via")
    error = refusal(request_with(b"Via: " + b",".join([*one_more, b"SIP/2.0/UDP y"]), without=b"Via"))
    assert (error.status, error.header) == (513, "Via")


def test_a_start_line_cannot_become_headers() -> None:
    bye = parse_request(BYE)
    bye.uri = "sip:a@b SIP/2.0\r\nX: y"
    with pytest.raises(ValueError, match="start line"):
        bye.to_bytes()
    with pytest.raises(ValueError, match="start line"):
        Response(200, "OK\nX: y").to_bytes()


def test_responses_copy_what_rfc_3261_says() -> None:
    data = INVITE.replace(
        b"Max-Forwards",
        b"Via: SIP/2.0/TCP second\r\nTimestamp: 54\r\nRecord-Route: <sip:p1;lr>\r\nMax-Forwards",
    )
    invite = parse_request(data)
    trying = make_response(invite, 100)
    assert trying.to_bytes() == (
        b"SIP/2.0 100 Trying\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj3c1b7a0e-9c1d-4d7b-8a57\r\n"
        b"Via: SIP/2.0/TCP second\r\n"
        b'From: "Alice" <sip:31000000@acme.sip.example.com>;tag=6f1a3e0b-77aa\r\n'
        b"To: <sip:+31201234567@acme.sip.example.com>\r\n"
        b"Call-ID: 2c7f4f7e-1b23-4ff8-9f1c-d4b1c3a2e5f6\r\n"
        b"CSeq: 26093 INVITE\r\n"
        b"Timestamp: 54\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    ok = make_response(invite, 200, to_tag="ours", headers=[("Contact", "<sip:us>")], body=SDP)
    assert (ok.status, ok.reason, ok.to.tag, ok.body) == (200, "OK", "ours", SDP)
    assert ok.headers.get("Record-Route") == "<sip:p1;lr>"
    assert "Timestamp" not in ok.headers
    assert ok.headers.get("Contact") == "<sip:us>"
    busy = make_response(invite, 486, "Engaged", to_tag="ours")
    assert (busy.reason, "Record-Route" in busy.headers) == ("Engaged", False)
    bye = make_response(parse_request(BYE), 200, to_tag="ours")
    assert bye.to.tag == "b2ba1a7c"
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        make_response(invite, 200, to_tag="a\r\nX: y")


def test_reason_phrases() -> None:
    assert reason_phrase(407) == "Proxy Authentication Required"
    assert reason_phrase(499) == "Request Failure"
    assert all(100 <= status < 700 for status in REASONS)


def test_ack_for_a_failure_is_of_the_same_hop() -> None:
    data = INVITE.replace(
        b"Max-Forwards", b"Route: <sip:p1;lr>,<sip:p2;lr>\r\nVia: SIP/2.0/TCP second\r\nMax-Forwards"
    )
    invite = parse_request(data)
    ack = make_ack(invite, make_response(invite, 486, to_tag="theirs"))
    assert ack.to_bytes() == (
        b"ACK sip:+31201234567@acme.sip.example.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj3c1b7a0e-9c1d-4d7b-8a57\r\n"
        b"Max-Forwards: 70\r\n"
        b"Route: <sip:p1;lr>,<sip:p2;lr>\r\n"
        b'From: "Alice" <sip:31000000@acme.sip.example.com>;tag=6f1a3e0b-77aa\r\n'
        b"To: <sip:+31201234567@acme.sip.example.com>;tag=theirs\r\n"
        b"Call-ID: 2c7f4f7e-1b23-4ff8-9f1c-d4b1c3a2e5f6\r\n"
        b"CSeq: 26093 ACK\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_cancel_is_of_the_same_hop_and_without_a_tag() -> None:
    invite = parse_request(INVITE.replace(b"Supported: ", b"Require: 100rel\r\nSupported: "))
    cancel = parse_request(
        make_cancel(invite, [("Reason", 'SIP;cause=200;text="Call completed elsewhere"')]).to_bytes()
    )
    assert (cancel.method, cancel.uri, cancel.via, cancel.call_id) == (
        "CANCEL",
        invite.uri,
        invite.via,
        invite.call_id,
    )
    assert cancel.cseq == (26093, "CANCEL")
    assert (cancel.from_, cancel.to) == (invite.from_, invite.to)
    assert cancel.headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert "Require" not in cancel.headers
    assert cancel.body == b""
