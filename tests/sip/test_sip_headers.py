from __future__ import annotations

import pytest

from voice.sip.errors import SipParseError
from voice.sip.header_names import is_token, key_of, long_name
from voice.sip.headers import Headers, printable, split_list


def vias(*values: str) -> Headers:
    return Headers([("Call-ID", "x"), *(("Via", value) for value in values), ("CSeq", "1 BYE")])


def test_names_are_found_in_any_case_long_or_compact() -> None:
    headers = Headers([("v", "first"), ("VIA", "second"), ("X-Own", "third")])
    for name in ("Via", "via", "VIA", "v", "V", "vIa"):
        assert headers.get(name) == "first"
        assert headers.lines(name) == ["first", "second"]
        assert name in headers
    assert headers.get("x-own") == headers.get("X-OWN") == "third"
    assert headers.get("From") is None
    assert headers.lines("From") == headers.values("From") == []
    assert list(headers) == [("Via", "first"), ("Via", "second"), ("X-Own", "third")]


@pytest.mark.parametrize(
    ("name", "long"),
    [
        *(("i", "Call-ID"), ("m", "Contact"), ("e", "Content-Encoding"), ("l", "Content-Length")),
        *(
            ("c", "Content-Type"),
            ("f", "From"),
            ("s", "Subject"),
            ("k", "Supported"),
            ("t", "To"),
            ("v", "Via"),
        ),
        *(("o", "Event"), ("u", "Allow-Events"), ("r", "Refer-To"), ("b", "Referred-By")),
        *(("x", "Session-Expires"), ("a", "Accept-Contact"), ("j", "Reject-Contact"), ("y", "Identity")),
        *(("d", "Request-Disposition"), ("cseq", "CSeq"), ("www-authenticate", "WWW-Authenticate")),
        ("x-unknown", "x-unknown"),
    ],
)
def test_compact_forms(name: str, long: str) -> None:
    assert long_name(name) == long
    assert key_of(name) == key_of(name.upper()) == long.lower()


def test_set_keeps_the_place_and_drops_repeats() -> None:
    headers = vias("a", "b", "c")
    headers.set("v", "new")
    assert list(headers) == [("Call-ID", "x"), ("Via", "new"), ("CSeq", "1 BYE")]
    headers.set("Subject", "hello")
    assert headers.text().endswith("CSeq: 1 BYE\r\nSubject: hello")


def test_prepend_goes_before_the_first_of_its_name() -> None:
    headers = vias("a")
    headers.prepend("Via", "ours")
    headers.prepend("Record-Route", "<sip:us;lr>")
    assert headers.text() == ("Record-Route: <sip:us;lr>\r\nCall-ID: x\r\nVia: ours\r\nVia: a\r\nCSeq: 1 BYE")


def test_remove_takes_all() -> None:
    headers = vias("a", "b")
    headers.remove("via")
    headers.remove("via")
    assert list(headers) == [("Call-ID", "x"), ("CSeq", "1 BYE")]
    assert len(headers) == 2


