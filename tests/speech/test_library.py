"""The sound library with the real engine, a real web server, and files nobody should have made."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from aiohttp import web

from callflows.model import Utterance, Words
from callflows.ports import Prompt, Unavailable
from tests.audio import listen, read_wav, rms, share_of_tone, tone, tone_seconds, write_wav
from tests.speech.conftest import Site
from voice.speech.library import SoundLibrary, SoundSettings
from voice.webhooks.client import ClientSettings, SafeClient

ACCOUNT = "5a3e8a5e-0000-4000-8000-000000000001"


class CountingEngine:
    """Speaks a tone; counts, and waits at its gate."""

    identity = "counting 1"

    def __init__(self) -> None:
        self.spoken = 0
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def check(self, utterance: Utterance) -> None: ...

    async def speak(self, utterance: Utterance, *, sample_rate: int, to: Path) -> None:
        self.spoken += 1
        self.begun.set()
        await self.gate.wait()
        write_wav(to, tone(440, 0.5))


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
async def counted(
    sound_settings: SoundSettings, client: SafeClient, engine: CountingEngine
) -> AsyncIterator[SoundLibrary]:
    async with SoundLibrary(sound_settings, client, engine=engine) as library:
        yield library


def hello(text: str = "Hello there.", language: str = "en-GB") -> Utterance:
    return Utterance(language=language, voice="female", parts=(Words(text=text),))


def leftovers(settings: SoundSettings) -> list[Path]:
    return [path for path in settings.cache.iterdir() if ".part" in path.name]


# -- speech ----------------------------------------------------------------------------------------------


async def test_speech_is_spoken_and_kept(library: SoundLibrary, sound_settings: SoundSettings) -> None:
    prompt = await library.speech(hello())
    samples = read_wav(prompt.path)
    assert prompt.seconds == pytest.approx(samples.size / 8000)
    assert samples.size > 4000
    again = await library.speech(hello())
    assert again == prompt
    assert (await library.speech(hello("Good bye."))).path != prompt.path
    assert leftovers(sound_settings) == []


async def test_speech_outlives_a_restart(
    sound_settings: SoundSettings, client: SafeClient, engine: CountingEngine
) -> None:
    engine.gate.set()
    for _ in range(2):
        async with SoundLibrary(sound_settings, client, engine=engine) as library:
            assert (await library.speech(hello())).seconds == 0.5
    assert engine.spoken == 1


async def test_who_asks_at_the_same_time_waits_for_the_same(
    counted: SoundLibrary, engine: CountingEngine
) -> None:
    asking = [asyncio.ensure_future(counted.speech(hello())) for _ in range(10)]
    other = asyncio.ensure_future(counted.speech(hello("Something else.")))
    await engine.begun.wait()
    engine.gate.set()
    prompts = await asyncio.gather(*asking)
    await other
    assert len({prompt.path for prompt in prompts}) == 1
    assert engine.spoken == 2


async def test_one_who_leaves_does_not_take_it_from_the_others(
    counted: SoundLibrary, engine: CountingEngine
) -> None:
    first = asyncio.ensure_future(counted.speech(hello()))
    second = asyncio.ensure_future(counted.speech(hello()))
    await engine.begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    engine.gate.set()
    assert (await second).seconds == 0.5
    assert engine.spoken == 1


async def test_a_sound_that_everybody_left_is_kept_for_the_next(
    counted: SoundLibrary, engine: CountingEngine
) -> None:
    only = asyncio.ensure_future(counted.speech(hello()))
    await engine.begun.wait()
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    engine.gate.set()
    assert (await counted.speech(hello())).seconds == 0.5
    assert engine.spoken == 1


async def test_closing_tells_who_waits(
    sound_settings: SoundSettings, client: SafeClient, engine: CountingEngine
) -> None:
    async with SoundLibrary(sound_settings, client, engine=engine) as library:
        asking = asyncio.ensure_future(library.speech(hello()))
        await engine.begun.wait()
    with pytest.raises(Unavailable, match="shut down"):
        await asking


async def test_a_worker_that_dies_fails_those_who_wait_and_nobody_later(
    library: SoundLibrary, sound_settings: SoundSettings
) -> None:
    pid = library.worker_pids["speech"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asking = [asyncio.ensure_future(library.speech(hello())) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    for one in asking:
        with pytest.raises(Unavailable, match="died"):
            await one
    assert (await library.speech(hello())).seconds > 0.5
    assert leftovers(sound_settings) == []


async def test_unknown_languages_name_the_known(library: SoundLibrary) -> None:
    with pytest.raises(Unavailable, match=r"Use one of .*nl-NL"):
        await library.speech(hello(language="tlh"))


async def test_a_cache_that_cannot_be_written_is_named(
    library: SoundLibrary, sound_settings: SoundSettings
) -> None:
    sound_settings.cache.rmdir()
    with pytest.raises(Unavailable, match="disk of sounds"):
        await library.speech(hello())
    with pytest.raises(Unavailable, match="disk of sounds"):
        await library.beep()


async def test_the_beep(library: SoundLibrary) -> None:
    prompt = await library.beep()
    samples = read_wav(prompt.path)
    assert prompt.seconds == pytest.approx(0.3)
    assert share_of_tone(samples, 1000) > 0.95
    assert abs(samples[0]) < 0.01
    assert await library.beep() == prompt


def test_the_parent_loads_none_of_the_sound_libraries() -> None:
    """They would cost every node some 30 MB, and their decoders belong in a process that may die."""
    program = (
        "import sys, voice.speech.library; "
        "print({'numpy', 'soundfile', 'soxr', 'pyttsx3', 'espeakng_loader'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# -- files of customers ----------------------------------------------------------------------------------


def melody(rate: int, channels: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    sound = np.concatenate([tone(600, 0.5, rate=rate), tone(900, 0.5, rate=rate)])
    return np.stack([sound] * channels, axis=1) if channels > 1 else sound


def upload(settings: SoundSettings, name: str, content: bytes, account: str = ACCOUNT) -> Path:
    path = settings.uploads / account / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def encoded(tmp_path: Path, rate: int, channels: int, kind: str, subtype: str) -> bytes:
    path = tmp_path / f"made.{kind.lower()}"
    soundfile.write(path, melody(rate, channels), rate, format=kind, subtype=subtype)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("rate", "channels", "kind", "subtype"),
    [
        (8000, 1, "WAV", "PCM_16"), (44_100, 2, "WAV", "PCM_24"), (16_000, 1, "WAV", "PCM_U8"),
        (48_000, 6, "WAV", "FLOAT"), (8000, 1, "WAV", "ULAW"), (8000, 1, "WAV", "ALAW"),
        (8000, 1, "WAV", "GSM610"), (22_050, 1, "WAV", "IMA_ADPCM"), (44_100, 2, "WAVEX", "PCM_16"),
        (44_100, 2, "MP3", "MPEG_LAYER_III"), (8000, 1, "MP3", "MPEG_LAYER_III"),
    ],
)  # fmt: skip
async def test_wav_and_mp3_are_decoded_mixed_and_resampled(
    library: SoundLibrary, sound_settings: SoundSettings, tmp_path: Path,
    rate: int, channels: int, kind: str, subtype: str,
) -> None:  # fmt: skip
    upload(sound_settings, "melody", encoded(tmp_path, rate, channels, kind, subtype))
    prompt = await library.media("melody", ACCOUNT)
    assert prompt.seconds == pytest.approx(1.0, abs=0.16)
    samples = read_wav(prompt.path)
    assert tone_seconds(samples, 600) == pytest.approx(0.5, abs=0.08)
    assert tone_seconds(samples, 900) == pytest.approx(0.5, abs=0.08)
    assert rms(samples[1000:7000]) == pytest.approx(0.35, abs=0.05)


async def test_an_upload_is_decoded_once_for_each_version(
    library: SoundLibrary, sound_settings: SoundSettings, tmp_path: Path
) -> None:
    upload(sound_settings, "a.wav", write_wav(tmp_path / "1.wav", tone(500, 1)).read_bytes())
    first = await library.media("a.wav", ACCOUNT)
    assert await library.media("a.wav", ACCOUNT) == first
    upload(sound_settings, "a.wav", write_wav(tmp_path / "2.wav", tone(700, 2)).read_bytes())
    second = await library.media("a.wav", ACCOUNT)
    assert second.seconds == pytest.approx(2.0, abs=0.01)
    assert tone_seconds(read_wav(second.path), 700) > 1.9


@pytest.mark.parametrize(
    "name",
    ["../secret.wav", "..", "/etc/passwd", "a/b.wav", ".hidden", "", "a\\b", "a\0b", "x" * 200, "file:///etc/passwd",
     "~root", "ünder.wav", "a\nb"],
)  # fmt: skip
async def test_names_lead_nowhere_else(
    library: SoundLibrary, sound_settings: SoundSettings, name: str
) -> None:
    upload(sound_settings, "secret.wav", b"x", account=".")
    with pytest.raises(Unavailable, match="neither a URL nor the name of an uploaded file"):
        await library.media(name, ACCOUNT)


@pytest.mark.parametrize("account", ["..", ".", "", "a/b", "a" * 65])
async def test_accounts_lead_nowhere_else(library: SoundLibrary, account: str) -> None:
    with pytest.raises(Unavailable):
        await library.media("a.wav", account)


async def test_links_pipes_and_directories_are_no_uploads(
    library: SoundLibrary, sound_settings: SoundSettings, tmp_path: Path
) -> None:
    secret = write_wav(tmp_path / "secret.wav", tone(500, 1))
    folder = sound_settings.uploads / ACCOUNT
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(Unavailable, match=rf"uploaded file {name} (cannot be read|is not a file)"):
            await library.media(name, ACCOUNT)
    with pytest.raises(Unavailable, match="no uploaded file gone"):
        await library.media("gone", ACCOUNT)


def wav(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def fmt(kind: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16) -> tuple[bytes, bytes]:
    frame = channels * bits // 8
    return b"fmt ", struct.pack(
        "<HHIIHH", kind, channels, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits
    )


NOISE = random.Random(1).randbytes(20_000)

HOSTILE = {
    "empty": b"",
    "text": b"<html>404</html>",
    "elf": b"\x7fELF" + NOISE,
    "flac": b"fLaC" + NOISE,
    "ogg": b"OggS" + NOISE,
    "riff that is not wave": b"RIFF\x00\x00\x00\x00AVI " + NOISE,
    "head only": wav(),
    "no data": wav(fmt()),
    "no samples": wav(fmt(), (b"data", b"")),
    "no format": wav((b"data", NOISE)),
    "no channels": wav(fmt(channels=0), (b"data", NOISE)),
    "too many channels": wav(fmt(channels=1024), (b"data", NOISE * 10)),
    "9 channels": wav(fmt(channels=9), (b"data", NOISE)),
    "no rate": wav(fmt(rate=0), (b"data", NOISE)),
    "1 Hz": wav(fmt(rate=1), (b"data", NOISE)),
    "absurd rate": wav(fmt(rate=0x7FFFFFFF), (b"data", NOISE)),
    "negative rate": wav(fmt(rate=0xFFFFFFFF), (b"data", NOISE)),
    "3 bits": wav(fmt(bits=3), (b"data", NOISE)),
    "unknown format": wav(fmt(kind=0x1234), (b"data", NOISE)),
    "huge chunk": b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + NOISE,
    "mp3 of noise": b"\xff\xfb\x90\x00" + NOISE,
    "mp3 of ones": b"\xff" * 20_000,
    "id3 only": b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f",
    "id3 and noise": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + NOISE,
}


async def test_hostile_files_harm_nobody(library: SoundLibrary, sound_settings: SoundSettings) -> None:
    """Each is refused, or played for what a lenient decoder finds in it; none harms the next."""
    played = []
    for name, content in HOSTILE.items():
        upload(sound_settings, "hostile", content)
        [result] = await asyncio.gather(library.media("hostile", ACCOUNT), return_exceptions=True)
        if isinstance(result, Prompt):
            assert result.seconds < 30, name
            played.append(name)
        else:
            assert isinstance(result, Unavailable), name
            assert str(result).startswith("The uploaded file hostile cannot be played."), name
    assert set(played) <= {"3 bits", "mp3 of noise", "mp3 of ones", "id3 only", "id3 and noise"}
    assert leftovers(sound_settings) == []
    upload(sound_settings, "good.wav", wav(fmt(), (b"data", bytes(16_000))))
    assert (await library.media("good.wav", ACCOUNT)).seconds == 1.0


async def test_torn_files_of_every_kind(
    library: SoundLibrary, sound_settings: SoundSettings, tmp_path: Path
) -> None:
    dice = random.Random(2)
    for kind, subtype in (("WAV", "PCM_16"), ("WAV", "IMA_ADPCM"), ("MP3", "MPEG_LAYER_III")):
        whole = encoded(tmp_path, 16_000, 1, kind, subtype)
        for _ in range(15):
            torn = bytearray(whole[: dice.randrange(1, len(whole))])
            for _ in range(dice.randrange(8)):
                torn[dice.randrange(min(len(torn), 200))] = dice.randrange(256)
            upload(sound_settings, "torn", bytes(torn))
            try:
                assert (await library.media("torn", ACCOUNT)).seconds <= 600
            except Unavailable:
                continue
    assert leftovers(sound_settings) == []


async def test_a_header_may_lie_about_the_length(
    library: SoundLibrary, sound_settings: SoundSettings
) -> None:
    content = b"RIFF\xff\xff\xff\xffWAVE" + b"fmt " + struct.pack("<I", 16) + fmt()[1]
    upload(sound_settings, "stream.wav", content + b"data\xff\xff\xff\xff" + bytes(8000))
    assert (await library.media("stream.wav", ACCOUNT)).seconds == 0.5


async def test_numbers_that_are_none_are_silence(
    library: SoundLibrary, sound_settings: SoundSettings, tmp_path: Path
) -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30] * 1600, np.float32)
    soundfile.write(tmp_path / "odd.wav", odd, 8000, subtype="FLOAT")
    upload(sound_settings, "odd.wav", (tmp_path / "odd.wav").read_bytes())
    samples = read_wav((await library.media("odd.wav", ACCOUNT)).path)
    assert np.isfinite(samples).all()


async def test_length_and_size_are_bounded(tmp_path: Path, client: SafeClient) -> None:
    settings = SoundSettings(
        cache=tmp_path / "cache", uploads=tmp_path / "uploads", max_seconds=2.0, max_download_bytes=100_000
    )
    async with SoundLibrary(settings, client) as library:
        upload(settings, "long.mp3", _long_mp3(tmp_path, 30))
        with pytest.raises(Unavailable, match="more than 2 s"):
            await library.media("long.mp3", ACCOUNT)
        upload(settings, "big.wav", bytes(100_001))
        with pytest.raises(Unavailable, match="more than 100000 bytes"):
            await library.media("big.wav", ACCOUNT)
        assert leftovers(settings) == []


def _long_mp3(tmp_path: Path, seconds: int) -> bytes:
    soundfile.write(tmp_path / "long.mp3", np.zeros(8000 * seconds), 8000, format="MP3")
    return (tmp_path / "long.mp3").read_bytes()


# -- from URLs -------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(
    sound_settings: SoundSettings, client: SafeClient, engine: CountingEngine, clock: Clock
) -> AsyncIterator[SoundLibrary]:
    async with SoundLibrary(sound_settings, client, engine=engine, clock=clock) as library:
        yield library


class Shop:
    """A web server's file with validators."""

    def __init__(self, content: bytes, **headers: str) -> None:
        self.content = content
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        etag = self.headers.get("ETag")
        if etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=self.headers)
        if "Last-Modified" in self.headers and (
            request.headers.get("If-Modified-Since") == self.headers["Last-Modified"]
        ):
            return web.Response(status=304)
        return web.Response(body=self.content, headers=self.headers)


