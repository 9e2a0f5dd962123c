"""Signatures: the known vectors, and the validators of MessageBird's own SDK."""

from __future__ import annotations

import time

import jwt
import pytest
from messagebird.request_validator import RequestValidator, ValidationError
from messagebird.signed_request import SignedRequest

from voice.webhooks.signing import jwt_signature, legacy_signature, signed_headers, sorted_query

SECRET = "a signing key of an account, long enough"
URL = "https://example.com:8080/hook?b=2&a=1&text=a+b%2Bc"

LEGACY_KEY = "PlLrKaqvZNRR5zAjm42ZT6q1SQxgbbGd"
LEGACY_QUERY = {
    "recipient": "31612345678",
    "reference": "FOO",
    "statusDatetime": "2019-01-11T09:17:11+00:00",
    "id": "eef0ab57a9e049be946f3821568c2b2e",
    "status": "delivered",
    "mccmnc": "20408",
    "ported": "1",
}


@pytest.mark.parametrize("body", [b"", b'{"a":"\xc3\xab"}', b"\x00\xff"])
def test_the_sdk_takes_the_jwt(body: bytes) -> None:
    token = jwt_signature(SECRET, URL, body)
    claims = RequestValidator(SECRET).validate_signature(token, URL, body)
    assert claims["iss"] == "MessageBird"
    assert claims["exp"] == claims["nbf"] + 60
    assert ("payload_hash" in claims) == bool(body)


@pytest.mark.parametrize(
    ("url", "body", "secret"),
    [
        (URL + "&c=3", b"body", SECRET),
        (URL, b"another", SECRET),
        (URL, b"", SECRET),
        (URL, b"body", SECRET.upper()),
    ],
)
def test_the_sdk_refuses_what_was_changed(url: str, body: bytes, secret: str) -> None:
    token = jwt_signature(SECRET, URL, b"body")
    with pytest.raises(ValidationError):
        RequestValidator(secret).validate_signature(token, url, body)


def test_a_jwt_is_good_for_a_minute() -> None:
    token = jwt_signature(SECRET, URL, b"", now=int(time.time()) - 70)
    with pytest.raises(ValidationError):
        RequestValidator(SECRET).validate_signature(token, URL, b"")


def test_every_jwt_has_an_id_of_its_own() -> None:
    ids = {
        jwt.decode(jwt_signature(SECRET, URL, b""), options={"verify_signature": False})["jti"]
        for _ in range(3)
    }
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (b"", "KVBdcVdz2lYMwcBLZCRITgxUfA/WkwSi+T3Wxl2HL6w="),
        (b'{"foo":"bar"}', "2bl+38H4oHVg03pC3bk2LvCB0IHFgfC4cL5HPQ0LdmI="),
    ],
)
def test_known_legacy_signatures(body: bytes, signature: str) -> None:
    url = sorted_query("http://example.com/report", LEGACY_QUERY)
    assert legacy_signature(LEGACY_KEY, url, body, 1547198231) == signature


@pytest.mark.filterwarnings("ignore:signed_request:DeprecationWarning")
def test_the_sdk_takes_the_legacy_headers() -> None:
    made = signed_headers(SECRET, b"body", token="the token of a webhook")(URL)
    request = SignedRequest(
        made["MessageBird-Signature"],
        made["MessageBird-Request-Timestamp"],
        "body",
        {"b": "2", "a": "1", "text": "a b+c"},
    )
    assert request.verify(SECRET)
    assert request.is_recent()
    assert len(made["X-MessageBird-Signature"]) == 44


def test_without_a_token_there_is_no_third_signature() -> None:
    assert "X-MessageBird-Signature" not in signed_headers(SECRET, b"")(URL)


def test_a_query_is_sorted_and_keeps_what_the_customer_wrote() -> None:
    assert sorted_query("https://a.example/r?z=1&b=%2B#top", {"id": "x:1", "status": "+"}) == (
        "https://a.example/r?b=%2B&id=x%3A1&status=%2B&z=1"
    )
