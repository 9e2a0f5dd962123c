"""Callflow documents for tests, step by step."""

from __future__ import annotations

from itertools import count

GREETING = "Welcome to trunkflow."


def flow(*steps: str) -> str:
    """A document of these steps, whose ids are their actions with their place."""
    places = count(1)
    numbered = "".join(step.replace("@", str(next(places)), 1) for step in steps)
    return f"<callflow><steps>{numbered}</steps></callflow>"


def _step(action: str, **options: object) -> str:
    children = "".join(f"<{name}>{value}</{name}>" for name, value in options.items() if value is not None)
    return f'<step id="{action}@" action="{action}">{children}</step>'


def say(text: str = GREETING, *, early: bool | None = None) -> str:
    return _step("say", language="en-GB", voice="male", text=text, early=early and "true")


def play(name: str) -> str:
    """An uploaded file: the account declares it with `media`."""
    return _step("play", source=name)


def record(*, silence: float | None = None, key: str | None = "#", beep: bool | None = None) -> str:
    return _step("record", timeout=silence, finishOnKey=key, beep=beep and "true")


def pause(seconds: float) -> str:
    return _step("pause", length=seconds)


def transfer(to: str, *, ring: float | None = None, caller_id: str | None = None) -> str:
    return _step("transfer", to=to, timeout=ring, callerId=caller_id)


def dial(*to: str, mode: str | None = None, ring: float | None = None) -> str:
    targets = "".join(f"<to>{one}</to>" for one in to)
    return _step("dial", mode=mode, timeout=ring).replace("</step>", f"{targets}</step>")


def hangup(reason: str | None = None) -> str:
    return _step("hangup", reason=reason)
