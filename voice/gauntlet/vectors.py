"""The attacker's own digest against the examples of RFC 2617, 7616 and 8760: a wrong tool proves nothing."""

from __future__ import annotations

from typing import Final

from sip_config.model import DigestAlgorithm
from voice.gauntlet.attack import Attack, judge
from voice.gauntlet.field import Field
from voice.sip.digest import answer, digest, digest_response
from voice.sip.headers import Headers
from voice.sip.message import Response

MD5, SHA_256, SHA_512_256 = DigestAlgorithm

_RFC_7616_NONCE: Final = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
_RFC_7616_CNONCE: Final = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
_MUFASA: Final = ("Mufasa", "http-auth@example.org", "Circle of Life")
_JASON: Final = ("Jäsøn Doe", "api@example.org", "Secret, or not?")


def _vector(
    name: str,
    algorithm: DigestAlgorithm,
    who: tuple[str, str, str],
    uri: str,
    nonce: str,
    cnonce: str,
    expected: str,
    qop: str | None = "auth",
) -> Attack:
    async def run(_ground: Field) -> str:
        found = digest_response(
            algorithm,
            digest(algorithm, ":".join(who)),
            method="GET",
            uri=uri,
            nonce=nonce,
            nc="00000001",
            cnonce=cnonce,
            qop=qop,
        )
        return judge(found == expected, found, "the attacker computes it wrongly")

    return Attack(family="digest vectors", name=name, expected=expected, run=run)


async def _topmost(_ground: Field) -> str:
    """RFC 8760 section 2.4: the topmost challenge that is understood is the one to answer."""
    nonce, user, password, uri = "abc", "bob", "zanzibar", "sip:bob@biloxi.example.com"
    response = Response(
        407,
        "Proxy Authentication Required",
        Headers(
            (
                "Proxy-Authenticate",
                f'Digest realm="biloxi.example.com", nonce="{nonce}", qop="auth"{algorithm}',
            )
            for algorithm in (", algorithm=SHA-1024", ", algorithm=SHA-256", ", algorithm=MD5", "")
        ),
    )
    given = answer(response, method="INVITE", uri=uri, username=user, password=password, cnonce="c")
    expected = digest_response(
        SHA_256,
        digest(SHA_256, f"{user}:biloxi.example.com:{password}"),
        method="INVITE",
        uri=uri,
        nonce=nonce,
        nc="00000001",
        cnonce="c",
        qop="auth",
    )
    good = "algorithm=SHA-256," in given.value and f'response="{expected}"' in given.value
    return judge(good, given.value.partition("algorithm=")[2].partition(",")[0], "another one was answered")


ATTACKS: Final = (
    _vector(
        "RFC 2617 section 3.5, MD5",
        MD5,
        ("Mufasa", "testrealm@host.com", "Circle Of Life"),
        "/dir/index.html",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "0a4f113b",
        "6629fae49393a05397450978507c4ef1",
    ),
    _vector(
        "RFC 2617 section 3.5, without qop",
        MD5,
        ("Mufasa", "testrealm@host.com", "Circle Of Life"),
        "/dir/index.html",
        "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "",
        "670fd8c2df070c60b045671b8b24ff02",
        qop=None,
    ),
    _vector(
        "RFC 7616 section 3.9.1, MD5",
        MD5,
        _MUFASA,
        "/dir/index.html",
        _RFC_7616_NONCE,
        _RFC_7616_CNONCE,
        "8ca523f5e9506fed4657c9700eebdbec",
    ),
    _vector(
        "RFC 7616 section 3.9.1, SHA-256",
        SHA_256,
        _MUFASA,
        "/dir/index.html",
        _RFC_7616_NONCE,
        _RFC_7616_CNONCE,
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    ),
    _vector(
        "RFC 7616 section 3.9.2, SHA-512-256 (erratum 4897)",
        SHA_512_256,
        _JASON,
        "/doe.json",
        "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
    ),
    Attack(
        family="digest vectors",
        name="RFC 8760 section 2.4, of several challenges the topmost that is known",
        expected="SHA-256",
        run=_topmost,
    ),
)
