"""Typed steps from what a document said, and back; the same for every encoding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from typing import Any

from callflows.faults import DocumentFaults, Fault, quoted, those_that_exist
from callflows.kinds import BadValue, Kind, Several
from callflows.raw import Place, RawCallflow, RawOption, RawStep
from callflows.steps import STEPS
from callflows.steps.base import COMMON, STEP_ID, Step

MOST_STEPS = 250

_ID_REMEDY = "Use up to 64 letters, digits, _ . or -, such as greet."


@dataclass(frozen=True, slots=True, kw_only=True)
class Callflow:
    """What happens on a call: steps that run in order."""

    steps: tuple[Step, ...]
    title: str | None = None
    record: bool = False
    """Everything that is said and heard from the answer to the end is recorded."""
    max_duration: int | None = None
    """Seconds that the call may last; the account's own bound holds beside it."""


def options_of(step: type[Step]) -> Mapping[str, Kind[Any] | Several[Any]]:
    """All options that a document can give a step, by field."""
    return {**step.options, **COMMON}


def build_callflow(raw: RawCallflow, read_faults: Iterable[Fault] = ()) -> Callflow:
    """Typed steps.  Raises DocumentFaults: with `read_faults`, which the reader found, and all found here."""
    faults = list(read_faults)
    if not raw.steps:
        faults.append(_fault(raw.place, "There is no step.", "Add at least one step."))
    if len(raw.steps) > MOST_STEPS:
        message = f"There are {len(raw.steps)} steps."
        faults.append(_fault(raw.place, message, f"Use at most {MOST_STEPS}."))
    faults.extend(_id_faults(raw.steps))
    steps = [_build_step(step, faults) for step in raw.steps]
    faults.extend(_goto_faults(raw.steps, steps))
    if faults:
        raise DocumentFaults(tuple(faults))
    return Callflow(
        steps=tuple(step for step in steps if step),
        title=raw.title,
        record=raw.record,
        max_duration=raw.max_duration,
    )


def raw_callflow(flow: Callflow) -> RawCallflow:
    """What a document of any encoding would say; options that have their default are left out."""
    return RawCallflow(
        steps=tuple(_raw_step(step) for step in flow.steps),
        title=flow.title,
        record=flow.record,
        max_duration=flow.max_duration,
    )


def option_name(field_name: str) -> str:
    """``max_length`` is called ``maxLength`` in a document."""
    first, *rest = field_name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def required_fields(step: type[Step]) -> frozenset[str]:
    """The options that a document must give."""
    return frozenset(
        field.name for field in fields(step) if field.name in step.options and field.default is MISSING
    )


def _build_step(raw: RawStep, faults: list[Fault]) -> Step | None:
    kind = STEPS.get(raw.action)
    if kind is None:
        message = f"There is no action {quoted(raw.action)}." if raw.action else "The step has no action."
        faults.append(_fault(raw.place, message, those_that_exist("actions", raw.action, tuple(STEPS))))
        return None
    options_here = options_of(kind)
    names = {option_name(name): name for name in options_here}
    given: dict[str, list[RawOption]] = {}
    for option in raw.options:
        if option.name in names:
            given.setdefault(names[option.name], []).append(option)
        else:
            message = f"{raw.action} has no option <{option.name[:40]}>."
            remedy = those_that_exist("options", option.name, _near(option.name, kind, tuple(names)))
            faults.append(_fault(option.place, message, remedy))
    values: dict[str, Any] = {"id": raw.id}
    before = len(faults)
    for name, options in given.items():
        try:
            values[name] = _value(options_here[name], options)
        except BadValue as bad:
            faults.extend(bad.faults)
    for name in kind.options:
        if name in required_fields(kind) and name not in given:
            faults.append(_missing(raw, kind, name))
    return kind(**values) if len(faults) == before else None


def _near(wrong: str, step: type[Step], names: tuple[str, ...]) -> tuple[str, ...]:
    """The step's own options; those that every step has only where one of them may be meant."""
    common = tuple(option_name(name) for name in COMMON)
    meant = get_close_matches(wrong[:40].lower(), [name.lower() for name in common], n=1)
    return names if meant else tuple(name for name in names if name not in common)


def _value(kind: Kind[Any] | Several[Any], options: list[RawOption]) -> Any:
    if isinstance(kind, Several):
        return _values(kind, options)
    (value,) = _values(Several(each=kind, at_most=1), options)
    return value


def _values(kind: Several[Any], options: list[RawOption]) -> tuple[Any, ...]:
    faults: list[Fault] = []
    values = []
    for option in options:
        try:
            values.append(kind.each.read(option))
        except BadValue as bad:
            faults.extend(bad.faults)
    if len(options) > kind.at_most:
        excess = options[kind.at_most]
        message = f"<{excess.name}> stands here {len(options)} times."
        remedy = f"Give at most {kind.at_most}." if kind.at_most > 1 else "Give it once."
        faults.append(_fault(excess.place, message, remedy))
    if faults:
        raise BadValue(tuple(faults))
    return tuple(values)


def _missing(raw: RawStep, step: type[Step], name: str) -> Fault:
    kind = step.options[name]
    expected = kind.each.expected if isinstance(kind, Several) else kind.expected
    tag = option_name(name)
    called = raw.names.get(tag, tag if raw.names else f"<{tag}>")
    return _fault(raw.place, f"{raw.action} has no {called}.", f"Add {called} with {expected}.")


def _id_faults(steps: tuple[RawStep, ...]) -> Iterable[Fault]:
    first: dict[str, Place] = {}
    for step in steps:
        if not step.id:
            yield _fault(step.place, "The step has no id.", _ID_REMEDY)
        elif not re.fullmatch(STEP_ID, step.id):
            yield _fault(step.place, f"{quoted(step.id)} is no id.", _ID_REMEDY)
        elif step.id in first:
            before = first[step.id]
            where = f"the step on line {before.line}" if before.line else before.element
            message = f"The id {quoted(step.id)} is taken by {where}."
            yield _fault(step.place, message, "Give every step an id of its own.")
        else:
            first[step.id] = step.place


def _goto_faults(raw: tuple[RawStep, ...], steps: Iterable[Step | None]) -> Iterable[Fault]:
    ids = tuple(step.id for step in raw)
    for said, step in zip(raw, steps, strict=True):
        if step is not None and step.on_keypress_goto not in (None, *ids):
            message = (
                f"onKeypressGoto names the step {quoted(str(step.on_keypress_goto))}, which does not exist."
            )
            remedy = those_that_exist("ids", str(step.on_keypress_goto), ids[:20])
            yield _fault(said.place, message, remedy)


def _fault(place: Place, message: str, remedy: str) -> Fault:
    return Fault(line=place.line, element=place.element, message=message, remedy=remedy)


def _raw_step(step: Step) -> RawStep:
    options: list[RawOption] = []
    known = options_of(type(step))
    for field in fields(step):
        kind = known.get(field.name)
        value = getattr(step, field.name)
        if kind is None or value == field.default:
            continue
        name = option_name(field.name)
        if isinstance(kind, Several):
            options.extend(kind.each.option(name, item) for item in value)
        else:
            options.append(kind.option(name, value))
    return RawStep(id=step.id, action=step.action, options=tuple(options))
