"""The snapshot that the edge asks."""

from __future__ import annotations

import pytest

from sip_config.admission import Admitted
from sip_config.configuration import Configuration
from sip_config.directory import Directory
from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    Domain,
    DomainId,
    Gateway,
    Number,
    Pop,
    Region,
    SipAccount,
)
from sip_config.networks import parse_network

ACME, OTHER = AccountId("acme-id"), AccountId("other-id")


def gateway(
    name: str, *prefixes: str, account: AccountId | None = None, priority: int = 100, **rest: object
) -> Gateway:
    fields: dict[str, object] = {"host": f"{name}.example", **rest}
    return Gateway(
        id=name,
        account_id=account,
        name=name,
        prefixes=prefixes or ("",),
        priority=priority,
        **fields,  # type: ignore[arg-type]
    )


def directory(**parts: object) -> Directory:
    return Directory(base_domain="SIP.Example.Com.", pop="eu1", **parts)  # type: ignore[arg-type]


def domain(label: str, *acl_ids: str, account: AccountId = ACME) -> Domain:
    return Domain(id=DomainId(label), account_id=account, label=label, acl_ids=tuple(map(AclId, acl_ids)))


@pytest.mark.parametrize(
    "host",
    [
        "acme.sip.example.com",
        "ACME.Sip.Example.com",
        "acme.sip.example.com.",
        "acme.eu1.sip.example.com",
        "Acme.APAC2.sip.example.com",
    ],
)
def test_a_domain_answers_to_its_names(host: str) -> None:
    acme = domain("acme")
    assert directory(domains=[acme]).domain_for_host(host) == acme


@pytest.mark.parametrize(
    "host",
    [
        "sip.example.com",
        ".sip.example.com",
        "other.sip.example.com",
        "acme.mars1.sip.example.com",
        "x.acme.sip.example.com",
        "acme.eu1.eu1.sip.example.com",
        "acme..sip.example.com",
        "acmesip.example.com",
        "acme.sip.example.com.evil.net",
        "eu1.sip.example.com",
        "192.0.2.1",
        "",
    ],
)
def test_other_names_are_nobodys(host: str) -> None:
    assert directory(domains=[domain("acme")]).domain_for_host(host) is None


def test_a_pop_label_binds_a_call_to_that_pop() -> None:
    known = directory(domains=[domain("acme")])
    bound = known.pop_for_host("acme.US1.sip.example.com")
    assert bound is not None
    assert (bound.name, bound.region) == ("us1", Region.US)
    assert known.pop_for_host("acme.sip.example.com") is None
    assert known.pop_for_host("acme.us1.example.org") is None


def test_pops_may_be_replaced() -> None:
    known = directory(domains=[domain("acme")], pops=[Pop(name="ams", region=Region.EU)])
    assert known.domain_for_host("acme.ams.sip.example.com") is not None
    assert known.domain_for_host("acme.eu1.sip.example.com") is None


def test_a_list_of_another_account_never_counts() -> None:
    foreign = Acl(id=AclId("x"), account_id=OTHER, name="x", networks=(parse_network("0.0.0.0/0"),))
    own = Acl(id=AclId("y"), account_id=ACME, name="y", networks=(parse_network("192.0.2.1"),))
    acme = domain("acme", "x", "gone", "y")
    known = directory(domains=[acme], acls=[foreign, own])
    assert known.acls_of(acme) == (own,)
    assert known.gate(acme).by_source("192.0.2.1") == Admitted(acl=own)
    assert known.could_admit("192.0.2.1")
    assert not known.could_admit("198.51.100.1")
    assert known.gate(acme) is known.gate(acme), "compiled once"


def test_sources_that_no_attached_list_admits_are_known_beforehand() -> None:
    listed = Acl(id=AclId("a"), account_id=ACME, name="a", networks=(parse_network("192.0.2.0/24"),))
    loose = Acl(id=AclId("b"), account_id=ACME, name="b", networks=(parse_network("203.0.113.0/24"),))
    known = directory(
        domains=[domain("acme", "a")],
        acls=[listed, loose],
        gateways=[
            gateway("carrier", host="198.51.100.7"),
            gateway("named"),
            gateway("six", host="2001:db8::1"),
        ],
    )
    assert known.could_admit("192.0.2.99")
    assert known.could_admit("::ffff:192.0.2.99")
    assert known.could_admit("198.51.100.7"), "a gateway"
    assert known.could_admit("2001:db8::1")
    assert not known.could_admit("203.0.113.1"), "its list is attached to no domain"
    assert not known.could_admit("198.51.100.8")


def test_a_list_of_sip_accounts_alone_lets_any_source_try() -> None:
    roaming = Acl(
        id=AclId("a"), account_id=ACME, name="a", sip_accounts=(SipAccount(id="s", username="u", ha1={}),)
    )
    assert directory(domains=[domain("acme", "a")], acls=[roaming]).could_admit("203.0.113.1")


