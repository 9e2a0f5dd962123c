"""Requests of the edge's own in dialogs, and calls that somebody answered after the caller had gone.

Those have no caller any more, so the edge itself acknowledges them and hangs up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from voice.edge.core.doors import Door
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
    routes = routes_to_callee(kernel, client, answer)

    def request(method: str, cseq: int, branch: str) -> Request:
        return own_request(
            kernel.door_of(client.flow),
            method,
            contact.uri,
            branch,
            routes=routes,
            from_=invite.headers.get("From") or "",
            to=answer.headers.get("To") or "",
            call_id=invite.call_id,
            cseq=cseq,
            more=told_in(invite),
        )

    number = invite.cseq.number
    # Both go where the INVITE went: from there the answer came, and the Contact may be behind NAT.
    kernel.send(request("ACK", number, new_branch()), client.flow)
    branch = new_branch()
    kernel.layer.begin_client(request("BYE", number + 1, branch), branch, client.flow, now)


def routes_to_callee(kernel: Kernel, client: ClientTransaction, answer: Response) -> list[str]:
    """The routes beyond the edge that an answer asks for."""
    door = kernel.door_of(client.flow)
    own = (door.host.strip("[]").lower(), door.port)
    routes = []
    for route in reversed(answer.record_routes):
        uri = route.sip_uri
        if (uri.address.lower(), port_of(uri)) != own:
            routes.append(route.uri)
    return routes


def told_in(invite: Request) -> tuple[tuple[str, str], ...]:
    """Who calls, as an INVITE said it to its callee: the rest of the call says it too."""
    return tuple(
        (name, line) for name in ("P-Asserted-Identity", "Privacy") for line in invite.headers.lines(name)
    )


def own_request(
    door: Door,
    method: str,
    uri: str,
    branch: str,
    *,
    routes: Sequence[str],
    from_: str,
    to: str,
    call_id: str,
    cseq: int,
    more: Sequence[tuple[str, str]] = (),
) -> Request:
    """A request in a dialog that the edge sends by itself."""
    headers = Headers(
        (
            ("Via", f"SIP/2.0/{door.transport} {door.sent_by};branch={branch};rport"),
            ("Max-Forwards", "70"),
            *(("Route", f"<{route}>") for route in routes),
            ("From", from_),
            ("To", to),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {method}"),
            *more,
        )
    )
    return Request(method, uri, headers)


def new_branch() -> str:
    return f"{MAGIC_COOKIE}{os.urandom(12).hex()}"
