"""Where the log of a process goes."""

from __future__ import annotations

import logging

from voice.settings import Settings


def log_to_stderr(settings: Settings) -> None:
    """One line for each event, with the settings' level."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(name)s %(levelname)s %(message)s"
    )
