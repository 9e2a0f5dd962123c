"""Answering the challenges of gateways (RFC 3261 section 22), as the edge rather than as the caller."""

from __future__ import annotations

import os

from sip_config.model import Gateway
from voice.sip.digest import NoUsableChallenge, answer
from voice.sip.mandatory import MAX_CSEQ
from voice.sip.message import Request, Response

_MOST_ANSWERS = 2
"""To one request: the second, when the nonce was stale."""


def answered_challenge(
    gateway: Gateway, sent: Request, challenge: Response, answered_before: int
) -> tuple[str, str] | None:
    """The header that answers a gateway's 401 or 407; None: the gateway has no credentials, or wrong ones."""
    if gateway.username is None or gateway.password is None or answered_before >= _MOST_ANSWERS:
        return None
    if sent.cseq.number >= MAX_CSEQ:
        return None  # The request with credentials would have to count further.
    try:
        given = answer(
            challenge,
            method=sent.method,
            uri=sent.uri,
            username=gateway.username,
            password=gateway.password,
            cnonce=os.urandom(8).hex(),
            body=sent.body,
        )
    except NoUsableChallenge:
        return None
    if answered_before and not given.challenge.stale:
        return None
    return given.header, given.value


def why_unanswered(gateway: Gateway, challenge: Response) -> str:
    """Why a gateway's 401 or 407 was the last word."""
    if gateway.username is None:
        return f"Gateway {gateway.name} wants a user name and a password"
    try:
        answer(challenge, method="INVITE", uri="", username="", password="", cnonce="")
    except NoUsableChallenge as fault:
        return f"Gateway {gateway.name} cannot be answered: {fault}"
    return f"Gateway {gateway.name} refused our credentials"
