from __future__ import annotations

import pytest

from voice.sip.errors import SipParseError
from voice.sip.uri import MAX_URI_CHARS, equivalent, escape_user, parse_uri, scheme_of, unescape


@pytest.mark.parametrize(
    "text",
    [
        *("sip:alice@atlanta.com", "sip:atlanta.com", "sip:alice:secretword@atlanta.com;transport=tcp"),
        *(
            "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:+1-212-555-1212:1234@gw.com;user=phone",
        ),
        *("sips:1212@gateway.com", "sip:alice@192.0.2.4:5070", "sip:alice;day=tuesday@atlanta.com"),
        *(
            "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
            "sip:[2001:db8::1]:5060;lr",
            "sip:a.b.:5060",
        ),
        *("tel:+31201234567", "tel:7042;phone-context=example.com", "sip:*21#@pbx", "sip:a:@b", "sip:h?a="),
        *("sip:my_host", "sip:x@1.2.3.4;a=[::1]", "sip:x@10.0.0.255"),
    ],
)
def test_what_is_parsed_is_written_as_it_came(text: str) -> None:
    assert str(parse_uri(text)) == text


def test_parts() -> None:
    uri = parse_uri("SIPS:al%69ce:p%3Aw@Example.COM:5071;Transport=TLS;lr;x=%41?Subject=a%20b&to=c")
    assert uri.scheme == "sips"
    assert (uri.user, uri.username, uri.password) == ("al%69ce", "alice", "p%3Aw")
    assert (uri.host, uri.port, uri.transport) == ("Example.COM", 5071, "tls")
    assert uri.params == (("Transport", "TLS"), ("lr", None), ("x", "%41"))
    assert (uri.param("lr"), uri.param("x"), uri.param("maddr")) == ("", "A", None)
    assert uri.has_param("lr")
    assert uri.headers == (("Subject", "a%20b"), ("to", "c"))


def test_ipv6_reference() -> None:
    uri = parse_uri("sip:a@[2001:db8::9:1]")
    assert (uri.host, uri.address, uri.port) == ("[2001:db8::9:1]", "2001:db8::9:1", None)
    assert parse_uri("sip:192.0.2.1").address == "192.0.2.1"


def test_tel() -> None:
    uri = parse_uri("TEL:+1-201-555-0123;phone-context=+1")
    assert (uri.scheme, uri.user, uri.host, uri.param("phone-context")) == (
        "tel",
        "+1-201-555-0123",
        "",
        "+1",
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "sip",
            "sip:",
            "sip:@b",
            "sip:a@",
            "sip:a@b@c",
            "sip:a b@c",
            "<sip:a@b>",
            "sip:a@b ",
            " sip:a@b",
        ),
        *(
            "sip:a@b:",
            "sip:a@b:65536",
            "sip:a@b:123456",
            "sip:a@b:x",
            "sip:a@b;",
            "sip:a@b;;lr",
            "sip:a@b;=x",
        ),
        *(
            "sip:a@b;x=",
            "sip:a@b;lr;LR",
            "sip:a@b;lr;%6cr",
            "sip:a@b?",
            "sip:a@b?x",
            "sip:a@b?=y",
            "sip:a@b?x=y&",
        ),
        *(
            "sip:a%@b",
            "sip:a%4@b",
            "sip:a%4g@b",
            "sip:a@b;x=%",
            "sip:2001:db8::10",
            "sip:[2001:db8::10",
            "sip:[]",
        ),
        *(
            "sip:[1::2::3]",
            "sip:[2001:db8::::1]",
            "sip:[::1%25eth0]",
            "sip:a@-b",
            "sip:a@.b",
            "sip:a@b..c",
            "sip:a@b-",
        ),
        *(
            "sip:256.1.1.1",
            "sip:1.2.3",
            "sip:1.2.3.4.5",
            "sip:12345",
            "sip:a@exämple.com",
            "sip:ü@b",
            'sip:"a"@b',
        ),
        *(
            "tel:",
            "tel:+",
            "tel:hello",
            "tel:+1;",
            "tel:+1 2",
            "1:a",
            "sip:a\r\n@b",
            "sip:a\0@b",
            "sip:\uff11@b",
        ),
    ],
)
def test_bad_syntax_is_refused(text: str) -> None:
    with pytest.raises(SipParseError) as caught:
        parse_uri(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "text", ["http://example.com/", "isbn:2983792873", "soap.beep://192.0.2.103:3002", "mailto:a@b"]
)
def test_other_schemes_are_not_supported(text: str) -> None:
    with pytest.raises(SipParseError, match="use sip, sips or tel") as caught:
        parse_uri(text)
    assert caught.value.status == 416
    assert scheme_of(text) == text.partition(":")[0]


def test_an_endless_uri_is_refused() -> None:
    assert len(str(parse_uri("sip:" + "a" * (MAX_URI_CHARS - 4)))) == MAX_URI_CHARS
    with pytest.raises(SipParseError) as caught:
        parse_uri("sip:" + "a" * (MAX_URI_CHARS - 3))
    assert caught.value.status == 414


def test_escapes() -> None:
    assert unescape("%c3%A9%20a%ffb") == "é a\udcffb"
    assert escape_user("+31 20/1@x;é\udcff%") == "+31%2020/1%40x;%C3%A9%FF%25"
    assert unescape(escape_user("a b%@:é")) == "a b%@:é"
    assert escape_user("+31201234567") == "+31201234567"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The examples of RFC 3261 section 19.1.4.
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("sip:a%3bb@c", "sip:a%3Bb@c"),
    ],
)
def test_equivalent(one: str, other: str) -> None:
    assert equivalent(parse_uri(one), parse_uri(other))
    assert equivalent(parse_uri(other), parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The examples of RFC 3261 section 19.1.4.
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a@b", "sip:a:@b"),
        ("sip:a@b", "sip:b"),
        ("sip:a;b@c", "sip:a%3Bb@c"),
        ("sip:a@b", "sip:a@b;user=phone"),
        ("sip:a@b;maddr=1.2.3.4", "sip:a@b"),
        ("sip:a@b;x", "sip:a@b;x=1"),
        ("sip:+1@b", "tel:+1"),
        ("tel:+1", "tel:+2"),
        ("tel:1;phone-context=a", "tel:1;phone-context=b"),
    ],
)
def test_not_equivalent(one: str, other: str) -> None:
    assert not equivalent(parse_uri(one), parse_uri(other))
    assert not equivalent(parse_uri(other), parse_uri(one))
