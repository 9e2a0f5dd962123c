"""The calls that hold places, and the talks of theirs that are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sip_config.call_limits import UNLIMITED, CallLimits
from sip_config.model import Account, Domain, SipAccount
from voice.edge.core.ledger import Row, key_of

if TYPE_CHECKING:
    from voice.edge.core.farewell import Farewell


class Subject(NamedTuple):
    """Somebody who has limits, and may have something to do with a call."""

    kind: str
    name: str
    key: bytes
    limits: CallLimits
    calls_per_second: float | None
    concurrent_calls: int | None

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def subjects_of(
    account: Account, domain: Domain | None = None, sip_account: SipAccount | None = None
) -> tuple[Subject, ...]:
    """Those whose limits a call has to fit: its account, and its domain and SIP account, if they have any."""
    limits = account.limits
    found = [
        Subject(
            "account",
            account.name,
            _key("account", account.id),
            limits,
            _least(account.calls_per_second, limits.calls_per_second),
            _fewest(account.concurrent_calls, limits.concurrent_calls),
        )
    ]
    if domain is not None and domain.limits != UNLIMITED:
        found.append(_subject("domain", domain.label, domain.id, domain.limits))
    if sip_account is not None and sip_account.limits != UNLIMITED:
        found.append(_subject("SIP account", sip_account.username, sip_account.id, sip_account.limits))
    return tuple(found)


def longest(account: Account, subjects: tuple[Subject, ...]) -> tuple[int, str]:
    """How many seconds a call may last, and whose limit that is."""
    lengths = [(account.max_call_seconds, f"account {account.name}")]
    lengths += [(one.limits.max_call_seconds, str(one)) for one in subjects if one.limits.max_call_seconds]
    return min(lengths, key=lambda length: length[0])


@dataclass(slots=True, kw_only=True)
class Talk:
    """An answered leg.  `wanted` and `queued` are for `Deadlines`: the end of its first minute."""

    call: LiveCall
    price: float
    """In millionths a second."""
    since: float
    wanted: float | None = None
    queued: float | None = None
    held: bool = True
    """Counted as a whole minute; later as what it lasted."""


class LiveCall:
    """A call that holds a place.  `wanted` and `queued` are for `Deadlines`: its longest duration."""

    __slots__ = (
        "account_id", "call_id", "farewell", "give_up", "holds", "legs", "most_seconds", "queued", "rows",
        "since", "subjects", "talks", "trunk", "wanted", "whose_limit",
    )  # fmt: skip

    def __init__(
        self,
        call_id: str,
        account: Account,
        subjects: tuple[Subject, ...] = (),
        *,
        trunk: bool = False,
        since: float,
    ) -> None:
        self.call_id = call_id
        self.account_id: str = account.id
        self.subjects = subjects or subjects_of(account)
        self.most_seconds, self.whose_limit = longest(account, self.subjects)
        self.trunk = trunk
        self.since = since
        self.rows: tuple[Row, ...] = ()
        """Of its subjects; empty before it has its place and after."""
        self.holds: list[float] = []
        """Prices of attempts that are not answered and have their first minute set apart."""
        self.talks: dict[str, Talk] = {}
        """By leg."""
        self.give_up: Callable[[float], None] | None = None
        """Ends a trunk call that was not answered yet."""
        self.farewell: Farewell | None = None
        """Ends a trunk call that was answered here."""
        self.legs: tuple[str, ...] = ()
        """Those that the farewell ends."""
        self.wanted: float | None = None
        self.queued: float | None = None


def _subject(kind: str, name: str, identity: str, limits: CallLimits) -> Subject:
    key = _key(kind, identity)
    return Subject(kind, name, key, limits, limits.calls_per_second, limits.concurrent_calls)


def _least(own: float, limit: float | None) -> float:
    return own if limit is None else min(own, limit)


def _fewest(own: int, limit: int | None) -> int:
    return own if limit is None else min(own, limit)


_key = lru_cache(maxsize=32_768)(key_of)
