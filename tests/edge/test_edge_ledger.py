"""The ledger that processes share: exact, whoever is killed, stopped or started anew."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.edge.sockets import PATIENCE_SECONDS, udp_socket
from tests.edge.world import ACCOUNT, DOMAIN, SDP
from voice.edge.core.ledger import BYTES, CALLS, HEADER_BYTES, MOST_PROCESSES, Ledger, Used, day_of, key_of
from voice.edge.ledger_file import PATIENCE_SECONDS as LOCK_SECONDS
from voice.edge.ledger_file import LedgerFile, LedgerUnusable
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

NOW = 1_800_000_000.0
KEY = key_of("account", "a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits"


@pytest.fixture
def files(path: Path) -> Iterator[list[LedgerFile]]:
    """Two openings of one file, as two processes have."""
    opened = [LedgerFile(path, NOW), LedgerFile(path, NOW)]
    yield opened
    for file in opened:
        file.close()


def row_of(file: LedgerFile, key: bytes = KEY):  # type: ignore[no-untyped-def]
    return file.ledger.row(key)


# -- the table -------------------------------------------------------------------------------------


def test_what_one_process_takes_the_other_sees(files: list[LedgerFile]) -> None:
    one, other = files
    row_of(one).change_places(2)
    row_of(other).change_places(1)
    assert row_of(one).places == row_of(other).places == 3
    row_of(one).change_places(-2)
    assert row_of(other).places == 1


def test_a_rate_is_used_up_by_all_together(files: list[LedgerFile]) -> None:
    one, other = files
    for file in (one, other):
        assert row_of(file).wait_for(CALLS, 2.0, 2.0, 100.0) == 0
        row_of(file).count(CALLS, 2.0, 2.0, 100.0)
    assert row_of(one).wait_for(CALLS, 2.0, 2.0, 100.0) == pytest.approx(0.5)
    assert row_of(other).wait_for(CALLS, 2.0, 2.0, 100.5) == 0


@pytest.mark.parametrize("rate", [0.01, 0.5, 1.0, 3.0, 7.0, 100.0, 9_999.0])
def test_a_full_second_may_come_at_once_and_then_goes_on_at_the_rate(rate: float) -> None:
    row, most = Ledger().row(KEY), max(1.0, rate)
    came = 0
    for step in range(int(most * 3)):
        at = NOW + step / (rate * 1.5)
        if not row.wait_for(CALLS, rate, most, at):
            row.count(CALLS, rate, most, at)
            came += 1
    assert came <= most + rate * (int(most * 3) / (rate * 1.5)) + 1
    assert came >= int(most)


def test_a_process_that_is_behind_counts_by_the_time_of_the_others(files: list[LedgerFile]) -> None:
    one, other = files
    for step in range(10):
        row_of(one).count(CALLS, 10.0, 10.0, 100.0 + step / 5)
    assert row_of(other).wait_for(CALLS, 10.0, 10.0, 100.5) == 0
    for _ in range(8):
        row_of(other).count(CALLS, 10.0, 10.0, 100.5)
    assert row_of(one).wait_for(CALLS, 10.0, 10.0, 101.8) == 0
    row_of(one).count(CALLS, 10.0, 10.0, 101.8)
    assert row_of(other).wait_for(CALLS, 10.0, 10.0, 100.5) > 0


def test_times_of_before_the_machine_was_started_anew_do_not_count() -> None:
    row = Ledger().row(KEY)
    row.count(CALLS, 1.0, 1.0, 5_000_000.0)
    assert row.wait_for(CALLS, 1.0, 1.0, 100.0) == 0


def test_talks_cost_what_they_last(files: list[LedgerFile]) -> None:
    one, other = files
    day = day_of(NOW)
    row_of(one).hold(2.0)
    assert row_of(other).used(100.0, day) == (60.0, 120.0)
    row_of(one).hold(2.0, -1)
    row_of(one).talk_begins(2.0, 100.0)
    assert row_of(other).used(170.0, day) == (70.0, 140.0)
    row_of(one).talk_ends(2.0, 100.0)
    row_of(one).spend(Used(80.0, 160.0), day)
    assert row_of(other).used(500.0, day) == (80.0, 160.0)
    assert row_of(other).used(500.0, day + 1) == (0.0, 0.0)


def test_more_subjects_than_fit_are_counted_by_each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.edge.core.ledger.MOST_ROWS", 2)
    ledger = Ledger()
    for name in "abc":
        ledger.row(key_of("account", name)).change_places(1)
    assert [ledger.row(key_of("account", name)).places for name in "abc"] == [1, 1, 1]


def test_what_was_called_is_remembered_and_the_oldest_forgotten_first() -> None:
    ledger = Ledger()
    ledger.remember("a", "+31201234567")
    assert ledger.knows("a", "+31201234567")
    assert not ledger.knows("b", "+31201234567")
    for number in range(1_000_000, 1_600_000):
        ledger.remember("x", str(number))
    assert not ledger.knows("x", "1000000")
    assert sum(ledger.knows("x", str(number)) for number in range(1_000_000, 1_600_000)) <= 8 * 32_768
    assert ledger.knows("x", "1599999")


# -- processes that end ----------------------------------------------------------------------------


def test_a_file_that_all_have_left_keeps_what_was_used_today(path: Path) -> None:
    file = LedgerFile(path, NOW)
    row_of(file).change_places(3)
    row_of(file).spend(Used(60.0, 1.0), day_of(NOW))
    row_of(file, key_of("account", "idle")).change_places(1)
    file.close()
    again = LedgerFile(path, NOW)
    assert row_of(again).places == 0
    assert row_of(again).ended_today(day_of(NOW)) == (60.0, 1.0)
    assert [key for key, _ in again.ledger.rows()] == [KEY]
    again.close()


def test_a_full_disk_is_noticed_at_the_start(path: Path) -> None:
    file = LedgerFile(path, NOW)
    assert path.stat().st_blocks * 512 >= BYTES
    file.close()


def test_what_cannot_be_used_says_why(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnusable, match="No such file"):
        LedgerFile(tmp_path / "no" / "limits", NOW)


@pytest.mark.parametrize("found", [b"something else entirely" + bytes(BYTES), b"a = 1\n", b"\0" * 64 + b"a"])
def test_a_file_that_is_none_of_ours_stays_as_it_is(path: Path, found: bytes) -> None:
    path.write_bytes(found)
    with pytest.raises(LedgerUnusable, match="remove it"):
        LedgerFile(path, NOW)
    assert path.read_bytes() == found


def test_a_file_that_does_not_fit_says_so(path: Path) -> None:
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES // 2, most))
    try:
        with pytest.raises(LedgerUnusable, match="make room"):
            LedgerFile(path, NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))
    LedgerFile(path, NOW).close()


@pytest.mark.parametrize("damage", [b"\xff", b"\x7f", b"\0", b"\x55"])
def test_a_damaged_file_keeps_nobody(path: Path, damage: bytes) -> None:
    """What it says beyond its first page does not have to make sense."""
    file = LedgerFile(path, NOW)
    row_of(file).change_places(1)
    row_of(file).spend(Used(60.0, 1.0), day_of(NOW))
    file.close()
    with path.open("r+b") as raw:
        raw.write(damage * 4)
        # Of the first row all but its key and that it was written today.
        raw.seek(HEADER_BYTES + 16)
        raw.write(damage * 48)
        raw.seek(HEADER_BYTES + 72)
        raw.write(damage * (BYTES - HEADER_BYTES - 72))
    again = LedgerFile(path, NOW)
    row = row_of(again)
    assert (row.places, row.used(NOW, day_of(NOW))) == (0, (0.0, 0.0))
    row.change_places(1)
    assert row.places == 1
    again.close()


def test_two_that_begin_a_row_without_the_lock_have_one_each(files: list[LedgerFile]) -> None:
    one, other = files
    key = key_of("account", "b")
    # Both see an empty table; what the second writes stands over what the first wrote.
    row_of(one).change_places(1)
    other.ledger._memory[:4] = bytes(4)
    row_of(other, key).change_places(1)
    for file in files:
        assert row_of(file).places == 0
        assert row_of(file, key).places == 1
        assert dict(file.ledger.rows()).keys() == {KEY, key}


def test_only_so_many_share_a_file(path: Path) -> None:
    files = [LedgerFile(path, NOW) for _ in range(MOST_PROCESSES)]
    with pytest.raises(LedgerUnusable, match="another limits_file"):
        LedgerFile(path, NOW)
    for file in files:
        file.close()


HOLDER = """
import os, signal, sys
from pathlib import Path
from voice.edge.core.ledger import key_of
from voice.edge.ledger_file import LedgerFile
file = LedgerFile(Path(sys.argv[1]), 1_800_000_000.0)
with file.ledger.lock:
    file.ledger.row(key_of("account", "a")).change_places(5)
    file.ledger.row(key_of("account", "a")).talk_begins(1.0, 50.0)
    os.kill(os.getpid(), int(sys.argv[2]))
