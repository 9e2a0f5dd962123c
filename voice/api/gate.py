"""Lets requests in by their access key: who it is, how often, with which scope, for which account."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from voice.api.faults import Forbidden, Invalid, TooManyRequests
from voice.api.limits import TokenBuckets
from voice.api.operation import Account, Operation
from voice.api.principal import Keys, Principal
from voice.api.request import ACCOUNT_HEADER, ACCOUNT_PARAMETER
from voice.settings import ApiSettings
from voice.store.listing import Accounts

SCHEME: Final = "accesskey"
LONGEST_KEY: Final = 200
FAILURES: Final = 20
"""Wrong keys from one address before it has to wait."""
FAILURES_PER_SECOND: Final = 0.2
MOST_KNOWN: Final = 20_000


class Gate:
    """Raises ApiFault for whoever may not pass, StoreError when the database cannot say."""

    def __init__(
        self,
        keys: Keys,
        accounts: Accounts,
        settings: ApiSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._accounts = accounts
        self._monotonic = monotonic
        self._requests = TokenBuckets(rate=settings.requests_per_second, burst=settings.burst)
        self._failures = TokenBuckets(rate=FAILURES_PER_SECOND, burst=FAILURES)
        self._known: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        """Keys that were right, with the address they came from: who guesses from behind the same address
        does not lock them out."""

    async def principal(self, authorization: str, source: str) -> Principal:
        """Whose key it is.  Raises Forbidden and TooManyRequests."""
        now = self._monotonic()
        key = _key(authorization)
        known = (source, hashlib.sha256(key.encode(errors="replace")).digest())
        if known not in self._known and (wait := self._failures.missing(source, now)):
            raise TooManyRequests(wait, "Too many wrong access keys came from this address. Wait.")
        found = await self._keys.find(key) if key else None
        if found is None:
            self._known.pop(known, None)
            self._failures.take(source, now)
            raise Forbidden
        self._remember(known)
        if wait := self._requests.take(found.id, now):
            raise TooManyRequests(wait, "This access key asks too often. Wait as Retry-After says.")
        return Principal(
            key_id=found.id, account_id=found.account_id, test=found.test, scopes=frozenset(found.scopes)
        )

    async def account(
        self, principal: Principal, operation: Operation, header: str | None, parameter: str | None
    ) -> str | None:
        """The account that the request is about; None: all of them, for an operator.

        Raises Forbidden for one that the key may not see, Invalid for one that does not exist.
        """
        if not principal.may(operation.scope or "", reading=operation.method == "GET"):
            raise Forbidden(f"This access key lacks the scope {operation.scope}, which the request needs.")
        if operation.account is Account.OPERATOR and not principal.is_operator:
            raise Forbidden("Only an operator's access key may do this.")
        named = header or parameter
        if named is None:
            return principal.account_id
        found = await self._accounts.id_of(named) if len(named) <= 64 else None
        if principal.account_id is not None:
            if found != principal.account_id:
                raise Forbidden("This access key belongs to another account.")
        elif found is None:
            where = ACCOUNT_HEADER if header else ACCOUNT_PARAMETER
            raise Invalid.field(where, "There is no such account; give its id or its name.")
        return found

    def _remember(self, known: tuple[str, bytes]) -> None:
        self._known[known] = None
        self._known.move_to_end(known)
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _key(authorization: str) -> str:
    """Empty when there is none, or nothing that could be one."""
    scheme, _, key = authorization.strip().partition(" ")
    key = key.strip()
    return key if scheme.lower() == SCHEME and len(key) <= LONGEST_KEY and key.isascii() else ""
