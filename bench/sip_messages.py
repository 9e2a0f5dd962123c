"""Messages as telephones and carriers send them."""

from __future__ import annotations

from typing import Final

SDP: Final = (
    b"v=0\r\no=- 3900000000 3900000000 IN IP4 192.0.2.10\r\ns=pjmedia\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 8 0 9 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\n"
)

INVITE: Final = (
    b"INVITE sip:+31201234567@acme.sip.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj3c1b7a0e-9c1d-4d7b-8a57\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice" <sip:31000000@acme.sip.example.com>;tag=6f1a3e0b-77aa\r\n'
    b"To: <sip:+31201234567@acme.sip.example.com>\r\n"
    b"Contact: <sip:31000000@192.0.2.10:5060;ob>\r\n"
    b"Call-ID: 2c7f4f7e-1b23-4ff8-9f1c-d4b1c3a2e5f6\r\n"
    b"CSeq: 26093 INVITE\r\n"
    b"Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, OPTIONS\r\n"
    b"Supported: replaces, 100rel, timer, norefersub\r\n"
    b"Session-Expires: 1800\r\n"
    b"Min-SE: 90\r\n"
    b"User-Agent: Asterisk PBX 20.5.0\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(SDP)
) + SDP

OK: Final = (
    b"SIP/2.0 200 OK\r\n"
    b"Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK776asdhds;received=198.51.100.1\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport=5060;received=192.0.2.10;"
    b"branch=z9hG4bKPj3c1b7a0e-9c1d-4d7b-8a57\r\n"
    b"Record-Route: <sip:198.51.100.1;lr>\r\n"
    b'From: "Alice" <sip:31000000@acme.sip.example.com>;tag=6f1a3e0b-77aa\r\n'
    b"To: <sip:+31201234567@acme.sip.example.com>;tag=b2ba1a7c\r\n"
    b"Call-ID: 2c7f4f7e-1b23-4ff8-9f1c-d4b1c3a2e5f6\r\n"
    b"CSeq: 26093 INVITE\r\n"
    b"Contact: <sip:31201234567@127.0.0.1:40000>\r\n"
    b"Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, MESSAGE, OPTIONS\r\n"
    b"Supported: replaces, 100rel, timer, norefersub\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: %d\r\n\r\n" % len(SDP)
) + SDP

BYE: Final = (
    b"BYE sip:31201234567@127.0.0.1:40000 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bKPj0d2b2f34-11e0-4d0f\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice" <sip:31000000@acme.sip.example.com>;tag=6f1a3e0b-77aa\r\n'
    b"To: <sip:+31201234567@acme.sip.example.com>;tag=b2ba1a7c\r\n"
    b"Call-ID: 2c7f4f7e-1b23-4ff8-9f1c-d4b1c3a2e5f6\r\n"
    b"CSeq: 26095 BYE\r\n"
    b"Route: <sip:198.51.100.1;lr>\r\n"
    b"User-Agent: Asterisk PBX 20.5.0\r\n"
    b"Content-Length: 0\r\n\r\n"
)
