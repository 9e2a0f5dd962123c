"""What the journal hears about legs."""

from __future__ import annotations

from voice.records import Direction, Journal, LegChanged, LegStarted, LegStatus

_NO_ANSWER = (408, 480, 487)
_BUSY = (486, 600)


def status_after(sip_status: int) -> LegStatus:
    """The state of a leg after a response."""
    if sip_status < 180:
        return LegStatus.STARTING
    if sip_status < 200:
        return LegStatus.RINGING
    if sip_status < 300:
        return LegStatus.ONGOING
    if sip_status in _BUSY:
        return LegStatus.BUSY
    return LegStatus.NO_ANSWER if sip_status in _NO_ANSWER else LegStatus.FAILED


class Leg:
    """One leg, as far as its edge follows it; says only what is new."""

    __slots__ = ("_journal", "call_id", "id", "status")

    def __init__(
        self,
        journal: Journal,
        leg_id: str,
        call_id: str,
        direction: Direction,
        *,
        source: str,
        destination: str,
        gateway: str | None,
        now: float,
    ) -> None:
        self._journal = journal
        self.id = leg_id
        self.call_id = call_id
        self.status = LegStatus.STARTING
        journal.write(
            LegStarted(
                leg_id=leg_id,
                call_id=call_id,
                at=now,
                direction=direction,
                source=source,
                destination=destination,
                gateway=gateway,
            )
        )

    def responded(self, sip_status: int, reason: str, now: float) -> None:
        """A response came or was sent on this leg."""
        status = status_after(sip_status)
        if status is not self.status:
            self.status = status
            self._journal.write(
                LegChanged(
                    leg_id=self.id,
                    call_id=self.call_id,
                    at=now,
                    status=status,
                    sip_status=sip_status,
                    sip_reason=reason,
                )
            )


def hung_up(journal: Journal, call_id: str, legs: tuple[str, ...], now: float) -> None:
    """A BYE ended these legs."""
    for leg_id in legs:
        journal.write(LegChanged(leg_id=leg_id, call_id=call_id, at=now, status=LegStatus.HANGUP))
