"""Whom a step can call: telephone numbers and SIP URIs, as patterns.

Python and XML Schema regular expressions both read them.  A SIP URI is kept to what a dial needs: no
headers, which would write into the request that we send, and no password.
"""

from __future__ import annotations

from callflows.kinds import Matching

_LABEL = "[A-Za-z0-9]+(-+[A-Za-z0-9]+)*"
_NAME = f"{_LABEL}(\\.{_LABEL})*"
_USER = "([A-Za-z0-9_.!~*'()&=+$,;?/\\-]|%[2-7][0-9A-Fa-f])+"
_PARAMETER = ";[A-Za-z0-9_.!%*+~\\-]+(=[A-Za-z0-9_.!%*+~\\[\\]:\\-]+)?"

HOST = f"{_NAME}|\\[[0-9A-Fa-f:.]{{2,45}}\\]"
PORT = ":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
E164 = "\\+[1-9][0-9]{6,14}"
SIP_URI = f"sips?:({_USER}@)?({HOST})({PORT})?({_PARAMETER})*"

TARGET = Matching(
    pattern=f"{E164}|{SIP_URI}",
    longest=255,
    described="a number in international form with + and digits only, such as +31201234567, "
    "or a SIP URI, such as sip:alice@example.com",
)
CALLER_ID = Matching(
    pattern=E164,
    longest=16,
    described="a number in international form with + and digits only, such as +31201234567",
)

WEB_ADDRESS = Matching(
    pattern=f"https?://({HOST})({PORT})?([/?][!$-;=?-~]*)?",
    longest=2000,
    described="an http or https URL, such as https://example.com/flow",
)
