"""Certificates that no authority should have signed, ours and others': real handshakes."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from sip_config.model import Transport
from tests.edge.authority import Authority
from tests.edge.sockets import PATIENCE_SECONDS, address, running, settings
from tests.edge.test_edge_tls import LOOPBACK, carrier, connected, shown_names, status
from tests.edge.test_edge_transports import closed, invite, options
from tests.edge.world import BASE, DOMAIN, directory, gateway
from voice.edge.transports.identities import Identities
from voice.logs import say_unraisable
from voice.records import Event, LegChanged, LegStatus, Refusal

DNS, URI, ADDRESS, MAIL = 0x82, 0x86, 0x87, 0x81
PBX: Final = b"pbx.acme.example"
UNREADABLE: Final = {
    "bytes in a host": ((DNS, b"pbx.\xff.example"), (DNS, PBX)),
    "bytes in a URI": ((URI, b"sip:\xff"), (DNS, PBX)),
    "bytes in a mail address": ((MAIL, b"\xff@x"), (DNS, PBX)),
    "an address of five bytes": ((ADDRESS, b"\1\2\3\4\5"), (DNS, PBX)),
}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "tls")


@pytest.mark.parametrize("names", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_client_whose_names_cannot_be_read_is_told_so_on_record(
    authority: Authority, names: tuple[tuple[int, bytes], ...], caplog: pytest.LogCaptureFixture
) -> None:
    shown = authority.issue_odd("pbx.pem", *names)
    tls = authority.settings(authority.issue("edge.pem", DOMAIN), client_authorities=authority.file)
    async with running(directory(certificates=(PBX.decode(),)), settings(tls=tls)) as (edge, records):
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            async with connected(address(edge, "TLS"), authority.client(shown), DOMAIN) as (reader, _):
                await status(reader)
        refusal = await records.first(Refusal)
    assert refusal.cause == "tls-failed"
    assert "the client's certificate has a name that cannot be read" in refusal.remedy
    assert not caplog.records, "it is no fault of ours"


@pytest.mark.parametrize(
    "names",
    [
        ((DNS, PBX + b"\0.evil.example"),),
        ((URI, b"sip:" + PBX + b"\0.evil.example"),),
        ((DNS, b""),),
        ((DNS, b"*"),),
        ((MAIL, b"x@" + PBX),),
    ],
    ids=["NUL", "NUL in a URI", "empty", "everything", "mail"],
)
async def test_a_name_that_only_looks_like_another_lets_nobody_in(
    authority: Authority, names: tuple[tuple[int, bytes], ...]
) -> None:
    shown = authority.issue_odd("pbx.pem", *names)
    tls = authority.settings(authority.issue("edge.pem", DOMAIN), client_authorities=authority.file)
    config = directory(networks=("127.0.0.0/8",), certificates=(PBX.decode(),))
    async with (
        running(config, settings(tls=tls)) as (edge, records),
        connected(address(edge, "TLS"), authority.client(shown), DOMAIN) as (reader, writer),
    ):
        writer.write(invite("TLS", 5061))
        assert await status(reader) == 403
        assert (await records.first(Refusal)).cause == "acl-certificates"


@pytest.mark.parametrize(
    ("name", "says"),
    [(b"\xff" * 24, "callback failed"), (b"acme.example\0.example.com", "bad extension")],
    ids=["bytes", "NUL"],
)
async def test_who_asks_for_an_odd_name_leaves_a_refusal_and_no_line_in_the_log(
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: bytes,
    says: str,
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", say_unraisable)
    folder = authority.issue("more/acme.pem", DOMAIN).parent
    tls = authority.settings(authority.issue("edge.pem", BASE), folder=folder)
    async with running(LOOPBACK, settings(tls=tls)) as (edge, records):
        reader, writer = await asyncio.open_connection(*address(edge, "TLS"))
        writer.write(hello(name))
        await closed(reader)
        writer.close()
        refusal = await records.first(Refusal)
    assert (refusal.cause, refusal.rule) == ("tls-failed", f"TLS: {says}")
    assert capfd.readouterr().err == ""


def hello(name: bytes) -> bytes:
    """What a client says first that wants to talk to `name`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    usual = b"x" * len(name)
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=usual.decode())
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read().replace(usual, name)


@pytest.mark.parametrize(
    ("names", "host", "fits"),
    [
        (("*.carrier.example",), "sip.carrier.example", True),
        (("*.carrier.example",), "a.sip.carrier.example", False),
        (("*.carrier.example",), "carrier.example", False),
        (("*.example",), "carrier.example", False),
        (("s*.carrier.example",), "sip.carrier.example", False),
        (("*",), "carrier", False),
    ],
)
def test_a_wildcard_is_one_label_of_somebodys_own(names: tuple[str, ...], host: str, fits: bool) -> None:
    assert Identities(dns=names).fit(host) is fits
    assert Identities(sip=names).fit(host) is fits
    assert not Identities(sip=("other.example",), dns=names).fit(host), "its SIP URIs alone count"


