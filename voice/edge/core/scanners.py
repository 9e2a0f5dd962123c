"""Requests that say of themselves that they are a scanner's.

Whoever writes such a program can change its name, and most do not.  Known sources are never asked: a customer
may well try a trunk out with sipcli.
"""

from __future__ import annotations

import re
from typing import Final

from voice.edge.core.answers import Verdict
from voice.edge.core.kernel import Kernel
from voice.records import Gate
from voice.sip.flow import Flow
from voice.sip.message import Request

_NAMES: Final = re.compile(
    r"\b(?:friendly-(?:scanner|request)|sipvicious|sundayddr|sip-?scan(?:ner)?|siparmyknife|sipcli|pplsip|"
    r"sv(?:map|war|crack))\b",
    re.IGNORECASE,
)
_WHERE: Final = ("user-agent", "from", "to")

KNOWN_SCANNER: Final = Verdict(
    status=0,
    gate=Gate.BAN,
    cause="scanner",
    rule="known scanner",
    remedy="The request names itself a known scanner in User-Agent, From or To, so it is not answered and "
    "its source is banned: give the PBX another User-Agent, or name its address in an access control list.",
)


def caught(kernel: Kernel, request: Request, source: Flow, now: float) -> bool:
    """Whether the request is a scanner's; then its source is banned by now, if the rules say so."""
    if not kernel.settings.bans.enabled or kernel.is_known(source.host, now):
        return False
    get = request.headers.get
    if not any(_NAMES.search(get(name) or "") for name in _WHERE):
        return False
    kernel.bans.scanner(source.host, now, proven=source.transport != "UDP")
    return True
