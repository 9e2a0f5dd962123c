"""HA1 against the examples of the RFCs."""

from __future__ import annotations

import hashlib

from sip_config.credentials import ha1, ha1_for_all, is_ha1
from sip_config.model import DigestAlgorithm


def test_md5_of_rfc_2617() -> None:
    # RFC 2617 section 3.5.
    made = ha1(DigestAlgorithm.MD5, username="Mufasa", realm="testrealm@host.com", password="Circle Of Life")
    assert made == "939e7578ed9e3c518a452acee763bce9"


def test_sha_256_of_rfc_7616() -> None:
    # RFC 7616 section 3.9.1, carried on to the response that it prints.
    made = ha1(
        DigestAlgorithm.SHA_256, username="Mufasa", realm="http-auth@example.org", password="Circle of Life"
    )
    ha2 = hashlib.sha256(b"GET:/dir/index.html").hexdigest()
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    response = hashlib.sha256(f"{made}:{nonce}:00000001:{cnonce}:auth:{ha2}".encode()).hexdigest()
    assert response == "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"


def test_sha_512_256_is_the_truncated_variant_with_its_own_start_values() -> None:
    made = ha1(DigestAlgorithm.SHA_512_256, username="a", realm="b", password="c")
    assert made == hashlib.new("sha512_256", b"a:b:c").hexdigest()
    assert made != hashlib.sha512(b"a:b:c").hexdigest()[:64]


def test_text_is_hashed_in_utf_8() -> None:
    made = ha1(DigestAlgorithm.MD5, username="jäger", realm="r", password="€")
    assert made == hashlib.md5("jäger:r:€".encode()).hexdigest()


def test_every_algorithm_gets_one_of_its_own_length() -> None:
    made = ha1_for_all(username="u", realm="r", password="p")
    assert set(made) == set(DigestAlgorithm)
    assert all(is_ha1(algorithm, text) for algorithm, text in made.items())
    assert not is_ha1(DigestAlgorithm.SHA_256, made[DigestAlgorithm.MD5])
    assert not is_ha1(DigestAlgorithm.MD5, "g" * 32)
