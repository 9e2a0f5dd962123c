"""The first gates: is this source banned, and could anything admit it at all.

Asked for every packet from outside, before it is parsed, so a refusal costs next to nothing and the
sender learns nothing: no answer, one record.
"""

from __future__ import annotations

from typing import Final

from voice.edge.core.answers import Answers, Verdict
from voice.edge.core.kernel import Kernel
from voice.edge.seal import MAX_TOKEN_CHARS, MIN_TOKEN_CHARS, SealError
from voice.records import Gate
from voice.sip.flow import Flow

RULE: Final = "no access control list admits the address"
_MAX_PEERS: Final = 65_536


class Sources:
    """Decides about sources."""

    def __init__(self, kernel: Kernel, answers: Answers) -> None:
        self._kernel = kernel
        self._answers = answers
        self.peers: dict[str, float] = {}
        """Addresses that requests went to, and when the last did."""

    def welcome(self, data: bytes, source: Flow, now: float) -> bool:
        """Whether the packet may be looked at."""
        kernel = self._kernel
        if data[:8] == b"SIP/2.0 ":
            # Of a flow of ours, or nothing: strangers' responses are not even refusals.
            if kernel.layer.talks_to(source.host) or source.host in kernel.pop_hosts:
                return True
        elif (
            source.host in kernel.pop_hosts
            or kernel.directory().could_admit(source.host)
            or (
                source.secure
                and kernel.directory().could_admit(source.host, certified=bool(kernel.names(source)))
            )
            or kernel.gateway_sources.knows(source.host)
            or kernel.gateway_sources.marked(data)
            or self._is_sealed(data, now)
        ):
            return True
        if not kernel.refusals.again(source.host, Gate.SOURCE, RULE):
            verdict = Verdict(
                status=0,
                gate=Gate.SOURCE,
                cause="source-unknown",
                rule=RULE,
                remedy=f"Nothing admits packets from {source.host}: add the address to an access control "
                "list of a domain, or attach a list that has SIP accounts and no networks.",
            )
            self._answers.record(None, source, verdict, now)
        return False

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
