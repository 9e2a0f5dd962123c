"""The server's side of digest authentication, with a clock of the test's own."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

import pytest

from bench.sip_messages import INVITE
from sip_config.credentials import ha1_for_all
from sip_config.model import DigestAlgorithm
from voice.sip.challenger import NONCE_SECONDS, Challenger, Outcome, UsedNonces, Verdict
from voice.sip.digest import answer, digest_response, parse_challenge
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response

MD5, SHA_256, SHA_512_256 = DigestAlgorithm
NOW = 1_800_000_000.0
REALM = "sip.example.com"
ALICE = ha1_for_all(username="alice", realm=REALM, password="secret")
OTHER_ALICE = ha1_for_all(username="alice", realm=REALM, password="another list's")


def new_challenger(**options: Any) -> Challenger:
    settings = {"realm": REALM, "secret": b"s" * 32, "salt": b"salt", **options}
    return Challenger(**settings)


def lookup(username: str, algorithm: DigestAlgorithm) -> Sequence[str | None]:
    return [ALICE[algorithm]] if username == "alice" else []


def invite() -> Request:
    message = parse_message(INVITE)
    assert isinstance(message, Request)
    return message


def signed(
    challenger: Challenger,
    *,
    now: float = NOW,
    algorithms: Sequence[DigestAlgorithm] = (MD5,),
    username: str = "alice",
    password: str = "secret",
    nc: int = 1,
    uri: str | None = None,
    challenge: str | None = None,
) -> Request:
    """The INVITE with an answer to a challenge of that time, or to the one given."""
    request = invite()
    values = [challenge] if challenge else challenger.challenges(algorithms, now)
    asked = make_response(request, 407, headers=[("Proxy-Authenticate", value) for value in values])
    given = answer(
        asked,
        method="INVITE",
        uri=uri or request.uri,
        username=username,
        password=password,
        cnonce="c",
        nc=nc,
    )
    request.headers.set(given.header, given.value)
    return request


def judge(challenger: Challenger, request: Request, now: float = NOW) -> Verdict:
    return challenger.verify(request, lookup, algorithms=[MD5], now=now)


def test_challenges_are_in_order_of_preference_and_never_the_same() -> None:
    challenger = new_challenger()
    first = challenger.challenges([SHA_512_256, SHA_256, MD5], NOW)
    parsed = [parse_challenge(value) for value in first]
    assert [one.algorithm for one in parsed if one] == [SHA_512_256, SHA_256, MD5]
    assert all(one and one.realm == REALM and one.qop == ("auth",) and not one.stale for one in parsed)
    stale = parse_challenge(challenger.challenges([MD5], NOW, stale=True)[0])
    assert stale is not None
    assert stale.stale
    assert parsed[0] is not None
    assert stale.nonce != parsed[0].nonce
    twin = parse_challenge(new_challenger(salt=b"SALT").challenges([MD5], NOW)[0])
    assert twin is not None
    assert twin.nonce != parsed[0].nonce


@pytest.mark.parametrize("algorithm", list(DigestAlgorithm))
def test_a_correct_answer_is_let_in(algorithm: DigestAlgorithm) -> None:
    challenger = new_challenger()
    request = signed(challenger, algorithms=[algorithm])
    verdict = challenger.verify(request, lookup, algorithms=[algorithm], now=NOW + 1)
    assert verdict == Verdict(
        outcome=Outcome.OK, username="alice", algorithm=algorithm, match=0, source_proven=True
    )
    assert verdict.ok
    assert not verdict.stale


def test_it_is_said_which_of_several_accounts_fits() -> None:
    challenger = new_challenger()

    def several(username: str, algorithm: DigestAlgorithm) -> list[str | None]:
        return [None, OTHER_ALICE[algorithm], ALICE[algorithm]]

    verdict = challenger.verify(signed(challenger), several, algorithms=[MD5], now=NOW)
    assert (verdict.ok, verdict.match) == (True, 2)


def test_every_refusal_has_its_outcome_and_its_sentence() -> None:
    challenger = new_challenger()
    bare = invite()
    for_others = invite()
    for_others.headers.add("Proxy-Authorization", "Bearer x")
    for_others.headers.add(
        "Proxy-Authorization", 'Digest username=a, realm="other", nonce=b, uri="sip:c", response=d'
    )
    malformed = invite()
    malformed.headers.add("Proxy-Authorization", f'Digest realm="{REALM}", username="alice')
    cases = [
        (bare, Outcome.NO_CREDENTIALS, "user name and password"),
        (for_others, Outcome.NO_CREDENTIALS, "user name and password"),
        (malformed, Outcome.MALFORMED_DIGEST, "cannot be read"),
        (signed(challenger, algorithms=[SHA_256]), Outcome.UNSUPPORTED_ALGORITHM, "let the PBX use MD5"),
        (signed(challenger, uri="sip:127.0.0.1:5060"), Outcome.WRONG_URI, "sign the Request-URI"),
        (signed(challenger, uri="not a uri"), Outcome.WRONG_URI, "sign the Request-URI"),
        (signed(challenger, username="bob"), Outcome.UNKNOWN_USER, "no SIP account 'bob'"),
        (signed(challenger, password="wrong"), Outcome.WRONG_PASSWORD, "'alice' is wrong"),
    ]
    for request, outcome, sentence in cases:
        verdict = judge(challenger, request)
        assert verdict.outcome is outcome
        assert sentence in verdict.remedy
        assert verdict.remedy.endswith(".")
        assert not verdict.ok
        assert not verdict.stale
        assert verdict.match is None


def test_an_account_without_secret_for_the_algorithm_says_so() -> None:
    challenger = new_challenger()
    verdict = challenger.verify(signed(challenger), lambda user, algorithm: [None], algorithms=[MD5], now=NOW)
    assert verdict.outcome is Outcome.WRONG_PASSWORD
    assert "no MD5 secret" in verdict.remedy


def test_an_equal_uri_in_other_words_is_let_in() -> None:
    challenger = new_challenger()
    uri = "sip:%2B31201234567@ACME.sip.example.com"
    assert (
        judge(challenger, signed(challenger, uri=uri)).outcome is Outcome.WRONG_URI
    )  # + is a reserved character
    uri = "sip:+3120123456%37@ACME.sip.example.com"
    assert judge(challenger, signed(challenger, uri=uri)).ok


def test_credentials_for_other_realms_may_stand_before_ours() -> None:
    challenger = new_challenger()
    request = signed(challenger)
    request.headers.prepend(
        "Proxy-Authorization", 'Digest username=a, realm="other", nonce=b, uri="sip:c", response=d'
    )
    assert judge(challenger, request).ok


def test_an_expired_nonce_is_stale_only_with_the_right_password() -> None:
    challenger = new_challenger()
    late = NOW + NONCE_SECONDS + 1
    assert judge(challenger, signed(challenger), NOW + NONCE_SECONDS - 1).ok
    verdict = judge(challenger, signed(challenger), late)
    assert (verdict.outcome, verdict.stale) == (Outcome.STALE, True)
    assert judge(challenger, signed(challenger, password="wrong"), late).outcome is Outcome.WRONG_PASSWORD


@pytest.mark.parametrize("nonce", ["", "abc", "0" * 68, "z" * 68, "0 " * 34, "é" * 68])
def test_a_foreign_nonce_is_stale(nonce: str) -> None:
    challenger = new_challenger()
    request = signed(challenger, challenge=f'Digest realm="{REALM}", nonce="{nonce}", qop="auth"')
    assert judge(challenger, request).outcome is Outcome.STALE


def test_a_nonce_is_understood_after_a_restart_with_the_same_secret_only() -> None:
    request = signed(new_challenger())
    assert judge(new_challenger(salt=b"other"), request).ok
    assert judge(new_challenger(secret=b"t" * 32), request).outcome is Outcome.STALE


def test_counts_may_come_out_of_order_but_not_twice() -> None:
    challenger = new_challenger()
    challenge = challenger.challenges([MD5], NOW)[0]

    def use(nc: int) -> Outcome:
        return judge(challenger, signed(challenger, challenge=challenge, nc=nc)).outcome

    assert [use(nc) for nc in (1, 2, 5, 3, 4)] == [Outcome.OK] * 5
    assert [use(nc) for nc in (1, 2, 3, 4, 5)] == [Outcome.REPLAY] * 5
    assert use(100) is Outcome.OK
    assert use(37) is Outcome.OK
    assert use(36) is Outcome.REPLAY
    assert use(37) is Outcome.REPLAY
    assert use(0xFFFFFFFF) is Outcome.OK
    assert use(99) is Outcome.REPLAY


def test_a_replay_is_to_be_challenged_as_stale() -> None:
    challenger = new_challenger()
    request = signed(challenger)
    assert judge(challenger, request).ok
    verdict = judge(challenger, request)
    assert (verdict.outcome, verdict.stale) == (Outcome.REPLAY, True)


def test_without_qop_a_nonce_serves_once() -> None:
    challenger = new_challenger()
    challenge = challenger.challenges([MD5], NOW)[0].replace(', qop="auth"', "")
    request = signed(challenger, challenge=challenge)
    assert judge(challenger, request).ok
    assert judge(challenger, request).outcome is Outcome.REPLAY


def test_only_correct_answers_are_remembered() -> None:
    challenger = new_challenger()
    for _ in range(100):
        challenger.challenges([MD5], NOW)
        judge(challenger, signed(challenger, password="wrong"))
        judge(challenger, signed(challenger, username="bob"))
    assert len(challenger._used) == 0
    judge(challenger, signed(challenger))
    assert len(challenger._used) == 1


def test_memory_is_bounded_and_what_was_forgotten_is_not_let_in_again() -> None:
    used = UsedNonces(10)
    for index in range(50):
        assert used.use(b"%d" % index, made=float(index), count=1, expired=-1.0)
        assert len(used) <= 10
    assert [used.use(b"%d" % index, float(index), 1, -1.0) for index in range(50)] == [False] * 50
    # Another nonce of that time cannot be told from a forgotten one.
    assert not used.use(b"unused", 39.0, 1, -1.0)
    assert used.use(b"newer", 50.0, 1, -1.0)


def test_expired_nonces_make_room_without_harm_to_others() -> None:
    used = UsedNonces(10)
    for index in range(10):
        assert used.use(b"%d" % index, made=float(index), count=1, expired=-1.0)
    assert used.use(b"new", made=100.0, count=1, expired=50.0)
    assert len(used) == 1
    assert used.use(b"slow", made=60.0, count=1, expired=50.0)


def test_an_unknown_user_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: as many hashes and comparisons as for a wrong password."""
    work: list[str] = []

    def counted_response(*args: Any, **kwargs: Any) -> str:
        work.append("response")
        return digest_response(*args, **kwargs)

    def counted_compare(one: bytes, other: bytes) -> bool:
        work.append("compare")
        return compare(one, other)

    compare = hmac.compare_digest
    monkeypatch.setattr("voice.sip.challenger.digest_response", counted_response)
    monkeypatch.setattr("voice.sip.challenger.hmac.compare_digest", counted_compare)
    challenger = new_challenger()
    done = {}
    for name, request in (
        ("unknown", signed(challenger, username="bob")),
        ("wrong", signed(challenger, password="x")),
    ):
        work.clear()
        judge(challenger, request)
        done[name] = list(work)
    # The nonce's seal, then the digest.
    assert done["unknown"] == done["wrong"] == ["compare", "response", "compare"]


