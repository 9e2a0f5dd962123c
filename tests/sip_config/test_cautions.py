"""Cautions: what is allowed and hardly meant so."""

from __future__ import annotations

import pytest

from sip_config.cautions import cautions
from sip_config.configuration import Configuration
from sip_config.model import AccountId, Acl, AclId, Domain, DomainId, Gateway, SrtpPolicy, Transport

FORBIDDEN, OPTIONAL, REQUIRED = SrtpPolicy


def configured(domain: SrtpPolicy, *gateways: tuple[SrtpPolicy, Transport]) -> Configuration:
    return Configuration(
        domains=(Domain(id=DomainId("d"), account_id=AccountId("a"), label="acme", srtp=domain),),
        gateways=tuple(
            Gateway(id=str(at), account_id=None, name=f"way{at}", host="192.0.2.1", srtp=srtp, transport=by)
            for at, (srtp, by) in enumerate(gateways)
        ),
    )


def said(one: Configuration, *, takes_tls: bool) -> tuple[str, ...]:
    return cautions(one, takes_tls=takes_tls, asks_for_certificates=False)


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_keys_over_what_anybody_reads(transport: Transport) -> None:
    [caution] = said(configured(OPTIONAL, (REQUIRED, transport)), takes_tls=True)
    assert caution.startswith(f"gateway way0 requires SRTP and is reached by {transport}: ")


def test_a_domain_that_requires_srtp_on_a_node_without_tls() -> None:
    one = configured(REQUIRED, (OPTIONAL, Transport.UDP))
    [caution] = said(one, takes_tls=False)
    assert caution.startswith("domain acme requires SRTP, and this node takes no calls by TLS")
    assert said(one, takes_tls=True) == ()


@pytest.mark.parametrize(("domain", "way"), [(REQUIRED, FORBIDDEN), (FORBIDDEN, REQUIRED)])
def test_a_domain_whose_gateways_all_want_something_else(domain: SrtpPolicy, way: SrtpPolicy) -> None:
    [caution] = said(configured(domain, (way, Transport.TLS)), takes_tls=True)
    assert "no gateway that its calls may go out by takes" in caution
    assert said(configured(domain, (way, Transport.TLS), (OPTIONAL, Transport.UDP)), takes_tls=True) == ()


def test_nothing_to_say() -> None:
    ways = ((REQUIRED, Transport.TLS), (FORBIDDEN, Transport.UDP), (OPTIONAL, Transport.UDP))
    assert said(configured(OPTIONAL, *ways), takes_tls=False) == ()
    assert said(configured(REQUIRED), takes_tls=True) == ()


@pytest.mark.parametrize(
    ("takes_tls", "asks", "told"), [(True, True, False), (True, False, True), (False, True, True)]
)
def test_a_list_that_wants_certificates_on_a_node_that_asks_for_none(
    takes_tls: bool, asks: bool, told: bool
) -> None:
    acl = Acl(
        id=AclId("l"), account_id=AccountId("a"), name="headquarters", certificates=("pbx.acme.example",)
    )
    found = cautions(Configuration(acls=(acl,)), takes_tls=takes_tls, asks_for_certificates=asks)
    assert bool(found) is told
    assert all(one.startswith("access control list headquarters wants certificates") for one in found)
