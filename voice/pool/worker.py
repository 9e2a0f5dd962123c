"""The parent's view of one call process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from voice.media.seam import DialogFacts
from voice.pool.orders import CallOrder, Seat
from voice.pool.wire import FromParent, Hello, Noted, frame


@dataclass(slots=True)
class RunningCall:
    """A call that a process has a seat for."""

    order: CallOrder
    expecting: asyncio.Event = field(default_factory=asyncio.Event)
    """The process knows the order."""
    started: bool = False
    """Something was told about it: its INVITE has arrived."""
    ended: bool = False
    """Its CallEnded is on record."""
    void: bool = False
    """An outgoing call that was claimed anew, or is over: how it ends is not for this process to say."""
    since: float = field(default_factory=time.monotonic)
    dialogs: dict[str, DialogFacts] = field(default_factory=dict)
    """By SIP Call-ID."""
    recordings: dict[str, Path] = field(default_factory=dict)
    """Files that are being written, by recording id."""


class Worker:
    """One call process that has said Hello."""

    def __init__(self, hello: Hello, writer: asyncio.StreamWriter, seats: int) -> None:
        self.pid = hello.pid
        self.seat = Seat(host=hello.host, port=hello.port)
        self.rtp_port = hello.rtp_port
        self.taken = hello.taken
        self.calls = {order.call_id: _resumed(order, hello) for order in hello.calls}
        self.retiring = False
        self.said = 0
        """Messages since it was given its last call."""
        self._seats = seats
        self._writer = writer
        self._noted: int | None = None
        """Not said yet."""

    @property
    def free_seats(self) -> int:
        return 0 if self.retiring else self._seats - len(self.calls)

    def send(self, message: FromParent) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    def note(self, number: int) -> None:
        """What was told up to this number is kept; said once for all that came together."""
        if self._noted is None:
            asyncio.get_running_loop().call_soon(self._say_noted)
        self._noted = number

    def _say_noted(self) -> None:
        if self._noted is not None:
            self.send(Noted(number=self._noted))
            self._noted = None

    def hang_up(self) -> None:
        """Closes the connection; the process itself goes on."""
        self._writer.close()


def _resumed(order: CallOrder, hello: Hello) -> RunningCall:
    call = RunningCall(order, started=True)
    call.expecting.set()
    for up in hello.dialogs:
        if up.call_id == order.call_id:
            call.dialogs[up.dialog.call_id] = up.dialog
    for recording in hello.recordings:
        if recording.call_id == order.call_id:
            call.recordings[recording.place.id] = Path(recording.place.path)
    return call
