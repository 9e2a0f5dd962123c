"""Single header values: Via, name-addr, parameters, and the numbers that every message has."""

from __future__ import annotations

import pytest

from voice.sip.address import NameAddr, parse_contact, parse_name_addr
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers
from voice.sip.mandatory import CSeq, parse_call_id, parse_cseq, parse_max_forwards, parse_number
from voice.sip.params import params_text, parse_params
from voice.sip.via import parse_via, stamp_top_via

VIA = "SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK1"


def test_via_parts() -> None:
    via = parse_via(VIA)
    assert (via.protocol, via.transport, via.host, via.port) == ("SIP/2.0", "UDP", "192.0.2.10", 5060)
    assert (via.branch, via.wants_rport, via.rport, via.received) == ("z9hG4bK1", True, None, None)
    assert via.has_rfc3261_branch
    assert str(via) == VIA


@pytest.mark.parametrize(
    ("text", "reply_to"),
    [
        (VIA, ("192.0.2.10", 5060)),
        ("SIP/2.0/UDP Host.Example", ("host.example", 5060)),
        ("SIP/2.0/TLS h", ("h", 5061)),
        ("SIP/2.0/UDP h:5070;received=192.0.2.9", ("192.0.2.9", 5070)),
        ("SIP/2.0/UDP h:5070;received=192.0.2.9;rport=7", ("192.0.2.9", 7)),
        ("SIP/2.0/UDP [2001:db8::1]:9;received=[2001:db8::2]", ("2001:db8::2", 9)),
        # A response never goes where a request says by maddr alone.
        ("SIP/2.0/UDP h;maddr=224.2.0.1", ("h", 5060)),
        ("SIP/2.0/UDP h;rport=x", ("h", 5060)),
    ],
)
def test_where_a_response_goes(text: str, reply_to: tuple[str, int]) -> None:
    assert parse_via(text).reply_to == reply_to


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:99999",
            "SIP/2.0/UDP h;",
        ),
        *(
            "SIP/2.0/UDP h;;rport",
            "SIP/2.0/UDP h;branch=",
            "SIP/2.0/UDP h;branch=a;branch=b",
            "SIP/2.0/UDP h i",
        ),
        *(
            "SIP/2.0/UDP h;=x",
            "SIP/2.0/UDP 1.2.3",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP h;x=<",
        ),
        *(
            'SIP/2.0/UDP h;x="',
            "SIP/2.0/UDP h;branch=a b",
            "SIP/2.0/UDP h;branch;rport",
            "SIP/2.0/UDP h, SIP/2.0/UDP i",
        ),
    ],
)
def test_bad_via_is_refused(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        parse_via(text)
    assert caught.value.status == 400


def test_source_is_written_down() -> None:
    asked = parse_via(VIA).stamped("203.0.113.9", 4711)
    assert str(asked) == "SIP/2.0/UDP 192.0.2.10:5060;rport=4711;branch=z9hG4bK1;received=203.0.113.9"
    same = parse_via(VIA).stamped("192.0.2.10", 5060)
    assert (same.rport, same.received) == (5060, "192.0.2.10")
    quiet = parse_via("SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1")
    assert quiet.stamped("192.0.2.10", 5060) is quiet
    assert str(quiet.stamped("203.0.113.9", 4711)).endswith(";received=203.0.113.9")
    # What the sender claims about itself does not count.
    liar = parse_via("SIP/2.0/UDP 192.0.2.10;received=198.51.100.7;rport=1")
    assert liar.stamped("192.0.2.10", 5060).reply_to == ("192.0.2.10", 5060)
    liar = parse_via("SIP/2.0/UDP 192.0.2.10;received=198.51.100.7")
    assert liar.stamped("192.0.2.10", 5060).reply_to == ("192.0.2.10", 5060)


def test_source_is_written_into_the_topmost_via_only() -> None:
    headers = Headers([("Via", f"{VIA}, SIP/2.0/UDP other"), ("Via", "SIP/2.0/UDP third")])
    stamped = stamp_top_via(headers, parse_via(VIA), "203.0.113.9", 4711)
    assert headers.values("Via") == [str(stamped), "SIP/2.0/UDP other", "SIP/2.0/UDP third"]


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ('"Alice" <sip:a@b>;tag=1', "Alice", "sip:a@b", {"tag": "1"}),
        ('"A \\"B\\" \\\\"<sip:a@b>', 'A "B" \\', "sip:a@b", {}),
        ('"" <sip:a@b>', "", "sip:a@b", {}),
        ("<sip:a@b;lr>", None, "sip:a@b;lr", {}),
        ("Alice  Bell <sip:a@b> ; tag = 1 ;x", "Alice  Bell", "sip:a@b", {"tag": "1", "x": None}),
        ("Müller (NL) <sip:a@b>", "Müller (NL)", "sip:a@b", {}),
        ("sip:a@b;tag=1", None, "sip:a@b", {"tag": "1"}),
        ("sip:a@b ;Tag=1", None, "sip:a@b", {"tag": "1"}),
        ("tel:+31201234567", None, "tel:+31201234567", {}),
        (
            '<sip:a@b>;+sip.instance="<urn:uuid:1>";q=0.5',
            None,
            "sip:a@b",
            {"+sip.instance": "<urn:uuid:1>", "q": "0.5"},
        ),
        ("<sip:a@b?Subject=x>", None, "sip:a@b?Subject=x", {}),
        ('"<sip:evil@x>" <sip:a@b>', "<sip:evil@x>", "sip:a@b", {}),
    ],
)
def test_name_addr(text: str, display: str | None, uri: str, params: dict[str, str | None]) -> None:
    parsed = parse_name_addr(text)
    assert (parsed.display, parsed.uri, dict(parsed.params)) == (display, uri, params)
    assert parsed.tag == params.get("tag")


