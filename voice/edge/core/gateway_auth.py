"""Answering the challenges of gateways (RFC 3261 section 22), as the edge rather than as the caller."""

from __future__ import annotations

import os

from sip_config.model import Gateway
from voice.sip.digest import NoUsableChallenge, answer, parse_credentials
from voice.sip.errors import SipParseError
from voice.sip.mandatory import MAX_CSEQ
from voice.sip.message import Request, Response

_MOST_ANSWERS = 3
"""To one request: of a gateway and of a server behind it, and once more when a nonce was stale."""

Fields = tuple[tuple[str, str], ...]
"""Header fields: names and values."""


def answered_challenge(
    gateway: Gateway, sent: Request, challenge: Response, answered_before: int
) -> Fields | None:
    """What answers a gateway's 401 or 407, with what answered its other challenges to the request as `sent`.

    None: the gateway has no credentials, or wrong ones.
    """
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
    before = _credentials_in(sent, gateway.username) if answered_before else {}
    place = given.header, given.challenge.realm
    if place in before and not given.challenge.stale:
        return None
    others = [(header, value) for (header, realm), value in before.items() if (header, realm) != place]
    return (*others, (given.header, given.value))


def _credentials_in(sent: Request, username: str) -> dict[tuple[str, str], str]:
    """What we have answered so far, by header and realm."""
    found = {}
    for header in ("Authorization", "Proxy-Authorization"):
        for value in sent.headers.lines(header):
            try:
                given = parse_credentials(value)
            except SipParseError:
                continue  # Of somebody else: it is relayed as it came.
            if given is not None and given.username == username:
                found[header, given.realm] = value
    return found


def why_unanswered(gateway: Gateway, challenge: Response) -> str:
    """Why a gateway's 401 or 407 was the last word."""
    if gateway.username is None:
        return f"Gateway {gateway.name} wants a user name and a password"
    try:
        answer(challenge, method="INVITE", uri="", username="", password="", cnonce="")
    except NoUsableChallenge as fault:
        return f"Gateway {gateway.name} cannot be answered: {fault}"
    return f"Gateway {gateway.name} refused our credentials"
