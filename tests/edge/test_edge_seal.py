"""Sealed tokens: what goes in comes out, and nothing else ever does."""

from __future__ import annotations

import base64
import os
from socket import AF_INET, AF_INET6, inet_ntop

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.edge.core.guise import PLAIN, Guise
from voice.edge.core.identity import Privacy
from voice.edge.core.tokens import DialogToken, Tokens, fingerprint, ids_of
from voice.edge.seal import KEY_BYTES, MAX_AGE_HOURS, MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, Seal, SealError
from voice.sip.flow import Flow
from voice.sip.uri import parse_uri

KEY = bytes(range(KEY_BYTES))
NOW = 1_800_000_000.0


@given(st.binary(max_size=300))
def test_what_is_sealed_can_be_opened_by_another_edge_with_the_key(plain: bytes) -> None:
    token = Seal(KEY).seal(plain, NOW)
    assert Seal(KEY).open(token, NOW + 3_600) == plain
    assert Seal(KEY).open(token.encode(), NOW) == plain
    assert parse_uri(f"sip:{token}@192.0.2.1").user == token


def test_two_tokens_of_the_same_are_different() -> None:
    seal = Seal(KEY)
    assert seal.seal(b"same", NOW) != seal.seal(b"same", NOW)


def test_every_changed_character_is_noticed() -> None:
    seal = Seal(KEY)
    token = seal.seal(b"where to send it", NOW)
    for at, char in enumerate(token):
        # The last character of base64 may have bits that count for nothing.
        other = "B" if char == "A" else "A"
        forged = token[:at] + other + token[at + 1 :]
        if base64.urlsafe_b64decode(forged + "==") == base64.urlsafe_b64decode(token + "=="):
            continue
        with pytest.raises(SealError):
            seal.open(forged, NOW)


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_anything_else_is_one_error(junk: str | bytes) -> None:
    with pytest.raises(SealError):
        Seal(KEY).open(junk, NOW)


@pytest.mark.parametrize(
    "length", [0, MIN_TOKEN_CHARS - 1, MIN_TOKEN_CHARS, 200, MAX_TOKEN_CHARS + 1, 100_000]
)
@pytest.mark.parametrize("char", ["A", "_", "!", "=", "\u00e9"])
def test_junk_of_every_length_is_the_same_error(length: int, char: str) -> None:
    with pytest.raises(SealError, match="not a token of this edge"):
        Seal(KEY).open(char * length, NOW)


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealError):
        Seal(os.urandom(KEY_BYTES)).open(Seal(KEY).seal(b"x", NOW), NOW)


def test_a_token_ages() -> None:
    token = Seal(KEY).seal(b"x", NOW)
    assert Seal(KEY).open(token, NOW + MAX_AGE_HOURS * 3_600) == b"x"
    with pytest.raises(SealError):
        Seal(KEY).open(token, NOW + (MAX_AGE_HOURS + 2) * 3_600)
    with pytest.raises(SealError):
        Seal(KEY).open(token, NOW - 3 * 3_600)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(b"short")


UUIDS = st.uuids(version=4).map(str)
# As the socket module writes addresses: `ipaddress` has another opinion about some IPv4-mapped ones.
HOSTS = st.ip_addresses().map(lambda ip: inet_ntop(AF_INET if ip.version == 4 else AF_INET6, ip.packed))
FLOWS = st.builds(
    Flow,
    st.sampled_from(["UDP", "TCP", "TLS", "WS", "WSS"]),
    st.integers(0, 255),
    HOSTS,
    st.integers(0, 65_535),
    st.integers(0, 2**32 - 1),
    st.from_regex(r"\A[a-z0-9.:]{0,60}\Z"),
)
URIS = st.from_regex(r"\Asip:[a-z0-9+]{0,40}@[a-z0-9.]{1,60}\Z")

LINES = st.none() | st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1)
GUISES = st.just(PLAIN) | st.builds(
    Guise,
    st.booleans(),
    st.booleans(),
    st.sampled_from(Privacy),
    LINES,
    LINES,
    LINES,
    st.just(()) | st.lists(URIS, min_size=1).map(tuple),
    st.booleans(),
)


@given(
    st.builds(
        DialogToken,
        st.booleans(),
        st.booleans(),
        st.integers(0, 65_535),
        st.lists(UUIDS, min_size=1, max_size=4).map(lambda uuids: ids_of(*uuids)),
        st.binary(min_size=8, max_size=8),
        URIS,
        FLOWS,
        st.booleans(),
        URIS,
        URIS,
        GUISES,
    )
)
def test_a_dialog_token_says_all_that_it_was_told(token: DialogToken) -> None:
    tokens = Tokens(Seal(KEY))
    assert tokens.open_dialog(tokens.dialog(token, NOW), NOW) == token
    plain = token._replace(from_uri=None, to_uri=None)
    assert tokens.open_dialog(tokens.dialog(plain, NOW), NOW) == plain


def test_a_token_names_its_call_and_legs() -> None:
    call, *legs = (f"0ca11000-0000-4000-8000-00000000000{number}" for number in range(3))
    token = DialogToken(
        True,
        True,
        0,
        ids_of(call, *legs),
        b"12345678",
        "sip:a@b",
        Flow("UDP", 1, "192.0.2.1", 5060),
        False,
        None,
        None,
    )
    assert (token.call_id, token.legs) == (call, tuple(legs))


def test_a_token_of_one_kind_is_none_of_the_other() -> None:
    tokens = Tokens(Seal(KEY))
    route = tokens.route(b"12345678", NOW)
    assert tokens.open_route(route, NOW) == b"12345678"
    with pytest.raises(SealError):
        tokens.open_dialog(route, NOW)
    token = DialogToken(
        True, False, 0, ids_of("0ca11000-0000-4000-8000-000000000001"), b"12345678", "sip:a@b",
        Flow("UDP", 1, "192.0.2.1", 5060), False, None, None,
    )  # fmt: skip
    with pytest.raises(SealError):
        tokens.open_route(tokens.dialog(token, NOW), NOW)


def test_a_fingerprint_tells_dialogs_apart() -> None:
    prints = {
        fingerprint("c", "a"),
        fingerprint("c", "a", "b"),
        fingerprint("c", "b", "a"),
        fingerprint("c", "ab"),
        fingerprint("ca", ""),
        fingerprint("d", "a", "b"),
    }
    assert len(prints) == 6
