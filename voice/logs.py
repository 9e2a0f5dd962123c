"""Where the log of a process goes."""

from __future__ import annotations

import logging
import sys

from voice.settings import Settings


def log_to_stderr(settings: Settings) -> None:
    """One line for each event, with the settings' level."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
    sys.unraisablehook = say_unraisable


def say_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Says what Python cannot raise, but for what any stranger could fill the log with.

    A TLS client that asks for a name which is not ASCII makes `ssl` print its fault and a stack; the edge
    has its refusal.
    """
    if isinstance(unraisable.exc_value, UnicodeDecodeError) and isinstance(unraisable.object, bytes):
        return
    sys.__unraisablehook__(unraisable)
