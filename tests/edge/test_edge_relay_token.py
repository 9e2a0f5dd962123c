"""The token of a relayed call: good for one INVITE, one POP, a short while, and once."""

from __future__ import annotations

import os
import string
from base64 import urlsafe_b64decode

import pytest

from tests.edge.world import BASE, NUMBER
from voice.edge.core.relay_token import (
    HEADER,
    LIFE_SECONDS,
    USED_REMEMBERED,
    NotRelayed,
    RelayToken,
    RelayTokens,
    taken_from,
)
from voice.edge.seal import Seal, SealError
from voice.sip.headers import Headers
from voice.sip.message import Request

KEY = bytes(range(32))
NOW = 1_800_000_000.0
TOKEN = RelayToken(
    issued=NOW,
    origin="us1",
    target="eu1",
    domain="acme",
    acl="office",
    sip_account="pbx",
    source_host="2001:db8::1",
    source_port=5060,
)


def invite(**changes: str) -> Request:
    fields = {
        "Via": "SIP/2.0/UDP 9.9.9.9;branch=z9hG4bK1",
        "From": "<sip:a@b>;tag=1",
        "To": "<sip:c@d>",
        "Call-ID": "call",
        "CSeq": "1 INVITE",
        **changes,
    }
    uri = fields.pop("uri", f"sip:{NUMBER}@acme.{BASE}")
    return Request("INVITE", uri, Headers(fields.items()))


def test_the_other_pop_reads_what_was_said() -> None:
    sealed = RelayTokens(KEY).make(TOKEN, invite())
    assert RelayTokens(KEY).open(sealed, invite(), "EU1", NOW + 1) == TOKEN


@pytest.mark.parametrize(
    "changed",
    [
        {"Call-ID": "another"},
        {"From": "<sip:a@b>;tag=2"},
        {"CSeq": "2 INVITE"},
        {"uri": f"sip:+442071838750@acme.{BASE}"},
        {"uri": f"sip:{NUMBER}@beta.{BASE}"},
    ],
)
def test_it_is_of_no_use_for_another_call(changed: dict[str, str]) -> None:
    sealed = RelayTokens(KEY).make(TOKEN, invite())
    with pytest.raises(NotRelayed) as refused:
        RelayTokens(KEY).open(sealed, invite(**changed), "eu1", NOW)
    assert refused.value.cause == "relay-misdirected"


def test_it_is_of_no_use_at_another_pop() -> None:
    sealed = RelayTokens(KEY).make(TOKEN, invite())
    with pytest.raises(NotRelayed) as refused:
        RelayTokens(KEY).open(sealed, invite(), "eu2", NOW)
    assert refused.value.cause == "relay-misdirected"


@pytest.mark.parametrize("late", [-LIFE_SECONDS - 1, LIFE_SECONDS + 1, 3 * 3_600, -3 * 3_600, 30 * 86_400])
def test_it_ages(late: float) -> None:
    sealed = RelayTokens(KEY).make(TOKEN, invite())
    with pytest.raises(NotRelayed) as refused:
        RelayTokens(KEY).open(sealed, invite(), "eu1", NOW + late)
    assert refused.value.cause == "relay-expired"
    assert "NTP" in refused.value.remedy


def in_other_letters(sealed: str) -> str:
    """The same token, but for bits of its last letter that count for nothing."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    same = [sealed[:-1] + letter for letter in letters if letter != sealed[-1]]
    return next(one for one in same if urlsafe_b64decode(one + "==") == urlsafe_b64decode(sealed + "=="))


def test_it_begins_one_call() -> None:
    tokens = RelayTokens(KEY)
    sealed = tokens.make(TOKEN, invite())
    tokens.open(sealed, invite(), "eu1", NOW)
    tokens.open(sealed, invite(), "eu1", NOW)
    tokens.use(TOKEN, invite(), NOW)
    others = (f" {sealed} ", f"{sealed[:9]}!!!!{sealed[9:]}", in_other_letters(sealed))
    for copy in (sealed, *others):
        with pytest.raises(NotRelayed) as refused:
            tokens.open(copy, invite(), "eu1", NOW + LIFE_SECONDS)
        assert refused.value.cause == "relay-replayed"
    # Those of which nothing more can come are forgotten, and there is a bound in any case.
    for at in range(USED_REMEMBERED + 10):
        tokens.use(TOKEN._replace(origin=f"{at}"), invite(), NOW)
    assert len(tokens._used) == USED_REMEMBERED
    tokens.use(TOKEN, invite(), NOW + 3 * LIFE_SECONDS)
    assert len(tokens._used) == 1


@pytest.mark.parametrize("sealed", ["", "x", "A" * 300, "\u00e9" * 100])
def test_what_no_pop_has_sealed(sealed: str) -> None:
    with pytest.raises(SealError):
        RelayTokens(KEY).open(sealed, invite(), "eu1", NOW)


def test_what_was_sealed_for_something_else() -> None:
    with pytest.raises(SealError):
        RelayTokens(KEY).open(Seal(KEY).seal(b"no relay token", NOW), invite(), "eu1", NOW)


def test_another_key() -> None:
    with pytest.raises(SealError):
        RelayTokens(os.urandom(32)).open(RelayTokens(KEY).make(TOKEN, invite()), invite(), "eu1", NOW)


def test_while_the_key_is_being_changed_both_are_believed_and_one_is_used() -> None:
    new, other = os.urandom(32), os.urandom(32)
    changing = RelayTokens(new, KEY)
    for maker in (RelayTokens(KEY), RelayTokens(new), changing):
        assert changing.open(maker.make(TOKEN, invite()), invite(), "eu1", NOW) == TOKEN
    assert RelayTokens(new).open(changing.make(TOKEN, invite()), invite(), "eu1", NOW) == TOKEN
    with pytest.raises(SealError):
        changing.open(RelayTokens(other).make(TOKEN, invite()), invite(), "eu1", NOW)


def test_the_longest_names_fit() -> None:
    name = "\U0001f4de" * 64
    long = TOKEN._replace(acl=name, sip_account=name, domain="d" * 63, origin="o" * 63)
    tokens = RelayTokens(KEY)
    sealed = tokens.make(long, invite())
    assert tokens.open(sealed, invite(), "eu1", NOW) == long


def test_it_leaves_the_request_where_it_is_read() -> None:
    request = invite(**{HEADER: "sealed"})
    assert taken_from(request) == "sealed"
    assert HEADER not in request.headers
    assert taken_from(request) is None
