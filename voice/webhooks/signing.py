"""Signatures of the requests that the platform sends (reference, section 8).

Three, which do not collide: the JWT of today, the older pair of headers, and, where a webhook has a token,
the one that handlers of voice webhooks look for.  A signature covers the exact URL and body, and is made
anew for every attempt: it is good for a minute.
"""

from __future__ import annotations

import base64
import hmac
import time
import uuid
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import jwt

ISSUER: Final = "MessageBird"
GOOD_FOR_SECONDS: Final = 60

JWT_HEADER: Final = "MessageBird-Signature-JWT"
LEGACY_HEADER: Final = "MessageBird-Signature"
TIMESTAMP_HEADER: Final = "MessageBird-Request-Timestamp"
TOKEN_HEADER: Final = "X-MessageBird-Signature"  # noqa: S105 - the name of a header


def signed_headers(
    secret: str,
    body: bytes,
    *,
    token: str | None = None,
    clock: Callable[[], float] = time.time,
) -> Callable[[str], Mapping[str, str]]:
    """Makes the headers for one exact URL; `voice.webhooks.client` asks for them at each hop.

    `secret` is the account's signing key, `token` that of the webhook.
    """

    def headers(url: str) -> dict[str, str]:
        now = int(clock())
        made = {
            JWT_HEADER: jwt_signature(secret, url, body, now=now),
            LEGACY_HEADER: legacy_signature(secret, url, body, now),
            TIMESTAMP_HEADER: str(now),
        }
        if token:
            made[TOKEN_HEADER] = _base64_hmac(token, body)
        return made

    return headers


def jwt_signature(secret: str, url: str, body: bytes, *, now: int | None = None) -> str:
    """The JWT over the whole URL and, when there is one, the body (section 8.1)."""
    begins = int(time.time()) if now is None else now
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "nbf": begins,
        "iat": begins,
        "exp": begins + GOOD_FOR_SECONDS,
        "jti": str(uuid.uuid4()),
        "url_hash": sha256(url.encode()).hexdigest(),
    }
    if body:
        claims["payload_hash"] = sha256(body).hexdigest()
    return jwt.encode(claims, secret, algorithm="HS256")


def legacy_signature(secret: str, url: str, body: bytes, timestamp: int) -> str:
    """The deprecated signature over time, sorted query and body (section 8.2)."""
    query = sorted(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    signed = f"{timestamp}\n{urlencode(query)}\n".encode() + sha256(body).digest()
    return _base64_hmac(secret, signed)


def sorted_query(url: str, fields: Mapping[str, str]) -> str:
    """The URL with these fields in its query, so that every SDK computes the same legacy signature.

    Sorted by name; nothing but unreserved characters bare (section 8.2).
    """
    address, _, _ = url.partition("#")
    address, _, own = address.partition("?")
    together = [*parse_qsl(own, keep_blank_values=True), *fields.items()]
    query = urlencode(sorted(together), quote_via=quote, safe="", errors="replace")
    return f"{address}?{query}"


def _base64_hmac(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
