"""One thing that the API can do: its route, who may, what goes in and out.

The server serves these and the OpenAPI document is made from them, so that neither says what the other
does not.  A resource's file ends in ``def operations(services: Services) -> tuple[Operation, ...]``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from voice.api.faults import Family
from voice.api.reply import Reply
from voice.api.request import Request

Schema = Mapping[str, Any]
"""JSON Schema 2020-12, as OpenAPI 3.1 uses it."""

USUAL_BODY: Final = 65_536
"""Bytes: what the original service takes."""


class Account(StrEnum):
    """Whether an operation is about one account."""

    REQUIRED = "required"
    """An operator's key names one: ``?account=`` or the header ``X-Account``."""
    OPTIONAL = "optional"
    """`Request.account` is None when an operator's key names none: all accounts."""
    OPERATOR = "operator"
    """Only for operators' keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    method: str
    """GET, POST, PUT or DELETE.  HEAD is answered from GET."""
    path: str
    """Such as ``/calls/{call}/legs/{leg}`` or ``/recordings/{recording}.wav``, without ``/v1``."""
    run: Callable[[Request], Awaitable[Reply]]
    family: Family
    tag: str
    """The heading under which the documentation shows it."""
    summary: str
    """A few words; unique: the operation's id is made of them."""
    description: str = ""
    scope: str | None
    """A key must have it, with ``:read`` at its end for GET; None: no key is asked for."""
    account: Account = Account.REQUIRED
    body: Schema | None = None
    """Of the fields, as they are called in the documentation; case does not matter."""
    body_type: str = "application/json"
    """For the documentation: the media type that the body should have."""
    answers: Mapping[int, Schema | str]
    """By status: JSON Schema, the media type of what is no JSON, or ``""`` for nothing."""
    query: Mapping[str, Schema] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    """Deprecated paths of the same, with at least the parameters of `path`."""
    bare: str | None = None
    """The field that a body which is no object stands for, such as ``language`` for ``"en-US"``."""
    largest_body: int = USUAL_BODY
    """In bytes; more is 413."""
    raw_body: bool = False
    """The body is no JSON: only `Request.content` holds it."""

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, *self.also)
