"""What an operation gets: everything about one request that it may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voice.api.faults import Code, Invalid
from voice.api.fields import Fields
from voice.api.principal import Principal

ACCOUNT_HEADER = "X-Account"
ACCOUNT_PARAMETER = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    id: str
    """In the answer's ``X-Request-Id``, and in the log."""
    method: str
    url_path: str
    """As it was asked for, without ``/v1`` and without the slash at its end."""
    public_url: str
    """What absolute links start with, such as ``https://api.example.com``; without a slash at its end."""
    principal: Principal | None
    """None: the operation asks for no key."""
    account: str | None
    """Id of the account that the request is about; None: every one, for an operator's key."""
    path: Mapping[str, str]
    """The parameters of the operation's path, decoded."""
    query: Fields
    body: Fields
    content: bytes = b""
    """The body as it came."""
    content_type: str = ""
    """Media type in lower case, without parameters; what a client says need not be true."""
    accept: str = ""

    @property
    def account_id(self) -> str:
        """The account.  Raises Invalid when an operator's key names none."""
        if self.account is None:
            raise Invalid.field(
                ACCOUNT_PARAMETER,
                "An operator's key must say for which account this is: add ?account= with its id or name, "
                f"or the header {ACCOUNT_HEADER}.",
                code=Code.MISSING,
            )
        return self.account

    @property
    def by(self) -> Principal:
        """Whose key it is, where one is asked for."""
        assert self.principal is not None
        return self.principal

    @property
    def is_test(self) -> bool:
        """Whether the key is a test key: calls are simulated."""
        return self.principal is not None and self.principal.test

    def wants(self, media_type: str) -> bool:
        """Whether `media_type`, such as ``application/xml``, is the first that Accept names."""
        first = self.accept.partition(",")[0].partition(";")[0]
        return first.strip().lower() == media_type
