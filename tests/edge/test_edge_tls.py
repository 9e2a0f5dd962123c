"""TLS at the front door and towards gateways: real handshakes, real certificates."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sip_config.model import Transport
from tests.edge.authority import Authority
from tests.edge.nameserver import ORIGIN, serving
from tests.edge.sockets import (
    PATIENCE_SECONDS,
    NoSeats,
    Records,
    address,
    received,
    running,
    settings,
    udp_socket,
)
from tests.edge.test_edge_transports import closed, invite, options, read_message
from tests.edge.world import BASE, DOMAIN, directory, gateway
from tests.ports import free_port
from voice.edge.server import Edge
from voice.edge.settings import StreamLimits
from voice.edge.transports.certificates import CertificateFault
from voice.records import CallEnded, CallStatus, Event, LegChanged, LegStatus, Refusal
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

LOOPBACK = directory(networks=("127.0.0.0/8", "::1/128"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@asynccontextmanager
async def connected(
    where: tuple[str, int], context: ssl.SSLContext, name: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection(*where, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()


class Carrier:
    """A gateway with a certificate, which answers each INVITE as it is told to."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[tuple[Request, asyncio.StreamWriter]] = asyncio.Queue()
        self.connections = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                message = await read_message(reader)
                assert isinstance(message, Request)
                await self.got.put((message, writer))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def gets(self, method: str) -> tuple[Request, asyncio.StreamWriter]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message, writer = await self.got.get()
        assert message.method == method
        return message, writer

    def answers(self, request: Request, writer: asyncio.StreamWriter, status: int) -> None:
        response = make_response(request, status, to_tag="carrier")
        if request.method == "INVITE":
            response.headers.add("Contact", f"<sip:carrier@127.0.0.1:{self.port};transport=tls>")
        writer.write(response.to_bytes())


@asynccontextmanager
async def carrier(context: ssl.SSLContext) -> AsyncIterator[Carrier]:
    one = Carrier()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()


async def test_a_message_by_tls(authority: Authority) -> None:
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with (
        running(LOOPBACK, chosen) as (edge, _),
        connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
    ):
        writer.write(b"\r\n\r\n" + options("TLS"))
        assert await reader.readexactly(2) == b"\r\n"
        assert await status(reader) == 200


async def test_a_call_from_tls_to_tls(authority: Authority) -> None:
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    far = authority.server(authority.issue("carrier.pem", "127.0.0.1"))
    async with carrier(far) as there:
        config = directory(
            networks=("127.0.0.0/8",),
            gateways=[gateway(host="127.0.0.1", port=there.port, transport=Transport.TLS)],
        )
        async with running(config, chosen) as (edge, records):
            async with connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer):
                writer.write(invite("TLS", 5061))
                assert (await status(reader)) == 100
                request, back = await there.gets("INVITE")
                assert request.via.transport == "TLS"
                assert ";transport=tls" in str(request.contact)
                there.answers(request, back, 200)
                answer = await read_message(reader)
                assert isinstance(answer, Response)
                assert answer.status == 200
                assert answer.contact is not None
                assert ";transport=tls" in answer.contact.uri
                writer.write(in_dialog("ACK", answer))
                await there.gets("ACK")
                writer.write(in_dialog("BYE", answer))
                bye, back = await there.gets("BYE")
                there.answers(bye, back, 200)
                assert (await status(reader)) == 200
            assert (await records.first(CallEnded)).status is CallStatus.ENDED
            assert there.connections == 1


def bye(invite: Request, accepted: Response, port: int) -> bytes:
    """Of the callee, over UDP."""
    assert invite.contact is not None
    return (
        f"BYE {invite.contact.uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKbye;rport\r\n"
        + "".join(f"Route: {route}\r\n" for route in invite.record_routes)
        + f"From: {accepted.headers.get('To')}\r\nTo: {invite.headers.get('From')}\r\n"
        f"Call-ID: {invite.call_id}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n"
    ).encode()


async def status(reader: asyncio.StreamReader) -> int:
    message = await read_message(reader)
    assert isinstance(message, Response)
    return message.status


