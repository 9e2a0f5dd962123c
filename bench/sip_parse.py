"""How long the SIP parser and serialiser take: ``python -m bench.sip_parse``.

Sippy B2BUA's parser is measured beside ours when it is installed (``pip install sippy``), and the standard
library's e-mail parser as what merely splitting headers costs in Python.
"""

from __future__ import annotations

import importlib
import platform
import sys
import time
import timeit
from collections.abc import Callable
from email.parser import BytesHeaderParser
from typing import Any, Final

from bench.sip_messages import BYE, INVITE, OK
from sip_config.credentials import ha1
from sip_config.model import DigestAlgorithm
from voice.sip.challenger import Challenger
from voice.sip.digest import answer
from voice.sip.framing import StreamFramer
from voice.sip.headers import Headers
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response
from voice.sip.via import stamp_top_via

CALLS: Final = 2_000
ROUNDS: Final = 15
NOW: Final = 1_800_000_000.0


def microseconds(work: Callable[[], object]) -> float:
    """The best of some rounds, per call: what the machine can do when nothing else disturbs it."""
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def microseconds_when_new(data: bytes) -> float:
    """To parse messages of which each has numbers, tags and addresses that none before it had."""
    best = float("inf")
    for round_ in range(ROUNDS):
        messages = [
            data.replace(b"1234567", b"%07d" % (number + CALLS * round_)).replace(
                b"31000000", b"%08d" % number
            )
            for number in range(CALLS)
        ]
        start = time.perf_counter()
        for message in messages:
            parse_message(message)
        best = min(best, time.perf_counter() - start)
    return best / CALLS * 1e6


def relay(invite: Request) -> Callable[[], bytes]:
    """What a proxy does to a request it has parsed, up to the bytes it sends."""

    def work() -> bytes:
        out = invite.copy()
        stamp_top_via(out.headers, out.via, "203.0.113.7", 5060)
        out.headers.prepend("Via", "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK8f1c7e0a55d1")
        out.headers.prepend("Record-Route", "<sip:AbCdEfGhIjKlMnOpQrStUvWxYz012345@198.51.100.1:5060;lr>")
        out.headers.set("Max-Forwards", "69")
        out.uri = "sip:1b4e28ba-2fa1-11d2-883f-0016d3cca427@127.0.0.1:40000"
        return out.to_bytes()

    return work


def relay_back(response: Response) -> Callable[[], bytes]:
    def work() -> bytes:
        out = response.copy()
        out.headers.remove_first_value("Via")
        return out.to_bytes()

    return work


def sign(invite: Request, challenger: Challenger) -> Request:
    challenge = challenger.challenges([DigestAlgorithm.MD5], NOW)[0]
    asked = make_response(invite, 407, headers=[("Proxy-Authenticate", challenge)])
    given = answer(
        asked, method="INVITE", uri=invite.uri, username="31000000", password="secret", cnonce="0a4f113b"
    )
    signed = invite.copy()
    signed.headers.add(given.header, given.value)
    return signed


def show(what: str, work: Callable[[], object], note: str = "") -> None:
    print(f"  {what:<52} {microseconds(work):8.2f} us  {note}")


def ours() -> None:
    invite, ok = parse_message(INVITE), parse_message(OK)
    assert isinstance(invite, Request)
    assert isinstance(ok, Response)
    print("parse (datagram to message; mandatory headers and Request-URI parsed)")
    for name, data in (("INVITE", INVITE), ("200 OK to INVITE", OK), ("BYE", BYE)):
        show(f"{name}, {len(data)} bytes", lambda data=data: parse_message(data))  # type: ignore[misc]
        print(f"  {'... with numbers never seen before':<52} {microseconds_when_new(data):8.2f} us")
    framer = StreamFramer()
    show("cut an INVITE from a stream (without parsing)", lambda: list(framer.feed(INVITE)))
    print("serialise")
    show("INVITE as it is", invite.to_bytes)
    show("INVITE relayed: 2 headers added, 2 changed, URI", relay(invite))
    show("200 OK relayed: topmost Via taken off", relay_back(ok))
    show("180 made and serialised", lambda: make_response(invite, 180, to_tag="x").to_bytes())
    show("Headers.copy", invite.headers.copy)
    show("Headers() with five fields", lambda: Headers([("Via", "x")] * 5))
    digest(invite)


def digest(invite: Request) -> None:
    print("digest (MD5, qop=auth)")
    challenger = Challenger(realm="sip.example.com", secret=bytes(32), salt=bytes(4))
    stored = ha1(DigestAlgorithm.MD5, username="31000000", realm="sip.example.com", password="secret")
    signed = sign(invite, challenger)

    def verify() -> object:
        return challenger.verify(signed, lambda *_: [stored], algorithms=[DigestAlgorithm.MD5], now=NOW)

    assert challenger.verify(signed, lambda *_: [stored], algorithms=[DigestAlgorithm.MD5], now=NOW).ok
    show("challenge", lambda: challenger.challenges([DigestAlgorithm.MD5], NOW))
    show("verify", verify, "(a replay, refused after all the work)")
    data = signed.to_bytes()
    show(f"parse the INVITE with its credentials, {len(data)} bytes", lambda: parse_message(data))


def others() -> None:
    print("others, for comparison")
    parser = BytesHeaderParser()
    head = INVITE.partition(b"\r\n")[2]
    show("email.parser (headers split, no value parsed)", lambda: parser.parsebytes(head).items())
    try:
        module: Any = importlib.import_module("sippy.SipRequest")
        text = INVITE.decode()
        show("sippy.SipRequest (values parsed on demand)", lambda: module.SipRequest(text))
        request = module.SipRequest(text)
        show("sippy serialise", lambda: str(request))
    except ImportError:
        print("  sippy is not installed: skipped (pip install sippy)")


def main() -> None:
    print(
        f"Method: best of {ROUNDS} rounds of {CALLS} calls, per call; one thread, no garbage collection.\n"
        f"CPython {sys.version.split()[0]} on {platform.machine()} {platform.system()}; "
        "messages of bench/sip_messages.py.\n"
    )
    ours()
    others()


if __name__ == "__main__":
    main()
