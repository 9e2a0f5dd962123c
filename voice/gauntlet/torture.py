"""The torture messages of RFC 4475 and RFC 5118, byte by byte as the RFCs have them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from voice.gauntlet.attack import Attack, Failed, Skipped
from voice.gauntlet.field import Field
from voice.gauntlet.reply import Reply, statuses
from voice.gauntlet.wire import StreamWire, Wire

_FOLDERS: Final = ("rfc4475", "rfc5118")
_TOP_VIA: Final = re.compile(
    rb"^v(?:ia)?[ \t]*:\s*SIP\s*/\s*\d\.\d\s*/\s*\w+\s+(\[[^\]]*\]|[^\s:;,]+)\s*(?::\s*(\d+))?", re.I | re.M
)
_LARGEST_PORT: Final = 65_535

# What a server says of any request, however good, that it does not want.
_NORMAL: Final = frozenset(
    str(status)
    for status in (
        *(200, 202, 204, 301, 302, *range(401, 409), 415, 416, 420, 421, *range(480, 490)),
        *(501, 503, 505, 603, 604),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Torture:
    """A row of an index, with its message."""

    rfc: str
    file: str
    section: str
    valid: bool
    is_request: bool
    codes: frozenset[str]
    """What a server may say: status codes, ``app`` for any normal answer, ``none`` for none."""
    tolerated: frozenset[str]
    """What the RFC lets it say besides."""
    data: bytes

    @property
    def name(self) -> str:
        return self.file.removesuffix(".dat")

    def accepts(self, reply: Reply | None) -> bool:
        allowed = self.codes | self.tolerated
        if reply is None:
            return "none" in allowed or not self.is_request
        if reply.status == 404 and "403" in allowed:
            # Whoever looks for the one that is called before anything else does not find them.
            return True
        return str(reply.status) in allowed or ("app" in allowed and str(reply.status) in _NORMAL)


def torture_messages() -> list[Torture]:
    """All of them, in the order of their RFCs."""
    found = []
    for folder in _FOLDERS:
        place = files("voice.gauntlet") / "messages" / folder
        rows = csv.DictReader((place / "index.tsv").read_text("utf-8").splitlines(), delimiter="\t")
        for row in rows:
            found.append(
                Torture(
                    rfc=folder.upper().replace("RFC", "RFC "),
                    file=row["file"],
                    section=row["rfc_section"],
                    valid=row["verdict"] == "valid",
                    is_request=row["kind"] == "request",
                    codes=frozenset(row["acceptable_codes"].split()),
                    tolerated=frozenset(row["also_tolerated"].split()),
                    data=(place / row["file"]).read_bytes(),
                )
            )
    return found


def _attack(one: Torture) -> Attack:
    async def run(ground: Field) -> str:
        wire = await _wire(ground, one)
        await wire.send(one.data)
        replies = await ground.settled(wire)
        last = next((reply for reply in reversed(replies) if reply.status), None)
        if last is not None and not last.final:
            raise Failed(statuses(replies), "it was taken up and got no final answer")
        if last is None and isinstance(wire, StreamWire) and not one.valid:
            return "closed" if wire.ended.is_set() else "nothing"
        if wire.transport == "UDP" and len({reply.get("cseq") for reply in replies}) > 1:
            raise Failed(statuses(replies), "one datagram was taken for several requests")
        if not one.accepts(last):
            raise Failed(statuses(replies), "not what the RFC wants")
        return statuses(replies)

    expected = " or ".join(sorted(one.codes)).replace("app", "any normal answer").replace("none", "nothing")
    return Attack(family=one.rfc, name=f"{one.section} {one.name}", expected=expected, run=run)


async def _wire(ground: Field, one: Torture) -> Wire:
    """A socket that gets the answer: without rport it goes to the port that the topmost Via names."""
    if ground.aim.transport != "UDP":
        return await ground.wire()
    found = _TOP_VIA.search(one.data)
    port = int(found[2] or 5060) if found is not None else 0
    try:
        return ground.udp(port if port <= _LARGEST_PORT else 0)
    except OSError as fault:
        wire = ground.udp()
        await wire.send(one.data)
        raise Skipped(
            f"sent, but port {port} of this machine, where the answer goes, is taken: {fault}"
        ) from None


def _attacks() -> Iterator[Attack]:
    for one in torture_messages():
        yield _attack(one)


ATTACKS: Final = tuple(_attacks())