def in_dialog(method: str, answer: Response) -> bytes:
    """A request of the caller, as the answer of its INVITE says."""
    assert answer.contact is not None
    routes = "".join(f"Route: {route}\r\n" for route in answer.record_routes[::-1])
    return (
        f"{method} {answer.contact.uri} SIP/2.0\r\n"
        f"Via: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{method}\r\n{routes}"
        f"From: {answer.headers.get('From')}\r\nTo: {answer.headers.get('To')}\r\n"
        f"Call-ID: {answer.call_id}\r\nCSeq: {1 if method == 'ACK' else 2} {method}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


# -- who we are ------------------------------------------------------------------------------------


def shown_names(writer: asyncio.StreamWriter) -> set[str]:
    certificate = writer.get_extra_info("peercert")
    return {value for _, value in certificate["subjectAltName"]}


async def test_each_domain_has_its_certificate(authority: Authority) -> None:
    authority.issue("more/acme.pem", DOMAIN, f"acme.eu1.{BASE}")
    authority.issue("more/others.pem", f"*.other.{BASE}")
    usual = authority.issue("edge.pem", BASE, f"*.{BASE}")
    chosen = settings(tls=authority.settings(usual, folder=usual.parent / "more"))
    async with running(LOOPBACK, chosen) as (edge, _):
        where = address(edge, "TLS")
        for name, expected in (
            (DOMAIN, {DOMAIN, f"acme.eu1.{BASE}"}),
            (DOMAIN.upper(), {DOMAIN, f"acme.eu1.{BASE}"}),
            (f"x.other.{BASE}", {f"*.other.{BASE}"}),
            (f"third.{BASE}", {BASE, f"*.{BASE}"}),
        ):
            async with connected(where, authority.client(), name) as (_, writer):
                assert shown_names(writer) == expected, name


async def test_a_renewed_certificate_is_used_and_connections_stay(authority: Authority) -> None:
    usual = authority.issue("edge.pem", BASE)
    chosen = settings(tls=authority.settings(usual, watch_seconds=0.02))
    async with running(LOOPBACK, chosen) as (edge, records):
        where = address(edge, "TLS")
        async with connected(where, authority.client(), BASE) as (reader, writer):
            authority.issue("edge.pem", DOMAIN)
            assert (await records.first(Event)).kind == "certificates-renewed"
            async with connected(where, authority.client(), DOMAIN) as (_, other):
                assert shown_names(other) == {DOMAIN}
            writer.write(options("TLS"))
            assert await status(reader) == 200


async def test_a_bad_certificate_is_said_and_the_one_before_stays(authority: Authority) -> None:
    usual = authority.issue("edge.pem", BASE)
    async with running(LOOPBACK, settings(tls=authority.settings(usual, watch_seconds=0.02))) as (
        edge,
        records,
    ):
        usual.write_text("nothing")
        event = await records.first(Event)
        assert event.kind == "certificates-refused"
        assert str(usual) in event.detail
        async with connected(address(edge, "TLS"), authority.client(), BASE) as (_, writer):
            assert shown_names(writer) == {BASE}
        authority.issue("edge.pem", DOMAIN)
        records.all.clear()
        edge.reload_certificates()
        assert (await records.first(Event)).kind == "certificates-renewed"
        async with connected(address(edge, "TLS"), authority.client(), DOMAIN) as (_, writer):
            assert shown_names(writer) == {DOMAIN}


async def test_a_certificate_that_ends_soon_is_said_once(authority: Authority) -> None:
    usual = authority.issue("edge.pem", BASE)
    last = authority.issue("more/acme.pem", DOMAIN, days=13)
    chosen = settings(tls=authority.settings(usual, folder=last.parent, watch_seconds=0.01))
    async with running(LOOPBACK, chosen) as (_, records):
        event = await records.first(Event)
        assert event.kind == "certificate-expires"
        assert str(last) in event.detail
        authority.issue("more/acme.pem", DOMAIN)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(records.all) < 2:
                await asyncio.sleep(0.01)
        assert [one.kind for one in records.all if isinstance(one, Event)][1:] == ["certificates-renewed"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing.pem", "cannot be read"),
        ("other.pem", "cannot be used with the key"),
    ],
)
async def test_an_edge_without_its_certificate_does_not_start(
    authority: Authority, damage: str, says: str
) -> None:
    usual = authority.issue("edge.pem", BASE)
    authority.issue("other.pem", BASE)
    with pytest.raises(CertificateFault, match=says):
        Edge(
            settings(tls=authority.settings(usual, private_key=usual.parent / damage)),
            lambda: LOOPBACK, NoSeats(), Records(),
        )  # fmt: skip


