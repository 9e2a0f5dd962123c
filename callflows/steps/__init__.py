"""The actions of a callflow, one file each.  A new step is a file here and a line in STEPS."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from callflows.steps.base import Step
from callflows.steps.dial import Dial
from callflows.steps.fetch_call_flow import FetchCallFlow
from callflows.steps.hangup import Hangup
from callflows.steps.pause import Pause
from callflows.steps.play import Play
from callflows.steps.record import Record
from callflows.steps.say import Say
from callflows.steps.send_keys import SendKeys
from callflows.steps.transfer import Transfer

__all__ = [
    "STEPS",
    "Dial",
    "FetchCallFlow",
    "Hangup",
    "Pause",
    "Play",
    "Record",
    "Say",
    "SendKeys",
    "Step",
    "Transfer",
]

STEPS: Mapping[str, type[Step]] = MappingProxyType(
    {
        step.action: step
        for step in (Say, Play, Pause, Record, Transfer, Dial, SendKeys, FetchCallFlow, Hangup)
    }
)
"""Every action there is, by its name in a document."""
