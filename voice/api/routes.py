"""From a path to the operations that stand there.

With and without ``/v1``, with and without a slash at the end, with one slash or two between: SDKs do all
of it (reference section 0.9, 0.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from voice.api.operation import Operation

VERSION: Final = "v1"
MOST_SEGMENTS: Final = 16


@dataclass(slots=True, kw_only=True)
class _Segment:
    """A place in the tree of paths."""

    literals: dict[str, _Segment] = field(default_factory=dict)
    parameters: dict[str, _Segment] = field(default_factory=dict)
    """By what follows the parameter inside its segment, such as ``.wav``; the longest that fits counts."""
    methods: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)
    """With the names of the path's parameters, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What stands at one path."""

    path: str
    """As it was asked for, without ``/v1``."""
    values: tuple[str, ...]
    methods: Mapping[str, tuple[Operation, tuple[str, ...]]]

    @property
    def allowed(self) -> tuple[str, ...]:
        known = {*self.methods, "OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return tuple(sorted(known))

    def operation(self, method: str) -> Operation | None:
        """HEAD is answered by GET's."""
        found = self.methods.get("GET" if method == "HEAD" else method)
        return found[0] if found else None

    def parameters(self, method: str) -> dict[str, str]:
        _, names = self.methods["GET" if method == "HEAD" else method]
        return dict(zip(names, self.values, strict=True))


class Routes:
    """Raises ValueError when two operations claim the same method and path."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Segment()
        for operation in operations:
            for path in operation.paths:
                self._add(operation, path)

    def find(self, raw_path: str) -> Place | None:
        """`raw_path` is percent-encoded, as it came; None when nothing stands there."""
        segments = [segment for segment in raw_path.split("/") if segment]
        if segments and segments[0] == VERSION:
            del segments[0]
        if len(segments) > MOST_SEGMENTS:
            return None
        # After splitting: an encoded slash belongs to its segment.
        decoded = tuple(unquote(segment, errors="replace") for segment in segments)
        found = _match(self._root, decoded, ())
        if found is None:
            return None
        place, values = found
        return Place(path="/" + "/".join(segments), values=values, methods=place.methods)

    def _add(self, operation: Operation, path: str) -> None:
        at = self._root
        names = []
        for segment in path.split("/")[1:]:
            if segment.startswith("{"):
                name, _, suffix = segment[1:].partition("}")
                names.append(name)
                at = at.parameters.setdefault(suffix, _Segment())
            elif segment:
                at = at.literals.setdefault(segment, _Segment())
        if operation.method in at.methods:
            raise ValueError(f"{operation.method} {path} is claimed twice")
        at.methods[operation.method] = (operation, tuple(names))


def _match(
    at: _Segment, segments: tuple[str, ...], values: tuple[str, ...]
) -> tuple[_Segment, tuple[str, ...]] | None:
    if not segments:
        return (at, values) if at.methods else None
    first, rest = segments[0], segments[1:]
    if first in at.literals and (found := _match(at.literals[first], rest, values)):
        return found
    for suffix in sorted(at.parameters, key=len, reverse=True):
        value = first.removesuffix(suffix)
        if not first.endswith(suffix) or not value or "\0" in value:
            continue
        if found := _match(at.parameters[suffix], rest, (*values, value)):
            return found
    return None
