"""Who is kept out for a while, and what it takes to get there.

A ban costs its victim everything, so three things are asked of the evidence.  It must not be about an
address that the configuration names (a gateway, a network of an access control list), unless the operator
says so: whoever can send from a customer's PBX is the customer's business.  Another POP, which relays what
anybody sends, is spared in any case.  It must be old offences that make
bans grow, not one fault.  And it must not be what somebody else can fake: a datagram's source proves
nothing, so a ban that datagrams alone brought about keeps out datagrams alone (who was banned by a forger
gets in by TCP), and never a source that proved a password lately.  Evidence is *proven* when it came by a
connection, or answered a challenge that was sent to that very address.
Who proves a password while banned for what datagrams said is free at once.

All memory is bounded: strangers make others forgotten, never more remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from voice.bans import Ban, BanReason, ban_key
from voice.edge.settings import BanRules

MOST_BANS: Final = 32_768
"""Of each kind, proven and not; the oldest make room."""
MOST_SUSPECTS: Final = 16_384
MOST_TRUSTED: Final = 65_536
MOST_NEWS: Final = 4_096
"""Changes that wait to be told; what comes on top is in force and not told."""
_MOST_USERS: Final = 64
"""Different user names that are remembered of one suspect."""

UNKNOWN_DOMAIN_SECONDS: Final = 60.0
WRONG_PASSWORD_SECONDS: Final = 600.0
FLOOD_SECONDS: Final = 10.0
TRUSTED_SECONDS: Final = 3_600.0
"""How long after a login a source is not suspected for what may be faked, and not slowed down."""
_GROWTH: Final = 4


class _Suspect:
    __slots__ = ("domains", "domains_since", "flood", "flood_since", "passwords", "passwords_since", "users")

    def __init__(self) -> None:
        self.domains = self.passwords = self.flood = 0
        self.domains_since = self.passwords_since = self.flood_since = float("-inf")
        self.users: set[str] = set()


class Bans:
    """`named`: whether the configuration names an address.  `peer`: whether an edge of ours is there."""

    def __init__(self, rules: BanRules, named: Callable[[str], bool], peer: Callable[[str], bool]) -> None:
        self._rules = rules
        self._named = named
        self._peer = peer
        self._proven: OrderedDict[str, Ban] = OrderedDict()
        self._unproven: OrderedDict[str, Ban] = OrderedDict()
        self._suspects: OrderedDict[str, _Suspect] = OrderedDict()
        self._trusted: OrderedDict[str, float] = OrderedDict()
        self._news: dict[str, Ban] = {}

    # -- asked for every packet --------------------------------------------------------------

    def of(self, host: str, transport: str, now: float) -> Ban | None:
        """The ban that keeps this packet out."""
        if not self._proven and not self._unproven:
            return None
        key = ban_key(host)
        ban = self._proven.get(key)
        if ban is None or ban.until <= now:
            ban = self._unproven.get(key) if transport == "UDP" else None
            if ban is None or ban.until <= now or self.is_trusted(host, now):
                return None
        return None if not ban.by_operator and self._is_exempt(host) else ban

    def is_trusted(self, host: str, now: float) -> bool:
        """Whether the source proved a password lately."""
        return self._trusted.get(ban_key(host), 0.0) > now

    # -- what sources do -----------------------------------------------------------------------

    def logged_in(self, host: str, now: float) -> None:
        """The source proved a password, by an answer to a challenge that was sent there."""
        key = ban_key(host)
        self._trusted.pop(key, None)
        self._trusted[key] = now + TRUSTED_SECONDS
        if len(self._trusted) > MOST_TRUSTED:
            self._trusted.popitem(last=False)
        self._suspects.pop(key, None)

    def scanner(self, host: str, now: float, *, proven: bool) -> None:
        """The source names itself a scanner."""
        if self._is_suspicious(host, now, proven):
            self._ban(host, BanReason.SCANNER, now, proven)

    def unknown_domain(self, host: str, now: float, *, proven: bool) -> None:
        if not self._is_suspicious(host, now, proven):
            return
        suspect = self._suspect(host)
        if now - suspect.domains_since > UNKNOWN_DOMAIN_SECONDS:
            suspect.domains, suspect.domains_since = 0, now
        suspect.domains += 1
        if suspect.domains >= self._rules.unknown_domains:
            self._ban(host, BanReason.UNKNOWN_DOMAINS, now, proven)

    def wrong_password(self, host: str, username: str, now: float, *, proven: bool) -> None:
        """Also of a user that does not exist."""
        if not self._is_suspicious(host, now, proven):
            return
        suspect = self._suspect(host)
        if now - suspect.passwords_since > WRONG_PASSWORD_SECONDS:
            suspect.passwords, suspect.passwords_since = 0, now
            suspect.users.clear()
        suspect.passwords += 1
        if len(suspect.users) < _MOST_USERS:
            suspect.users.add(username[:64])
        rules = self._rules
        if len(suspect.users) >= rules.wrong_users or suspect.passwords >= rules.wrong_passwords:
            self._ban(host, BanReason.WRONG_PASSWORDS, now, proven)

    def too_fast(self, host: str, now: float, *, proven: bool, requests: int = 1) -> None:
        """So many more requests beyond the pace."""
        if not self._is_suspicious(host, now, proven):
            return
        suspect = self._suspect(host)
        if now - suspect.flood_since > FLOOD_SECONDS:
            suspect.flood, suspect.flood_since = 0, now
        suspect.flood += requests
        if suspect.flood >= self._rules.flood_requests:
            self._ban(host, BanReason.FLOOD, now, proven)

    # -- the operator, other nodes, and a restart ----------------------------------------------------

    def put(self, ban: Ban) -> None:
        """Takes over a ban that was made elsewhere, or ends one: `until` in the past."""
        known = self._proven.get(ban.address) or self._unproven.get(ban.address)
        if known is not None and known.since > ban.since:
            return  # What is told late has been overtaken.
        self._forget(ban.address)
        self._keep(ban)
        self._suspects.pop(ban.address, None)

    def in_force(self, now: float) -> tuple[Ban, ...]:
        """All bans that have not ended, of sources that did not prove a password since."""
        both = (*self._proven.values(), *self._unproven.values())
        return tuple(
            ban for ban in both if ban.until > now and (ban.proven or not self.is_trusted(ban.address, now))
        )

    def take_news(self, most: int) -> list[Ban]:
        """Bans made here since the last time, proven ones first; they are then forgotten as news."""
        news = sorted(self._news.values(), key=lambda ban: not ban.proven)[:most]
        for ban in news:
            del self._news[ban.address]
        return news

    # -- within ----------------------------------------------------------------------------------

    def _is_exempt(self, host: str) -> bool:
        return self._peer(host) or (not self._rules.include_named and self._named(host))

    def _is_suspicious(self, host: str, now: float, proven: bool) -> bool:
        if not self._rules.enabled or self._is_exempt(host):
            return False
        return proven or not self.is_trusted(host, now)

    def _suspect(self, host: str) -> _Suspect:
        key = ban_key(host)
        suspect = self._suspects.get(key)
        if suspect is None:
            if len(self._suspects) >= MOST_SUSPECTS:
                self._suspects.popitem(last=False)
            suspect = self._suspects[key] = _Suspect()
        return suspect

    def _ban(self, host: str, reason: BanReason, now: float, proven: bool) -> None:
        key = ban_key(host)
        rules = self._rules
        last = self._proven.get(key) or self._unproven.get(key)
        if last is not None and last.until > now and (last.proven or not proven):
            return
        level = last.level + 1 if last is not None and last.remembered_until > now else 1
        seconds = min(rules.longest_seconds, rules.first_seconds * _GROWTH ** min(level - 1, 20))
        ban = Ban(address=key, since=now, until=now + seconds, reason=reason, level=level, proven=proven)
        self.put(ban)
        if key in self._news or len(self._news) < MOST_NEWS:
            self._news[key] = ban

    def _keep(self, ban: Ban) -> None:
        bans = self._proven if ban.proven else self._unproven
        if len(bans) >= MOST_BANS:
            bans.popitem(last=False)
        bans[ban.address] = ban

    def _forget(self, key: str) -> None:
        self._proven.pop(key, None)
        self._unproven.pop(key, None)
