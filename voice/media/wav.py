"""WAV files while they grow: sizes in the header, and how loud the newest part is.

pjsua2 writes the sizes of a WAV file (RIFF and data chunk lengths) only when the file is closed.
A process that dies would leave a file that players take for empty; so the sizes are brought up to
date while the file grows, and once more by whoever finds it after a crash.
"""

from __future__ import annotations

import array
import os
import struct
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 44
"""RIFF header, a 16-byte ``fmt `` chunk, and the head of the ``data`` chunk: what the stack writes."""

BYTES_PER_SAMPLE = 2

NOISE_PEAK = 500
"""A window whose peak stays below this is silence: -36 dBFS, above the noise of a telephone line."""

WINDOWS_PER_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WavLength:
    """How much a WAV file holds; `size` is that of the whole file in bytes."""

    seconds: float
    size: int


def set_sizes(path: Path) -> WavLength:
    """Makes the header say what the file holds.

    Raises OSError, or ValueError when it is no WAV file of ours.
    """
    with path.open("r+b") as file:
        header = file.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or header[:4] != b"RIFF" or header[36:40] != b"data":
            raise ValueError(f"{path}: not a WAV file with a {HEADER_BYTES}-byte header")
        size = file.seek(0, os.SEEK_END)
        data = (size - HEADER_BYTES) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE
        file.seek(4)
        file.write(struct.pack("<I", HEADER_BYTES - 8 + data))
        file.seek(40)
        file.write(struct.pack("<I", data))
    rate = int.from_bytes(header[24:28], "little")
    return WavLength(seconds=data / (BYTES_PER_SAMPLE * rate), size=size)


def mark_open(path: Path) -> None:
    """Sets the header's sizes to nothing, so that it can be seen when the stack has written them itself."""
    with path.open("r+b") as file:
        for position in (4, 40):
            file.seek(position)
            file.write(bytes(4))


def is_marked_open(path: Path) -> bool:
    """Whether the sizes are still those of `mark_open`."""
    with path.open("rb") as file:
        return file.read(8)[4:] == bytes(4)


class GrowingWav:
    """Follows a WAV file that another part of the process appends to."""

    def __init__(self, path: Path, rate: int) -> None:
        self._path = path
        self._rate = rate
        self._read = HEADER_BYTES
        self.silent_seconds = 0.0
        """Length of the unbroken silence at the end of what was read so far."""

    def catch_up(self) -> None:
        """Reads what was appended since the last time, and sets the header's sizes.

        A file that does not hold its header yet is left for the next time.
        """
        window = self._rate // WINDOWS_PER_SECOND * BYTES_PER_SAMPLE
        if self._path.stat().st_size < HEADER_BYTES:
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            fresh = file.read()
        whole = len(fresh) // window * window
        for start in range(0, whole, window):
            samples = array.array("h", fresh[start : start + window])
            loud = max(samples) > NOISE_PEAK or min(samples) < -NOISE_PEAK
            self.silent_seconds = 0.0 if loud else self.silent_seconds + 1 / WINDOWS_PER_SECOND
        self._read += whole
        set_sizes(self._path)
