"""Calls that somebody answered after the caller had been told that nobody did.

They have no caller any more, so the edge itself acknowledges them and hangs up.
"""

from __future__ import annotations

import os

from voice.edge.core.kernel import Kernel
from voice.edge.core.reach import port_of
from voice.sip.headers import Headers
from voice.sip.message import Request, Response
from voice.sip.transactions import ClientTransaction
from voice.sip.via import MAGIC_COOKIE


def hang_up(kernel: Kernel, client: ClientTransaction, answer: Response, now: float) -> None:
    """ACK and BYE for a 2xx that came too late, and again for each retransmission: the ACK may be lost."""
    invite = client.request
    contact = answer.contact
    if contact is None:
        return
    door = kernel.door_of(client.flow)
    own = (door.host.strip("[]").lower(), door.port)
    routes = []
    for route in reversed(answer.record_routes):
        uri = route.sip_uri
        if (uri.address.lower(), port_of(uri)) != own:
            routes.append(route.uri)

    def request(method: str, cseq: int, branch: str) -> Request:
        headers = Headers(
            (
                ("Via", f"SIP/2.0/{door.transport} {door.sent_by};branch={branch};rport"),
                ("Max-Forwards", "70"),
                *(("Route", f"<{route}>") for route in routes),
                ("From", invite.headers.get("From") or ""),
                ("To", answer.headers.get("To") or ""),
                ("Call-ID", invite.call_id),
                ("CSeq", f"{cseq} {method}"),
            )
        )
        return Request(method, contact.uri, headers)

    number = invite.cseq.number
    # Both go where the INVITE went: from there the answer came, and the Contact may be behind NAT.
    kernel.send(request("ACK", number, _branch()), client.flow)
    branch = _branch()
    kernel.layer.begin_client(request("BYE", number + 1, branch), branch, client.flow, now)


def _branch() -> str:
    return f"{MAGIC_COOKIE}{os.urandom(12).hex()}"
