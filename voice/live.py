"""What a node is doing right now, for operators to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

from voice.gateway_watch import state_of


class LiveState(Protocol):
    """The node that the API runs in."""

    def snapshot(self) -> Mapping[str, Mapping[str, Any]]:
        """Figures as JSON has them, by part of the node."""
        ...


class _Edge(Protocol):
    def snapshot(self) -> Any:
        """A dataclass of figures."""
        ...


class _Pool(Protocol):
    @property
    def running_calls(self) -> int: ...


class NodeState:
    """Implements `LiveState` for a node's edge and pool."""

    def __init__(self, edge: _Edge, pool: _Pool) -> None:
        self._edge = edge
        self._pool = pool

    def snapshot(self) -> Mapping[str, Mapping[str, Any]]:
        seen = self._edge.snapshot()
        edge = asdict(seen)
        edge["gateways"] = {gateway_id: state_of(view) for gateway_id, view in seen.gateways.items()}
        return {
            "edge": {_camel(name): _entries(value) for name, value in edge.items()},
            "pool": {"runningCalls": self._pool.running_calls},
        }


def _entries(value: Any) -> Any:
    """Dataclasses inside, as JSON has them; maps are by keys that mean something, and stay as they are."""
    if not isinstance(value, tuple):
        return value
    return [
        {_camel(name): inner for name, inner in one.items()} if isinstance(one, dict) else one
        for one in value
    ]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