def test_a_list_of_certificates_alone_lets_any_source_try_by_tls() -> None:
    office = Acl(id=AclId("a"), account_id=ACME, name="a", certificates=("pbx.example",))
    known = directory(domains=[domain("acme", "a")], acls=[office])
    assert not known.could_admit("203.0.113.1")
    assert known.could_admit("203.0.113.1", certified=True)


def test_a_source_is_named_by_a_gateway_and_by_an_attached_list_that_does_not_mean_everybody() -> None:
    listed = ("192.0.2.0/24", "11.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "128.0.0.0/1", "::/0")
    office = Acl(id=AclId("a"), account_id=ACME, name="a", networks=tuple(map(parse_network, listed)))
    loose = Acl(id=AclId("b"), account_id=ACME, name="b", networks=(parse_network("203.0.113.0/24"),))
    known = directory(
        domains=[domain("acme", "a")],
        acls=[office, loose],
        gateways=[gateway("carrier", host="198.51.100.7")],
    )
    for source in ("192.0.2.1", "::ffff:192.0.2.1", "11.9.9.9", "2001:db8::5", "198.51.100.7"):
        assert known.names(source), source
    for source in ("203.0.113.1", "198.51.100.8", "2001:db9::5", "8.8.8.8", "nonsense"):
        assert not known.names(source), source
    assert known.could_admit("8.8.8.8"), "admitted by the list for everybody, and still not named"


def test_a_large_directory_is_made_in_steps_and_answers_as_one_that_was_made_at_once() -> None:
    networks = [parse_network(f"10.{high}.{low}.0/24") for high in range(30) for low in range(250)]
    large = Acl(id=AclId("a"), account_id=ACME, name="a", networks=tuple(networks))
    configuration = Configuration(domains=(domain("acme", "a"),), acls=(large,))
    steps = Directory.in_steps(configuration, base_domain="sip.example.com", pop="eu1", version=7)
    known: Directory | None = None
    count = 0
    while known is None:
        try:
            next(steps)
            count += 1
        except StopIteration as done:
            known = done.value
    assert count >= 2 * len(networks) // 2_000, "one pass for the table of sources, one for the domain's gate"
    assert known.version == 7
    at_once = Directory.of(configuration, base_domain="sip.example.com", pop="eu1")
    for source in ("10.0.0.1", "10.29.249.255", "10.29.250.0", "10.30.0.0", "9.9.9.9"):
        assert (
            known.could_admit(source)
            == at_once.could_admit(source)
            == (source in ("10.0.0.1", "10.29.249.255"))
        )
        gates = [one.gate(one.domains[DomainId("acme")]) for one in (known, at_once)]
        assert gates[0].by_source(source) == gates[1].by_source(source)


def test_gateways_come_by_prefix_then_priority() -> None:
    gateways = [
        gateway("default", ""),
        gateway("world-b", "", priority=10),
        gateway("nl-late", "31", priority=20),
        gateway("nl-b", "31", priority=11),
        gateway("nl-a", "31", "32", priority=10),
        gateway("amsterdam", "3120", "31"),
        gateway("us", "1"),
    ]
    names = [entry.name for entry in directory(gateways=gateways).gateways_for(ACME, "+31201234567")]
    assert names == ["amsterdam", "nl-a", "nl-b", "nl-late", "world-b", "default"]
    assert [entry.name for entry in directory(gateways=gateways[2:]).gateways_for(ACME, "+4930123456")] == []


def test_an_account_uses_its_own_gateways_and_those_of_all() -> None:
    gateways = [
        gateway("all", ""),
        gateway("own", "", account=ACME, priority=50),
        gateway("foreign", "31", account=OTHER),
    ]
    known = directory(gateways=gateways)
    assert [entry.name for entry in known.gateways_for(ACME, "+31201234567")] == ["own", "all"]
    assert [entry.name for entry in known.gateways_for(OTHER, "+31201234567")] == ["foreign", "all"]
    assert [entry.name for entry in known.gateways_for("third", "+31201234567")] == ["all"]


def test_a_gateway_is_known_by_its_address() -> None:
    known = directory(
        gateways=[
            gateway("foreign", host="198.51.100.7", account=OTHER, priority=1),
            gateway("own", host="198.51.100.7", account=ACME, priority=2),
            gateway("named"),
        ]
    )
    found = known.gateway_for_source("::ffff:198.51.100.7")
    assert found is not None
    assert found.name == "foreign"
    found = known.gateway_for_source("198.51.100.7", ACME)
    assert found is not None
    assert found.name == "own"
    assert known.gateway_for_source("198.51.100.7", "third") is None
    assert known.gateway_for_source("198.51.100.8") is None
    assert known.gateway_for_source("nonsense") is None


def test_plain_lookups() -> None:
    account = Account(id=ACME, name="acme")
    number = Number(id="n", account_id=ACME, e164="+31201234567")
    known = directory(accounts=[account], numbers=[number], version=7)
    assert known.account("acme-id") == account
    assert known.account("gone") is None
    assert known.number("+31201234567") == number
    assert known.number("+31201234568") is None
    assert known.callflow("gone") is None
    assert (known.base_domain, known.version) == ("sip.example.com", 7)
