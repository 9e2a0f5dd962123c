"""The process that listens: ``python -m voice.transcription.worker transcription``.

Sound goes into a decoder in C: so it is a process of its own, as in `voice.speech.worker`.
"""

from __future__ import annotations

import wave
from pathlib import Path

import pocketsphinx

from voice.speech.jobs import Job, Unsuitable, Work
from voice.speech.shaping import as_pcm, read_pcm, resampled
from voice.speech.worker import serve

RATE = 16_000
"""In Hz, that of the model."""


def main() -> None:
    serve(_load)


def _load(kind: str) -> Work:
    pocketsphinx.set_loglevel("FATAL")
    decoder = pocketsphinx.Decoder(samprate=RATE)

    def listen(job: Job) -> dict[str, object]:
        pcm = _pcm(Path(job["path"]), float(job["longest_seconds"]))
        if not pcm:
            return {"text": ""}
        # What it learned of the noise of one customer's recording would colour the next one's.
        decoder.reinit_feat()
        decoder.start_utt()
        try:
            decoder.process_raw(pcm, full_utt=True)
        finally:
            decoder.end_utt()
        heard = decoder.hyp()
        return {"text": heard.hypstr if heard is not None else ""}

    return listen


def _pcm(path: Path, longest_seconds: float) -> bytes:
    """The sound as the model wants it.  Raises Unsuitable."""
    try:
        with wave.open(str(path), "rb") as file:
            seconds = file.getnframes() / file.getframerate()
            fits = file.getnchannels() == 1 and file.getsampwidth() == 2
    except (wave.Error, EOFError, ZeroDivisionError):
        fits, seconds = False, 0.0
    if not fits:
        raise Unsuitable("The recording is no 16-bit mono WAV file: it is damaged.")
    if seconds > longest_seconds:
        raise Unsuitable(
            f"The recording lasts {seconds:.0f} s; at most {longest_seconds:.0f} s are transcribed."
        )
    samples, rate = read_pcm(path)
    return as_pcm(resampled(samples, rate, RATE))


if __name__ == "__main__":
    main()
