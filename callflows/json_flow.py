"""The JSON of callflows: the object of the MessageBird Voice API (reference, sections 0 and 2).

Tolerant as that API has to be, since every SDK writes it differently: names without case, numbers and
truth values as texts, objects as texts, zero for what is not set, and more fields than the action has.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from callflows.build import Callflow, build_callflow, raw_callflow
from callflows.canonical import LARGEST_DOCUMENT
from callflows.faults import DocumentFaults, Fault
from callflows.head import read_head
from callflows.kinds import decimal_text
from callflows.markup import payload_content, payload_text
from callflows.raw import Place, RawCallflow, RawOption, RawStep

_NANOSECONDS: Final = 1_000_000_000
"""From here on a number of seconds is Go's time.Duration (reference, section 2.3)."""
_MOST_PIECES: Final = 300
"""Steps, conditions or sounds that are looked at; the model refuses fewer."""

_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "say": {"payload": "text"},
    "play": {"media": "source"},
    "transfer": {"destination": "to"},
}
"""MessageBird's name of an option -> the one in the model, by action."""
_TRUTHS: Final = {"true": "true", "yes": "true", "1": "true", "false": "false", "no": "false"}
"""Ways of writing a truth value, in lower case -> the model's (reference, section 0.14)."""
_UNSET: Final[Mapping[str, tuple[Any, ...]]] = {
    "title": (None, 0, ""),
    "record": (None, 0, "", "0"),
    "maxDuration": (None, 0, "", "0"),
}
"""What says nothing: clients with typed objects send zeros for what was not set.  A title may be "0"."""

STEP_FIELDS: Final = ("onKeypressGoto", "onKeypressVar", "endKey", "maxNumKeys")
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "say": ("payload", "language", "voice", "speed", "early", "repeat", "ifMachine", "machineTimeout"),
    "play": ("media", "early"),
    "pause": ("length",),
    "record": (
        "maxLength", "timeout", "finishOnKey", "beep", "transcribe", "transcribeLanguage", "onFinish"
    ),
    "transfer": (
        "destination", "timeout", "callerId", "record", "mask", "ifMachine", "machineTimeout"
    ),
    "dial": ("to", "mode", "timeout", "callerId"),
    "sendKeys": ("keys", "duration", "interval"),
    "fetchCallFlow": ("url",),
    "hangup": ("reason",),
}  # fmt: skip
_ACTIONS: Final = {action.lower(): action for action in _OPTIONS}


def parse_json(text: str | bytes) -> Callflow:
    """The callflow that a JSON document describes.  Raises DocumentFaults, which have JSON pointers."""
    if len(text) > LARGEST_DOCUMENT:
        raise _refused(f"The document has {len(text)} bytes.", f"Use at most {LARGEST_DOCUMENT} bytes.")
    return from_json(_loaded(text))


def from_json(value: Any) -> Callflow:
    """The callflow that a decoded JSON value describes.  Raises DocumentFaults."""
    faults: list[Fault] = []
    flow = _lower(_unwrapped(value))
    if flow is None:
        raise _refused("The document is no object.", 'Write {"steps": [{"action": "hangup"}]}.')
    said = {
        name: _text(flow.get(name.lower()))
        for name, unset in _UNSET.items()
        if flow.get(name.lower()) not in unset
    }
    if "record" in said:
        said["record"] = _TRUTHS.get(said["record"].lower(), said["record"])
    head = read_head(said, Place(line=0, element=""), faults)
    found = _unwrapped(flow.get("steps"))
    if found is None:
        raise DocumentFaults((*faults, _fault("", "There are no steps.", "Add an array of them as steps.")))
    if not isinstance(found, list):
        raise DocumentFaults((*faults, _fault("/steps", "steps is no array.", "Write [ … ].")))
    steps = [
        step
        for index, one in enumerate(found[:_MOST_PIECES])
        if (step := _read_step(one, f"/steps/{index}", faults)) is not None
    ]
    raw = RawCallflow(
        steps=tuple(steps),
        title=head.title,
        record=head.record,
        max_duration=head.max_duration,
        place=Place(line=0, element="/steps"),
    )
    if faults and not steps:
        raise DocumentFaults(tuple(faults))
    return build_callflow(raw, faults)