"""


@asynccontextmanager
async def holder(path: Path, end: signal.Signals) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is killed or stopped in the middle of a decision."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(path), str(int(end)))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_process_that_is_killed_gives_its_places_back(path: Path) -> None:
    file = LedgerFile(path, NOW)
    async with holder(path, signal.SIGKILL) as process:
        assert await process.wait() == -signal.SIGKILL
    with file.ledger.lock:
        assert row_of(file).places == 5
    assert file.waits_given_up == 0
    assert len(file.tidy()) == 1
    assert row_of(file).places == 0
    assert row_of(file).running(1_000.0) == (0.0, 0.0)
    assert file.tidy() == []
    file.close()


async def test_who_comes_after_a_killed_process_has_nothing_of_it(path: Path) -> None:
    file = LedgerFile(path, NOW)
    async with holder(path, signal.SIGKILL) as process:
        await process.wait()
    next_one = LedgerFile(path, NOW)
    assert row_of(next_one).places == 0
    assert file.tidy() == []
    next_one.close()
    file.close()


async def test_a_process_that_is_stopped_in_a_decision_keeps_nobody(path: Path) -> None:
    file = LedgerFile(path, NOW)
    async with holder(path, signal.SIGSTOP) as process:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "T" not in Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]:
                await asyncio.sleep(0.01)
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            with file.ledger.lock:
                row_of(file).change_places(1)
        # One wait, and none for the others.
        assert asyncio.get_running_loop().time() - began < 20 * LOCK_SECONDS
        assert file.waits_given_up == 100
        assert file.tidy() == [], "a stopped process still has its calls"
        assert row_of(file).places == 105
    with file.ledger.lock:
        pass
    assert file.waits_given_up == 100
    assert len(file.tidy()) == 1
    file.close()


# -- four edges ------------------------------------------------------------------------------------

PLACES = 300
CALLS_EACH = 500
AFTERWARDS = 9_999
"""A number that no call has."""
LONG_SECONDS = 120
"""On a machine that is busy with other things."""
OVERSHOOT = 3
"""One for each other process; documented in docs/operations.md."""


class Program:
    """An edge in its own process, and a PBX that calls it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, name: str) -> None:
        self.process = process
        self.name = name
        self.sock = udp_socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
        self.sock.connect(("127.0.0.1", port))
        self.number = 31_201_000_000 + 10_000 * ord(name)
        """Every call goes to another number."""
        self.answers: dict[str, int] = {}
        """To each call: 100 when it was let in, else the status with which it was refused."""

    def request(self, method: str, number: int, to_tag: str = "") -> bytes:
        port = self.sock.getsockname()[1]
        body = SDP if method == "INVITE" else b""
        return (
            f"{method} sip:{self.number + number}@{DOMAIN} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{self.name}{number};rport\r\n"
            f"From: <sip:+31200000001@{DOMAIN}>;tag={number}\r\nTo: <sip:any@{DOMAIN}>{to_tag}\r\n"
            f"Call-ID: {self.name}-{number}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:a@127.0.0.1:{port}>\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def calls(self, first: int, count: int) -> None:
        """Sends INVITEs at once."""
        for call_id, status in (await self._ask("INVITE", range(first, first + count))).items():
            self.answers[call_id] = status if status >= 300 else 100

    async def has_read_everything(self) -> None:
        """Until then INVITEs that came twice may wait at the edge, to be calls when there are places."""
        await self._ask("OPTIONS", [AFTERWARDS])

    async def _ask(self, method: str, numbers: Iterable[int]) -> dict[str, int]:
        """Sends requests, and again those that nothing answered, ever later; the first status for each."""
        waiting = {f"{self.name}-{number}": number for number in numbers}
        answers: dict[str, int] = {}
        patience = 1.0
        async with asyncio.timeout(LONG_SECONDS):
            while waiting:
                for number in waiting.values():
                    self.sock.send(self.request(method, number))
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        while waiting:
                            response = await self._response()
                            if waiting.pop(response.call_id, None) is not None:
                                answers[response.call_id] = response.status
                patience *= 2
        return answers

    async def _response(self) -> Response:
        response = parse_message(await asyncio.get_running_loop().sock_recv(self.sock, 65_535))
        assert isinstance(response, Response)
        if response.status >= 300 and response.cseq.method == "INVITE":
            _, _, tag = (response.headers.get("To") or "").rpartition(">")
            self.sock.send(self.request("ACK", int(response.call_id.rpartition("-")[2]), tag))
        return response

    @property
    def admitted(self) -> int:
        return sum(status == 100 for status in self.answers.values())


@asynccontextmanager
async def edges(path: Path, count: int, gateway_port: int, **limits: object) -> AsyncIterator[list[Program]]:
    account = json.dumps(limits)
    programs: list[Program] = []
    root = Path(__file__).parent.parent.parent
    try:
        for name in "abcdefgh"[:count]:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.edge.edge_program", str(path), str(gateway_port), account,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                cwd=root,
            )  # fmt: skip
            assert process.stdout is not None
            async with asyncio.timeout(LONG_SECONDS):
                port = int(await process.stdout.readline())
            programs.append(Program(process, port, name))
        yield programs
        for one in programs:
            if one.process.returncode is None:
                assert one.process.stdout is not None
                assert one.process.stdin is not None
                one.process.stdin.close()
                said = (await one.process.stdout.read()).split()
                assert said[0] == b"0", "the edge met a bug of its own"
    finally:
        for one in programs:
            one.sock.close()
            if one.process.returncode is None:
                one.process.kill()
            await one.process.wait()


