"""Digest: the vectors of the RFCs, and the client's side."""

from __future__ import annotations

import hashlib

import pytest

from bench.sip_messages import INVITE
from sip_config.credentials import ha1
from sip_config.model import DigestAlgorithm
from voice.sip.digest import (
    NoUsableChallenge,
    answer,
    digest,
    digest_response,
    parse_challenge,
    parse_credentials,
)
from voice.sip.errors import SipParseError
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

MD5, SHA_256, SHA_512_256 = DigestAlgorithm


@pytest.mark.parametrize(
    ("algorithm", "text", "expected"),
    [
        (MD5, "", "d41d8cd98f00b204e9800998ecf8427e"),
        (MD5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
        (SHA_256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (SHA_512_256, "abc", "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23"),
    ],
)
def test_hashes(algorithm: DigestAlgorithm, text: str, expected: str) -> None:
    assert digest(algorithm, text) == expected


def test_text_is_hashed_as_the_octets_that_came() -> None:
    assert digest(MD5, b"caf\xe9".decode("utf-8", "surrogateescape")) == hashlib.md5(b"caf\xe9").hexdigest()


def test_rfc_2617_section_3_5() -> None:
    stored = ha1(MD5, username="Mufasa", realm="testrealm@host.com", password="Circle Of Life")
    assert stored == "939e7578ed9e3c518a452acee763bce9"
    common = {"method": "GET", "uri": "/dir/index.html", "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093"}
    response = digest_response(MD5, stored, **common, nc="00000001", cnonce="0a4f113b", qop="auth")
    assert response == "6629fae49393a05397450978507c4ef1"
    # The same without qop, as RFC 2069 has it.
    assert digest_response(MD5, stored, **common) == "670fd8c2df070c60b045671b8b24ff02"


RFC_7616_NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
RFC_7616_CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        (MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_section_3_9_1(algorithm: DigestAlgorithm, expected: str) -> None:
    stored = ha1(algorithm, username="Mufasa", realm="http-auth@example.org", password="Circle of Life")
    response = digest_response(
        algorithm,
        stored,
        method="GET",
        uri="/dir/index.html",
        nonce=RFC_7616_NONCE,
        nc="00000001",
        cnonce=RFC_7616_CNONCE,
        qop="auth",
    )
    assert response == expected


def test_rfc_7616_section_3_9_2_as_corrected_by_erratum_4897() -> None:
    stored = ha1(SHA_512_256, username="Jäsøn Doe", realm="api@example.org", password="Secret, or not?")
    response = digest_response(
        SHA_512_256,
        stored,
        method="GET",
        uri="/doe.json",
        nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        nc="00000001",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        qop="auth",
    )
    assert response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


def test_credentials_as_rfc_7616_prints_them() -> None:
    parsed = parse_credentials(
        'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256, '
        f'nonce="{RFC_7616_NONCE}", nc=00000001, cnonce="{RFC_7616_CNONCE}", qop=auth, '
        'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    assert parsed is not None
    assert (parsed.username, parsed.realm, parsed.algorithm) == ("Mufasa", "http-auth@example.org", SHA_256)
    assert (parsed.nonce, parsed.cnonce, parsed.nc, parsed.qop) == (
        RFC_7616_NONCE,
        RFC_7616_CNONCE,
        "00000001",
        "auth",
    )


def test_white_space_order_quotes_and_case_do_not_matter() -> None:
    parsed = parse_credentials(
        'DIGEST ,, response=ABCDEF , NC=0000000f,\tCNONCE="", Uri = "sip:a@b" ,qop="Auth", x="a, b=\\"c\\"",'
        'realm="r,= x" , algorithm="md5", nonce=abc==,username="DOM\\\\us\\"er", opaque="" , '
    )
    assert parsed is not None
    assert (parsed.username, parsed.realm, parsed.uri) == ('DOM\\us"er', "r,= x", "sip:a@b")
    assert (parsed.response, parsed.nonce, parsed.cnonce, parsed.nc) == ("abcdef", "abc==", "", "0000000f")
    assert (parsed.algorithm, parsed.qop) == (MD5, "Auth")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("username", ""), "username is missing"),
        (("response", ""), "response is missing"),
        (("nonce", ""), "nonce is missing"),
        (("realm", ""), "realm is missing"),
        (("uri", ""), "uri is missing"),
        (("cnonce", ""), "cnonce is missing"),
        (("nc", ""), "nc is missing"),
        (("nc", "nc=1"), "8 hexadecimal digits"),
        (("nc", "nc=0000000g"), "8 hexadecimal digits"),
        (("qop", "qop=auth-int"), "offered is auth"),
        (("uri", 'uri="sip:a'), "not a name=value"),
        (("uri", 'uri="sip:a" x'), "not a name=value"),
        (("uri", "uri"), "not a name=value"),
        (("uri", 'uri="a", URI="b"'), "given twice"),
    ],
)
def test_malformed_credentials(change: tuple[str, str], problem: str) -> None:
    params = {
        "username": "username=a",
        "realm": "realm=b",
        "nonce": "nonce=c",
        "uri": "uri=d",
        "response": "response=e",
        "qop": "qop=auth",
        "nc": "nc=00000001",
        "cnonce": "cnonce=f",
    }
    assert parse_credentials("Digest " + ", ".join(params.values())) is not None
    params[change[0]] = change[1]
    with pytest.raises(SipParseError, match=problem):
        parse_credentials("Digest " + ", ".join(filter(None, params.values())))


def test_other_schemes_are_not_ours() -> None:
    assert parse_credentials("NoOneKnowsThisScheme opaque-data=here") is None
    assert parse_challenge('Basic realm="x"') is None
    assert parse_challenge("") is None


def challenged(*values: str, status: int = 407) -> Response:
    invite = parse_message(INVITE)
    assert isinstance(invite, Request)
    name = "Proxy-Authenticate" if status == 407 else "WWW-Authenticate"
    return make_response(invite, status, headers=[(name, value) for value in values])


def test_the_topmost_supported_challenge_is_answered() -> None:
    response = challenged(
        'Bearer realm="a"',
        'Digest realm="a", nonce="1", algorithm=SHA-1024, qop="auth"',
        'Digest realm="a", nonce="2", algorithm=SHA-256, qop="auth-conf"',
        'Digest realm="a',
        'Digest realm="a", nonce="3", algorithm=SHA-256, qop="auth-int,auth", opaque="o", stale=TRUE',
        'Digest realm="a", nonce="4", qop="auth"',
    )
    given = answer(response, method="INVITE", uri="sip:b", username="u", password="p", cnonce="c", nc=10)
    assert given.header == "Proxy-Authorization"
    assert (given.challenge.nonce, given.challenge.algorithm, given.challenge.stale) == ("3", SHA_256, True)
    expected = digest_response(
        SHA_256,
        ha1(SHA_256, username="u", realm="a", password="p"),
        method="INVITE",
        uri="sip:b",
        nonce="3",
        nc="0000000a",
        cnonce="c",
        qop="auth",
    )
    assert given.value == (
        f'Digest username="u", realm="a", nonce="3", uri="sip:b", response="{expected}", '
        'algorithm=SHA-256, cnonce="c", qop=auth, nc=0000000a, opaque="o"'
    )
    assert parse_credentials(given.value) is not None


def test_a_challenge_without_qop_is_answered_as_rfc_2069_says() -> None:
    given = answer(
        challenged('Digest realm="a",nonce="n"', status=401),
        method="REGISTER",
        uri="sip:b",
        username='u"x',
        password="p",
        cnonce="c",
    )
    assert given.header == "Authorization"
    parsed = parse_credentials(given.value)
    assert parsed is not None
    assert (parsed.username, parsed.qop, parsed.cnonce) == ('u"x', None, "")
    assert parsed.response == digest_response(
        MD5, ha1(MD5, username='u"x', realm="a", password="p"), method="REGISTER", uri="sip:b", nonce="n"
    )


@pytest.mark.parametrize("body", [b"", b"v=0\r\ns=caf\xe9\r\n"])
def test_a_challenge_that_wants_the_body_as_well_gets_it(body: bytes) -> None:
    given = answer(
        challenged('Digest realm="a", nonce="n", qop="auth-int"'),
        method="INVITE",
        uri="sip:b",
        username="u",
        password="p",
        cnonce="c",
        body=body,
    )

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    a2 = md5(f"INVITE:sip:b:{hashlib.md5(body).hexdigest()}")
    expected = md5(f"{md5('u:a:p')}:n:00000001:c:auth-int:{a2}")
    assert f'response="{expected}"' in given.value
    assert "qop=auth-int" in given.value


def test_what_cannot_be_answered_says_why() -> None:
    with pytest.raises(NoUsableChallenge, match="no Proxy-Authenticate header"):
        answer(challenged(), method="INVITE", uri="sip:b", username="u", password="p", cnonce="c")
    response = challenged(
        'Digest realm="a"',
        "Basic x",
        'Digest realm="a", nonce="1", algorithm=MD5-sess',
        'Digest realm="a", nonce="1", qop="auth-conf"',
    )
    with pytest.raises(NoUsableChallenge) as caught:
        answer(response, method="INVITE", uri="sip:b", username="u", password="p", cnonce="c")
    for reason in (
        "nonce is missing",
        "Basic is not Digest",
        "MD5, SHA-256, SHA-512-256",
        "auth-conf without auth",
    ):
        assert reason in str(caught.value)


def test_a_realm_that_is_no_utf8_is_answered() -> None:
    realm = b"caf\xe9".decode("utf-8", "surrogateescape")
    given = answer(
        challenged(f'Digest realm="{realm}", nonce="1"'),
        method="INVITE",
        uri="sip:b",
        username="u",
        password="p",
        cnonce="c",
    )
    assert hashlib.md5(b"u:caf\xe9:p").hexdigest() not in given.value
    assert f'realm="{realm}"' in given.value