def to_json(flow: Callflow) -> dict[str, Any]:
    """MessageBird's object: ``title``, ``record``, ``maxDuration`` where set, and ``steps``."""
    said = raw_callflow(flow)
    written: dict[str, Any] = {}
    if said.title is not None:
        written["title"] = said.title
    written["record"] = said.record
    if said.max_duration is not None:
        written["maxDuration"] = said.max_duration
    written["steps"] = [_written_step(step) for step in said.steps]
    return written


# -- reading -----------------------------------------------------------------------------------


def _loaded(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise _refused(f"Byte {error.start + 1} is not UTF-8.", "Save the document in UTF-8.") from None
    except json.JSONDecodeError as error:
        fault = Fault(
            line=error.lineno,
            element="",
            message=f"The document is no JSON: {error.msg} (column {error.colno}).",
            remedy="Check quotes, commas and brackets there.",
        )
        raise DocumentFaults((fault,)) from None
    except (RecursionError, ValueError):
        raise _refused(
            "The document is nested too deeply, or holds a number too long.", "Write it plainly."
        ) from None


def _unwrapped(value: Any) -> Any:
    """A JSON value that came inside a text (reference, section 0.13)."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (RecursionError, ValueError):
            return value
    return value


def _lower(value: Any) -> dict[str, Any] | None:
    """An object by names in lower case; of names that differ in case only, the first counts."""
    if not isinstance(value, dict):
        return None
    lower: dict[str, Any] = {}
    for name, one in value.items():
        lower.setdefault(name.lower(), one)
    return lower


def _read_step(value: Any, where: str, faults: list[Fault]) -> RawStep | None:
    step = _lower(_unwrapped(value))
    if step is None:
        faults.append(_fault(where, "The step is no object.", 'Write {"action": "say", "options": {…}}.'))
        return None
    action = _text(step.get("action"))
    known = _ACTIONS.get(action.lower(), action)
    options = _lower(_unwrapped(step.get("options"))) or {}
    read = [
        *_read_conditions(step.get("conditions"), f"{where}/conditions", faults),
        *(
            _option(name, step.get(name.lower()), f"{where}/{name}")
            for name in STEP_FIELDS
            if not _is_unset(step.get(name.lower()))
        ),
    ]
    for name in _OPTIONS.get(known, ()):
        given = options.get(name.lower())
        if given is None:
            # The model's own names are as good as MessageBird's.
            given = options.get(_RENAMED.get(known, {}).get(name, name).lower())
        read.extend(_read_option(known, name, given, f"{where}/options/{name}"))
    return RawStep(
        id=_text(step.get("id")) or str(uuid.uuid4()),
        action=known,
        options=tuple(read),
        names={ours: theirs for theirs, ours in _RENAMED.get(known, {}).items()} or {"": ""},
        place=Place(line=0, element=where),
    )


def _read_conditions(value: Any, where: str, faults: list[Fault]) -> list[RawOption]:
    found = _unwrapped(value)
    if _is_unset(found):
        return []
    read = []
    for index, one in enumerate(found[:_MOST_PIECES] if isinstance(found, list) else [found]):
        condition = _lower(_unwrapped(one))
        if condition is None:
            remedy = 'Write {"variable": "choice", "operator": "==", "value": "1"}.'
            faults.append(_fault(f"{where}/{index}", "The condition is no object.", remedy))
            continue
        parts: dict[str, str] = {
            name: _text(condition[name]) for name in ("variable", "operator", "value") if name in condition
        }
        place = Place(line=0, element=f"{where}/{index}")
        read.append(RawOption(name="condition", content=(), attributes=parts, place=place))
    return read


def _read_option(action: str, name: str, value: Any, where: str) -> list[RawOption]:
    if _is_unset(value) or (name in _AS_NUMBERS and value == "0"):
        return []
    model_name = _RENAMED.get(action, {}).get(name, name)
    match action, name:
        case "say", "payload":
            place = Place(line=0, element=where)
            return [RawOption(name="text", content=payload_content(_text(value)), place=place)]
        case ("play", "media") | ("dial", "to"):
            pieces = _unwrapped(value)
            several = list(pieces.values()) if isinstance(pieces, dict) else pieces
            listed = several if isinstance(several, list) else [several]
            return [
                _option(model_name, _number_or_uri(one) if name == "to" else one, f"{where}/{index}")
                for index, one in enumerate(listed[:_MOST_PIECES])
            ]
        case "transfer", "destination":
            return [_option(model_name, _number_or_uri(value), where)]
        case _, "callerId":
            return [_option(model_name, _number_or_uri(value), where)]
        case "record", "maxLength" | "timeout":
            return [_option(model_name, _seconds(value), where)]
        case "say", "voice":
            return [_option(model_name, _text(value).lower(), where)]
        case _:
            return [_option(model_name, value, where)]


def _option(name: str, value: Any, where: str) -> RawOption:
    return RawOption(name=name, content=(_text(value),), place=Place(line=0, element=where))


def _is_unset(value: Any) -> bool:
    """Java sends zeros and false for what nobody set (reference, section 0.15)."""
    return value in (None, 0, False, "") or value == [] or value == {}


def _number_or_uri(value: Any) -> str:
    """E.164 digits get their plus sign."""
    text = _text(value).strip()
    digits = text.replace(" ", "").replace("-", "").removeprefix("+")
    return f"+{digits}" if digits.isascii() and digits.isdigit() and not digits.startswith("0") else text


def _seconds(value: Any) -> Any:
    """Seconds, or Go's nanoseconds."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return number / _NANOSECONDS if number >= _NANOSECONDS else value


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float():
            return decimal_text(value) if abs(value) < _NANOSECONDS else str(value)
        case int():
            return str(value) if abs(value) < 10**40 else "a very large number"
        case _:
            return json.dumps(value)[:200]


def _fault(where: str, message: str, remedy: str) -> Fault:
    return Fault(line=0, element=where, message=message, remedy=remedy)


def _refused(message: str, remedy: str) -> DocumentFaults:
    return DocumentFaults((_fault("", message, remedy),))


# -- writing -----------------------------------------------------------------------------------

_AS_NUMBERS: Final = {"repeat", "machineTimeout", "length", "maxLength", "timeout", "duration", "interval"}
_AS_TRUTHS: Final = {"transcribe", "mask", "beep", "early"}


def _written_step(step: RawStep) -> dict[str, Any]:
    written: dict[str, Any] = {"id": step.id, "action": step.action}
    theirs = {ours: name for name, ours in _RENAMED.get(step.action, {}).items()}
    options: dict[str, Any] = {}
    for option in step.options:
        if option.name == "condition":
            written.setdefault("conditions", []).append(dict(option.attributes))
        elif option.name == "maxNumKeys":
            written[option.name] = int(_plain(option))
        elif option.name in STEP_FIELDS:
            written[option.name] = _plain(option)
        else:
            _add_option(options, theirs.get(option.name, option.name), option)
    if step.action == "say":
        options.setdefault("voice", "female")
    written["options"] = options
    return written


def _add_option(options: dict[str, Any], name: str, option: RawOption) -> None:
    value: Any = _plain(option)
    if name == "payload":
        value = payload_text(option.content)
    elif name in ("destination", "callerId"):
        value = value.removeprefix("+")
    elif name in _AS_NUMBERS:
        value = float(value) if "." in value else int(value)
    elif name in _AS_TRUTHS:
        value = value == "true"
    if name in ("media", "to"):
        options.setdefault(name, []).append(value)
        return
    options[name] = value


def _plain(option: RawOption) -> str:
    return "".join(piece for piece in option.content if isinstance(piece, str))
