"""Sound files of customers, WAV and MP3, to the one form that calls play.  Only the worker imports this."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from voice.speech.jobs import Job, Unsuitable
from voice.speech.shaping import as_pcm, open_wav

RATES = range(4_000, 192_001)
CHANNELS = 8
BLOCK_SECONDS = 1


def decode(job: Job) -> dict[str, object]:
    """Decodes the file `from` into the WAV file `to` at `rate` samples a second, channels mixed into one."""
    source, to = Path(job["from"]), Path(job["to"])
    if not _looks_playable(source):
        raise Unsuitable("It is neither a WAV nor an MP3 file. Convert it to one of these.")
    try:
        with soundfile.SoundFile(source) as sound:
            return {"seconds": _decode(sound, to, int(job["rate"]), float(job["max_seconds"]))}
    except (soundfile.SoundFileError, ValueError, OverflowError) as error:
        raise Unsuitable(
            f"It cannot be decoded ({str(error)[-120:]}). Write it anew with a sound editor."
        ) from error


def _looks_playable(source: Path) -> bool:
    """Whether it begins as WAV or MP3 do: libsndfile would try some twenty other formats."""
    with source.open("rb") as file:
        head = file.read(12)
    wav = head[:4] in {b"RIFF", b"RIFX", b"RF64"} and head[8:12] == b"WAVE"
    mp3 = head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)
    return wav or mp3


def _decode(sound: soundfile.SoundFile, to: Path, rate: int, max_seconds: float) -> float:
    own_rate = sound.samplerate
    if own_rate not in RATES:
        raise Unsuitable(f"It has {own_rate} samples per second; {RATES[0]} to {RATES[-1]} can be played.")
    if sound.channels > CHANNELS:
        raise Unsuitable(f"It has {sound.channels} channels; {CHANNELS} at most can be played.")
    resampler = soxr.ResampleStream(own_rate, rate, 1, dtype="float32", quality="HQ")
    written = 0
    with open_wav(to, rate) as file:
        # The length in the header is the file's own claim; what counts is what comes out.
        while True:
            block = sound.read(own_rate * BLOCK_SECONDS, dtype="float32", always_2d=True)
            mono = np.nan_to_num(block.mean(axis=1, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
            pcm = as_pcm(resampler.resample_chunk(mono, last=len(block) == 0))
            file.writeframesraw(pcm)
            written += len(pcm) // 2
            if written > max_seconds * rate:
                raise Unsuitable(
                    f"It plays for more than {max_seconds:g} s, which is the most. Cut it shorter."
                )
            if len(block) == 0:
                break
    if written == 0:
        raise Unsuitable("There is no sound in it.")
    return written / rate
