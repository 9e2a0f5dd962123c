"""How well the answering machine detector tells people from machines: ``python -m bench.amd``.

Method: calls made by the speech engine (`bench.amd_material`: eleven languages, two voices, three speeds;
line, office and street noise; levels over 17 dB; through G.711) are given to the detector a quarter of a
second at a time, as a call would, and to a simple peer (`bench.amd_peer`).  A verdict counts as right when
it is who spoke; a human taken for a machine is the costly mistake.  The thresholds were set with other
random levels, pauses and noises of the same texts; three languages were never listened to.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.amd_material import HELLOS, UNSEEN, AnsweredCall, calls
from bench.amd_peer import Peer
from bench.figures import mean, percentile
from bench.machine import described
from callflows.ports import Answerer
from tests.audio import RATE
from voice.media.answering import AnswerDetector, EndOfGreeting

PORTION = RATE // 4 * 2
"""Bytes that come at once: a quarter of a second."""
WITHIN = 7.0
QUIET = 1.5
KINDS = ("hello", "desk", "greeting", "greeting and beep", "nothing said")


class Detector(Protocol):
    @property
    def heard_seconds(self) -> float: ...

    def hear(self, sound: bytes) -> Answerer | None: ...

    def give_up(self) -> Answerer: ...


@dataclass(slots=True)
class Score:
    """What a detector made of many calls."""

    name: str
    verdicts: Counter[tuple[str, Answerer]] = field(default_factory=Counter)
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    right: Counter[str] = field(default_factory=Counter)
    """By language."""
    costly: Counter[str] = field(default_factory=Counter)
    """People taken for machines, by language."""
    said: Counter[str] = field(default_factory=Counter)
    cpu: float = 0.0

    def take(self, call: AnsweredCall, detector: Detector) -> None:
        began = time.process_time()
        verdict = _verdict(detector, call.pcm())
        self.cpu += time.process_time() - began
        self.verdicts[call.kind, verdict] += 1
        self.seconds[call.kind].append(detector.heard_seconds)
        self.said[call.language] += 1
        self.right[call.language] += verdict is call.truth
        self.costly[call.language] += call.truth is Answerer.HUMAN and verdict is Answerer.MACHINE

    def accuracy(self, languages: Iterable[str]) -> float:
        languages = tuple(languages)
        return 100 * sum(self.right[one] for one in languages) / sum(self.said[one] for one in languages)


def _verdict(detector: Detector, pcm: bytes) -> Answerer:
    for portion in _portions(pcm):
        verdict = detector.hear(portion)
        if verdict is not None:
            return verdict
    return detector.give_up()


def _portions(pcm: bytes) -> Iterable[bytes]:
    return (pcm[start : start + PORTION] for start in range(0, len(pcm), PORTION))


def _end_of_greeting(call: AnsweredCall) -> float:
    """How long after the end of the greeting (with its beep) it was known to be over; negative: before."""
    ending = EndOfGreeting(RATE, QUIET)
    pcm = call.pcm() + bytes(5 * RATE * 2)
    for number, portion in enumerate(_portions(pcm), start=1):
        if ending.hear(portion):
            return number * PORTION / 2 / RATE - call.speech_ends
    return float("inf")


def _print_score(score: Score) -> None:
    print(f"\n{score.name}")
    print(f"  {'in truth':<20}{'human':>8}{'machine':>9}{'unsure':>8}   heard until the verdict, p50 and p95")
    for kind in KINDS:
        row = [score.verdicts[kind, verdict] for verdict in Answerer]
        times = score.seconds[kind]
        print(
            f"  {kind:<20}{row[0]:>8}{row[1]:>9}{row[2]:>8}   "
            f"{percentile(times, 0.5):.2f} s  {percentile(times, 0.95):.2f} s"
        )
    heard = sum(sum(times) for times in score.seconds.values())
    print(f"  CPU: {1000 * score.cpu / heard:.2f} ms for a second of sound")


def _print_languages(scores: Sequence[Score]) -> None:
    names = "".join(f"{score.name:>28}" for score in scores)
    print(f"\nright verdicts, and people taken for machines, by language\n  {'':<10}{names}")
    for language in HELLOS:
        cells = "".join(
            f"{score.accuracy([language]):>20.1f} %{score.costly[language]:>6}" for score in scores
        )
        print(f"  {language:<10}{cells}{'   never listened to' if language in UNSEEN else ''}")
    for title, languages in (("all", tuple(HELLOS)), ("unseen", UNSEEN)):
        cells = "".join(
            f"{score.accuracy(languages):>20.1f} %{sum(score.costly[one] for one in languages):>6}"
            for score in scores
        )
        print(f"  {title:<10}{cells}")


async def measure(variants: int, seed: int) -> None:
    """Prints everything."""
    makers: dict[str, Callable[[], Detector]] = {
        "trunkflow": lambda: AnswerDetector(RATE, WITHIN),
        "thresholds of app_amd": lambda: Peer(RATE),
    }
    scores = {name: Score(name) for name in makers}
    ends: defaultdict[str, list[float]] = defaultdict(list)
    count = 0
    async for call in calls(variants=variants, seed=seed):
        count += 1
        for name, make in makers.items():
            scores[name].take(call, make())
        if call.truth is Answerer.MACHINE:
            ends[call.kind].append(_end_of_greeting(call))
    print(f"{__doc__}\n{described()}\n{count} calls, seed {seed}")
    for score in scores.values():
        _print_score(score)
    _print_languages([*scores.values()])
    print(f"\nend of a machine's greeting: known so long after it ({QUIET:g} s of silence, or a beep)")
    for kind, values in ends.items():
        early = sum(value < 0 for value in values)
        print(
            f"  {kind:<20}mean {mean(values):.2f} s, p50 {percentile(values, 0.5):.2f} s,"
            f" p95 {percentile(values, 0.95):.2f} s; {early} of {len(values)} before it was over"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.amd", description=__doc__)
    parser.add_argument("--variants", type=int, default=6, help="how often each text is answered")
    parser.add_argument("--seed", type=int, default=2, help="of levels, pauses and noises")
    options = parser.parse_args()
    asyncio.run(measure(options.variants, options.seed))


if __name__ == "__main__":
    main()
