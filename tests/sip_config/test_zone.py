"""The zone, read back by a DNS library: every name of every domain leads where DESIGN.md says."""

from __future__ import annotations

from dataclasses import replace

import dns.rdatatype
import dns.zone
import pytest

from sip_config.faults import Unfit
from sip_config.model import AccountId, Domain, DomainId, Pop, Region
from sip_config.zone import TCP, UDP, NameServer, ZoneOptions, name_server, without_address, zone

BASE = "sip.example.com"
POPS = (
    Pop(name="eu1", region=Region.EU, address="192.0.2.1:5070"),
    Pop(name="eu2", region=Region.EU, address="[2001:db8::2]"),
    Pop(name="us1", region=Region.US, address="us1.example.net"),
    Pop(name="us2", region=Region.US),
    Pop(name="apac1", region=Region.APAC, address="192.0.2.5"),
    Pop(name="apac2", region=Region.APAC),
)
OPTIONS = ZoneOptions(name_servers=(NameServer(name=f"ns1.{BASE}", addresses=("192.0.2.53",)),), serial=7)


def domain(label: str, home: Region = Region.EU) -> Domain:
    return Domain(id=DomainId(label), account_id=AccountId("a"), label=label, home_region=home)


def read(*domains: Domain, pops: tuple[Pop, ...] = POPS, options: ZoneOptions = OPTIONS) -> dns.zone.Zone:
    text = "\n".join(zone(BASE, domains, pops, options))
    return dns.zone.from_text(text, origin=f"{BASE}.", relativize=True)


def records(found: dns.zone.Zone, name: str, kind: str) -> list[str]:
    rdataset = found.get_rdataset(name, dns.rdatatype.from_text(kind))
    return sorted(str(one) for one in rdataset) if rdataset else []


def test_the_plain_name_leads_home_first() -> None:
    found = read(domain("acme", Region.US))
    assert records(found, "_sip._udp.acme", "SRV") == [
        "10 10 5060 us1.example.net.",
        "20 10 5060 edge-apac1",
        "20 10 5060 edge-eu2",
        "20 10 5070 edge-eu1",
    ]
    assert records(found, "_sip._tcp.acme", "SRV") == records(found, "_sip._udp.acme", "SRV")
    assert records(found, "_sips._tcp.acme", "SRV")[0] == "10 10 5061 us1.example.net."
    assert records(found, "acme", "NAPTR") == [
        '10 10 "s" "SIP+D2U" "" _sip._udp.acme',
        '20 10 "s" "SIP+D2T" "" _sip._tcp.acme',
        '30 10 "s" "SIPS+D2T" "" _sips._tcp.acme',
    ]
    assert records(found, "edge-eu1", "A") == ["192.0.2.1"]
    assert records(found, "edge-eu2", "AAAA") == ["2001:db8::2"]


def test_a_bound_name_stays_in_its_region() -> None:
    found = read(domain("acme"))
    assert records(found, "_sip._udp.acme.eu2", "SRV") == ["10 10 5060 edge-eu2", "20 10 5070 edge-eu1"]
    assert records(found, "acme.eu2", "AAAA") == ["2001:db8::2"]
    assert records(found, "acme.eu2", "A") == []
    assert records(found, "_sip._udp.acme.apac1", "SRV") == ["10 10 5060 edge-apac1"]
    # A POP that has no address yet: its names lead to the others of its region.
    assert records(found, "_sip._udp.acme.apac2", "SRV") == ["20 10 5060 edge-apac1"]
    assert records(found, "acme.apac2", "A") == ["192.0.2.5"]


def test_those_who_know_no_srv_get_addresses_of_the_home_region() -> None:
    found = read(domain("acme"))
    assert records(found, "acme", "A") == ["192.0.2.1"]
    assert records(found, "acme", "AAAA") == ["2001:db8::2"]
    # The only POP there is known by name: better another region than no way at all.
    assert records(read(domain("acme", Region.US)), "acme", "A") == ["192.0.2.1", "192.0.2.5"]


def test_a_region_without_any_pop_is_served_by_the_others() -> None:
    found = read(domain("acme", Region.APAC), pops=POPS[:2])
    assert records(found, "_sip._udp.acme", "SRV") == ["20 10 5060 edge-eu2", "20 10 5070 edge-eu1"]
    assert records(found, "acme", "A") == ["192.0.2.1"]


def test_the_head() -> None:
    found = read()
    assert records(found, "@", "SOA") == ["ns1 hostmaster 7 3600 600 1209600 60"]
    assert records(found, "@", "NS") == ["ns1"]
    assert records(found, "ns1", "A") == ["192.0.2.53"]
    assert [one.ttl for one in found.find_node("edge-eu1")] == [300]


def test_no_tls() -> None:
    found = read(domain("acme"), options=replace(OPTIONS, services=(UDP, TCP)))
    assert len(records(found, "acme", "NAPTR")) == 2
    assert records(found, "_sips._tcp.acme", "SRV") == []


def test_a_customer_may_be_called_like_a_pop() -> None:
    found = read(domain("eu1", Region.APAC))
    assert records(found, "eu1", "A") == ["192.0.2.5"]
    assert records(found, "edge-eu1", "A") == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (f"acme.{BASE}=192.0.2.53", "is a customer's domain"),
        (f"acme.us1.{BASE}=192.0.2.53", "is a customer's domain"),
        (f"edge-eu1.{BASE}=192.0.2.53", "is the host of an edge"),
        (f"ns-1.{BASE}", "has no address"),
    ],
)
def test_name_servers_that_would_spoil_the_zone(server: str, said: str) -> None:
    with pytest.raises(Unfit, match=said):
        read(domain("acme"), options=replace(OPTIONS, name_servers=(name_server(server),)))


@pytest.mark.parametrize(
    ("pop", "said"),
    [
        (Pop(name="eu1", region=Region.EU, address=f"edge.{BASE}:5060"), "inside the zone"),
        (Pop(name="e" * 59, region=Region.EU, address="192.0.2.1"), "too long a name for a host"),
    ],
)
def test_pops_that_no_name_would_lead_to(pop: Pop, said: str) -> None:
    with pytest.raises(Unfit, match=said):
        read(domain("acme"), pops=(pop,))


def test_names_as_long_as_they_may_be_and_one_longer() -> None:
    base = ".".join(["b" * 63] * 4)[: 253 - len("_sips._tcp.acme.eu1.")]
    pops = (Pop(name="eu1", region=Region.EU, address="192.0.2.1"),)
    text = "\n".join(zone(base, [domain("acme")], pops, replace(OPTIONS, name_servers=(name_server("a.b"),))))
    assert dns.zone.from_text(text, origin=f"{base}.").get_rdataset("_sips._tcp.acme.eu1", "SRV")
    with pytest.raises(Unfit, match="254 characters"):
        list(zone(base, [domain("acmes")], pops, replace(OPTIONS, name_servers=(name_server("a.b"),))))


def test_no_pop_with_an_address() -> None:
    assert without_address(POPS) == ("us2", "apac2")
    with pytest.raises(Unfit, match="No POP has an address"):
        list(zone(BASE, [domain("acme")], [Pop(name="eu1", region=Region.EU)], OPTIONS))


def test_name_servers() -> None:
    assert name_server("NS.example.net.") == NameServer(name="ns.example.net")
    assert name_server("ns1.a=192.0.2.1,2001:db8::1").addresses == ("192.0.2.1", "2001:db8::1")
    for wrong in ("ns 1", "ns1=x", "192.0.2.1"):
        with pytest.raises(Unfit):
            name_server(wrong)