async def test_a_gateway_whose_names_cannot_be_read_gets_no_call(authority: Authority) -> None:
    shown = authority.issue_odd("carrier.pem", (ADDRESS, b"\x7f\0\0\1"), (DNS, b"\xff"))
    async with carrier(authority.server(shown)) as there:
        config = directory(
            networks=("127.0.0.0/8",),
            gateways=[gateway(host="127.0.0.1", port=there.port, transport=Transport.TLS)],
        )
        tls = authority.settings(authority.issue("edge.pem", DOMAIN))
        async with (
            running(config, settings(tls=tls)) as (edge, records),
            connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer),
        ):
            writer.write(invite("TLS", 5061))
            assert await status(reader) == 100
            assert await status(reader) == 500
            failed = [
                one for one in records.all if isinstance(one, LegChanged) and one.status is LegStatus.FAILED
            ]
            says = "the certificate for 127.0.0.1 has a name that cannot be read"
            assert says in (failed[0].sip_reason or "")
        assert there.got.empty()


async def test_a_file_of_the_folder_that_cannot_be_used_keeps_no_other_from_renewal(
    authority: Authority,
) -> None:
    usual = authority.issue("edge.pem", BASE)
    more = authority.issue("more/acme.pem", DOMAIN)
    tls = authority.settings(usual, folder=more.parent, watch_seconds=0.02)
    async with running(directory(), settings(tls=tls)) as (edge, records):
        authority.issue_odd("more/acme.pem", *UNREADABLE["bytes in a host"])
        refused = await records.first(Event)
        assert refused.kind == "certificates-refused"
        assert str(more) in refused.detail
        records.all.clear()
        authority.issue("edge.pem", BASE, f"new.{BASE}")
        assert (await records.first(Event)).kind == "certificates-refused", "it is still there"
        for name, names in ((BASE, {BASE, f"new.{BASE}"}), (DOMAIN, {DOMAIN})):
            async with connected(address(edge, "TLS"), authority.client(), name) as (_, writer):
                assert shown_names(writer) == names
        records.all.clear()
        authority.issue("more/acme.pem", DOMAIN, f"new.{DOMAIN}")
        assert (await records.first(Event)).kind == "certificates-renewed"
        async with connected(address(edge, "TLS"), authority.client(), DOMAIN) as (_, writer):
            assert shown_names(writer) == {DOMAIN, f"new.{DOMAIN}"}


async def test_a_file_of_the_folder_that_cannot_be_used_keeps_no_edge_from_its_start(
    authority: Authority,
) -> None:
    usual = authority.issue("edge.pem", BASE)
    more = authority.issue("more/acme.pem", DOMAIN)
    (more.parent / "broken.pem").write_text("nothing")
    tls = authority.settings(usual, folder=more.parent)
    async with running(directory(), settings(tls=tls)) as (edge, records):
        refused = await records.first(Event)
        assert refused.kind == "certificates-refused"
        assert "broken.pem" in refused.detail
        async with connected(address(edge, "TLS"), authority.client(), DOMAIN) as (_, writer):
            assert shown_names(writer) == {DOMAIN}


async def test_a_session_ends_with_the_certificates_that_it_was_made_with(authority: Authority) -> None:
    """Who was verified once is not so for ever: the list of authorities may be another one by now."""
    tls = authority.settings(authority.issue("edge.pem", DOMAIN), client_authorities=authority.file)
    context = authority.client(authority.issue("pbx.pem", PBX.decode()))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running(LOOPBACK, settings(tls=tls)) as (edge, records):
        where = address(edge, "TLS")
        first, reused = await asyncio.to_thread(resumed, where, context, None)
        assert not reused
        assert first is not None
        assert not first.has_ticket
        _, reused = await asyncio.to_thread(resumed, where, context, first)
        assert reused
        edge.reload_certificates()
        await records.first(Event)
        _, reused = await asyncio.to_thread(resumed, where, context, first)
        assert not reused


async def test_there_are_no_tickets(authority: Authority) -> None:
    tls = authority.settings(authority.issue("edge.pem", DOMAIN))
    async with running(LOOPBACK, settings(tls=tls)) as (edge, _):
        session, _ = await asyncio.to_thread(resumed, address(edge, "TLS"), authority.client(), None)
        assert session is None or not session.has_ticket


def resumed(
    where: tuple[str, int], context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[ssl.SSLSession | None, bool | None]:
    """Connects, taking up a session; the one that there is then, and whether it was taken up."""
    with (
        socket.create_connection(where, PATIENCE_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=DOMAIN, session=session) as secure,
    ):
        # TLS 1.3 sends tickets before the first answer.
        secure.sendall(options("TLS"))
        secure.recv(4_096)
        found = secure.session, secure.session_reused
        secure.unwrap().close()  # A session that was cut off is not taken up.
        return found


async def test_the_edge_goes_on_while_files_are_read(authority: Authority) -> None:
    """What is read is a pipe that nobody writes to."""
    usual = authority.issue("edge.pem", DOMAIN)
    tls = authority.settings(usual, watch_seconds=0.02)
    async with running(LOOPBACK, settings(tls=tls)) as (edge, records):
        pipe = usual.with_suffix(".pipe")
        os.mkfifo(pipe)
        pipe.replace(usual)
        writing = await read_from(usual)
        try:
            async with connected(address(edge, "TLS"), authority.client(), DOMAIN) as (reader, writer):
                writer.write(options("TLS"))
                assert await status(reader) == 200
            assert not [one for one in records.all if isinstance(one, Event)]
        finally:
            os.close(writing)
        assert (await records.first(Event)).kind == "certificates-refused"


async def read_from(pipe: Path) -> int:
    """Waits until somebody reads from it; our end of it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                await asyncio.sleep(0.01)
