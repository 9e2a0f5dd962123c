"""Registering at a carrier that wants it (RFC 3261 section 10), so that its calls to us find the edge."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sip_config.model import Gateway
from voice.edge.core.doors import Door
from voice.edge.core.errand import Errand, Outcome
from voice.edge.core.gateway_events import gateway_event
from voice.edge.core.gateway_sources import MARK
from voice.edge.core.kernel import Alarm, Kernel, new_id
from voice.edge.core.targets import gateway_uri
from voice.sip.builders import INITIAL_MAX_FORWARDS
from voice.sip.errors import SipParseError
from voice.sip.headers import Headers, printable
from voice.sip.message import Request, Response
from voice.sip.uri import escape_user

_FIRST_WITHIN: Final = 1.0
"""Seconds after the start in which all registrations begin."""
_RENEW_AFTER: Final = (0.8, 0.9)
"""Of the time that was granted: renewals of many gateways spread out."""
_SHORTEST: Final = 5.0
"""Seconds between two renewals, whatever is granted, and however often the gateway comes back."""
_LONGEST: Final = 7 * 86_400
_FIRST_PAUSE: Final = 30.0
_LONGEST_PAUSE: Final = 1_800.0
"""Seconds after a failure before it is tried again: doubled each time, as RFC 5626 section 4.5 has it."""
_LONGEST_SILENCE: Final = 120.0
"""The same for a carrier that is down: as soon as it is back, its calls should find us."""
_MOST_RETRY_AFTER: Final = 3_600


class Standing(StrEnum):
    """Where a registration stands."""

    WAITING = "waiting"
    REGISTERED = "registered"
    FAILED = "failed"
    LEAVING = "leaving"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationView:
    """A registration, for people to look at."""

    standing: Standing
    until: float | None
    """When it runs out, unless it is renewed."""
    problem: str | None
    """Why the last attempt failed."""
    next_attempt: float | None


class Registration:
    """Keeps one gateway told where we are."""

    def __init__(
        self,
        kernel: Kernel,
        gateway: Gateway,
        dice: Callable[[], float] = random.random,
        left: Callable[[], None] | None = None,
    ) -> None:
        self._kernel = kernel
        self._gateway = gateway
        self._dice = dice
        self._call_id, self._tag = new_id(), os.urandom(6).hex()
        self._cseq = 0
        self._sent_at = float("-inf")
        self._seconds = gateway.options.register_seconds
        self._failures = 0
        self._refused = False
        """Whether the last attempt failed because the carrier did not want us."""
        self._too_brief = False
        self._standing = Standing.WAITING
        self._until: float | None = None
        self._problem: str | None = None
        self._alarm = Alarm(kernel, self._register)
        self._errand: Errand | None = None
        options = gateway.options
        user = options.register_user or gateway.username or ""
        domain = options.register_domain
        shown = None if domain is None else f"[{domain}]" if ":" in domain else domain
        self._user = escape_user(user)
        self._record = f"sip:{self._user}@{shown or gateway_uri(gateway).host}"
        self._registrar = str(gateway_uri(gateway)) if shown is None else f"sip:{shown}"
        """The domain whose location service is meant, wherever the request goes (section 10.2)."""
        self._mark = kernel.gateway_sources.mark_for(gateway.id)

    @property
    def over(self) -> bool:
        return self._standing is Standing.LEFT

    def start(self, now: float) -> None:
        self._alarm.set(now + self._dice() * _FIRST_WITHIN)

    def renew(self, now: float) -> None:
        """The gateway works again: what it knew of us may have gone with what it was down for."""
        # A carrier that refuses us would do so again, and might ban us for asking.
        lost = self._standing is Standing.REGISTERED or (
            self._standing is Standing.FAILED and not self._refused
        )
        if self._errand is None and lost:
            soon = max(now + self._dice() * _FIRST_WITHIN, self._sent_at + _SHORTEST)
            if self._alarm.wanted is None or soon < self._alarm.wanted:
                self._alarm.set(soon)

    def leave(self, now: float) -> None:
        """Takes the registration back; `over` once that is done, or cannot be done."""
        if self._standing in (Standing.LEAVING, Standing.LEFT):
            return
        self._alarm.stop()
        asked = self._errand is not None
        if self._errand is not None:
            self._errand.call_off(now)
        if self._standing is Standing.REGISTERED or asked:
            self._standing = Standing.LEAVING
            self._send(0, now)
        else:
            self._end()

    def view(self) -> RegistrationView:
        registered = self._standing is Standing.REGISTERED
        return RegistrationView(
            standing=self._standing,
            until=self._until,
            problem=None if registered else self._problem,
            next_attempt=self._alarm.wanted,
        )

    def _register(self, now: float) -> None:
        if self._until is not None and self._until <= now:
            self._until = None
        self._send(self._seconds, now)

    def _send(self, seconds: int, now: float) -> None:
        gateway = self._gateway
        self._sent_at = now

        def request(door: Door, later: int) -> Request:
            return self._request(door, seconds)

        self._errand = Errand(self._kernel, gateway, request, gateway.attempt_seconds, self._answered)
        self._errand.begin(gateway_uri(gateway), now)

    def _request(self, door: Door, seconds: int) -> Request:
        self._cseq += 1
        contact = door.uri(self._user, f";{MARK}={self._mark}")
        fields = (
            ("Max-Forwards", INITIAL_MAX_FORWARDS),
            ("From", f"<{self._record}>;tag={self._tag}"),
            ("To", f"<{self._record}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", f"<{contact}>;expires={seconds}"),
            ("Expires", str(seconds)),
        )
        return Request("REGISTER", self._registrar, Headers(fields))

    def _answered(self, outcome: Outcome, now: float) -> None:
        self._errand = None
        response = outcome.response
        if self._standing is Standing.LEAVING:
            self._end()
        elif response is not None and response.status < 300:
            self._registered(response, outcome, now)
        elif response is not None and response.status == 423 and not self._too_brief:
            self._ask_for_longer(response, outcome, now)
        else:
            self._failed(response, outcome.problem, now)

    def _registered(self, response: Response, outcome: Outcome, now: float) -> None:
        granted = self._granted(response)
        if granted <= 0:
            self._failed(None, "the response grants no time", now)
            return
        if outcome.flow is not None:
            self._kernel.gateway_sources.seen(self._gateway.id, (outcome.flow.host,), now, granted)
        self._until = now + granted
        self._failures = 0
        self._too_brief = False
        self._problem = None
        least, most = _RENEW_AFTER
        self._alarm.set(now + max(_SHORTEST, granted * (least + (most - least) * self._dice())))
        if self._standing is not Standing.REGISTERED:
            self._standing = Standing.REGISTERED
            self._tell("gateway-registered", f"Registered at gateway {self._gateway.name}.", now)

    def _ask_for_longer(self, response: Response, outcome: Outcome, now: float) -> None:
        """423: the time was too short for the carrier (section 10.2.8)."""
        wanted = _seconds(response.headers.get("Min-Expires"))
        if wanted is None or not self._seconds < wanted <= _LONGEST:
            self._failed(response, outcome.problem, now)
            return
        self._too_brief = True
        self._seconds = wanted
        self._send(wanted, now)

    def _failed(self, response: Response | None, problem: str, now: float) -> None:
        self._failures += 1
        self._refused = response is not None and response.status // 100 != 5
        longest = _LONGEST_PAUSE if self._refused else _LONGEST_SILENCE
        pause = min(longest, _FIRST_PAUSE * 2 ** min(self._failures - 1, 10))
        pause *= 0.5 + 0.5 * self._dice()
        told = _seconds(response.headers.get("Retry-After")) if response is not None else None
        if told is not None:
            pause = max(pause, min(told, _MOST_RETRY_AFTER))
        if self._until is not None and self._until > now:
            pause = min(pause, max(_SHORTEST, (self._until - now) / 2))
        self._too_brief = False
        self._alarm.set(now + pause)
        problem = printable(problem[:200])
        remedy = "Check user name, password and register_domain of the gateway."
        if not self._refused:
            remedy = "It is tried again; see whether its host, port and transport are right."
        if self._standing is not Standing.FAILED or problem != self._problem:
            self._tell(
                "gateway-registration-failed",
                f"Gateway {self._gateway.name} did not take our registration: {problem}. {remedy}",
                now,
            )
        self._standing = Standing.FAILED
        self._problem = problem

    def _granted(self, response: Response) -> int:
        """Of our Contact in the response, or else of the whole."""
        try:
            contacts = response.contacts
        except SipParseError:
            contacts = []
        seconds = {contact.uri: _seconds(contact.params.get("expires")) for contact in contacts}
        granted = next((told for uri, told in seconds.items() if self._mark in uri), None)
        if granted is None:
            # A carrier that rewrites Contacts may leave our mark out: one of those that it lists is ours.
            granted = min((told for told in seconds.values() if told), default=None)
        if granted is None:
            granted = _seconds(response.headers.get("Expires"))
        return min(self._seconds if granted is None else granted, _LONGEST)

    def _end(self) -> None:
        self._standing = Standing.LEFT
        self._until = None

    def _tell(self, kind: str, detail: str, now: float) -> None:
        self._kernel.journal.write(gateway_event(self._gateway, kind, detail, now))


def _seconds(text: str | None) -> int | None:
    """A number of seconds, as Expires has it, or in front of the comment of a Retry-After."""
    digits = (text or "").partition("(")[0].partition(";")[0].strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None