@pytest.fixture
def melody_file(tmp_path: Path) -> bytes:
    return write_wav(tmp_path / "melody.wav", melody(8000)).read_bytes()


async def test_a_url_is_fetched_once_while_fresh_and_revalidated_after(
    timed: SoundLibrary, site: Site, clock: Clock, melody_file: bytes
) -> None:
    site.handler = Shop(melody_file, ETag='"1"', Cache_Control="max-age=100")
    url = site.url("/melody.wav?x=1")
    first = await timed.media(url, ACCOUNT)
    assert listen(read_wav(first.path), melody(8000)).score > 0.99
    clock.now += 99
    assert await timed.media(url, "another account") == first
    assert len(site.requests) == 1
    clock.now += 2
    assert await timed.media(url, ACCOUNT) == first
    assert site.requests[1].headers["If-None-Match"] == '"1"'
    clock.now += 99
    await timed.media(url, ACCOUNT)
    assert len(site.requests) == 2


async def test_a_new_version_is_heard(
    timed: SoundLibrary, site: Site, clock: Clock, melody_file: bytes, tmp_path: Path
) -> None:
    site.handler = Shop(melody_file, Last_Modified="Sat, 01 Jan 2000 00:00:00 GMT")
    first = await timed.media(site.url(), ACCOUNT)
    clock.now += 61
    assert await timed.media(site.url(), ACCOUNT) == first
    site.handler = Shop(write_wav(tmp_path / "new.wav", tone(500, 3)).read_bytes(), ETag='"2"')
    clock.now += 61
    second = await timed.media(site.url(), ACCOUNT)
    assert second.seconds == 3.0
    assert "If-Modified-Since" in site.requests[2].headers
    clock.now += 61
    assert await timed.media(site.url(), ACCOUNT) == second
    assert "If-Modified-Since" not in site.requests[3].headers
    assert site.requests[3].headers["If-None-Match"] == '"2"'


