"""Who asks: what an access key stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

EVERYTHING: Final = "*"
READ: Final = ":read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    key_id: str
    account_id: str | None
    """None: the operator, who sees every account."""
    test: bool = False
    """Calls are simulated, nothing is charged."""
    scopes: frozenset[str] = frozenset({EVERYTHING})
    """Such as ``calls`` (all of it), ``calls:read`` (GET only) or ``*``."""

    @property
    def is_operator(self) -> bool:
        return self.account_id is None

    def may(self, scope: str, *, reading: bool) -> bool:
        if EVERYTHING in self.scopes or scope in self.scopes:
            return True
        return reading and (scope + READ in self.scopes or EVERYTHING + READ in self.scopes)


class Keys(Protocol):
    """Where access keys are kept (`voice.store.access_keys`)."""

    async def find(self, key: str) -> FoundKey | None:
        """The key's row by its SHA-256, unless it is revoked or expired; raises StoreError."""
        ...


class FoundKey(Protocol):
    """A row of ``api_keys``."""

    @property
    def id(self) -> str: ...

    @property
    def account_id(self) -> str | None: ...

    @property
    def test(self) -> bool: ...

    @property
    def scopes(self) -> frozenset[str]: ...
