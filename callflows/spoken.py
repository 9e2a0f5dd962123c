"""The text of a `say` step: words, breaks and changes of speed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from callflows.faults import Fault, quoted, those_that_exist
from callflows.kinds import XML_SPACE, BadValue, Kind, attribute_faults, bad_value, decimal_text
from callflows.model import Silence, Words
from callflows.raw import RawOption

SLOWEST = 0.5
FASTEST = 2.0
LONGEST_TEXT = 5000
LONGEST_SILENCE = 60.0
"""Seconds of all breaks of one text together, so that a small document cannot ask for hours of silence."""

RATE_WORDS = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.5, "x-fast": 2.0}

_BREAK = "[0-9]{1,4}ms|10000ms|[0-9](\\.[0-9]{1,3})?s|10(\\.0{1,3})?s"
_PERCENT = "([5-9][0-9]|1[0-9][0-9])(\\.[0-9])?%|200(\\.0)?%"
_FACTOR = "(0\\.[5-9]|1\\.[0-9])[0-9]{0,2}|[12](\\.0{1,3})?"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_BREAK_REMEDY = "Write the time with its unit, up to 10 seconds, such as 500ms or 1.5s."
_RATE_REMEDY = (
    "Write a percentage from 50% to 200% (100% is no change), a number from 0.5 to 2, "
    f"or one of: {', '.join(RATE_WORDS)}."
)

Part = Words | Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenText(Kind[tuple[Part, ...]]):
    """Words with ``<break time="500ms"/>`` and ``<prosody rate="slow">…</prosody>`` between them.

    White space is folded, so the layout of a document is not heard.
    """

    @property
    def expected(self) -> str:
        return "the words to be spoken"

    def read(self, option: RawOption) -> tuple[Part, ...]:
        faults = list(attribute_faults(option, ()))
        parts: list[Part] = []
        self._gather(option, 1.0, ("break", "prosody"), parts, faults)
        length = sum(len(part.text) for part in parts if isinstance(part, Words))
        silence = sum(part.seconds for part in parts if isinstance(part, Silence))
        if not length and not faults:
            faults.extend(self.refuse(option, "").faults)
        if length > LONGEST_TEXT:
            message = f"{option.name} has {length} characters."
            remedy = f"Use at most {LONGEST_TEXT}: divide it among several steps."
            faults.extend(bad_value(option.place, message, remedy).faults)
        if silence > LONGEST_SILENCE:
            message = f"The breaks of {option.name} last {decimal_text(silence)} seconds together."
            remedy = f"Use at most {decimal_text(LONGEST_SILENCE)} seconds, or a pause step."
            faults.extend(bad_value(option.place, message, remedy).faults)
        if faults:
            raise BadValue(tuple(faults))
        return tuple(parts)

    def _gather(
        self, holder: RawOption, rate: float, marks: tuple[str, ...], parts: list[Part], faults: list[Fault]
    ) -> None:
        for piece in holder.content:
            if isinstance(piece, RawOption) and piece.name == "prosody" and "prosody" in marks:
                self._gather(piece, _prosody_rate(piece, faults), ("break",), parts, faults)
                continue
            try:
                if isinstance(piece, str):
                    _add_words(holder, piece, rate, parts)
                elif piece.name == "break":
                    parts.append(Silence(seconds=_break_seconds(piece)))
                else:
                    raise bad_value(
                        piece.place,
                        f"<{piece.name[:40]}> cannot stand in <{holder.name}>.",
                        those_that_exist("marks", piece.name, marks),
                    )
            except BadValue as bad:
                faults.extend(bad.faults)

    def write(self, value: tuple[Part, ...]) -> tuple[str | RawOption, ...]:
        content: list[str | RawOption] = []
        for part in value:
            if content:
                content.append(" ")
            match part:
                case Silence(seconds=seconds):
                    time = {"time": f"{decimal_text(seconds)}s"}
                    content.append(RawOption(name="break", content=(), attributes=time))
                case Words(text=text, rate=1.0):
                    content.append(text)
                case Words(text=text, rate=rate):
                    attributes = {"rate": decimal_text(rate)}
                    content.append(RawOption(name="prosody", content=(text,), attributes=attributes))
        return tuple(content)

    def schema(self) -> str:
        pause = (
            '<element name="break"><attribute name="time">'
            f'<data type="string"><param name="pattern">{_BREAK}</param></data></attribute></element>'
        )
        words = "".join(f'<value datatypeLibrary="" type="string">{word}</value>' for word in RATE_WORDS)
        number = f'<data type="string"><param name="pattern">{_PERCENT}|{_FACTOR}</param></data>'
        prosody = (
            f'<element name="prosody"><attribute name="rate"><choice>{words}{number}</choice></attribute>'
            f"<zeroOrMore><choice><text/>{pause}</choice></zeroOrMore></element>"
        )
        return f"<zeroOrMore><choice><text/>{pause}{prosody}</choice></zeroOrMore>"


def _add_words(holder: RawOption, text: str, rate: float, parts: list[Part]) -> None:
    forbidden = _NOT_IN_XML.search(text)
    if forbidden:
        message = f"{holder.name} holds the character U+{ord(forbidden.group()):04X}, which XML cannot carry."
        raise bad_value(holder.place, message, "Remove it.")
    folded = " ".join(text.split())
    if not folded:
        return
    last = parts[-1] if parts else None
    if isinstance(last, Words) and last.rate == rate:
        parts[-1] = Words(text=f"{last.text} {folded}", rate=rate)
    else:
        parts.append(Words(text=folded, rate=rate))


def _break_seconds(mark: RawOption) -> float:
    faults = list(attribute_faults(mark, ("time",)))
    if any(isinstance(piece, RawOption) or piece.strip(XML_SPACE) for piece in mark.content):
        faults.extend(bad_value(mark.place, "<break> is not empty.", 'Write <break time="1s"/>.').faults)
    time = mark.attributes.get("time")
    if time is None:
        faults.extend(bad_value(mark.place, "<break> has no time.", _BREAK_REMEDY).faults)
    elif not re.fullmatch(_BREAK, time):
        message = f"{quoted(time)} is no time for a break."
        faults.extend(bad_value(mark.place, message, _BREAK_REMEDY).faults)
    if faults or time is None:
        raise BadValue(tuple(faults))
    if time.endswith("ms"):
        return float(Decimal(time[:-2]) / 1000)
    return float(Decimal(time[:-1]))


def _prosody_rate(mark: RawOption, faults: list[Fault]) -> float:
    """The rate, or 1.0 beside a fault: what is wrong inside the mark is then found all the same."""
    faults.extend(attribute_faults(mark, ("rate",)))
    rate = mark.attributes.get("rate")
    if rate is None:
        faults.extend(bad_value(mark.place, "<prosody> has no rate.", _RATE_REMEDY).faults)
        return 1.0
    if rate in RATE_WORDS:
        return RATE_WORDS[rate]
    if not re.fullmatch(f"{_PERCENT}|{_FACTOR}", rate):
        message = f"{quoted(rate)} is no rate."
        faults.extend(bad_value(mark.place, message, _RATE_REMEDY).faults)
        return 1.0
    if rate.endswith("%"):
        return float(Decimal(rate[:-1]) / 100)
    return float(Decimal(rate))
