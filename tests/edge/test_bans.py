"""Bans, paces and crowds by themselves, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from voice.bans import Ban, BanReason, ban_key, released
from voice.edge.core.bans import (
    MOST_BANS,
    MOST_NEWS,
    MOST_SUSPECTS,
    MOST_TRUSTED,
    TRUSTED_SECONDS,
    Bans,
)
from voice.edge.core.crowd import PATIENCE, Crowd
from voice.edge.core.pace import Pace
from voice.edge.settings import BanRules

NOW = 1_800_000_000.0
EVIL, GOOD, PEER = "203.0.113.9", "192.0.2.1", "198.51.100.7"


def bans(named: Iterable[str] = (), **rules: object) -> Bans:
    known = frozenset(named)
    return Bans(BanRules(**rules), known.__contains__, {PEER}.__contains__)  # type: ignore[arg-type]


def address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def test_nobody_is_banned_at_first() -> None:
    assert bans().of(EVIL, "UDP", NOW) is None
    assert bans().in_force(NOW) == ()


@pytest.mark.parametrize(("transport", "kept_out"), [("UDP", True), ("TCP", False), ("TLS", False)])
def test_what_a_datagram_says_keeps_out_datagrams_only(transport: str, kept_out: bool) -> None:
    held = bans()
    held.scanner(EVIL, NOW, proven=False)
    assert (held.of(EVIL, transport, NOW) is not None) == kept_out
    assert held.of(GOOD, transport, NOW) is None


@pytest.mark.parametrize("transport", ["UDP", "TCP", "TLS", "WS", "WSS"])
def test_what_is_proven_keeps_out_everything(transport: str) -> None:
    held = bans()
    held.scanner(EVIL, NOW, proven=True)
    ban = held.of(EVIL, transport, NOW)
    assert ban is not None
    assert (ban.reason, ban.level, ban.until) == (BanReason.SCANNER, 1, NOW + 60)


def test_proof_makes_a_ban_wider_and_a_datagram_does_not_make_it_narrower() -> None:
    held = bans()
    held.scanner(EVIL, NOW, proven=False)
    held.scanner(EVIL, NOW + 1, proven=True)
    held.scanner(EVIL, NOW + 2, proven=False)
    ban = held.of(EVIL, "TCP", NOW + 3)
    assert ban is not None
    assert (ban.level, ban.since) == (2, NOW + 1)


def test_bans_end_by_themselves_grow_and_are_forgotten() -> None:
    held = bans(longest_seconds=10_000.0)
    lengths: list[float] = []
    now = end = NOW
    for _ in range(7):
        held.scanner(EVIL, now, proven=True)
        [ban] = held.in_force(now)
        lengths.append(ban.until - ban.since)
        assert held.of(EVIL, "UDP", ban.until - 0.1) is ban
        assert held.of(EVIL, "UDP", ban.until) is None
        assert held.in_force(ban.until) == ()
        end = ban.remembered_until
        now = ban.until + 1
    assert lengths == [60, 240, 960, 3_840, 10_000, 10_000, 10_000]
    assert end == now - 1 + 10_000
    held.scanner(EVIL, end + 1, proven=True)
    [ban] = held.in_force(end + 1)
    assert ban.level == 1


def test_more_of_the_same_does_not_make_a_running_ban_longer() -> None:
    held = bans()
    held.scanner(EVIL, NOW, proven=False)
    for later in range(50):
        held.scanner(EVIL, NOW + later, proven=False)
    [ban] = held.in_force(NOW + 50)
    assert ban.until == NOW + 60


def test_unknown_domains_ban_when_there_are_many_within_a_minute() -> None:
    held = bans(unknown_domains=5)
    for number in range(20):
        held.unknown_domain(EVIL, NOW + 20 * number, proven=False)
        assert held.of(EVIL, "UDP", NOW + 20 * number) is None
    for _ in range(4):
        held.unknown_domain(GOOD, NOW, proven=False)
    assert held.of(GOOD, "UDP", NOW) is None
    held.unknown_domain(GOOD, NOW + 1, proven=False)
    assert held.of(GOOD, "UDP", NOW + 1) is not None


def test_wrong_passwords_ban_by_the_number_of_users_and_by_their_own() -> None:
    held = bans(wrong_users=4, wrong_passwords=20)
    for number in range(19):
        held.wrong_password(GOOD, "pbx", NOW + number, proven=True)
    assert held.of(GOOD, "UDP", NOW + 19) is None, "one mistyped password is a mistake for long"
    held.wrong_password(GOOD, "pbx", NOW + 20, proven=True)
    assert held.of(GOOD, "UDP", NOW + 20) is not None
    for user in ("100", "101", "102"):
        held.wrong_password(EVIL, user, NOW, proven=True)
    assert held.of(EVIL, "UDP", NOW) is None
    held.wrong_password(EVIL, "103", NOW, proven=True)
    assert held.of(EVIL, "UDP", NOW) is not None


def test_wrong_passwords_are_forgotten_after_a_login_and_after_a_while() -> None:
    held = bans(wrong_users=4)
    for user in ("1", "2", "3"):
        held.wrong_password(GOOD, user, NOW, proven=True)
    held.logged_in(GOOD, NOW)
    for user in ("4", "5", "6"):
        held.wrong_password(GOOD, user, NOW, proven=True)
    for user in ("7", "8", "9"):
        held.wrong_password(GOOD, user, NOW + 601, proven=True)
    assert held.in_force(NOW + 601) == ()


def test_a_flood_that_goes_on_is_banned() -> None:
    held = bans(flood_requests=100)
    for _ in range(99):
        held.too_fast(EVIL, NOW, proven=False)
    for _ in range(99):
        held.too_fast(EVIL, NOW + 11, proven=False)
    assert held.of(EVIL, "UDP", NOW + 11) is None
    held.too_fast(EVIL, NOW + 12, proven=False)
    assert held.of(EVIL, "UDP", NOW + 12) is not None


def offend(held: Bans, host: str, now: float, *, proven: bool) -> None:
    """Everything at once."""
    held.scanner(host, now, proven=proven)
    for number in range(2_000):
        held.unknown_domain(host, now, proven=proven)
        held.wrong_password(host, str(number), now, proven=proven)
        held.too_fast(host, now, proven=proven)


@pytest.mark.parametrize("proven", [True, False])
def test_what_the_configuration_names_is_never_banned(proven: bool) -> None:
    held = bans([GOOD])
    offend(held, GOOD, NOW, proven=proven)
    assert held.in_force(NOW) == ()


def test_unless_the_operator_says_so() -> None:
    held = bans([GOOD], include_named=True)
    held.scanner(GOOD, NOW, proven=False)
    assert held.of(GOOD, "UDP", NOW) is not None


def test_another_pop_is_spared_in_any_case() -> None:
    held = bans([PEER], include_named=True)
    offend(held, PEER, NOW, proven=True)
    assert held.in_force(NOW) == ()
    held.put(Ban(address=PEER, since=NOW, until=NOW + 60, reason=BanReason.FLOOD, level=1, proven=True))
    assert held.of(PEER, "UDP", NOW) is None, "it was banned before it became a POP"
    held.put(Ban(address=PEER, since=NOW, until=NOW + 60, reason=BanReason.OPERATOR, level=1, proven=True))
    assert held.of(PEER, "UDP", NOW) is not None


def test_an_address_that_comes_to_be_named_is_free_at_once() -> None:
    named: set[str] = set()
    held = Bans(BanRules(), named.__contains__, {PEER}.__contains__)
    held.scanner("2001:db8::66", NOW, proven=True)
    assert held.of("2001:db8::66", "UDP", NOW) is not None
    named.add("2001:db8::1")
    assert held.of("2001:db8::1", "UDP", NOW) is None, "its neighbours in the /64 are banned, it is not"
    assert held.of("2001:db8::66", "UDP", NOW) is not None


def test_a_source_that_logged_in_cannot_be_framed_by_datagrams() -> None:
    held = bans()
    held.logged_in(GOOD, NOW)
    offend(held, GOOD, NOW + 1, proven=False)
    assert held.in_force(NOW + 1) == ()
    offend(held, GOOD, NOW + 1, proven=True)
    assert held.of(GOOD, "TCP", NOW + 1) is not None
    later = bans()
    later.logged_in(GOOD, NOW)
    later.scanner(GOOD, NOW + TRUSTED_SECONDS, proven=False)
    assert later.of(GOOD, "UDP", NOW + TRUSTED_SECONDS) is not None


def test_switched_off_nobody_is_banned_but_by_an_operator() -> None:
    held = bans(enabled=False)
    offend(held, EVIL, NOW, proven=True)
    assert held.in_force(NOW) == ()
    held.put(a_ban(EVIL, BanReason.OPERATOR))
    assert held.of(EVIL, "UDP", NOW) is not None


def a_ban(host: str, reason: BanReason = BanReason.SCANNER, *, proven: bool = True, level: int = 1) -> Ban:
    return Ban(address=host, since=NOW, until=NOW + 60, reason=reason, level=level, proven=proven)


def test_what_an_operator_bans_is_banned_even_if_it_is_named() -> None:
    held = bans([GOOD])
    held.put(a_ban(GOOD))
    assert held.of(GOOD, "UDP", NOW) is None
    held.put(a_ban(GOOD, BanReason.OPERATOR))
    assert held.of(GOOD, "UDP", NOW) is not None


def test_a_released_source_is_free_and_begins_anew() -> None:
    held = bans()
    for later in (0, 100, 400):
        held.scanner(EVIL, NOW + later, proven=False)
    [ban] = held.in_force(NOW + 400)
    assert ban.level == 3
    held.put(released(ban, NOW + 401))
    assert held.of(EVIL, "UDP", NOW + 401) is None
    held.scanner(EVIL, NOW + 402, proven=False)
    [ban] = held.in_force(NOW + 402)
    assert ban.level == 1


def test_news_are_told_once_and_proven_ones_first() -> None:
    held = bans()
    held.scanner(EVIL, NOW, proven=False)
    held.scanner(GOOD, NOW, proven=True)
    held.put(a_ban("198.51.100.1"))
    assert [ban.address for ban in held.take_news(1)] == [GOOD]
    assert [ban.address for ban in held.take_news(10)] == [EVIL], "what others told is no news"
    assert held.take_news(10) == []


def test_memory_is_bounded_whatever_strangers_do() -> None:
    held = bans()
    for number in range(80_000):
        held.unknown_domain(address(number), NOW, proven=False)
        held.scanner(address(number), NOW, proven=False)
        held.logged_in(address(number), NOW)
    assert len(held._unproven) == MOST_BANS
    assert len(held._suspects) <= MOST_SUSPECTS
    assert len(held._trusted) == MOST_TRUSTED
    assert len(held._news) == MOST_NEWS


def test_forged_bans_make_no_proven_one_forgotten() -> None:
    held = bans()
    held.scanner(EVIL, NOW, proven=True)
    for number in range(MOST_BANS + 10):
        held.scanner(address(number), NOW, proven=False)
    assert held.of(EVIL, "TCP", NOW) is not None
    assert held.of(address(0), "UDP", NOW) is None, "the oldest of its own kind is"


def test_one_suspects_user_names_are_bounded() -> None:
    held = bans(wrong_users=1_000, wrong_passwords=100_000)
    for number in range(5_000):
        held.wrong_password(EVIL, str(number) * 50, NOW, proven=True)
    [suspect] = held._suspects.values()
    assert len(suspect.users) <= 64
    assert max(map(len, suspect.users)) <= 64


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("what:ever", "what:ever"),
    ],
)
def test_ipv6_is_banned_by_its_64(host: str, key: str) -> None:
    assert ban_key(host) == key


# -- paces ---------------------------------------------------------------------------------------


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    pace = Pace(rate=10, burst=5, most=10)
    assert [pace.allows("a", NOW) for _ in range(7)] == [True] * 5 + [False] * 2
    assert pace.allows("b", NOW)
    assert pace.allows("a", NOW + 0.11)
    assert not pace.allows("a", NOW + 0.11)
    allowed = sum(pace.allows("a", NOW + 1 + step / 1000) for step in range(10_000))
    assert 100 <= allowed <= 106, "ten seconds at ten a second, and the burst"
    assert [pace.allows("a", NOW + 100) for _ in range(7)] == [True] * 5 + [False] * 2


def test_a_burst_of_one_is_the_rate_alone() -> None:
    pace = Pace(rate=2, burst=1, most=10)
    assert [pace.allows("a", NOW + step / 4) for step in range(8)] == [True, False] * 4


def test_paces_take_bounded_memory() -> None:
    pace = Pace(rate=1, burst=1, most=10)
    for number in range(100):
        assert pace.allows(str(number), NOW)
        assert len(pace) <= 10


# -- crowds --------------------------------------------------------------------------------------


def looked_at(crowd: Crowd, of: int = 1_000) -> int:
    return sum(crowd.has_room() for _ in range(of))


def test_everybody_is_looked_at_while_the_socket_is_emptied_again_and_again() -> None:
    crowd = Crowd()
    for _ in range(100):
        for _ in range(PATIENCE - 1):
            crowd.batch(False)
        crowd.batch(True)
    assert looked_at(crowd) == 1_000


def test_the_longer_it_is_not_emptied_the_fewer_are_and_never_nobody() -> None:
    crowd = Crowd()
    shares = []
    for _ in range(30):
        for _ in range(PATIENCE):
            crowd.batch(False)
        shares.append(looked_at(crowd))
    assert 795 <= shares[0] <= 805
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] in (20, 21)
    for _ in range(98):
        crowd.batch(True)
    assert looked_at(crowd) == 1_000