def test_all_contacts() -> None:
    assert parse_contact("*") == (None, "*", {})
    assert parse_contact("<sip:a@b>") == parse_name_addr("<sip:a@b>")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "*",
            "<>",
            "Alice",
            "alice@b",
            "<alice@b>",
            "Alice <sip:a@b",
            "sip:a@b>",
            "<sip:a@b>x",
            "<sip:a@b>,<sip:c@d>",
        ),
        *(
            '"Alice <sip:a@b>',
            '"A" "B" <sip:a@b>',
            "Bell, A <sip:a@b>",
            "< sip:a@b>",
            "<sip:a@b >",
            "<sip:a b@c>",
        ),
        *(
            "sip:a@b?x=y",
            "sip:a,b@c",
            "<sip:a@b>;",
            "<sip:a@b>;tag=",
            "<sip:a@b>;tag=1;tag=2",
            "<sip:a@b>;tag",
            "sip:a@b;x;tag",
            "<sip:a@b>;tag=1;TAG=1",
        ),
        *(
            "<sip:a@b>;t ag=1",
            '<sip:a@b>;x="',
            "a;b <sip:a@b>",
            "a@b <sip:a@b>",
            "sip:x@y <sip:a@b>",
            "**",
            "\\<sip:a@b>",
        ),
    ],
)
def test_bad_name_addr_is_refused(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        parse_name_addr(text)
    assert caught.value.status == 400


def test_name_addr_is_written_so_that_it_parses_again() -> None:
    odd = NameAddr('A "B" \\, <sip:x>', "sip:a@b", {"tag": "1", "x": 'a "b"; c', "lr": None})
    assert parse_name_addr(str(odd)) == odd
    assert str(NameAddr(None, "sip:a@b", {})) == "<sip:a@b>"


def test_remembered_values_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        parse_name_addr("<sip:a@b>;tag=1").params["tag"] = "2"  # type: ignore[index]


def test_params() -> None:
    assert parse_params("") == {}
    assert parse_params(' ; A = "x\\"; y" ;b;C=d ') == {"a": 'x"; y', "b": None, "c": "d"}
    assert params_text({"a": 'x"; y', "b": None, "c": "d", "e": ""}) == ';a="x\\"; y";b;c=d;e=""'
    for bad in (";", "a", ";a;", ";a=;b", ";a=1 2", ";a;A", ';a="', ';a="x"y', ";a==b;;", ";ü"):
        with pytest.raises(SipParseError):
            parse_params(bad)


def test_numbers() -> None:
    assert parse_number("0068", 255) == 68
    assert parse_number("0" * 300 + "7", 255) == 7
    assert parse_cseq("0009 \t INVITE") == CSeq(9, "INVITE")
    assert parse_cseq("2147483647 NEWMETHOD") == CSeq(2**31 - 1, "NEWMETHOD")
    assert parse_max_forwards("255") == 255
    for bad in ("", "-1", "+1", "1 ", "1_0", "\u0661", "\u00b2", "256", "9" * 5000, "0x1"):
        with pytest.raises(SipParseError):
            parse_max_forwards(bad)
    for bad in (
        "1",
        "INVITE",
        "1INVITE",
        "2147483648 INVITE",
        "1 INVITE X",
        "1 INV(ITE",
        "-1 INVITE",
        "1_0 INVITE",
    ):
        with pytest.raises(SipParseError):
            parse_cseq(bad)


def test_call_id() -> None:
    for good in ("a", "a@b", "f81d4fae-7dec@[::1]", '<">\\()?{}/'):
        assert parse_call_id(good) == good
    for bad in ("", "a b", "a@", "@a", "a@b@c", "a;b", "a,b", "é"):
        with pytest.raises(SipParseError):
            parse_call_id(bad)