async def test_old_versions_and_weak_ciphers_are_not_spoken(authority: Authority) -> None:
    usual = authority.issue("edge.pem", BASE)
    async with running(LOOPBACK, settings(tls=authority.settings(usual, minimum_version="1.3"))) as (
        edge,
        records,
    ):
        old = authority.client()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(address(edge, "TLS"), old, BASE):
                pass
        refusal = await records.first(Refusal)
        assert (refusal.gate, refusal.cause) == ("source", "tls-failed")
    weak = authority.client()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    async with running(LOOPBACK, settings(tls=authority.settings(usual))) as (edge, _):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(address(edge, "TLS"), weak, BASE):
                pass


async def test_a_pbx_that_does_not_believe_the_edge_is_on_record(
    authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path / "foreign", "foreign")
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with running(LOOPBACK, chosen) as (edge, records):
        with pytest.raises(ssl.SSLError):
            async with connected(address(edge, "TLS"), foreign.client(), DOMAIN):
                pass
        refusal = await records.first(Refusal)
        assert refusal.cause == "tls-failed"
        assert "trust the authority" in refusal.remedy


# -- who they are ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("pbx.acme.example",), 200),
        (("other.example", "pbx.acme.example"), 200),
        (("sip:pbx.acme.example",), 200),
        (("sip:other.example", "pbx.acme.example"), 403),
        (("sip:joe@pbx.acme.example",), 403),
        (("*.acme.example",), 403),
        ((), 403),
    ],
    ids=["name", "one of two", "SIP URI", "SIP URI before DNS", "a user's", "wildcard", "none"],
)
async def test_a_list_asks_for_a_certificate(
    authority: Authority, names: tuple[str, ...], expected: int
) -> None:
    shown = authority.issue("pbx.pem", *names) if names else None
    config = directory(networks=("127.0.0.0/8",), certificates=("pbx.acme.example",), gateways=[gateway()])
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN), client_authorities=authority.file)
    )
    async with (
        running(config, chosen) as (edge, records),
        connected(address(edge, "TLS"), authority.client(shown), DOMAIN) as (reader, writer),
    ):
        writer.write(invite("TLS", 5061))
        if expected == 200:
            assert await status(reader) == 100
        else:
            assert await status(reader) == 403
            assert (await records.first(Refusal)).cause == "acl-certificates"


async def test_a_certificate_of_an_unknown_authority_gets_no_further(
    authority: Authority, tmp_path: Path
) -> None:
    foreign = Authority(tmp_path / "foreign", "foreign").issue("pbx.pem", "pbx.acme.example")
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN), client_authorities=authority.file)
    )
    async with running(LOOPBACK, chosen) as (edge, records):
        context = authority.client(foreign)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(address(edge, "TLS"), context, DOMAIN):
                pass
        refusal = await records.first(Refusal)
        assert refusal.cause == "tls-failed"
        assert "the client's certificate is not good" in refusal.rule


@pytest.mark.parametrize(
    ("names", "days", "says"),
    [
        (("other.example",), 30, "the certificate for 127.0.0.1 is for other.example"),
        (("127.0.0.1",), -1, "the certificate for 127.0.0.1 is not good: certificate has expired"),
    ],
)
async def test_a_gateway_that_is_not_who_it_should_be_gets_no_call(
    authority: Authority, names: tuple[str, ...], days: int, says: str
) -> None:
    far = authority.server(authority.issue("carrier.pem", *names, days=days))
    async with carrier(far) as there:
        config = directory(
            networks=("127.0.0.0/8",),
            gateways=[gateway(host="127.0.0.1", port=there.port, transport=Transport.TLS)],
        )
        chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
        async with (
            running(config, chosen) as (edge, records),
            connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
        ):
            writer.write(invite("TLS", 5061))
            assert await status(reader) == 100
            assert await status(reader) == 500
            failed = [
                one for one in records.all if isinstance(one, LegChanged) and one.status is LegStatus.FAILED
            ]
            assert says in (failed[0].sip_reason or "")
        assert there.got.empty()


async def test_a_gateway_of_an_unknown_authority_gets_no_call(authority: Authority, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "foreign", "foreign")
    async with carrier(foreign.server(foreign.issue("carrier.pem", "127.0.0.1"))) as there:
        config = directory(
            networks=("127.0.0.0/8",),
            gateways=[gateway(host="127.0.0.1", port=there.port, transport=Transport.TLS)],
        )
        chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
        async with (
            running(config, chosen) as (edge, _),
            connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
        ):
            writer.write(invite("TLS", 5061))
            assert await status(reader) == 100
            assert await status(reader) == 500
        assert there.got.empty()