def test_first_value_is_taken_off_also_from_a_shared_line() -> None:
    headers = vias('SIP/2.0/UDP a;x="1,2" , SIP/2.0/UDP b', "SIP/2.0/UDP c")
    assert headers.values("Via") == ['SIP/2.0/UDP a;x="1,2"', "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    assert headers.remove_first_value("Via") == 'SIP/2.0/UDP a;x="1,2"'
    assert headers.lines("Via") == ["SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    assert headers.remove_first_value("Via") == "SIP/2.0/UDP b"
    assert headers.remove_first_value("Via") == "SIP/2.0/UDP c"
    assert headers.remove_first_value("Via") is None
    assert "Via" not in headers


def test_first_value_is_replaced_and_the_others_stay() -> None:
    headers = vias("a, b", "c")
    assert headers.replace_first_value("Via", "new") == "a"
    assert headers.lines("Via") == ["new, b", "c"]
    assert headers.replace_first_value("Route", "new") is None
    assert "Route" not in headers


def test_only_lists_are_split() -> None:
    date = "Fri, 13 Nov 2026 23:29:00 GMT"
    headers = Headers([("Date", date), ("Supported", "timer ,100rel"), ("Supported", ""), ("X-Own", "a, b")])
    assert headers.values("Date") == [date]
    assert headers.values("k") == ["timer", "100rel"]
    assert headers.values("X-Own") == ["a, b"]


def test_split_list_knows_quotes_and_brackets() -> None:
    assert split_list('"A, \\" B" <sip:a,b@c>;q=1,<sip:d;x=",">, e ,,') == [
        '"A, \\" B" <sip:a,b@c>;q=1',
        '<sip:d;x=",">',
        "e",
    ]
    assert split_list("") == []
    for broken in ('a, "b', "a, <sip:b", 'a,"b\\",c'):
        with pytest.raises(SipParseError, match="not closed"):
            split_list(broken)


def test_a_list_that_cannot_be_split_is_named() -> None:
    with pytest.raises(SipParseError) as caught:
        Headers([("m", 'a, "b')]).values("Contact")
    assert caught.value.header == "Contact"


def test_copy_is_apart() -> None:
    headers = vias("a")
    twin = headers.copy()
    twin.set("Via", "b")
    twin.add("X", "y")
    assert headers.lines("Via") == ["a"]
    assert "X" not in headers


def test_headers_are_rewritten_in_one_pass() -> None:
    headers = Headers.received(["via", "to", "via", "x-own"], ["v:  a", "To: b", "VIA :c", "X-Own: d"])
    first = [("Record-Route", "<sip:us;lr>")]
    out = headers.rewritten(first, {"via": "new", "to": None, "from": "unused"})
    assert out.text() == "Record-Route: <sip:us;lr>\r\nVia: new\r\nX-Own: d"
    assert headers.lines("Via") == ["a", "c"]
    for bad in ([("X", "a\r\nY: z")], first):
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            headers.rewritten(bad, {"via": "a\nb"})


def test_lines_are_copied_as_they_came() -> None:
    source = Headers.received(["via", "to", "via"], ["v:  a", "To: b\0", "VIA :c"])
    target = Headers()
    for name in ("Via", "To", "From"):
        target.copy_from(source, name)
    assert target.text() == "v:  a\r\nVIA :c\r\nTo: b\0"


def test_append_to_first_leaves_the_value_as_it_came() -> None:
    headers = Headers.received(["to"], ['t:   "\\\0" <sip:a@b>'])
    headers.append_to_first("To", ";tag=1")
    assert headers.text() == 't:   "\\\0" <sip:a@b>;tag=1'
    with pytest.raises(KeyError):
        headers.append_to_first("From", ";tag=1")


@pytest.mark.parametrize("bad", ["a\r\nX: y", "a\nX: y", "a\r", "a\0b"])
def test_a_value_cannot_become_a_header_of_its_own(bad: str) -> None:
    headers = vias("a")
    for change in (
        headers.set,
        headers.add,
        headers.prepend,
        headers.replace_first_value,
        headers.append_to_first,
    ):
        with pytest.raises(ValueError, match="CR, LF or NUL"):
            change("Via", bad)
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Headers([("X", bad)])
    assert headers.text() == vias("a").text()


@pytest.mark.parametrize("bad", ["", "X Y", "X:", "X\r\nY", "Ü", "X\0"])
def test_a_name_is_a_token(bad: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        Headers().add(bad, "value")
    assert not is_token(bad)


def test_printable_is_safe_for_records_and_logs() -> None:
    assert printable("Müller (大)") == "Müller (大)"
    raw = b"caf\xe9\x07\t\xc3\xa9".decode("utf-8", "surrogateescape")
    assert printable(raw) == "caf���é"
    printable(raw).encode()
