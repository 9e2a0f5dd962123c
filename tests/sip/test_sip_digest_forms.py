"""Digests in the forms in which PBXs send them: folded, oddly quoted, several at once, after 401 or 407."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.sip_messages import INVITE
from sip_config.credentials import ha1_for_all
from sip_config.model import DigestAlgorithm
from voice.sip.challenger import NONCE_SECONDS, Challenger, Outcome, Verdict
from voice.sip.digest import answer, digest_response, parse_challenge
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response

MD5, SHA_256, SHA_512_256 = DigestAlgorithm
NOW = 1_800_000_000.0
REALM = "sip.example.com"
ALICE = ha1_for_all(username="alice", realm=REALM, password="secret")
FORMS = [(401, "WWW-Authenticate", "Authorization"), (407, "Proxy-Authenticate", "Proxy-Authorization")]


def lookup(username: str, algorithm: DigestAlgorithm) -> Sequence[str | None]:
    return [ALICE[algorithm]] if username == "alice" else []


def challenger(realm: str = REALM) -> Challenger:
    return Challenger(realm=realm, secret=b"s" * 32, salt=b"salt")


def nonce_of(challenges: list[str]) -> str:
    parsed = parse_challenge(challenges[0])
    assert parsed is not None
    return parsed.nonce


def parts(nonce: str, *, algorithm: DigestAlgorithm = MD5, qop: str = "auth") -> dict[str, str]:
    """What a right answer says, as names and bare values."""
    uri = request().uri
    right = digest_response(
        algorithm,
        ALICE[algorithm],
        method="INVITE",
        uri=uri,
        nonce=nonce,
        nc="00000001",
        cnonce="c",
        qop=qop,
    )
    return {
        "username": "alice",
        "realm": REALM,
        "nonce": nonce,
        "uri": uri,
        "response": right,
        "cnonce": "c",
        "nc": "00000001",
        "qop": qop,
    }


def request(*lines: str) -> Request:
    """The INVITE with these header lines as they are, read from the wire."""
    head, _, body = INVITE.partition(b"\r\n\r\n")
    message = parse_message(b"\r\n".join([head, *(line.encode() for line in lines)]) + b"\r\n\r\n" + body)
    assert isinstance(message, Request)
    return message


def judge(
    asked: Challenger, said: Request, algorithms: Sequence[DigestAlgorithm] = (MD5,), now: float = NOW
) -> Verdict:
    return asked.verify(said, lookup, algorithms=algorithms, now=now)


def line(said: dict[str, str], form: str = '{name}="{value}"', comma: str = ", ") -> str:
    shown = comma.join(form.format(name=name, value=value) for name, value in said.items())
    return f"Proxy-Authorization: Digest {shown}"


@pytest.mark.parametrize(
    ("form", "comma"),
    [
        ('{name}="{value}"', ", "),
        ('{name}="{value}"', ","),
        ('{name} = "{value}"', " , "),
        ("{name}={value}", ", "),
        ('{name}="{value}"', ",\r\n "),
        ('{name}="{value}"', ",\r\n\t\t"),
        ('{name}\r\n =\r\n "{value}"', "\r\n ,"),
    ],
    ids=["quoted", "close", "spaced", "bare", "folded", "folded by tabs", "folded everywhere"],
)
def test_quoted_bare_and_folded_answers_are_understood(form: str, comma: str) -> None:
    asked = challenger()
    said = parts(nonce_of(asked.challenges([MD5], NOW)))
    assert judge(asked, request(line(said, form, comma))).ok


@pytest.mark.parametrize("scheme", ["DIGEST", "digest", "Digest ", "Digest\t", "Digest\r\n", "\r\n Digest"])
def test_the_scheme_may_be_in_any_case_and_folded(scheme: str) -> None:
    asked = challenger()
    said = line(parts(nonce_of(asked.challenges([MD5], NOW)))).replace("Digest", scheme, 1)
    assert judge(asked, request(said)).ok


def test_escapes_in_quotes_stand_for_what_they_escape() -> None:
    asked = challenger()
    said = line(parts(nonce_of(asked.challenges([MD5], NOW))))
    odd = said.replace('username="alice"', r'username="al\ice"').replace(
        f'realm="{REALM}"', r'realm="sip\.example.com"'
    )
    assert odd.count("\\") == 2
    assert judge(asked, request(odd)).ok


@pytest.mark.parametrize("order", [MD5, SHA_256, SHA_512_256])
def test_names_in_any_case_and_unknown_parameters_do_not_matter(order: DigestAlgorithm) -> None:
    asked = challenger()
    said = parts(nonce_of(asked.challenges([order], NOW)), algorithm=order)
    shouted = {name.upper(): value for name, value in said.items()}
    odd = {"opaque": "", **shouted, "Algorithm": order.lower(), "auth-param": "a, b=c", "userhash": "false"}
    assert judge(asked, request(line(odd)), [order]).ok


@pytest.mark.parametrize("name", ["MD5-sess", "SHA-256-sess", "SHA-512-256-SESS", "md5-SESS"])
def test_session_algorithms_are_refused_with_a_reason_of_their_own(name: str) -> None:
    asked = challenger()
    said = parts(nonce_of(asked.challenges([MD5], NOW)))
    verdict = judge(asked, request(line({**said, "algorithm": name})), [SHA_256, MD5])
    assert verdict.outcome is Outcome.SESSION_ALGORITHM
    assert f"uses {name}" in verdict.remedy
    assert "SHA-256 or MD5, without -sess" in verdict.remedy
    assert not verdict.stale


@pytest.mark.parametrize("name", ["SHA-1", "AKAv1-MD5", "-sessions", "MD5sess", ""])
def test_other_algorithms_are_refused_as_not_offered(name: str) -> None:
    asked = challenger()
    said = parts(nonce_of(asked.challenges([MD5], NOW)))
    assert judge(asked, request(line({**said, "algorithm": name}))).outcome is Outcome.UNSUPPORTED_ALGORITHM


def test_an_answer_with_a_weaker_algorithm_than_offered_is_refused() -> None:
    """The downgrade that RFC 8760 section 2.6 warns of: who strips the better challenge gains nothing."""
    asked = challenger()
    said = parts(nonce_of(asked.challenges([SHA_256], NOW)))
    verdict = judge(asked, request(line(said)), [SHA_256])
    assert verdict.outcome is Outcome.UNSUPPORTED_ALGORITHM
    assert "let the PBX use SHA-256" in verdict.remedy


def test_the_client_takes_the_topmost_challenge_that_it_knows() -> None:
    asked = challenger()
    values = [
        'Digest realm="x", nonce="y", algorithm=SHA3-512, qop="auth"',
        *asked.challenges([SHA_256, MD5], NOW),
    ]
    asks = make_response(request(), 407, headers=[("Proxy-Authenticate", value) for value in values])
    given = answer(asks, method="INVITE", uri=request().uri, username="alice", password="secret", cnonce="c")
    assert given.challenge.algorithm is SHA_256
    assert judge(asked, request(f"{given.header}: {given.value}"), [SHA_256, MD5]).ok


@pytest.mark.parametrize(("status", "asks", "answers"), FORMS)
def test_both_forms_of_a_challenge_are_made_answered_and_judged(status: int, asks: str, answers: str) -> None:
    asked = challenger()
    response = make_response(
        request(), status, headers=[(asks, value) for value in asked.challenges([MD5], NOW)]
    )
    given = answer(
        response, method="INVITE", uri=request().uri, username="alice", password="secret", cnonce="c"
    )
    assert given.header == answers
    said = request(f"{given.header}: {given.value}")
    assert asked.verify(said, lookup, algorithms=[MD5], now=NOW, header=answers).ok
    [other] = {"Authorization", "Proxy-Authorization"} - {answers}
    verdict = asked.verify(said, lookup, algorithms=[MD5], now=NOW, header=other)
    assert verdict.outcome is Outcome.NO_CREDENTIALS


FOREIGN = 'Proxy-Authorization: Digest username=a, realm="other", nonce=b, uri="sip:c", response=d'
BEARER = "Proxy-Authorization: Bearer x"
BROKEN = 'Proxy-Authorization: Digest username="unclosed'


@pytest.mark.parametrize("others", [[FOREIGN], [BEARER], [BROKEN], [FOREIGN, BEARER, BROKEN]])
@pytest.mark.parametrize("first", [True, False])
def test_what_was_said_to_others_does_not_disturb(others: list[str], first: bool) -> None:
    asked = challenger()
    own = line(parts(nonce_of(asked.challenges([MD5], NOW))))
    lines = [own, *others] if first else [*others, own]
    assert judge(asked, request(*lines)).ok


def test_what_cannot_be_read_is_said_when_nothing_else_is_for_us() -> None:
    verdict = judge(challenger(), request(FOREIGN, BROKEN))
    assert verdict.outcome is Outcome.MALFORMED_DIGEST


@pytest.mark.parametrize("old_first", [True, False])
def test_of_an_old_and_a_new_answer_the_new_one_counts(old_first: bool) -> None:
    asked = challenger()
    old = line(parts(nonce_of(asked.challenges([MD5], NOW - NONCE_SECONDS - 1))))
    new = line(parts(nonce_of(asked.challenges([MD5], NOW))))
    assert judge(asked, request(*((old, new) if old_first else (new, old)))).ok
    assert judge(asked, request(old)).outcome is Outcome.STALE


@pytest.mark.parametrize("offered_first", [True, False])
def test_of_answers_to_several_challenges_that_with_an_offered_algorithm_counts(offered_first: bool) -> None:
    asked = challenger()
    nonce = nonce_of(asked.challenges([SHA_256], NOW))
    offered = line({**parts(nonce, algorithm=SHA_256), "algorithm": "SHA-256"})
    not_offered = line({**parts(nonce), "algorithm": "MD5"})
    lines = (offered, not_offered) if offered_first else (not_offered, offered)
    assert judge(asked, request(*lines), [SHA_256]).ok


def test_a_right_answer_to_another_realms_nonce_is_stale() -> None:
    other = challenger("sip.example.net")
    asked = challenger()
    verdict = judge(asked, request(line(parts(nonce_of(other.challenges([MD5], NOW))))))
    assert (verdict.outcome, verdict.stale) == (Outcome.STALE, True)


def test_a_wrong_password_with_another_realms_nonce_is_not_told_to_try_again() -> None:
    other = challenger("sip.example.net")
    said = {**parts(nonce_of(other.challenges([MD5], NOW))), "response": "0" * 32}
    verdict = judge(challenger(), request(line(said)))
    assert (verdict.outcome, verdict.stale) == (Outcome.WRONG_PASSWORD, False)


def test_an_answer_for_another_realm_is_none() -> None:
    asked = challenger()
    said = {**parts(nonce_of(asked.challenges([MD5], NOW))), "realm": "SIP.example.com"}
    assert judge(asked, request(line(said))).outcome is Outcome.NO_CREDENTIALS


@pytest.mark.parametrize(
    "change",
    [
        {"qop": "auth-int"},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"nc": "-0000001"},
        {"nc": "000000001"},
    ],
)
def test_what_was_not_offered_cannot_be_read(change: dict[str, str]) -> None:
    asked = challenger()
    said = {**parts(nonce_of(asked.challenges([MD5], NOW))), **change}
    assert judge(asked, request(line(said))).outcome is Outcome.MALFORMED_DIGEST


@pytest.mark.parametrize("missing", ["username", "nonce", "uri", "response", "nc", "cnonce"])
def test_an_answer_that_lacks_something_cannot_be_read(missing: str) -> None:
    asked = challenger()
    said = parts(nonce_of(asked.challenges([MD5], NOW)))
    del said[missing]
    verdict = judge(asked, request(line(said)))
    assert verdict.outcome is Outcome.MALFORMED_DIGEST
    assert missing in verdict.remedy