# -- connections that are gone, and those that are there -------------------------------------------


async def test_a_response_whose_connection_is_gone_comes_by_a_new_one() -> None:
    came: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await came.put(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with udp_socket() as carrier:
        config = directory(
            networks=("127.0.0.0/8",), gateways=[gateway(host="127.0.0.1", port=carrier.getsockname()[1])]
        )
        async with running(config) as (edge, _):
            reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
            writer.write(invite("TCP", port))
            assert await status(reader) == 100
            request = parse_message(await received(carrier))
            assert isinstance(request, Request)
            writer.close()
            await writer.wait_closed()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while edge.snapshot().connections:
                    await asyncio.sleep(0.01)
                carrier.sendto(make_response(request, 486, to_tag="x").to_bytes(), address(edge, "UDP"))
                assert (await came.get()).startswith(b"SIP/2.0 486 ")
    server.close()
    await server.wait_closed()


async def test_a_caller_behind_nat_whose_connection_is_gone_is_given_up_at_once() -> None:
    with udp_socket() as carrier:
        config = directory(
            networks=("127.0.0.0/8",), gateways=[gateway(host="127.0.0.1", port=carrier.getsockname()[1])]
        )
        chosen = replace(settings(), allow_private_targets=False)
        async with running(config, chosen) as (edge, records):
            reader, writer = await asyncio.open_connection(*address(edge, "TCP"))
            writer.write(
                invite("TCP", 5060).replace(b"<sip:a@127.0.0.1:5060>", b"<sip:a@10.9.9.9;transport=tcp>")
            )
            assert await status(reader) == 100
            request = parse_message(await received(carrier))
            assert isinstance(request, Request)
            accepted = make_response(request, 200, to_tag="carrier")
            port = carrier.getsockname()[1]
            accepted.headers.add("Contact", f"<sip:carrier@127.0.0.1:{port}>")
            carrier.sendto(accepted.to_bytes(), address(edge, "UDP"))
            assert await status(reader) == 200
            writer.close()
            await writer.wait_closed()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while edge.snapshot().connections:
                    await asyncio.sleep(0.01)
            carrier.sendto(bye(request, accepted, port), address(edge, "UDP"))
            answer = parse_message(await received(carrier))
            assert isinstance(answer, Response)
            assert (answer.status, answer.cseq.method) == (500, "BYE")
            assert (await records.first(CallEnded)).status is CallStatus.ENDED


async def test_a_connection_is_shared_by_calls_to_one_name_and_by_no_other_name(authority: Authority) -> None:
    """What was verified for one name says nothing of another at the same address (RFC 5923 section 7)."""
    far = authority.server(authority.issue("carrier.pem", "127.0.0.1", f"carrier.{ORIGIN}"))
    async with carrier(far) as there, serving("carrier 60 IN A 127.0.0.1\n") as dns:
        named = gateway(
            "named", f"carrier.{ORIGIN}", port=there.port, transport=Transport.TLS, prefixes=("4",)
        )
        plain = gateway("plain", "127.0.0.1", port=there.port, transport=Transport.TLS)
        config = directory(networks=("127.0.0.0/8",), gateways=[named, plain])
        tls = authority.settings(authority.issue("edge.pem", DOMAIN))
        chosen = replace(settings(tls=tls), name_servers=(dns.address,))
        async with (
            running(config, chosen) as (edge, _),
            connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
        ):
            for at, (number, connections) in enumerate(
                (("+31201234567", 1), ("+31201234568", 1), ("+4930123456", 2), ("+4930123457", 2))
            ):
                call = invite("TLS", 5061).replace(b"+31201234567", number.encode())
                writer.write(
                    call.replace(b"z9hG4bKi", b"z9hG4bK%d" % at).replace(b"Call-ID: i", b"Call-ID: %d" % at)
                )
                assert await status(reader) == 100
                request, back = await there.gets("INVITE")
                there.answers(request, back, 486)
                assert await status(reader) == 486
                await there.gets("ACK")
                assert there.connections == connections, number


@pytest.mark.parametrize(("name", "reached"), [("127.0.0.1", True), ("other.example", False)])
async def test_a_gateway_is_reached_by_the_connection_that_it_opened_if_it_has_proven_its_name(
    authority: Authority, name: str, reached: bool
) -> None:
    """RFC 5923: nobody listens where the gateway says that it does."""
    port = free_port()
    there = gateway(host="127.0.0.1", port=port, transport=Transport.TLS)
    tls = authority.settings(authority.issue("edge.pem", DOMAIN), client_authorities=authority.file)
    async with running(directory(networks=("127.0.0.0/8",), gateways=[there]), settings(tls=tls)) as (
        edge,
        _,
    ):
        shown = authority.client(authority.issue("carrier.pem", name))
        async with (
            connected(address(edge, "TLS"), shown, DOMAIN) as (carrier_reader, carrier_writer),
            connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
        ):
            carrier_writer.write(options("TLS").replace(b"127.0.0.1:5060;", b"127.0.0.1:%d;alias;" % port))
            assert await status(carrier_reader) == 200
            writer.write(invite("TLS", 5061))
            assert await status(reader) == 100
            if not reached:
                assert await status(reader) == 500
                return
            request = await read_message(carrier_reader)
            assert isinstance(request, Request)
            assert "alias" in request.via.params
            # What waits for an answer hears of the end of the connection.
            carrier_writer.close()
            assert await status(reader) == 500


# -- what is bounded -------------------------------------------------------------------------------


async def test_a_handshake_that_does_not_end_is_closed(authority: Authority) -> None:
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN)),
        streams=StreamLimits(handshake_seconds=0.05),
    )
    async with running(LOOPBACK, chosen) as (edge, records):
        silent, silent_writer = await asyncio.open_connection(*address(edge, "TLS"))
        assert await closed(silent) == b""
        silent_writer.close()
        assert (await records.first(Refusal)).cause == "tls-handshake-time"


