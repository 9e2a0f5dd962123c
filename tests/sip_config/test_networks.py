"""Address tables against `ipaddress` as a second opinion."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_config.faults import Unfit
from sip_config.networks import NetworkTable, packed, parse_network

_V4 = st.builds(
    lambda value, length: ip_network((value, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
_V6 = st.builds(
    lambda value, length: ip_network((IPv6Address(value), length), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(0, 128),
)


@given(st.lists(_V4, max_size=8), st.integers(0, 2**32 - 1))
def test_ipv4_masks_are_those_of_every_network_that_holds_the_address(networks, value):  # type: ignore[no-untyped-def]
    address = IPv4Address(value)
    table = NetworkTable((network, 1 << at) for at, network in enumerate(networks))
    expected = sum(1 << at for at, network in enumerate(networks) if address in network)
    assert table.masks(str(address)) == expected
    assert table.masks(f"::ffff:{address}") == expected, "the IPv4-mapped form is the same address"
    assert table.masks(str(address)) == expected, "remembered answers are the same"


@given(st.lists(_V6, max_size=8), st.integers(2**48, 2**128 - 1))
def test_ipv6_masks(networks, value):  # type: ignore[no-untyped-def]
    address = IPv6Address(value)
    table = NetworkTable((network, 1 << at) for at, network in enumerate(networks))
    assert table.masks(str(address)) == sum(
        1 << at for at, network in enumerate(networks) if address in network
    )


def test_a_network_may_be_listed_twice() -> None:
    network = parse_network("10.0.0.0/8")
    assert NetworkTable([(network, 1), (network, 2)]).masks("10.1.1.1") == 3


def test_a_mapped_network_holds_ipv4_sources() -> None:
    table = NetworkTable([(parse_network("::ffff:192.0.2.0/120"), 1)])
    assert table.masks("192.0.2.7") == 1
    assert table.masks("::ffff:192.0.2.7") == 1
    assert table.masks("192.0.3.7") == 0


def test_an_ipv6_network_wider_than_the_mapped_range_holds_no_ipv4_source() -> None:
    assert NetworkTable([(parse_network("::/0"), 1)]).masks("192.0.2.1") == 0


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "1.2.3.4.5", "::g", "1.2.3.4\0", "١.2.3.4", "[::1]"]
)
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert packed(text) is None
    everything = NetworkTable([(parse_network("0.0.0.0/0"), 1), (parse_network("::/0"), 1)])
    assert everything.masks(text) == 0


def test_an_ipv6_zone_does_not_matter() -> None:
    assert packed("fe80::1%eth0") == packed("fe80::1")


def test_memory_of_a_flood_is_bounded() -> None:
    table = NetworkTable([(parse_network("10.0.0.0/8"), 1)], remembered=4)
    for last in range(100):
        assert table.masks(f"10.0.0.{last}") == 1
        assert len(table._seen) <= 4


@pytest.mark.parametrize("text", ["300.1.1.1", "1.2.3.4/33", "fe80::/129", "example.com", "", "1.2.3.0/24/8"])
def test_bad_networks_are_refused(text: str) -> None:
    with pytest.raises(Unfit, match="is not an IP network"):
        parse_network(text)


def test_host_bits_are_refused_and_the_remedy_names_both_meanings() -> None:
    with pytest.raises(Unfit) as caught:
        parse_network("192.0.2.10/24")
    assert caught.value.remedy == (
        "Write 192.0.2.0/24 for the whole network, or 192.0.2.10 for the one address."
    )


def test_blanks_around_a_network_do_not_matter() -> None:
    assert parse_network(" 192.0.2.1 ") == ip_network("192.0.2.1/32")
