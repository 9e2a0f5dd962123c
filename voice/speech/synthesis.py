"""Speech by pyttsx3 and espeak-ng.  Only the worker imports this.

pyttsx3's espeak driver looks for a system-wide ``libespeak-ng.so.1``.  The library of the
`espeakng-loader` wheel carries that name, so loading it first is all it takes: the dynamic linker
hands out what is loaded already.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import espeakng_loader
import numpy as np
import pyttsx3

from voice.speech.jobs import Job, Unsuitable
from voice.speech.shaping import (
    Samples,
    as_pcm,
    levelled,
    open_wav,
    read_pcm,
    resampled,
    silence,
    trimmed,
)

WORDS_PER_MINUTE = 170
"""At rate 1.0: a little below espeak-ng's own 175, for the narrow band of a telephone."""
TAIL_SECONDS = 0.15
"""After the last word: what follows at once sounds cut off."""
_GAP_SECONDS = {**dict.fromkeys(".!?…。！？", 0.35), **dict.fromkeys(",;:，、；：", 0.18)}
_WORD_GAP_SECONDS = 0.06
"""Between words spoken at different rates, by the sign that the first ones end with; else this."""


class Synthesiser:
    """Holds the one espeak-ng that a process can have."""

    def __init__(self) -> None:
        # espeak-ng has 160 bytes for the path to its data, fewer than a deep .venv takes; "." is short.
        data = Path(espeakng_loader.get_data_path())
        os.chdir(data.parent)
        os.environ["ESPEAK_DATA_PATH"] = "."
        ctypes.CDLL(espeakng_loader.get_library_path())
        from pyttsx3.drivers import _espeak  # looks for the library when it is imported

        self._espeak: Any = _espeak
        self._engine: Any = pyttsx3.init("espeak")
        # A new engine counts as busy; its first runAndWait would find its own end in the queue, and return
        # after 10 ms whether or not the text is spoken by then.
        self._engine.proxy.setBusy(False)
        # A file in memory: what pyttsx3 cannot write it does not tell, but waits for for ever.
        self._piece = Path(f"/proc/self/fd/{os.memfd_create('piece')}")
        self._errors: list[BaseException] = []
        self._finished = False
        self._engine.connect("error", self._on_error)
        self._engine.connect("finished-utterance", self._on_finished)

    def work(self, job: Job) -> dict[str, object]:
        """Speaks `parts` with `voice` into the WAV file `to` at `rate` samples per second."""
        to, rate = Path(job["to"]), int(job["rate"])
        samples = levelled(resampled(self._spoken(job), _OWN_RATE, rate), rate)
        if samples.size > float(job["max_seconds"]) * rate:
            raise Unsuitable(
                f"It would take {samples.size / rate:.0f} s to say; {job['max_seconds']:g} s is the most. "
                "Make the text shorter, or split it into several steps."
            )
        with open_wav(to, rate) as file:
            file.writeframes(as_pcm(samples))
        return {"seconds": samples.size / rate}

    def _spoken(self, job: Job) -> Samples:
        """All parts in a row, at espeak-ng's rate.  Breaks are exact: the engine's own are cut off."""
        pieces: list[Samples] = []
        words_before = ""
        for part in job["parts"]:
            if "silence" in part:
                pieces.append(silence(part["silence"], _OWN_RATE))
                words_before = ""
                continue
            words = trimmed(self._words(part["text"], part["rate"], job["voice"]), _OWN_RATE)
            if words.size == 0:
                continue
            if words_before:
                gap = _GAP_SECONDS.get(words_before[-1], _WORD_GAP_SECONDS)
                pieces.append(silence(gap / part["rate"], _OWN_RATE))
            pieces.append(words)
            words_before = part["text"].rstrip()
        return np.concatenate([*pieces, silence(TAIL_SECONDS, _OWN_RATE)])

    def _words(self, text: str, rate: float, voice: str) -> Samples:
        if not text.strip():
            return silence(0, _OWN_RATE)
        self._engine.setProperty("voice", voice)
        self._engine.setProperty("rate", round(WORDS_PER_MINUTE * rate))
        self._engine.save_to_file(text, str(self._piece))
        # espeak-ng speaks in its own thread; while it ends the text before, pyttsx3 would cancel this one.
        self._espeak.Synchronize()
        self._finished = False
        self._engine.runAndWait()
        if self._errors or not self._finished:
            # Not to be trusted again; the parent starts another process.
            raise RuntimeError(f"pyttsx3 did not speak the text: {self._errors}")
        samples, rate_of_piece = read_pcm(self._piece)
        if rate_of_piece != _OWN_RATE:
            raise RuntimeError(f"espeak-ng spoke at {rate_of_piece} Hz")
        return samples

    def _on_error(self, name: str | None, exception: BaseException) -> None:
        self._errors.append(exception)

    def _on_finished(self, name: str | None, completed: bool) -> None:
        self._finished = completed


_OWN_RATE = 22_050
"""Samples per second that espeak-ng makes."""
