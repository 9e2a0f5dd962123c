"""Finding out that a request has come round (RFC 3261 section 16.3, RFC 5393 section 4.2)."""

from __future__ import annotations

from hashlib import blake2b

from voice.edge.core.doors import Doors
from voice.sip.message import Request


def loop_hash(request: Request) -> str:
    """What a request that came round unchanged has in common with itself; stands in the branch of our Via."""
    headers = request.headers
    parts = f"{request.uri}\0{headers.get('call-id')}\0{headers.get('from')}\0{headers.get('cseq')}"
    return blake2b(parts.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def has_looped(request: Request, doors: Doors) -> bool:
    """Whether the request has been here before and nothing that decides its way has changed since."""
    lines = request.headers.lines("via")
    if len(lines) == 1 and "," not in lines[0]:
        return False  # The usual case: it comes from the telephone itself.
    ours = [via for via in request.vias[1:] if via.sent_by in doors.own_addresses]
    return bool(ours) and any((via.branch or "").endswith("." + loop_hash(request)) for via in ours)
