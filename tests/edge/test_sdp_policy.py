"""What is read in a session description, which policies it breaks, and what the edge changes in it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_config.model import SrtpPolicy
from voice.edge.core.sdp_exchange import Exchange, offer_breach
from voice.edge.core.sdp_policy import (
    ANYTHING,
    MAX_STREAMS,
    SdpFault,
    Sides,
    answered_as_offered,
    breach,
    fitted,
    read,
    wrong_answer,
)
from voice.sip.headers import Headers
from voice.sip.message import Request

FORBIDDEN, OPTIONAL, REQUIRED = SrtpPolicy
KEY = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n"
OPEN_KEY = b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwg KDR=1 unencrypted_srtp\r\n"
PRINT = b"a=fingerprint:SHA-256 4A:AD:B9:B1\r\n"
HEAD = b"v=0\r\no=- 1 1 IN IP4 9.9.9.9\r\ns=-\r\nc=IN IP4 9.9.9.9\r\nt=0 0\r\n"
SOUND = b"a=rtpmap:8 PCMA/8000\r\n"


def sdp(*streams: bytes) -> bytes:
    return HEAD + b"".join(streams)


def stream(profile: bytes, *attributes: bytes, port: bytes = b"4000", media: bytes = b"audio") -> bytes:
    return b"m=" + media + b" " + port + b" " + profile + b" 8 101\r\n" + SOUND + b"".join(attributes)


PLAIN = sdp(stream(b"RTP/AVP"))
BOTH = sdp(stream(b"RTP/AVP", KEY))
SECURE = sdp(stream(b"RTP/SAVP", KEY))
KEYLESS = sdp(stream(b"RTP/SAVP"))


@pytest.mark.parametrize(
    ("body", "forbidden", "required"),
    [
        (PLAIN, None, "srtp-required"),
        (BOTH, None, "srtp-required"),
        (SECURE, "srtp-forbidden", None),
        (sdp(stream(b"RTP/SAVPF", KEY)), "srtp-forbidden", None),
        (sdp(stream(b"rtp/savp", KEY)), "srtp-forbidden", None),
        (KEYLESS, "srtp-forbidden", "srtp-without-keys"),
        (sdp(stream(b"RTP/SAVP", OPEN_KEY)), "srtp-forbidden", "srtp-without-keys"),
        (sdp(stream(b"RTP/SAVP", b"a=crypto:x y inline:z\r\n")), "srtp-forbidden", "srtp-without-keys"),
        (sdp(stream(b"UDP/TLS/RTP/SAVP", PRINT)), "srtp-forbidden", "srtp-without-keys"),
        (sdp(stream(b"RTP/SAVP", KEY), stream(b"RTP/AVP")), "srtp-forbidden", "srtp-required"),
        (sdp(stream(b"RTP/SAVP", KEY), stream(b"RTP/AVP", port=b"0")), "srtp-forbidden", None),
        (sdp(stream(b"RTP/AVP"), stream(b"RTP/SAVP", KEY, port=b"0")), None, "srtp-required"),
        (sdp(stream(b"RTP/SAVP", KEY), stream(b"udptl", media=b"image")), "srtp-forbidden", "srtp-required"),
        (sdp(stream(b"RTP/SAVP", KEY, port=b"4000/2")), "srtp-forbidden", None),
        (SECURE.replace(b"\r\n", b"\n"), "srtp-forbidden", None),
        # A key outside of any stream is none (RFC 4568 section 5).
        (HEAD + KEY + stream(b"RTP/SAVP"), "srtp-forbidden", "srtp-without-keys"),
        (HEAD, None, None),
    ],
)
def test_policies(body: bytes, forbidden: str | None, required: str | None) -> None:
    for policy, wanted in ((FORBIDDEN, forbidden), (OPTIONAL, None), (REQUIRED, required)):
        broken = breach(policy, read(body))
        assert (broken.cause if broken else None) == wanted, policy


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.replace(b"t=0 0\r\n", b"t=0 0\rm=audio 4000 RTP/SAVP 8\r\n"),
        PLAIN.replace(b"PCMA", b"PC\0MA"),
        sdp(b"m=audio 4000\r\n"),
        sdp(b"m=audio  4000 RTP/AVP 8\r\n"),
        sdp(b"m=audio\t4000 RTP/AVP 8\r\n"),
        sdp(b"m=audio 400000 RTP/AVP 8\r\n"),
        sdp(b"m=audio 4000 RTP/\xffAVP 8\r\n"),
        sdp(*[stream(b"RTP/AVP")] * (MAX_STREAMS + 1)),
    ],
)
def test_what_two_readers_may_read_differently_is_a_fault(body: bytes) -> None:
    with pytest.raises(SdpFault):
        read(body)
    for sides in (Sides(FORBIDDEN, OPTIONAL), Sides(OPTIONAL, REQUIRED)):
        broken = offer_breach(invite(body), sides)
        assert broken is not None
        assert broken.cause == "sdp-unreadable"
    assert offer_breach(invite(body), ANYTHING) is None


@pytest.mark.parametrize(
    ("offerer", "answerer", "body", "wanted"),
    [
        (OPTIONAL, OPTIONAL, BOTH, BOTH),
        (FORBIDDEN, OPTIONAL, BOTH, PLAIN),
        (OPTIONAL, FORBIDDEN, BOTH, PLAIN),
        (OPTIONAL, REQUIRED, BOTH, SECURE),
        (REQUIRED, OPTIONAL, BOTH, BOTH),
        (OPTIONAL, REQUIRED, PLAIN, PLAIN),
        (OPTIONAL, REQUIRED, SECURE, SECURE),
        (OPTIONAL, FORBIDDEN, SECURE, SECURE),
        (OPTIONAL, REQUIRED, sdp(stream(b"RTP/AVPF", KEY)), sdp(stream(b"RTP/SAVPF", KEY))),
        (OPTIONAL, REQUIRED, sdp(stream(b"RTP/AVP", OPEN_KEY)), sdp(stream(b"RTP/AVP", OPEN_KEY))),
        (OPTIONAL, FORBIDDEN, BOTH.replace(b"\r\n", b"\n"), PLAIN.replace(b"\r\n", b"\n")),
        (OPTIONAL, REQUIRED, sdp(b"m=audio 4000 RTP/AVP\r\n", KEY), sdp(b"m=audio 4000 RTP/SAVP\r\n", KEY)),
    ],
)
def test_an_offer_is_made_to_fit(
    offerer: SrtpPolicy, answerer: SrtpPolicy, body: bytes, wanted: bytes
) -> None:
    assert fitted(body, offerer, answerer) == wanted


def test_an_answer_gets_the_profile_back_that_was_offered() -> None:
    assert answered_as_offered(SECURE, read(BOTH)) == BOTH
    assert answered_as_offered(PLAIN, read(BOTH)) == PLAIN
    assert answered_as_offered(SECURE, read(SECURE)) == SECURE
    two = sdp(stream(b"RTP/SAVP", KEY), stream(b"RTP/SAVP", KEY, port=b"0"))
    assert answered_as_offered(two, read(BOTH)) == two.replace(b"RTP/SAVP", b"RTP/AVP", 1)


@pytest.mark.parametrize(
    ("policy", "offer", "answer", "cause"),
    [
        (OPTIONAL, SECURE, SECURE, None),
        (OPTIONAL, PLAIN, PLAIN, None),
        (OPTIONAL, BOTH, BOTH, None),
        (OPTIONAL, BOTH, PLAIN, None),
        (OPTIONAL, SECURE, PLAIN, "srtp-answer-profile"),
        (OPTIONAL, BOTH, SECURE, None),
        (OPTIONAL, SECURE, KEYLESS, "srtp-answer-without-keys"),
        (OPTIONAL, SECURE, sdp(stream(b"RTP/SAVP", PRINT)), None),
        (OPTIONAL, SECURE, sdp(stream(b"RTP/AVP", port=b"0")), None),
        (REQUIRED, SECURE, SECURE, None),
        (REQUIRED, SECURE, PLAIN, "srtp-required"),
        (REQUIRED, SECURE, KEYLESS, "srtp-without-keys"),
        (REQUIRED, SECURE, sdp(stream(b"RTP/SAVP", OPEN_KEY)), "srtp-without-keys"),
        (FORBIDDEN, PLAIN, SECURE, "srtp-forbidden"),
    ],
)
def test_answers(policy: SrtpPolicy, offer: bytes, answer: bytes, cause: str | None) -> None:
    wrong = wrong_answer(policy, read(offer), read(answer))
    assert (wrong.cause if wrong else None) == cause


@pytest.mark.parametrize(
    ("kinds", "body", "forbidden", "required"),
    [
        (("multipart/mixed;boundary=x",), PLAIN, None, "sdp-unreadable"),
        (("multipart/mixed;boundary=x",), SECURE, "sdp-unreadable", "sdp-unreadable"),
        (("text/plain", "application/sdp"), SECURE, "sdp-unreadable", "sdp-unreadable"),
        (("application/isup",), b"\x01\x10SAVP", None, None),
        (("Application/SDP ; charset=utf-8",), PLAIN, None, "srtp-required"),
        ((), SECURE, "srtp-forbidden", None),
    ],
)
def test_a_description_cannot_hide(
    kinds: tuple[str, ...], body: bytes, forbidden: str | None, required: str | None
) -> None:
    request = Request("INVITE", "sip:x@y", Headers([("Content-Type", kind) for kind in kinds]), body)
    for policy, wanted in ((FORBIDDEN, forbidden), (REQUIRED, required)):
        for sides in (Sides(policy, OPTIONAL), Sides(OPTIONAL, policy)):
            broken = offer_breach(request, sides)
            assert (broken.cause if broken else None) == wanted
    request.headers.set("Content-Type", "application/sdp")
    request.headers.set("Content-Encoding", "gzip")
    for policy in (FORBIDDEN, REQUIRED):
        broken = offer_breach(request, Sides(OPTIONAL, policy))
        assert broken is not None
        assert broken.cause == "sdp-unreadable"


@given(st.binary(max_size=300) | st.lists(st.sampled_from(
    [HEAD, KEY, OPEN_KEY, PRINT, SOUND, b"m=audio 4 RTP/AVP 8\r\n", b"m=", b"a=crypto:", b"\r", b"\n", b"\0"]
)).map(b"".join))  # fmt: skip
def test_nothing_that_comes_breaks_the_edge(body: bytes) -> None:
    for offerer in SrtpPolicy:
        for answerer in SrtpPolicy:
            sides = Sides(offerer, answerer)
            broken = offer_breach(invite(body), sides)
            exchange = Exchange(invite(body), sides, from_caller=True)
            if broken is None and body and sides != ANYTHING:
                # What passes, passes as the one that gets it wants it, and could pass again.
                assert breach(answerer, read(exchange.body)) is None
                assert fitted(exchange.body, offerer, answerer) == exchange.body


@pytest.mark.parametrize(
    "line", [b"a=crypto:1 " + b"A" * 100, b"a=crypto:" + b"1 " * 50, b"m=" + b"x" * 100, KEY, b"\r\r\r\r"]
)
@pytest.mark.usefixtures("no_collector")
def test_the_cost_is_linear(line: bytes) -> None:
    """A body as large as a datagram carries costs less than 50 ms on any machine that runs this."""
    body = PLAIN + line * (60_000 // len(line))
    begun = time.process_time()
    offer_breach(invite(body), Sides(OPTIONAL, REQUIRED))
    Exchange(invite(body), Sides(OPTIONAL, REQUIRED), from_caller=True)
    assert time.process_time() - begun < 0.05


def invite(body: bytes) -> Request:
    return Request("INVITE", "sip:x@y", Headers((("Content-Type", "application/sdp"),)), body)
