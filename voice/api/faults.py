"""What a request can be refused for, with the HTTP status and the numeric code that clients look at.

Statuses are those whose bodies every SDK reads, 401, 404, 405 and 422 (reference section 0.4), wherever
one of them can say it: a key without the scope is 401, a state that forbids what was asked is 422.  The
others are the protocol's own: 408, 413, 415, 429, 500 and 503.  Codes are those of the original service
(reference, REST conventions); "not found" is 13 in the voice API and 20 elsewhere, and `render` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, Final

Json = dict[str, Any]

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Family(StrEnum):
    """Which of the two envelopes an operation answers with."""

    VOICE = "voice"
    """``{"data": [...], "_links": {...}, "pagination": {...}}`` (reference section 1.4)."""
    REST = "rest"
    """The bare object, or ``{"offset", "limit", "count", "totalCount", "links", "items"}``."""


class Code(IntEnum):
    NOT_ALLOWED = 2
    MISSING = 9
    INVALID = 10
    NOT_FOUND = 20
    """13 in the voice API."""
    BAD_REQUEST = 21
    """The request as a whole: its encoding, its size, or the state of what it is about."""
    TOO_MANY = 22
    """The original service has no code for 429 on record; this one is ours."""
    NO_BALANCE = 25
    NO_SUCH_RESOURCE = 98
    """Neither this path nor this method exists."""
    INTERNAL = 99
    UNAVAILABLE = 100
    DUPLICATE = 101


_NOT_FOUND_IN_VOICE: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request."""

    code: int
    message: str
    """What is wrong and what to do, in one or two sentences."""
    parameter: str | None = None
    """The field, query parameter or header, a JSON pointer inside a field: ``callFlow/steps/0/options``."""


class ApiFault(Exception):
    """The request is refused with `status`; `problems` holds everything that is wrong with it."""

    def __init__(self, status: int, *problems: Problem, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.status = status
        self.problems = problems
        self.headers = headers


class NotFound(ApiFault):
    """404.  Also for what belongs to another account: nobody learns that it exists."""

    def __init__(self, what: str, id: str) -> None:
        shown = id if len(id) <= 64 else f"{id[:63]}…"
        problem = Problem(code=Code.NOT_FOUND, message=f"No {what} found for ID `{shown}`.")
        super().__init__(404, problem)


class Invalid(ApiFault):
    """422: fields that are missing or cannot be used."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(422, *problems)

    @classmethod
    def field(cls, parameter: str, message: str, *, code: int = Code.INVALID) -> Invalid:
        return cls(Problem(code=code, message=message, parameter=parameter))


class Conflict(ApiFault):
    """422: the state of what the request is about forbids it, such as holding a leg that has ended."""

    def __init__(self, message: str, *, code: int = Code.BAD_REQUEST, parameter: str | None = None) -> None:
        super().__init__(422, Problem(code=code, message=message, parameter=parameter))


class Forbidden(ApiFault):
    """401: no key, a wrong one, or one that may not do this."""

    def __init__(self, message: str = "Request not allowed (incorrect access_key).") -> None:
        problem = Problem(code=Code.NOT_ALLOWED, message=message, parameter="access_key")
        super().__init__(401, problem, headers={"WWW-Authenticate": "AccessKey"})


class NotEnoughBalance(ApiFault):
    """422, code 25."""

    def __init__(self, message: str = "Not enough balance: top the account up.") -> None:
        super().__init__(422, Problem(code=Code.NO_BALANCE, message=message))


class TooManyRequests(ApiFault):
    """429; `seconds` until it is worth trying again."""

    def __init__(self, seconds: float, message: str) -> None:
        wait = str(max(1, int(-(-seconds // 1))))
        super().__init__(429, Problem(code=Code.TOO_MANY, message=message), headers={"Retry-After": wait})


class Unavailable(ApiFault):
    """503: the platform cannot do it now; trying again is right."""

    def __init__(self, message: str, *, seconds: int = 5) -> None:
        problem = Problem(code=Code.UNAVAILABLE, message=message)
        super().__init__(503, problem, headers={"Retry-After": str(seconds)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """Collects what is wrong while a request is read, to be told all at once."""

    found: list[Problem] = field(default_factory=list)

    def add(self, parameter: str | None, message: str, *, code: int = Code.INVALID) -> None:
        self.found.append(Problem(code=code, message=message, parameter=parameter))

    def check(self) -> None:
        """Raises Invalid with everything that was found."""
        if self.found:
            raise Invalid(*self.found)


def render(fault: ApiFault, family: Family) -> Json:
    """The body of an error answer: `message` and `description` say the same, for SDKs read one or the other.

    No ``pagination`` and no further keys: the C# and Java SDKs lose the list of errors over them.
    """
    errors = [
        {
            "code": _NOT_FOUND_IN_VOICE
            if problem.code == Code.NOT_FOUND and family is Family.VOICE
            else int(problem.code),
            "message": problem.message,
            "description": problem.message,
            "parameter": problem.parameter,
        }
        for problem in fault.problems
    ]
    return {"data": None, "errors": errors} if family is Family.VOICE else {"errors": errors}
