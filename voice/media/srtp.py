"""How an INVITE for a call process says what its leg's trunk wants of SRTP: by its To."""

from __future__ import annotations

from typing import Final

from sip_config.model import SrtpPolicy

USUAL_SRTP: Final = SrtpPolicy.OPTIONAL
"""Of an INVITE whose To says nothing of it."""


def srtp_uri(policy: SrtpPolicy) -> str:
    """The To of an INVITE whose domain or gateway has this policy."""
    return f"sip:{policy}@srtp.invalid"
