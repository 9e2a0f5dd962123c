"""The first gates: is this source banned or too fast, and could anything admit it at all.

Asked for every packet from outside, before it is parsed, so a refusal costs next to nothing and the
sender learns nothing: no answer, one record.  Requests of calls that were let in, which a seal of ours says,
pass all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from voice.bans import MEANING, Ban, BanReason, ban_key
from voice.edge.core.answers import Answers, Verdict
from voice.edge.core.kernel import Kernel
from voice.edge.core.pace import Pace
from voice.edge.seal import MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, SealError
from voice.records import Gate
from voice.sip.flow import Flow

RULE: Final = "no access control list admits the address"
MOST_PACED: Final = 65_536
"""Sources whose pace is known; a flood from more is not slowed down here."""
KNOWN_IN_CROWD: Final = 1_000
"""Datagrams a second of one source that is no stranger, while there are more than can be dealt with: its
address may be forged, and the others are no strangers either."""
_UNKNOWN: Final = "source-unknown"
_TOO_FAST: Final = "source-too-fast"
_OVERLOADED: Final = "edge-overloaded"
_CROWDED: Final = "more datagrams than can be dealt with"
_CROWDING: Final = (
    f"more datagrams than can be dealt with, and more than {KNOWN_IN_CROWD} per second of a source"
)
_WAYS_OUT: Final = {
    _CROWDED: "{} is a stranger to it: name the address in an access control list",
    _CROWDING: "{} sends the most, or somebody in its name: let the PBX place its calls more slowly",
}
_BANNED: Final = {
    BanReason.SCANNER: "banned-scanner",
    BanReason.UNKNOWN_DOMAINS: "banned-unknown-domains",
    BanReason.WRONG_PASSWORDS: "banned-wrong-passwords",
    BanReason.FLOOD: "banned-flood",
    BanReason.OPERATOR: "banned-operator",
}


class Sources:
    """Decides about sources."""

    def __init__(
        self, kernel: Kernel, answers: Answers, was_challenged: Callable[[bytes, str, float], bool]
    ) -> None:
        """`was_challenged`: whether a packet answers a challenge that was sent to this address."""
        self._kernel = kernel
        self._answers = answers
        self._was_challenged = was_challenged
        rules = kernel.settings.bans
        self._pace = Pace(rate=rules.requests_per_second, burst=rules.request_burst, most=MOST_PACED)
        self._pace_in_crowd = Pace(rate=KNOWN_IN_CROWD, burst=2 * KNOWN_IN_CROWD, most=MOST_PACED)

    def welcome(self, data: bytes, source: Flow, now: float) -> bool:
        """Whether the packet may be looked at."""
        kernel = self._kernel
        host = source.host
        if data[:8] == b"SIP/2.0 " and (kernel.layer.talks_to(host) or kernel.is_peer(host)):
            return True
        if (ban := kernel.bans.of(host, source.transport, now)) is not None:
            return self._is_vouched_for(data, now) or self._banned(ban, source, now)
        if self._could_be_admitted(source):
            if kernel.is_known(host, now):
                return (
                    not kernel.crowd.is_there
                    or source.transport != "UDP"
                    or self._pace_in_crowd.allows(ban_key(host), now)
                    or self._is_vouched_for(data, now)
                    or self._crowded_out(source, _CROWDING, now)
                )
            if not self._pace.allows(ban_key(host), now):
                return self._is_vouched_for(data, now) or self._too_fast(source, now)
            return (
                source.transport != "UDP"
                or kernel.crowd.has_room()
                or self._is_vouched_for(data, now)
                or self._was_challenged(data, host, now)
                or self._crowded_out(source, _CROWDED, now)
            )
        if self._is_vouched_for(data, now):
            return True
        return self._drop(
            source,
            Gate.SOURCE,
            _UNKNOWN,
            RULE,
            lambda: (
                f"Nothing admits packets from {host}: add the address to an access control list of a "
                "domain, or attach a list that has SIP accounts and no networks."
            ),
            now,
        )

    def _banned(self, ban: Ban, source: Flow, now: float) -> bool:
        def remedy() -> str:
            until = datetime.fromtimestamp(ban.until, UTC).isoformat(" ", "seconds")
            return (
                f"{ban.address} is banned until {until}, because {MEANING[ban.reason]}: release it with "
                f"trunkflow bans release {ban.address}, or name the address in an access control list."
            )

        return self._drop(source, Gate.BAN, _BANNED[ban.reason], f"banned: {ban.reason}", remedy, now)

    def _too_fast(self, source: Flow, now: float) -> bool:
        rule = f"{self._pace.rate:g} requests per second of a source"
        self._kernel.bans.too_fast(source.host, now, proven=source.transport != "UDP")
        return self._drop(
            source,
            Gate.BAN,
            _TOO_FAST,
            rule,
            lambda: (
                f"{source.host} sent more than {rule} that has not logged in: name the address in an "
                "access control list, log in, or raise requests_per_second in [node.bans]."
            ),
            now,
        )

    def _crowded_out(self, source: Flow, rule: str, now: float) -> bool:
        return self._drop(
            source,
            Gate.BAN,
            _OVERLOADED,
            rule,
            lambda: (
                f"More came than the edge can deal with. {_WAYS_OUT[rule].format(source.host)}, "
                "and give the edge more processor time."
            ),
            now,
        )

    def _drop(
        self, source: Flow, gate: Gate, cause: str, rule: str, remedy: Callable[[], str], now: float
    ) -> bool:
        """False, always, so that a gate can end with it.  Of many equal ones only the count grows."""
        if not self._kernel.refusals.again(source.host, cause, rule):
            verdict = Verdict(status=0, gate=gate, cause=cause, rule=rule, remedy=remedy())
            self._answers.record(None, source, verdict, now)
        return False

    def possible(self, source: Flow, now: float) -> bool:
        """Whether a call from there could be let in: before anything of a connection has been read."""
        return self._kernel.bans.of(source.host, source.transport, now) is None and self._could_be_admitted(
            source
        )

    def _could_be_admitted(self, source: Flow) -> bool:
        kernel = self._kernel
        directory = kernel.directory()
        return (
            kernel.is_peer(source.host)
            or directory.could_admit(source.host)
            # Who came so far with TLS is told what its certificate lacks.
            or (source.secure and directory.could_admit(source.host, certified=True))
            or kernel.gateway_sources.knows(source.host)
        )

    def _is_vouched_for(self, data: bytes, now: float) -> bool:
        """Whether the Request-URI carries what only those know whom we told: wherever they call from."""
        return self._kernel.gateway_sources.marked(data) or self._is_sealed(data, now)

    def _is_sealed(self, data: bytes, now: float) -> bool:
        """Whether the request line carries a token of ours: then the request is in a call that was let in."""
        end = data.find(b"@", 0, MAX_TOKEN_CHARS + 64)
        begin = data.find(b":", data.find(b" sip", 0, 64), 64) + 1
        if begin < 6 or end - begin < MIN_TOKEN_CHARS:
            return False
        try:
            self._kernel.tokens.open_dialog(data[begin:end], now)
        except SealError:
            return False
        return True
