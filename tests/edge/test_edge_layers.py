"""TLS and WebSocket without sockets: however bytes are cut, and whatever they are."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge.authority import Authority
from tests.edge.test_edge_websocket import UPGRADE, frame
from voice.edge.transports.certificates import Certificates
from voice.edge.transports.identities import Identities, identities_of
from voice.edge.transports.secure import TlsChannel, TlsFault
from voice.edge.transports.websocket import WebSocketFraming
from voice.sip.framing import Ping
from voice.sip.message import MAX_MESSAGE_BYTES

CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut in these lengths, again and again."""
    found, at, turn = [], 0, 0
    while at < len(data):
        length = cuts[turn % len(cuts)]
        found.append(data[at : at + length])
        at += length
        turn += 1
    return found


def messages(framing: WebSocketFraming, parts: list[bytes]) -> list[bytes]:
    return [one for part in parts for one in framing.feed(part) if isinstance(one, bytes)]


@given(st.lists(st.binary(min_size=5, max_size=300), max_size=5), CUTS)
def test_messages_do_not_depend_on_how_their_bytes_were_cut(sent: list[bytes], cuts: list[int]) -> None:
    stream = UPGRADE + b"".join(frame(0x82, one) for one in sent)
    assert messages(WebSocketFraming(()), pieces(stream, cuts)) == sent


@given(st.binary(max_size=2_000), CUTS, st.booleans())
def test_no_bytes_are_a_bug(junk: bytes, cuts: list[int], opened: bool) -> None:
    framing = WebSocketFraming(())
    for part in pieces((UPGRADE if opened else b"") + junk, cuts):
        for one in framing.feed(part):
            assert isinstance(one, Ping) or not isinstance(one, bytes) or len(one) <= MAX_MESSAGE_BYTES
        framing.owed()
    framing.wrap(b"after all that")
    framing.ping()
    framing.finish()


def test_a_message_in_more_pieces_than_it_may_have_bytes_is_refused() -> None:
    framing = WebSocketFraming(())
    assert messages(framing, [UPGRADE, frame(0x01, b"x" * 60_000)]) == []
    framing.owed()
    assert messages(framing, [frame(0x00, b"x" * 60_000)]) == []
    assert framing.owed()[2:4] == b"\x03\xf1"
    assert framing.ended


def test_what_is_no_text_is_sent_as_bytes() -> None:
    framing = WebSocketFraming(())
    messages(framing, [UPGRADE])
    framing.owed()
    assert framing.wrap(b"text")[:1] == b"\x81"
    assert framing.wrap(b"\xff")[:1] == b"\x82"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = Authority(Path(tmp_path_factory.mktemp("layers")) / "tls")
    return Certificates(authority.settings(authority.issue("edge.pem", "edge.example")))


def shaken(certificates: Certificates, cuts: list[int]) -> tuple[TlsChannel, TlsChannel]:
    """A client and a server that agreed, over a wire that cuts."""
    client = TlsChannel(certificates.client_context, name="edge.example")
    server = TlsChannel(certificates.server_context)
    client.begin()
    while not (client.ready and server.ready):
        for sender, taker in ((client, server), (server, client)):
            for part in pieces(sender.owed(), cuts):
                assert taker.receive(part) == b""
    return client, server


@given(
    st.lists(st.binary(min_size=1, max_size=40_000), max_size=4), st.lists(st.integers(50, 9_000), min_size=1)
)
def test_tls_carries_what_is_said_however_it_is_cut(
    certificates: Certificates, said: list[bytes], cuts: list[int]
) -> None:
    client, server = shaken(certificates, cuts)
    for one in said:
        client.send(one)
    assert b"".join(server.receive(part) for part in pieces(client.owed(), cuts)) == b"".join(said)
    client.finish()
    assert server.receive(client.owed()) == b""
    assert server.ended


@given(st.binary(min_size=1, max_size=500), CUTS)
def test_no_bytes_are_a_bug_of_tls(certificates: Certificates, junk: bytes, cuts: list[int]) -> None:
    server = TlsChannel(certificates.server_context)
    with suppress(TlsFault):
        for part in pieces(junk, cuts):
            assert server.receive(part) == b""
    assert not server.ready
    server.owed()
    server.finish()


def test_a_changed_byte_ends_the_connection(certificates: Certificates) -> None:
    client, server = shaken(certificates, [1_000])
    client.send(b"words")
    data = bytearray(client.owed())
    data[-1] ^= 1
    with pytest.raises(TlsFault):
        server.receive(bytes(data))


def test_a_certificate_for_another_name_is_refused_by_the_client(certificates: Certificates) -> None:
    client = TlsChannel(certificates.client_context, name="other.example")
    server = TlsChannel(certificates.server_context)
    client.begin()
    server.receive(client.owed())
    with pytest.raises(TlsFault, match=r"for other.example is for edge.example"):
        client.receive(server.owed())


@pytest.mark.parametrize(
    ("names", "fits", "not_for"),
    [
        ([("DNS", "Sip.Example.com.")], ["sip.example.com", "SIP.example.COM."], ["x.example.com"]),
        ([("DNS", "*.example.com")], ["a.example.com"], ["example.com", "a.b.example.com", "*.com"]),
        ([("DNS", "*")], [], ["localhost", "a.b"]),
        ([("IP Address", "2001:DB8:0:0:0:0:0:1\n")], ["2001:db8::1"], ["2001:db8::2", "192.0.2.1"]),
        ([("DNS", "192.0.2.1")], [], ["192.0.2.1"]),
        ([("URI", "sip:example.com;x=y"), ("DNS", "other.example")], ["example.com"], ["other.example"]),
        ([("URI", "sip:example.com"), ("DNS", "*.example.com")], ["example.com"], ["a.example.com"]),
        ([("URI", "sip:joe@example.com"), ("DNS", "example.com")], ["example.com"], ["joe"]),
        ([("URI", "https://example.com")], [], ["example.com"]),
        ([], [], ["example.com", ""]),
    ],
)
def test_whom_a_certificate_is_for(names: list[tuple[str, str]], fits: list[str], not_for: list[str]) -> None:
    found = identities_of({"subjectAltName": tuple(names)})
    assert [host for host in fits if not found.fit(host)] == []
    assert [host for host in not_for if found.fit(host)] == []


def test_nobody_has_no_certificate() -> None:
    assert identities_of(None) == identities_of({}) == Identities()
    assert identities_of(None).all == ()


def test_random_wire_noise_never_makes_a_client_ready(certificates: Certificates) -> None:
    for _ in range(50):
        client = TlsChannel(certificates.client_context, name="edge.example")
        client.begin()
        with suppress(TlsFault):
            client.receive(os.urandom(200))
        assert not client.ready
