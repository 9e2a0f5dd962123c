"""What the worker's parts have in common: a job, and the one way to say that it cannot be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Job = Mapping[str, Any]
"""Names to JSON values; written by `voice.speech.espeak` and `voice.speech.media`."""

Work = Callable[[Job], dict[str, object]]
"""Does a job.  Raises Unsuitable."""


class Unsuitable(Exception):
    """A job that cannot be done, by no fault of ours.  The message goes to who asked."""
