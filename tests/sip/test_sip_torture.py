"""The parser against RFC 4475 and RFC 5118: valid messages mean what the RFC says, the others are refused.

Where the verdict belongs to the application and not to the parser (416, 420, 415, 406, 483, and what a
method or a Date means), the tests below show what the parser gives it to decide with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from voice.gauntlet.torture import Torture, torture_messages
from voice.sip.errors import SipParseError
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

ALL: Final = {one.file: one for one in torture_messages()}

# Invalid messages of which only a part that the parser does not look at unasked is wrong.
LEFT_TO_THE_APPLICATION: Final = {
    "baddate.dat": "the index lets Date be ignored; nothing here reads it",
    "regbadct.dat": "the Contact accessor refuses it: test_faulty_contact_is_refused_when_asked_for",
}

# What the refusal of an invalid message names, and with which status.
REFUSED: Final = {
    "badinv01.dat": (400, "Via"),
    "clerr.dat": (400, "Content-Length"),
    "ncl.dat": (400, "Content-Length"),
    "scalar02.dat": (400, "CSeq"),
    "scalarlg.dat": (400, "CSeq"),
    "quotbal.dat": (400, "To"),
    "ltgtruri.dat": (400, "Request-URI"),
    "lwsruri.dat": (400, None),
    "lwsstart.dat": (400, None),
    "trws.dat": (400, None),
    "escruri.dat": (400, "Request-URI"),
    "badaspec.dat": (400, "To"),
    "baddn.dat": (400, None),
    "badvers.dat": (505, None),
    "mismatch01.dat": (400, "CSeq"),
    "mismatch02.dat": (400, "CSeq"),
    "bigcode.dat": (400, None),
    "badbranch.dat": (400, "Via"),
    "insuf.dat": (400, "From"),
    "multi01.dat": (400, "From"),
    "mcl01.dat": (400, "Content-Length"),
    "test.dat": (400, None),
    "ipv6-bad.dat": (400, "Request-URI"),
}
# Refused requests whose Via cannot be read, so that nobody can be answered.
UNANSWERABLE: Final = {"badinv01.dat", "test.dat"}


def request(file: str) -> Request:
    message = parse_message(ALL[file].data)
    assert isinstance(message, Request)
    return message


def response(file: str) -> Response:
    message = parse_message(ALL[file].data)
    assert isinstance(message, Response)
    return message


def test_every_invalid_message_is_in_one_table() -> None:
    invalid = {one.file for one in ALL.values() if not one.valid}
    assert invalid == set(REFUSED) | set(LEFT_TO_THE_APPLICATION)
    assert len(ALL) == 62


@pytest.mark.parametrize("one", [one for one in ALL.values() if one.valid], ids=lambda one: str(one.file))
def test_valid_message_parses_and_survives_a_relay(one: Torture) -> None:
    message = parse_message(one.data)
    assert isinstance(message, Request) is one.is_request
    again = parse_message(message.to_bytes())
    assert list(again.headers) == list(message.headers)
    assert again.body == message.body
    assert again.to_bytes() == message.to_bytes()
    assert [via.transport for via in message.vias] == [via.transport for via in again.vias]
    if isinstance(message, Request):
        answered = parse_message(make_response(message, 200, to_tag="ours").to_bytes())
        assert answered.via == message.via
        assert answered.call_id == message.call_id
        assert answered.cseq == message.cseq
        assert answered.from_ == message.from_
        assert answered.to.uri == message.to.uri
        assert answered.to.tag == (message.to.tag or "ours")


@pytest.mark.parametrize("file", sorted(REFUSED))
def test_invalid_message_is_refused(file: str) -> None:
    one = ALL[file]
    status, header = REFUSED[file]
    with pytest.raises(SipParseError) as caught:
        parse_message(one.data)
    assert (caught.value.status, caught.value.header) == (status, header)
    if one.is_request:
        assert str(status) in one.codes
    answerable = one.is_request and file not in UNANSWERABLE
    assert (caught.value.partial is not None) is answerable


@pytest.mark.parametrize("file", [file for file in sorted(REFUSED) if ALL[file].is_request])
def test_refused_request_can_be_answered_when_its_via_is_readable(file: str) -> None:
    with pytest.raises(SipParseError) as caught:
        parse_message(ALL[file].data)
    partial = caught.value.partial
    if partial is None:
        assert file in UNANSWERABLE
        return
    data = make_response(partial, caught.value.status, to_tag="ours").to_bytes()
    assert data.startswith(b"SIP/2.0 %d " % caught.value.status)
    assert data.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert b"\r\nVia: " in data
    for line in ALL[file].data.split(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.startswith((b"Call-ID:", b"From:")) and file != "multi01.dat":
            name, value = line.split(b":", 1)
            assert name + b": " + value.strip() in data.split(b"\r\n")


def test_wsinv_folding_and_white_space_everywhere() -> None:
    invite = request("wsinv.dat")
    assert invite.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert invite.sip_uri.has_param("unknownparam")
    assert invite.to.uri == "sip:vivekg@chair-dnrc.example.com"
    assert invite.to.tag == "1918181833n"
    assert invite.from_.display == 'J Rosenberg \\"'
    assert invite.from_.tag == "98asjd8"
    assert invite.max_forwards == 68
    assert invite.cseq == (9, "INVITE")
    assert [(via.transport, via.host, via.branch) for via in invite.vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert not invite.via.has_rfc3261_branch
    assert invite.headers.get("Subject") == ""
    assert invite.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert invite.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert invite.contact is not None
    assert invite.contact.display == 'Quoted string ""'
    assert invite.contact.params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    [route] = invite.routes
    assert route.sip_uri.params == (("lr", None), ("unknownwith", "value"), ("unknown-no-value", None))
    assert len(invite.body) == 150


def test_intmeth_every_character_that_is_allowed() -> None:
    odd = request("intmeth.dat")
    assert odd.method == odd.cseq.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert odd.sip_uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert odd.sip_uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert odd.sip_uri.host == "example.com"
    assert odd.to.display == "BEL:\a NUL:\0 DEL:\x7f"
    assert odd.from_.display == "token1~` token2'+_ token3*%!.-"
    assert odd.from_.params["fromparam''~+*_!.-%"] == "работающий"
    assert odd.from_.tag == "_token~1'+`*%!-."
    assert odd.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert odd.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    assert odd.max_forwards == 255


def test_esc01_escapes_do_not_change_the_scheme() -> None:
    invite = request("esc01.dat")
    assert (invite.sip_uri.scheme, invite.sip_uri.host) == ("sip", "example.net")
    assert invite.sip_uri.username == "sips:user@example.com"
    assert invite.to.sip_uri.username == "user"
    assert invite.from_.sip_uri.username == "I have spaces"
    assert invite.contact is not None
    uri = invite.contact.sip_uri
    assert uri.username == "caller"
    assert uri.params == (("%6C%72", None), ("n%61me", "v%61lue%25%34%31"))
    assert uri.param("name") == "value%41"
    assert uri.has_param("lr")


def test_escnull_nul_ends_nothing() -> None:
    register = request("escnull.dat")
    assert register.to.sip_uri.username == "null-\0-null"
    assert [contact.sip_uri.username for contact in register.contacts] == ["\0", "\0\0"]


def test_esc02_percent_is_no_escape_in_names_and_methods() -> None:
    odd = request("esc02.dat")
    assert odd.method == "RE%47IST%45R"
    assert odd.to.display == "%Z%45"
    assert [contact.sip_uri.username for contact in odd.contacts] == ["alias1", "alias3"]
    assert odd.headers.get("C%6Fntact") == "<sip:alias2@host2.example.com>"


def test_lwsdisp_no_space_before_bracket() -> None:
    assert request("lwsdisp.dat").from_.display == "caller"


def test_longreq_nothing_is_cut_off() -> None:
    invite = request("longreq.dat")
    assert len(invite.vias) == 34
    assert invite.via.host == "sip33.example.com"
    assert invite.vias[-1].received == "192.0.2.5"
    assert len(invite.vias[-1].branch or "") > 200
    assert invite.from_.tag is not None
    assert len(invite.from_.tag) == 155
    assert invite.to.sip_uri.port == 6000
    assert len(invite.body) == 150


def test_dblreq_octets_behind_the_body_are_dropped() -> None:
    register = request("dblreq.dat")
    assert register.method == "REGISTER"
    assert register.body == b""
    assert b"INVITE" not in register.to_bytes()


def test_semiuri_semicolon_in_the_user_part() -> None:
    options = request("semiuri.dat")
    assert options.sip_uri.user == "user;par=u%40example.net"
    assert options.sip_uri.username == "user;par=u@example.net"
    assert options.sip_uri.host == "example.com"
    assert options.sip_uri.params == ()
    assert options.headers.values("Accept")[1:3] == ["application/pkcs7-mime", "multipart/mixed"]


def test_transports_unknown_ones_are_no_fault() -> None:
    transports = [via.transport for via in request("transports.dat").vias]
    assert transports == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_binary_body_is_kept() -> None:
    message = request("mpart01.dat")
    assert message.method == "MESSAGE"
    assert len(message.body) == 553
    assert b"\x00" in message.body
    assert message.to_bytes().endswith(message.body)


def test_responses() -> None:
    unreason = response("unreason.dat")
    assert unreason.status == 200
    assert unreason.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert unreason.to_bytes().startswith(ALL["unreason.dat"].data.split(b"\r\n")[0] + b"\r\n")
    noreason = response("noreason.dat")
    assert (noreason.status, noreason.reason) == (100, "")
    assert noreason.to_bytes().startswith(b"SIP/2.0 100 \r\n")
    # A second Via in a response to us says that it is not for us; its broadcast address is never used.
    bcast = response("bcast.dat")
    assert [via.host for via in bcast.vias] == ["192.0.2.198", "255.255.255.255"]


@pytest.mark.parametrize("file", ["unkscm.dat", "novelsc.dat"])
def test_unknown_scheme_is_for_the_application_to_refuse(file: str) -> None:
    options = request(file)
    with pytest.raises(SipParseError) as caught:
        _ = options.sip_uri
    assert (caught.value.status, caught.value.header) == (416, "Request-URI")


def test_unksm2_other_schemes_in_other_places() -> None:
    register = request("unksm2.dat")
    assert register.to.uri == "isbn:2983792873"
    assert register.contacts[0].uri == "name:John_Smith"
    with pytest.raises(SipParseError) as caught:
        _ = register.to.sip_uri
    assert caught.value.status == 416


def test_what_420_415_406_and_483_are_decided_with() -> None:
    bext01 = request("bext01.dat")
    assert bext01.headers.values("Require") == ["nothingSupportsThis", "nothingSupportsThisEither"]
    assert bext01.headers.values("Proxy-Require") == ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]
    assert request("invut.dat").headers.get("Content-Type") == "application/unknownformat"
    assert request("sdp01.dat").headers.values("Accept") == ["text/nobodyKnowsThis"]
    assert request("zeromf.dat").max_forwards == 0


def test_contact_parameters_with_and_without_brackets() -> None:
    [bare] = request("cparam01.dat").contacts
    assert (bare.uri, dict(bare.params)) == ("sip:+19725552222@gw1.example.net", {"unknownparam": None})
    [bracketed] = request("cparam02.dat").contacts
    assert (bracketed.sip_uri.has_param("unknownparam"), dict(bracketed.params)) == (True, {})
    [escaped] = request("regescrt.dat").contacts
    assert escaped.sip_uri.headers == (("Route", "%3Csip:sip.example.com%3E"),)


def test_faulty_contact_is_refused_when_asked_for() -> None:
    register = request("regbadct.dat")
    with pytest.raises(SipParseError) as caught:
        _ = register.contacts
    assert (caught.value.status, caught.value.header) == (400, "Contact")


def test_inv2543_of_before_rfc_3261() -> None:
    invite = request("inv2543.dat")
    assert invite.via.branch is None
    assert not invite.via.has_rfc3261_branch
    assert invite.from_.tag is None
    assert invite.max_forwards is None
    assert invite.contact is None
    # Without Content-Length the body is the rest of the datagram; when relayed its length is said.
    assert invite.body.startswith(b"v=0\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(invite.body) in invite.to_bytes()
    [recorded] = invite.record_routes
    assert recorded.sip_uri.param("maddr") == "ss1.example.com"
    assert not recorded.sip_uri.has_param("lr")


@pytest.mark.parametrize(
    ("file", "check"),
    [
        ("ipv6-good.dat", lambda m: m.sip_uri.address == "2001:db8::10" and m.sip_uri.user is None),
        ("port-ambiguous.dat", lambda m: (m.sip_uri.address, m.sip_uri.port) == ("2001:db8::10:5070", None)),
        ("port-unambiguous.dat", lambda m: (m.sip_uri.address, m.sip_uri.port) == ("2001:db8::10", 5070)),
        ("via-received-param-with-delim.dat", lambda m: m.via.received == "2001:db8::9:255"),
        ("via-received-param-no-delim.dat", lambda m: m.via.received == "2001:db8::9:255"),
        (
            "mult-ip-in-header.dat",
            lambda m: (
                [via.sent_by for via in m.vias]
                == [("2001:db8::9:1", 6050), ("192.0.2.1", 5060), ("2001:db8::9:255", 5060)]
            ),
        ),
        ("ipv4-mapped-ipv6.dat", lambda m: m.via.sent_by == ("::ffff:192.0.2.10", 19823)),
        ("ipv6-bug-abnf-3-colons.dat", lambda m: m.sip_uri.host == "[2001:db8::192.0.2.1]"),
        ("ipv6-correct-abnf-2-colons.dat", lambda m: m.sip_uri.host == "[2001:db8::192.0.2.1]"),
    ],
)
def test_ipv6(file: str, check: Callable[[Request], bool]) -> None:
    assert check(request(file))
