"""What a call costs that hears a prompt and is recorded: ``python -m bench.calls``.

Long calls against a real node, alone in their processes and four to a process, and the same against
pjsua2 without trunkflow.  Needs sipp and two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import subprocess
import sys
import tempfile
import time
import wave
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import machine, procfs
from bench.callers import Callers
from bench.figures import Target, print_targets
from bench.nodes import RTP_FIRST, BenchNode, NodeSettings, running_node

MEASURED_CORE: Final = 0
CALLERS_CORE: Final = 1
CALLS_PER_SECOND: Final = 4.0
SETTLE_SECONDS: Final = 4.0
PROMPT_HZ: Final = 300
RATE: Final = 8_000
RTP_PORTS: Final = 16

METHOD: Final = f"""\
Method: sipp (on core {CALLERS_CORE} alone) places calls and speaks on each of them all the time (PCMA, 50
packets a second); what is measured runs on core {MEASURED_CORE} alone.  Each call first hears a WAV file,
then is recorded to one, each for longer than the measurement.  CPU time of the processes that have the
calls, user and system, from /proc/PID/stat over the whole measurement, divided by calls and seconds; a
call's cost is the mean of the two halves.  "bare pjsua2" is this wheel in a process that does the same
with the same configuration and nothing of trunkflow.  Asterisk, the peer one would want here, is no
package of Debian 12."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one call, in shares of a core; wake-ups are per second and process."""

    prompt: float
    recording: float
    wakeups: float
    private: float
    """Bytes of private memory of each process."""

    @property
    def mean(self) -> float:
        return (self.prompt + self.recording) / 2


def main() -> int:
    options = _options()
    print(f"{METHOD}\nMachine: {machine.described()}")
    print(f"{options.calls} calls, twice {options.seconds:g} s\n")
    with tempfile.TemporaryDirectory(prefix="trunkflow-bench-") as directory:
        bench = _Bench(Path(directory), options.calls, options.seconds)
        print(f"{'':<30} prompt  recording   mean   wake-ups/s  private MB per process")
        costs: dict[tuple[str, int], Cost] = {}
        for per_process in (1, 4):
            for name, measure in (("trunkflow", bench.ours), ("bare pjsua2", bench.bare)):
                if name not in options.only:
                    continue
                cost = costs[name, per_process] = measure(per_process)
                print(
                    f"{name + f', {per_process} per process':<30} {cost.prompt:6.3%} {cost.recording:8.3%}"
                    f" {cost.mean:8.3%} {cost.wakeups:10.0f} {cost.private / 1e6:12.2f}",
                    flush=True,
                )
    targets = [
        Target(name=name, value=costs["trunkflow", per_process].mean * 100, most=most, unit="%")
        for name, per_process, most in (
            ("a call alone in its process, of a core", 1, 0.40),
            ("a call, four in a process, of a core", 4, 0.20),
        )
        if ("trunkflow", per_process) in costs
    ]
    print_targets(targets)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=16, help="at a time; a multiple of four")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each half of the measurement")
    parser.add_argument(
        "--only", nargs="+", default=["trunkflow", "bare pjsua2"], help="trunkflow, bare pjsua2 or both"
    )
    return parser.parse_args()


