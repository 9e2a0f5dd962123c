"""From the bytes of a body to fields, looking at the body rather than at what its headers claim.

Python's SDK sends ``{}`` with DELETE, Java says ``text/plain`` for JSON, Ruby sends forms, others nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from voice.api.faults import ApiFault, Code, Problem

DEEPEST: Final = 32
"""Objects and lists inside one another."""
MOST_FIELDS: Final = 1_000
"""Of a form or a query."""


def fields_of(content: bytes, content_type: str, *, bare: str | None) -> dict[str, Any]:
    """The fields of a body; `bare` names the field that a body which is no object stands for.

    Raises ApiFault: 415 for what is neither JSON nor a form, 422 for JSON that cannot be read.
    """
    if content_type.startswith("multipart/"):
        raise unsupported("multipart/form-data is not read here.")
    text = _decoded(content).strip()
    if not text:
        return {}
    looks_like_json = text[0] in '{["' or content_type.endswith("json")
    if not looks_like_json and (content_type == "application/x-www-form-urlencoded" or "=" in text):
        return form(text)
    value = _json(text)
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        value = _json(value)
    if isinstance(value, dict):
        return value
    if bare is not None:
        return {} if value is None else {bare: value}
    if value is None:
        return {}
    raise _bad("The body must be a JSON object.")


def form(text: str) -> dict[str, Any]:
    """The fields of a form or query: ``a=1&b[]=2&b[]=3``; a name that stands there twice makes a list."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace")
    except ValueError:
        raise _bad(f"There are more than {MOST_FIELDS} parameters.") from None
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name.endswith("[]"):
            fields.setdefault(name[:-2], [])
            name = name[:-2]
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def unsupported(message: str) -> ApiFault:
    """415: the body comes in a form that is not read here."""
    remedy = "Send JSON in UTF-8, as application/json."
    return ApiFault(415, Problem(code=Code.BAD_REQUEST, message=f"{message} {remedy}"))


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"The body is not UTF-8: byte {error.start + 1} does not belong there.") from None


def _json(text: str) -> Any:
    if _depth(text) > DEEPEST:
        raise _bad(f"The body nests objects and lists deeper than {DEEPEST}.")
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise _bad(f"The body is no JSON: line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except ValueError as error:
        raise _bad(f"The body is no JSON: {error}.") from None


def _depth(text: str) -> int:
    """How deep brackets nest; those inside strings count too little to matter: texts are not refused."""
    deepest = depth = 0
    for sign in _outside_strings(text):
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest


def _outside_strings(text: str) -> Iterable[str]:
    inside = escaped = False
    for sign in text:
        if escaped:
            escaped = False
        elif inside and sign == "\\":
            escaped = True
        elif sign == '"':
            inside = not inside
        elif not inside and sign in "[]{}":
            yield sign


def _integer(digits: str) -> int | float:
    """What no integer of a client is as long as, is a float: Python takes quadratic time for it."""
    return int(digits) if len(digits) <= 40 else float(digits)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _bad(message: str) -> ApiFault:
    return ApiFault(422, Problem(code=Code.BAD_REQUEST, message=message))