class Carrier:
    """Everybody rings, and nobody answers."""

    def __init__(self) -> None:
        self.sock = udp_socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
        self.rang: set[str] = set()
        self._task = asyncio.create_task(self._ring())

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.sock.close()

    async def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            data, peer = await loop.sock_recvfrom(self.sock, 65_535)
            request = parse_message(data)
            if isinstance(request, Request) and request.method == "INVITE":
                self.rang.add(request.call_id)
                await loop.sock_sendto(self.sock, make_response(request, 180, to_tag="t").to_bytes(), peer)


async def test_four_processes_and_two_thousand_calls_at_once_pass_no_limit(path: Path) -> None:
    carrier = Carrier()
    watcher = LedgerFile(path, NOW)
    account = key_of("account", ACCOUNT)
    try:
        async with edges(path, 4, carrier.port, concurrent_calls=PLACES) as programs:
            await asyncio.gather(*(one.calls(0, CALLS_EACH) for one in programs))
            admitted = sum(one.admitted for one in programs)
            # Not one too many, and no call refused while there was a place.
            assert PLACES <= admitted <= PLACES + OVERSHOOT
            assert sum(len(one.answers) for one in programs) == 4 * CALLS_EACH
            statuses = {status for one in programs for status in one.answers.values()}
            assert statuses == {100, 503}
            with watcher.ledger.lock:
                assert watcher.ledger.row(account).places == admitted
            async with asyncio.timeout(LONG_SECONDS):
                while len(carrier.rang) < admitted:
                    await asyncio.sleep(0.01)
            assert len(carrier.rang) == admitted

            await asyncio.gather(*(one.has_read_everything() for one in programs))
            # One is killed: exactly its places come back.
            killed, *others = programs
            lost = killed.admitted
            assert lost > 0
            killed.process.kill()
            await killed.process.wait()
            async with asyncio.timeout(LONG_SECONDS):
                while watcher.ledger.row(account).places > admitted - lost:
                    await asyncio.sleep(0.01)
            for one in others:
                one.answers.clear()
            await asyncio.gather(*(one.calls(CALLS_EACH, CALLS_EACH) for one in others))
            again = sum(one.admitted for one in others)
            assert PLACES - (admitted - lost) <= again <= PLACES - (admitted - lost) + OVERSHOOT
        with watcher.ledger.lock:
            assert watcher.ledger.row(account).places == 0
    finally:
        watcher.close()
        await carrier.stop()


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        ({"amount": 100}, 402),
        ({"limits": {"daily_minutes": 100}}, 503),
        ({"amount": 10_000, "limits": {"daily_spend": 100}}, 503),
        ({"limits": {"new_destinations_per_hour": 100}}, 403),
    ],
)
async def test_four_processes_keep_every_other_limit_together(
    path: Path, limits: dict[str, object], refused: int
) -> None:
    carrier = Carrier()
    try:
        async with edges(path, 4, carrier.port, **limits) as programs:
            await asyncio.gather(*(one.calls(0, 100) for one in programs))
            assert 100 <= sum(one.admitted for one in programs) <= 100 + OVERSHOOT
            assert {status for one in programs for status in one.answers.values()} == {100, refused}
    finally:
        await carrier.stop()


async def test_four_processes_keep_a_rate_together(path: Path) -> None:
    carrier, loop = Carrier(), asyncio.get_running_loop()
    try:
        async with edges(path, 4, carrier.port, calls_per_second=100) as programs:
            began = loop.time()
            await asyncio.gather(*(one.calls(0, CALLS_EACH) for one in programs))
            most = 100 + 100 * (loop.time() - began) + OVERSHOOT
            assert 100 <= sum(one.admitted for one in programs) <= most
    finally:
        await carrier.stop()
