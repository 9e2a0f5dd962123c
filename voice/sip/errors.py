"""What can be wrong with SIP that came from outside.

    Exception
    +-- SipParseError    one message, or one value inside it, does not follow its grammar or our limits
    +-- StreamError      a byte stream can no longer be cut into messages: answer if possible, then close it

Text that we are asked to put into a message ourselves and that would break it is a `ValueError`: a bug
of ours, never the peer's fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voice.sip.message import Request


class SipParseError(Exception):
    """A message or value that cannot be accepted.

    `status` is the response that says so (400, 413, 416, 505, 513; RFC 3261 section 21), `header` names
    the place in its long form (``Via``, ``Request-URI``, ...; None: the message as a whole), and the text
    says what is wrong.  `partial` is the message as far as it could be read, when that suffices for a
    response: a request other than ACK with a readable topmost Via.
    """

    def __init__(
        self,
        problem: str,
        *,
        status: int = 400,
        header: str | None = None,
        partial: Request | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status
        self.header = header
        self.partial = partial

    def __str__(self) -> str:
        return f"{self.header}: {self.problem}" if self.header else self.problem


class StreamError(Exception):
    """A stream whose message boundaries are lost or whose peer asks for too much.

    `status` is the response that says so (400, 513), `partial` the request to answer with it as far as it
    could be read; None: close without a word.
    """

    def __init__(self, problem: str, *, status: int = 400, partial: Request | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status
        self.partial = partial
