"""Holds real answers to what the documentation says of their operation."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs

from voice.api.faults import Family
from voice.api.operation import Operation
from voice.api.routes import Routes

_ERROR = {
    "type": "object",
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string", "minLength": 1},
        "description": {"type": "string", "minLength": 1},
        "parameter": {"type": ["string", "null"]},
    },
    "required": ["code", "message", "description", "parameter"],
    "additionalProperties": False,
}
_ERRORS = {"type": "array", "items": _ERROR, "minItems": 1}
_REFUSALS: dict[Family, dict[str, Any]] = {
    Family.VOICE: {
        "type": "object",
        "properties": {"data": {"type": "null"}, "errors": _ERRORS},
        "required": ["data", "errors"],
        "additionalProperties": False,
    },
    Family.REST: {
        "type": "object",
        "properties": {"errors": _ERRORS},
        "required": ["errors"],
        "additionalProperties": False,
    },
}
"""No further keys: SDKs lose the list of errors over them (reference section 0.5)."""


class Conformance:
    """Asks itself with each answer; `seen` are the operations that answered well, by method and path."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._routes = Routes(operations)
        self._validators: dict[tuple[str, str, int], Any] = {}
        self.seen: set[tuple[str, str]] = set()

    def check(self, method: str, raw_path: str, status: int, media_type: str, content: bytes) -> None:
        place = self._routes.find(raw_path.partition("?")[0])
        if place is None or method in ("HEAD", "OPTIONS"):
            return
        family = next(iter(place.methods.values()))[0].family
        if status >= 400:
            if media_type == "application/json":  # a range that cannot be satisfied has no body
                jsonschema_rs.validate(_REFUSALS[family], json.loads(content))
            return
        operation = place.operation(method)
        if operation is None or "_method=" in raw_path:
            return
        assert status in operation.answers, f"{operation.summary}: {status} is undocumented"
        self.seen.add((operation.method, operation.path))
        answer = operation.answers[status]
        if isinstance(answer, str):
            assert (content == b"") if answer == "" else (answer == media_type)
        elif media_type == "application/json":
            self._validator(operation, status, answer).validate(json.loads(content))

    def _validator(self, operation: Operation, status: int, schema: Any) -> Any:
        key = (operation.method, operation.path, status)
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
        return self._validators[key]