class _Bench:
    def __init__(self, directory: Path, calls: int, seconds: float) -> None:
        self._directory = directory
        self._calls = calls
        self._seconds = seconds
        self._half = calls / CALLS_PER_SECOND + SETTLE_SECONDS + seconds + SETTLE_SECONDS
        """Seconds of prompt, and of recording, in each call."""
        self._prompt = directory / "prompt.wav"
        _write_tone(self._prompt, self._half)

    def ours(self, per_process: int) -> Cost:
        settings = NodeSettings(
            flow=f"""
<callflow><steps>
  <step id="prompt" action="play"><source>prompt.wav</source></step>
  <step id="take" action="record">
    <maxLength>{math.ceil(self._half)}</maxLength><timeout>60</timeout>
  </step>
</steps></callflow>""",
            sounds={"prompt.wav": self._prompt},
            calls_per_process=per_process,
            core=MEASURED_CORE,
        )
        with running_node(settings) as node, self._calling([(node.port, self._calls)], digest=True):
            return self._measure(lambda: _with_calls(node, per_process, self._calls))

    def bare(self, per_process: int) -> Cost:
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(self._bare_process(number, per_process))
                for number in range(self._calls // per_process)
            ]
            with self._calling([(port, per_process) for _, port in processes], digest=False):
                return self._measure(lambda: [pid for pid, _ in processes])

    @contextmanager
    def _bare_process(self, number: int, calls: int) -> Iterator[tuple[int, int]]:
        """Its pid and its SIP port."""
        command = [
            "taskset", "-c", str(MEASURED_CORE),
            sys.executable, "-m", "bench.bare_call",
            "--calls", str(calls), "--play", str(self._prompt), "--prompt-seconds", str(self._half),
            "--directory", str(self._directory), "--rtp-port", str(RTP_FIRST + number * RTP_PORTS),
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            assert process.stdout is not None
            yield process.pid, int(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()

    @contextmanager
    def _calling(self, targets: Sequence[tuple[int, int]], *, digest: bool) -> Iterator[None]:
        """Callers for each port, as many as go with it."""
        running = [
            Callers(
                self._directory / f"callers-{port}",
                port,
                rate=CALLS_PER_SECOND * calls / self._calls,
                calls=calls,
                call_seconds=2 * self._half + 60,
                core=CALLERS_CORE,
                digest=digest,
            )
            for port, calls in targets
        ]
        try:
            for one in running:
                one.start()
            time.sleep(self._calls / CALLS_PER_SECOND + SETTLE_SECONDS)
            yield
            for one in running:
                if not one.running:
                    raise RuntimeError(f"calls ended before their time: {one.outcome().errors}")
        finally:
            for one in running:
                one.stop()

    def _measure(self, processes: Callable[[], Sequence[int]]) -> Cost:
        begun = time.monotonic()
        pids = processes()
        prompt, _ = self._spend(pids)
        time.sleep(max(0.0, begun + self._half - time.monotonic()))
        recording, wakeups = self._spend(pids)
        private = sum(procfs.memory(pid).private for pid in pids) / len(pids)
        return Cost(prompt=prompt, recording=recording, wakeups=wakeups, private=private)

    def _spend(self, pids: Sequence[int]) -> tuple[float, float]:
        """Share of a core per call, wake-ups per second and process, over the seconds of a half."""
        begun = time.monotonic()
        cpu = sum(procfs.cpu_time(pid).own for pid in pids)
        woken = sum(procfs.wakeups(pid) for pid in pids)
        time.sleep(self._seconds)
        wall = time.monotonic() - begun
        cpu = sum(procfs.cpu_time(pid).own for pid in pids) - cpu
        woken = sum(procfs.wakeups(pid) for pid in pids) - woken
        return cpu / wall / self._calls, woken / wall / len(pids)


def _with_calls(node: BenchNode, per_process: int, calls: int) -> list[int]:
    """The processes that have calls: those with the most descriptors."""
    wanted = calls // per_process
    by_descriptors = sorted(node.call_processes(), key=lambda one: one.descriptors, reverse=True)
    if len(by_descriptors) > wanted and by_descriptors[wanted].descriptors == by_descriptors[0].descriptors:
        raise RuntimeError("the calls are spread over more processes than they should be")
    return [one.pid for one in by_descriptors[:wanted]]


def _write_tone(path: Path, seconds: float) -> None:
    step = 2 * math.pi * PROMPT_HZ / RATE
    period = array("h", (round(8_000 * math.sin(step * i)) for i in range(RATE)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for _ in range(math.ceil(seconds)):
            file.writeframes(period.tobytes())


if __name__ == "__main__":
    sys.exit(main())
