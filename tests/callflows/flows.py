"""Short ways to write the callflows of tests."""

from __future__ import annotations

from callflows.build import Callflow
from callflows.canonical import parse_document

NUMBER = "+31201234567"
OTHER = "+31207654321"
THIRD = "sip:third@example.com"


def step(action: str, id: str | None = None, **options: str | tuple[str, ...]) -> str:
    """A step; an option with several values repeats."""
    content = "".join(
        f"<{name}>{value}</{name}>"
        for name, values in options.items()
        for value in ((values,) if isinstance(values, str) else values)
    )
    return f'<step id="{id or action}" action="{action}">{content}</step>'


def say(text: str, id: str = "say", **options: str) -> str:
    return step("say", id, language="en-GB", text=text, **options)


def flow(*steps: str) -> Callflow:
    return parse_document(f"<callflow><steps>{''.join(steps)}</steps></callflow>")
