"""The pace of TLS handshakes, by what is known of who asks for them."""

from __future__ import annotations

import pytest

from voice.edge.transports.handshakes import (
    POSSIBLE_PER_SECOND,
    SOURCE_PER_SECOND,
    STRANGERS_PER_SECOND,
    Handshakes,
    Standing,
)


def taken(handshakes: Handshakes, standing: Standing, sources: int, seconds: float) -> int:
    """How many of a flood are taken, each of which ends at once."""
    count = 0
    for at in range(int(seconds * 1_000)):
        if handshakes.begin(standing, f"10.0.0.{at % sources}", at / 1_000):
            handshakes.end(standing, f"10.0.0.{at % sources}")
            count += 1
    return count


def test_places_are_kept_for_those_who_are_known() -> None:
    handshakes = Handshakes(8)
    begun = {
        standing: sum(handshakes.begin(standing, f"10.0.0.{at}", 0.0) for at in range(20))
        for standing in Standing
    }
    assert begun == {Standing.STRANGER: 2, Standing.POSSIBLE: 4, Standing.KNOWN: 8}
    handshakes.end(Standing.STRANGER, "10.0.0.0")
    assert handshakes.begin(Standing.STRANGER, "10.0.0.99", 0.0)


@pytest.mark.parametrize("standing", [Standing.STRANGER, Standing.POSSIBLE])
@pytest.mark.parametrize("hosts", [("10.0.0.1",), ("2001:db8::1", "2001:db8::2")], ids=["IPv4", "a /64"])
def test_one_source_that_never_finishes_leaves_places_to_others(
    standing: Standing, hosts: tuple[str, ...]
) -> None:
    handshakes = Handshakes(128)
    begun = sum(handshakes.begin(standing, hosts[at % len(hosts)], at / 100) for at in range(1_000))
    assert begun == 16
    assert handshakes.begin(standing, "10.0.0.2", 10.0)
    handshakes.end(standing, hosts[0])
    assert handshakes.begin(standing, hosts[-1], 10.0)


def test_one_address_alone_is_slowed() -> None:
    count = taken(Handshakes(100), Standing.POSSIBLE, 1, 10)
    assert abs(count - SOURCE_PER_SECOND * 12) <= 2, "ten seconds, and two at once"


def test_many_addresses_together_are_slowed() -> None:
    assert abs(taken(Handshakes(100), Standing.STRANGER, 250, 10) - STRANGERS_PER_SECOND * 12) <= 2
    assert abs(taken(Handshakes(100), Standing.POSSIBLE, 250, 10) - POSSIBLE_PER_SECOND * 12) <= 2


def test_who_is_known_is_not_slowed() -> None:
    assert taken(Handshakes(100), Standing.KNOWN, 1, 2) == 2_000
