"""The local protocol between the parent and its call processes.

Unix stream socket, each message a 4-byte big-endian length and a JSON object with a ``type``.  The
call process connects and says `Hello`; it holds no secret and opens no customer URL: what it needs
it asks for (`Ask`), what happened it tells (`Tell`, `DialogUp`, `DialogDown`, `CallOver`).  When
the parent dies the call goes on, and all that was asked or told meanwhile is sent to the next parent.
"""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import msgspec

from callflows.model import Silence, Utterance, Words
from callflows.ports import Prompt, RecordingPlace
from voice.commands import Command, Outcome
from voice.media.seam import DialogFacts
from voice.pool.orders import CallOrder, DialPlan, Ticket
from voice.records import Record

MAX_MESSAGE = 1 << 20
"""Bytes; a callflow document of 32 kB is the largest thing that travels."""


class Message(msgspec.Struct, kw_only=True, tag_field="type"):
    pass


# -- from the call process -------------------------------------------------------------------


class Hello(Message, tag=True):
    """The first message.  `calls` are the orders still running, for a parent that is new to them."""

    pid: int
    zygote: int
    """Process id of the zygote that forked it."""
    host: str
    port: int
    rtp_port: int
    calls: list[CallOrder]
    taken: int
    """Calls taken since the process was forked."""
    dialogs: list[DialogUp] = []
    """Those of the calls that are up now."""
    recordings: list[Recording] = []
    """Those of the calls that are being written now."""


class Recording(msgspec.Struct, kw_only=True):
    """A recording that has begun."""

    call_id: str
    place: RecordingPlace


class WantSpeech(Message, tag=True):
    """An `Utterance`: words with their rate, and silences in seconds."""

    language: str
    voice: str
    parts: list[tuple[str, float] | float]


class WantMedia(Message, tag=True):
    source: str


class WantBeep(Message, tag=True):
    pass


class WantFlow(Message, tag=True):
    """The document of a dynamic callflow, fetched and checked; the result is canonical XML."""

    url: str
    variables: dict[str, str] = {}
    recording_id: str | None = None
    """Of the recording that is posted to the URL; None: the URL is fetched."""


class WantPlace(Message, tag=True):
    kind: str = "ivr"
    leg_id: str | None = None
    """None: the first leg of the call."""


class WantTicket(Message, tag=True):
    """Files the plan at the edge; the result is a ticket."""

    plan: DialPlan
    again: bool = False
    """The first leg of an outgoing call, whose earlier ticket died with its edge before it was used."""


class WantTranscription(Message, tag=True):
    """Has a finished recording turned into text, later."""

    recording_id: str
    leg_id: str
    language: str


Want = WantSpeech | WantMedia | WantBeep | WantFlow | WantPlace | WantTicket | WantTranscription


class Ask(Message, tag=True):
    id: int
    call_id: str
    want: Want


class Expecting(Message, tag=True):
    """The order is known: its INVITE may come."""

    call_id: str


class Tell(Message, tag=True):
    """One of `voice.records`, by class name; told again to each new parent until one has it (`Noted`)."""

    number: int
    """Counts what a process tells."""
    kind: str
    fields: dict[str, Any]


class DialogUp(Message, tag=True):
    call_id: str
    dialog: DialogFacts


class DialogDown(Message, tag=True):
    call_id: str
    sip_call_id: str


class CallOver(Message, tag=True):
    call_id: str


class Retiring(Message, tag=True):
    """This process takes no further call, because something unforeseen happened in it."""


class Did(Message, tag=True):
    """What became of a `Do`."""

    id: int
    call_id: str
    outcome: Outcome


# -- from the parent -------------------------------------------------------------------------


class Expect(Message, tag=True):
    """A call to come; or one to be placed at once, when the order has `outbound`."""

    order: CallOrder


class Forget(Message, tag=True):
    """The INVITE of this order will not come."""

    call_id: str
    refused: str | None = None
    """It came, and this is how it was answered.  A process that knows nothing of it ends the call."""


class Got(Message, tag=True):
    """The answer to an `Ask`: a value or the sentence why not."""

    id: int
    prompt: Prompt | None = None
    place: RecordingPlace | None = None
    text: str | None = None
    ticket: Ticket | None = None
    error: str | None = None
    void: bool = False
    """The outgoing call was claimed anew, or is over: this process has nothing to do with it any more."""


class Noted(Message, tag=True):
    """Whatever was told up to this number is kept: it need not be told again."""

    number: int


class Do(Message, tag=True):
    """A command for a running call; `Did` says what became of it."""

    id: int
    command: Command


class StopCall(Message, tag=True):
    call_id: str
    reason: str


class Retire(Message, tag=True):
    """Take no further call; exit when the last one is over."""


FromProcess = Hello | Ask | Expecting | Tell | DialogUp | DialogDown | CallOver | Retiring | Did
FromParent = Expect | Forget | Got | Noted | Do | StopCall | Retire

_decode_from_process = msgspec.json.Decoder(FromProcess).decode
_decode_from_parent = msgspec.json.Decoder(FromParent).decode
_encode = msgspec.json.Encoder().encode

_RECORD_CLASSES: dict[str, type] = {kind.__name__: kind for kind in get_args(Record)}


def want_speech(utterance: Utterance) -> WantSpeech:
    """What asks for an utterance."""
    parts: list[tuple[str, float] | float] = [
        (part.text, part.rate) if isinstance(part, Words) else part.seconds for part in utterance.parts
    ]
    return WantSpeech(language=utterance.language, voice=utterance.voice, parts=parts)


def wanted_speech(want: WantSpeech) -> Utterance:
    """The utterance that is asked for."""
    parts = tuple(
        Words(text=part[0], rate=part[1]) if isinstance(part, tuple) else Silence(seconds=part)
        for part in want.parts
    )
    return Utterance(language=want.language, voice=want.voice, parts=parts)


def tell(record: Record, number: int) -> Tell:
    """The message that carries a record."""
    return Tell(number=number, kind=type(record).__name__, fields=msgspec.to_builtins(record))


def told(message: Tell) -> Record:
    """The record that a message carries.  Raises msgspec.ValidationError or KeyError when it is none."""
    record: Record = msgspec.convert(message.fields, _RECORD_CLASSES[message.kind])
    return record


def frame(message: FromProcess | FromParent) -> bytes:
    """A message as it travels.

    SIP headers and phrases come from outside: what is not UTF-8 in them, such as a name in Latin-1,
    travels as question marks.
    """
    try:
        body = _encode(message)
    except UnicodeEncodeError:
        body = _encode(_clean(msgspec.to_builtins(message)))
    return len(body).to_bytes(4, "big") + body


def _clean(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list() | tuple():
            return [_clean(one) for one in value]
        case dict():
            return {key: _clean(one) for key, one in value.items()}
        case _:
            return value


async def read_from_process(reader: asyncio.StreamReader) -> FromProcess:
    """The next message.  Raises IncompleteReadError at the end, msgspec.DecodeError for what is none."""
    message: FromProcess = _decode_from_process(await _read(reader))
    return message


async def read_from_parent(reader: asyncio.StreamReader) -> FromParent:
    """The next message.  Raises IncompleteReadError at the end, msgspec.DecodeError for what is none."""
    message: FromParent = _decode_from_parent(await _read(reader))
    return message


async def _read(reader: asyncio.StreamReader) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    if size > MAX_MESSAGE:
        raise msgspec.DecodeError(f"a message of {size} bytes; at most {MAX_MESSAGE} are allowed")
    return await reader.readexactly(size)
