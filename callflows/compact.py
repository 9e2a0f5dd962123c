"""The compact XML of callflows: ``<Say language="en-GB" voice="male">Welcome.</Say>`` (reference, section 3).

One step is the whole document, or several stand side by side, or in an element of any name.  It says what
the JSON object says, with attributes for options, and is read by way of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from lxml import etree

from callflows.build import Callflow
from callflows.canonical import checked_utf8, line_of, parsed_root
from callflows.faults import DocumentFaults, Fault, quoted
from callflows.head import HEAD
from callflows.json_flow import STEP_FIELDS, from_json, to_json
from callflows.markup import inner_text

_WRAPPER: Final = "trunkflow-steps"
_PROLOG: Final = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}\?>")

ACTIONS: Final = {
    "say": "say",
    "play": "play",
    "pause": "pause",
    "record": "record",
    "transfer": "transfer",
    "dial": "dial",
    "sendkeys": "sendKeys",
    "fetchcallflow": "fetchCallFlow",
    "hangup": "hangup",
}
"""By the element's name in lower case."""
_TRUE: Final = {"true", "yes", "1"}
_TRUTHS: Final = {"mask", "transcribe", "early", "beep"}


def parse_compact(text: str | bytes) -> Callflow:
    """The callflow that a compact document describes.  Raises DocumentFaults."""
    document = _PROLOG.sub(b"", checked_utf8(text), count=1).removeprefix(b"\xef\xbb\xbf")
    # Several steps may stand side by side, which XML alone does not allow.  On one line: lines stay true.
    root = parsed_root(b"<%s>%s</%s>" % (_WRAPPER.encode(), document, _WRAPPER.encode()))
    head: dict[str, Any] = {}
    elements = list(root)
    if len(elements) == 1 and _action(elements[0]) is None:
        wrapper = elements[0]
        head = {str(name): str(value) for name, value in wrapper.attrib.items()}
        elements = list(wrapper)
        strays = [*_strays(root), *_strays(wrapper)]
    else:
        strays = list(_strays(root))
    lines = [line_of(element) for element in elements]
    steps = [_step(element) for element in elements]
    try:
        flow = from_json({**head, "steps": steps})
    except DocumentFaults as found:
        placed = tuple(_placed(fault, lines) for fault in found.faults)
        raise DocumentFaults((*strays, *placed)) from None
    if strays:
        raise DocumentFaults(tuple(strays))
    return flow


def to_compact(flow: Callflow) -> str:
    """The compact document of a callflow; several steps stand in a ``<CallFlow>``."""
    said = to_json(flow)
    elements = [_element(step) for step in said["steps"]]
    if len(elements) == 1 and not any(said.get(name) for name in HEAD):
        return etree.tostring(elements[0], encoding="unicode") + "\n"
    root = etree.Element("CallFlow")
    for name in HEAD:
        if said.get(name):
            root.set(name, _attribute(said[name]))
    root.extend(elements)
    return etree.tostring(root, encoding="unicode", pretty_print=True)


def _action(element: etree._Element) -> str | None:
    return ACTIONS.get(str(element.tag).lower())


def _step(element: etree._Element) -> dict[str, Any]:
    action = _action(element)
    said = {str(name): str(value).strip() for name, value in element.attrib.items()}
    options: dict[str, Any] = {}
    step: dict[str, Any] = {"action": action or str(element.tag)[:40], "options": options}
    fields = {name.lower(): name for name in ("id", *STEP_FIELDS)}
    for name, value in said.items():
        if name.lower() in fields:
            step[fields[name.lower()]] = value
        else:
            options[name] = str(value.lower() in _TRUE).lower() if name.lower() in _TRUTHS else value
    step["conditions"] = [
        {str(name).lower(): str(value) for name, value in child.attrib.items()}
        for child in element
        if str(child.tag).lower() == "condition"
    ]
    media = [_inner(child) for child in element if str(child.tag).lower() in ("media", "to", "destination")]
    text = _inner(element)
    if action == "say":
        options.setdefault("payload", text)
    elif action == "play":
        options.setdefault("media", media or text)
    elif action == "dial":
        options.setdefault("to", media or text)
    elif action == "transfer" and text:
        options.setdefault("destination", text)
    return step


def _inner(element: etree._Element) -> str:
    return inner_text(element, skip=("condition", "media", "to", "destination")).strip()


def _strays(holder: etree._Element) -> Iterator[Fault]:
    """Text beside the steps of an element, where it begins."""
    pieces = [(line_of(holder), holder.text)]
    pieces += [
        (line_of(child) + etree.tostring(child, with_tail=False).count(b"\n"), child.tail) for child in holder
    ]
    for line, text in pieces:
        if text and text.strip():
            begins = line + text[: len(text) - len(text.lstrip())].count("\n")
            message = f"The text {quoted(text.strip())} stands outside of any step."
            remedy = "Put it into a <Say>, or remove it."
            yield Fault(line=begins, element="/", message=message, remedy=remedy)


def _placed(fault: Fault, lines: list[int]) -> Fault:
    """A fault of the JSON object where it is in the XML."""
    found = re.match("/steps/([0-9]+)(.*)", fault.element)
    if found is None:
        return Fault(line=1, element="/", message=fault.message, remedy=fault.remedy)
    index = int(found[1])
    option = found[2].removeprefix("/options").replace("/payload", "")
    element = f"/step[{index + 1}]{option.replace('/', '/@', 1)}"
    return Fault(line=lines[index], element=element, message=fault.message, remedy=fault.remedy)


def _element(step: dict[str, Any]) -> etree._Element:
    action = step["action"]
    element = etree.Element(action[0].upper() + action[1:])
    element.set("id", step["id"])
    for name in STEP_FIELDS:
        if name in step:
            element.set(name, _attribute(step[name]))
    _write_pieces(element, iter(step["options"].items()))
    for condition in step.get("conditions", ()):
        etree.SubElement(element, "Condition", condition)
    return element


def _write_pieces(element: etree._Element, options: Iterator[tuple[str, Any]]) -> None:
    for name, value in options:
        if name == "payload":
            element.text = value
        elif isinstance(value, list):
            for one in value:
                etree.SubElement(element, "Media" if name == "media" else "To").text = one
        else:
            element.set(name, _attribute(value))


def _attribute(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