async def test_the_old_sound_is_played_while_its_server_is_down(
    timed: SoundLibrary, site: Site, clock: Clock, melody_file: bytes
) -> None:
    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    site.handler = Shop(melody_file)
    first = await timed.media(site.url(), ACCOUNT)
    site.handler = down
    clock.now += 3600
    assert await timed.media(site.url(), ACCOUNT) == first
    clock.now += 86_400
    with pytest.raises(Unavailable, match="answered 503"):
        await timed.media(site.url(), ACCOUNT)


@pytest.mark.parametrize("control", ["no-store", "no-cache", "max-age=0, must-revalidate"])
async def test_a_server_may_want_to_be_asked_each_time(
    timed: SoundLibrary, site: Site, melody_file: bytes, control: str
) -> None:
    async def down(request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    site.handler = Shop(melody_file, Cache_Control=control)
    await timed.media(site.url(), ACCOUNT)
    await timed.media(site.url(), ACCOUNT)
    assert len(site.requests) == 2
    site.handler = down
    with pytest.raises(Unavailable):
        await timed.media(site.url(), ACCOUNT)


async def test_a_sound_that_was_removed_from_the_cache_is_fetched_whole(
    timed: SoundLibrary, site: Site, melody_file: bytes
) -> None:
    site.handler = Shop(melody_file, ETag='"1"', Cache_Control="max-age=100")
    first = await timed.media(site.url(), ACCOUNT)
    Path(first.path).unlink()
    assert await timed.media(site.url(), ACCOUNT) == first
    assert "If-None-Match" not in site.requests[1].headers


async def test_the_same_content_at_two_addresses_is_kept_once(
    timed: SoundLibrary, site: Site, melody_file: bytes
) -> None:
    site.handler = Shop(melody_file)
    assert await timed.media(site.url("/a"), ACCOUNT) == await timed.media(site.url("/b"), ACCOUNT)


async def test_many_calls_at_once_ask_the_server_once(
    timed: SoundLibrary, site: Site, melody_file: bytes
) -> None:
    site.handler = Shop(melody_file)
    prompts = await asyncio.gather(*(timed.media(site.url(), ACCOUNT) for _ in range(20)))
    assert len(set(prompts)) == 1
    assert len(site.requests) == 1


async def test_private_addresses_are_refused_here_too(
    sound_settings: SoundSettings, engine: CountingEngine
) -> None:
    async with (
        SafeClient(ClientSettings()) as strict,
        SoundLibrary(sound_settings, strict, engine=engine) as library,
    ):
        with pytest.raises(Unavailable, match="not a public address"):
            await library.media("http://127.0.0.1:1/a.wav", ACCOUNT)


async def test_what_comes_from_a_url_is_named_without_its_secrets(timed: SoundLibrary, site: Site) -> None:
    with pytest.raises(Unavailable) as caught:
        await timed.media(site.url("/page?token=sesame"), ACCOUNT)
    assert str(caught.value).startswith(f"The sound at {site.url('/page')} cannot be played. It is neither")
