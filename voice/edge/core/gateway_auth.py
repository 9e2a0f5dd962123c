"""Answering the challenges of gateways (RFC 3261 section 22), as the edge rather than as the caller."""

from __future__ import annotations

import os

from sip_config.model import Gateway
from voice.sip.digest import NoUsableChallenge, answer
from voice.sip.message import Request, Response

_MOST_ANSWERS = 2
"""To one request: the second, when the nonce was stale."""


def answered_challenge(
    gateway: Gateway, sent: Request, challenge: Response, answered_before: int
) -> tuple[str, str] | None:
    """The header that answers a gateway's 401 or 407; None: the gateway has no credentials, or wrong ones."""
    if gateway.username is None or gateway.password is None or answered_before >= _MOST_ANSWERS:
        return None
    try:
        given = answer(
            challenge,
            method=sent.method,
            uri=sent.uri,
            username=gateway.username,
            password=gateway.password,
            cnonce=os.urandom(8).hex(),
        )
    except NoUsableChallenge:
        return None
    if answered_before and not given.challenge.stale:
        return None
    return given.header, given.value