async def test_what_is_no_tls_at_all_is_closed_with_a_record(authority: Authority) -> None:
    chosen = settings(tls=authority.settings(authority.issue("edge.pem", DOMAIN)))
    async with running(LOOPBACK, chosen) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "TLS"))
        writer.write(options("TCP"))
        await closed(reader)
        writer.close()
        assert (await records.first(Refusal)).cause == "tls-failed"


async def test_strangers_may_not_take_all_places_for_handshakes(authority: Authority) -> None:
    """Four places: one for addresses that nothing admits, the others for those that may call."""
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN)), streams=StreamLimits(handshakes=4)
    )
    async with running(directory(networks=("10.0.0.0/8",)), chosen) as (edge, records):
        first = await asyncio.open_connection(*address(edge, "TLS"))
        second = await asyncio.open_connection(*address(edge, "TLS"))
        assert await closed(second[0]) == b""
        assert (await records.first(Refusal)).cause == "tls-handshakes"
        for _, writer in (first, second):
            writer.close()


@pytest.mark.parametrize("transport", ["TCP", "TLS"])
async def test_connections_of_one_source_are_bounded_on_record(authority: Authority, transport: str) -> None:
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN)), streams=StreamLimits(per_source=1)
    )
    async with running(LOOPBACK, chosen) as (edge, records):
        first = await asyncio.open_connection(*address(edge, transport))
        second = await asyncio.open_connection(*address(edge, transport))
        assert await closed(second[0]) == b""
        assert (await records.first(Refusal)).cause == "connections-per-source"
        for _, writer in (first, second):
            writer.close()


async def test_connections_of_all_sources_are_bounded_on_record() -> None:
    async with running(LOOPBACK, settings(streams=StreamLimits(total=1))) as (edge, records):
        first = await asyncio.open_connection(*address(edge, "TCP"))
        second = await asyncio.open_connection(*address(edge, "TCP"))
        assert await closed(second[0]) == b""
        assert (await records.first(Refusal)).cause == "connections-total"
        for _, writer in (first, second):
            writer.close()


async def test_a_quiet_connection_is_closed_and_told(authority: Authority) -> None:
    chosen = settings(
        tls=authority.settings(authority.issue("edge.pem", DOMAIN)), streams=StreamLimits(idle_seconds=0.3)
    )
    async with (
        running(LOOPBACK, chosen) as (edge, _),
        connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
    ):
        writer.write(options("TLS"))
        assert await status(reader) == 200
        # Its end was said within TLS: a connection that was cut off would raise.
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await reader.read() == b""


async def test_a_byte_now_and_then_does_not_hold_a_connection() -> None:
    limits = StreamLimits(first_message_seconds=0.3)
    async with running(LOOPBACK, settings(streams=limits)) as (edge, _):
        reader, writer = await asyncio.open_connection(*address(edge, "TCP"))

        async def drip() -> None:
            for byte in options("TCP") * 10:
                writer.write(bytes((byte,)))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        assert await closed(reader) == b""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
