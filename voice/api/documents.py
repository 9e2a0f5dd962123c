"""Callflows in requests: JSON, canonical XML and compact XML in; JSON out.

Faults name the place: a JSON pointer in JSON, line and element in XML; all of them at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from callflows.build import Callflow
from callflows.canonical import LARGEST_DOCUMENT, parse_document, to_canonical
from callflows.faults import DocumentFaults
from callflows.json_flow import from_json, to_json
from callflows.reading import read_callflow
from voice.api import bodies
from voice.api.faults import Code, Json, Problems
from voice.api.fields import Fields
from voice.api.readers import Misfit, truth
from voice.api.request import Request

LARGEST_FLOW: Final = LARGEST_DOCUMENT
"""Bytes, as the original service has it (reference section 2.1)."""
XML_TITLE: Final = "XML Call flow"
"""What the original service calls a callflow that came in XML (reference section 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFlow:
    document: str
    """Canonical XML."""
    title: str | None
    is_default: bool = False


def flow_of_body(request: Request) -> ReadFlow:
    """The callflow that is the body of a request.  Raises ApiFault with all that is wrong."""
    problems = Problems()
    if request.content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        read = _xml(request.content, "", problems)
    else:
        fields = bodies.fields_of(request.content, request.content_type, bare=None)
        read = _json(fields, "", problems)
    problems.check()
    assert read is not None
    return read


def flow_of_field(fields: Fields, name: str) -> ReadFlow | None:
    """The callflow that a field holds: an object, or JSON or XML in a text.

    None: it is missing, or faults were noted in `fields`, whose `check` tells them.
    """
    value = fields.raw(name)
    problems = Problems()
    if value is None:
        return None
    if isinstance(value, str) and value.lstrip().startswith("<"):
        read = _xml(value, name, problems)
    elif len(json.dumps(value)) > LARGEST_FLOW:
        fields.fault(name, f"The callflow is larger than {LARGEST_FLOW} bytes.")
        return None
    else:
        read = _json(value, name, problems)
    for problem in problems.found:
        within = (problem.parameter or "").removeprefix(name)
        fields.fault(name, problem.message, code=problem.code, within=within)
    return read


def shown_flow(document: str) -> Json:
    """Steps, record and maxDuration of a stored document, as MessageBird's object has them."""
    shown = to_json(parse_document(document))
    shown.pop("title", None)
    return shown


def _json(value: Any, name: str, problems: Problems) -> ReadFlow | None:
    flow = _read(lambda: from_json(value), name, problems)
    default = next((one for key, one in _items(value) if key.lower() == "default"), None)
    try:
        is_default = default is not None and truth(default)
    except Misfit as misfit:
        problems.add(f"{name}/default" if name else "default", misfit.message)
        return None
    if flow is None:
        return None
    return ReadFlow(document=to_canonical(flow), title=flow.title, is_default=is_default)


def _xml(text: str | bytes, name: str, problems: Problems) -> ReadFlow | None:
    flow = _read(lambda: read_callflow(text), name, problems)
    if flow is None:
        return None
    return ReadFlow(document=to_canonical(flow), title=flow.title or XML_TITLE)


def _read(read: Callable[[], Callflow], name: str, problems: Problems) -> Callflow | None:
    try:
        return read()
    except DocumentFaults as faults:
        for fault in faults.faults:
            if fault.line:  # of XML: there is no pointer to what is inside a text
                problems.add(name or None, str(fault), code=Code.INVALID)
            else:
                pointer = f"{name}{fault.element}" if name else fault.element.removeprefix("/")
                problems.add(pointer or None, f"{fault.message} {fault.remedy}", code=Code.INVALID)
        return None


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, Mapping) else []
