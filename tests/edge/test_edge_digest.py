"""The digest at the edge's door: what a domain offers, and how odd answers are refused."""

from __future__ import annotations

import dataclasses

import pytest

from sip_config.directory import Directory
from sip_config.model import DigestAlgorithm
from tests.edge.world import BASE, CARRIER, DOMAIN, PBX, Agent, World, directory, gateway, with_credentials
from voice.records import Refusal
from voice.sip.digest import parse_challenge
from voice.sip.message import Response

MD5, SHA_256, SHA_512_256 = DigestAlgorithm


def trunk(*algorithms: DigestAlgorithm) -> tuple[World, Agent, Agent]:
    """A trunk whose domain offers these."""
    usual = directory(gateways=[gateway()], users={"pbx": "secret"})
    [domain] = usual.domains.values()
    world = World(
        Directory(
            base_domain=BASE,
            pop="eu1",
            accounts=usual.accounts.values(),
            acls=usual.acls_of(domain),
            domains=[dataclasses.replace(domain, algorithms=algorithms)],
            gateways=usual.gateways,
        )
    )
    return world, world.agent(PBX), world.agent(CARRIER)


def offered(challenge: Response) -> list[DigestAlgorithm | None]:
    parsed = map(parse_challenge, challenge.headers.lines("Proxy-Authenticate"))
    return [one.algorithm for one in parsed if one is not None]


@pytest.mark.parametrize(
    "algorithms", [(MD5,), (SHA_256,), (SHA_512_256, SHA_256, MD5), (MD5, SHA_256), (SHA_256, MD5)]
)
def test_a_domain_offers_its_algorithms_in_its_order(algorithms: tuple[DigestAlgorithm, ...]) -> None:
    _, pbx, carrier = trunk(*algorithms)
    invite = pbx.invite()
    pbx.send(invite)
    challenge = pbx.gets_response(407)
    assert offered(challenge) == list(algorithms)
    pbx.send(with_credentials(invite, challenge, "pbx", "secret"))
    pbx.gets_response(100)
    carrier.gets_request("INVITE")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("algorithm=SHA-256", "algorithm=SHA-256-sess", "session-algorithm"),
        ("algorithm=SHA-256", "algorithm=MD5", "unsupported-algorithm"),
        ("algorithm=SHA-256", "algorithm=SHA-1", "unsupported-algorithm"),
        (f'uri="sip:+31201234567@{DOMAIN}"', f'uri="sip:+31209999999@{DOMAIN}"', "wrong-uri"),
        ("qop=auth", "qop=auth-int", "malformed-digest"),
        ('cnonce="c0ffee"', 'cnonce="coffee"', "wrong-password"),
        ('username="pbx"', 'username="pbx2"', "unknown-user"),
    ],
)
def test_each_wrong_answer_has_its_cause(old: str, new: str, cause: str) -> None:
    world, pbx, carrier = trunk(SHA_256)
    invite = pbx.invite()
    pbx.send(invite)
    answered = with_credentials(invite, pbx.gets_response(407), "pbx", "secret")
    given = answered.headers.get("Proxy-Authorization") or ""
    assert old in given
    answered.headers.set("Proxy-Authorization", given.replace(old, new))
    pbx.send(answered)
    assert offered(pbx.gets_response(407)) == [SHA_256]
    [refusal] = world.said(Refusal)
    assert (refusal.gate, refusal.cause) == ("digest", cause)
    assert refusal.remedy.endswith(".")
    carrier.gets_nothing()


def test_credentials_of_ours_go_no_further_however_they_are_written() -> None:
    _, pbx, carrier = trunk(MD5)
    invite = pbx.invite()
    pbx.send(invite)
    answered = with_credentials(invite, pbx.gets_response(407), "pbx", "secret")
    given = answered.headers.get("Proxy-Authorization") or ""
    escaped = BASE.replace(".", r"\.")
    answered.headers.set("Proxy-Authorization", given.replace(f'realm="{BASE}"', f'realm="{escaped}"'))
    answered.headers.add(
        "Proxy-Authorization", 'Digest username=a, realm="other", nonce=b, uri="c", response=d'
    )
    pbx.send(answered)
    pbx.gets_response(100)
    [left] = carrier.gets_request("INVITE").headers.lines("Proxy-Authorization")
    assert 'realm="other"' in left