def test_it_is_told_whether_the_answer_comes_from_where_the_challenge_went() -> None:
    challenger = new_challenger()

    def proven(challenged: str, answers: str, now: float = NOW, **of: Any) -> bool:
        challenge = challenger.challenges([MD5], NOW, source=challenged)[0]
        request = signed(challenger, challenge=challenge, **of)
        verdict = challenger.verify(request, lookup, algorithms=[MD5], now=now, source=answers)
        assert verdict.source_proven == challenger.answers_challenge(request, answers, now)
        return verdict.source_proven

    assert proven("192.0.2.1", "192.0.2.1")
    assert proven("192.0.2.1", "192.0.2.1", password="wrong"), "a wrong password proves the address as well"
    assert proven("192.0.2.1", "192.0.2.1", username="bob")
    assert not proven("192.0.2.1", "192.0.2.2")
    assert not proven("192.0.2.1", "192.0.2.1", now=NOW + NONCE_SECONDS + 1)


def test_an_answer_from_another_address_is_let_in_all_the_same() -> None:
    challenger = new_challenger()
    challenge = challenger.challenges([MD5], NOW, source="192.0.2.1")[0]
    request = signed(challenger, challenge=challenge)
    assert challenger.verify(request, lookup, algorithms=[MD5], now=NOW, source="192.0.2.2").ok


def test_nobodys_nonce_proves_no_address() -> None:
    challenger = new_challenger()
    request = signed(challenger, challenge=f'Digest realm="{REALM}", nonce="{"0" * 68}", qop="auth"')
    assert not challenger.answers_challenge(request, "", NOW)
    assert not challenger.answers_challenge(invite(), "", NOW)
    broken = invite()
    broken.headers.add("Proxy-Authorization", 'Digest username="')
    assert not challenger.answers_challenge(broken, "", NOW)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        new_challenger(secret=b"short")
