"""SIP without sockets or clocks: messages, URIs, digest, stream framing and transactions (RFC 3261).

Everything here takes bytes and, where time matters, `now`, and returns messages, verdicts and bytes.
Text is decoded as UTF-8 with ``surrogateescape``, so that octets which are no UTF-8 survive a relay
exactly; `voice.sip.headers.printable` makes such text safe for records and logs.
"""
