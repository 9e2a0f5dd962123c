"""The safe client against a real server on loopback, and against what a hostile customer would try."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.webhooks.conftest import Site
from voice.webhooks.addresses import why_not_public
from voice.webhooks.client import ClientSettings, FetchFailed, SafeClient
from voice.webhooks.connecting import AddressRefused, guarded_socket

OPEN = ClientSettings(allow_private_networks=True)


@pytest.fixture
async def client() -> AsyncIterator[SafeClient]:
    async with SafeClient(OPEN) as client:
        yield client


@pytest.fixture
def first_loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 passes for a public address, so that there is something to be redirected from."""
    monkeypatch.setattr(
        "voice.webhooks.connecting.why_not_public",
        lambda address: None if address == "127.0.0.1" else why_not_public(address),
    )


async def test_gets_and_says_who_asks(site: Site, client: SafeClient) -> None:
    answer = await client.get(
        site.url("/a%20b?x=%2B1&y=a,b"), max_bytes=100, headers=lambda url: {"X-Url": url}
    )
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-type"].startswith("text/plain")
    request = site.requests[0]
    assert request.raw_path == "/a%20b?x=%2B1&y=a,b"
    assert request.headers["X-Url"] == site.url("/a%20b?x=%2B1&y=a,b")
    assert request.headers["User-Agent"].startswith("trunkflow/")
    assert "Cookie" not in request.headers


async def test_keeps_no_cookies(site: Site, client: SafeClient) -> None:
    async def set_cookie(request: web.Request) -> web.StreamResponse:
        response = web.Response()
        response.set_cookie("session", "1")
        return response

    site.handler = set_cookie
    await client.get(site.url(), max_bytes=10)
    await client.get(site.url(), max_bytes=10)
    assert "Cookie" not in site.requests[1].headers


async def test_ignores_proxies_of_the_environment(
    site: Site, client: SafeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.3:1/")
    assert (await client.get(site.url(), max_bytes=10)).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
        "http://2130706433/", "http://127.1/", "http://0177.0.0.1/", "http://10.0.0.1/", "http://192.168.0.1:8080/",
        "http://169.254.169.254/latest/meta-data/", "http://0/", "http://0.0.0.0/", "http://[fe80::1]/",
        "http://[64:ff9b::7f00:1]/",
    ],
)  # fmt: skip
async def test_refuses_private_literals(url: str) -> None:
    async with SafeClient(ClientSettings()) as client:
        with pytest.raises(FetchFailed, match="not a public address"):
            await client.get(url, max_bytes=10)


@pytest.mark.parametrize(
    "url", ["http://localhost/", "http://0x7f000001/", "http://0x7f.1/", "http://LOCALHOST./"]
)
async def test_refuses_names_that_the_system_resolves_to_private_addresses(url: str) -> None:
    async with SafeClient(ClientSettings()) as client:
        # How a C library reads 0x7f.1 differs; what matters is that nothing is fetched.
        with pytest.raises(FetchFailed, match=r"not a public address|has no address"):
            await client.get(url, max_bytes=10)


async def test_refuses_a_name_with_one_private_address_among_public_ones() -> None:
    async def lookup(host: str) -> list[str]:
        return ["8.8.8.8", "192.168.7.7"]

    async with SafeClient(ClientSettings(), lookup=lookup) as client:
        with pytest.raises(FetchFailed, match=r"flows\.example is at 192\.168\.7\.7.*private network"):
            await client.get("http://flows.example/", max_bytes=10)


@pytest.mark.usefixtures("first_loopback_is_public")
async def test_a_name_that_turns_private_is_refused_then(site: Site) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def lookup(host: str) -> list[str]:
        return answers.pop(0)

    async def close(request: web.Request) -> web.StreamResponse:
        return web.Response(headers={"Connection": "close"})

    site.handler = close
    url = site.url("/", "rebind.example")
    async with SafeClient(ClientSettings(), lookup=lookup) as client:
        assert (await client.get(url, max_bytes=10)).status == 200
        # Drops aiohttp's memory of the name, as time would.
        assert client._session is not None
        client._session.connector.clear_dns_cache()  # type: ignore[union-attr]
        with pytest.raises(FetchFailed, match=r"127\.0\.0\.2.*loopback"):
            await client.get(url, max_bytes=10)
    assert len(site.requests) == 1


def test_the_socket_itself_is_guarded() -> None:
    for address in ("127.0.0.1", "2130706433", "::1"):
        with pytest.raises(AddressRefused):
            guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)))


@pytest.mark.usefixtures("first_loopback_is_public")
@pytest.mark.parametrize(
    "there",
    [
        "http://127.0.0.2:{port}/", "//127.0.0.2:{port}/", "http://[::ffff:127.0.0.2]:{port}/",
        "http://2130706434:{port}/", "http://localhost.:{port}/", "file:///etc/passwd", "gopher://127.0.0.2/",
        "http://[::1", "http://ho st/",
    ],
)  # fmt: skip
async def test_checks_each_hop_of_a_redirect(site: Site, there: str) -> None:
    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": there.format(port=site.port)})

    async def lookup(host: str) -> list[str]:
        return ["127.0.0.2"]

    site.handler = redirect
    async with SafeClient(ClientSettings(), lookup=lookup) as client:
        with pytest.raises(FetchFailed):
            await client.get(site.url(), max_bytes=10)
    assert len(site.requests) == 1


async def test_follows_redirects_and_asks_for_headers_anew(site: Site, client: SafeClient) -> None:
    async def once(request: web.Request) -> web.StreamResponse:
        if request.path == "/old":
            return web.Response(status=308, headers={"Location": "new?b=2"})
        return web.Response(text=request.headers["X-Url"])

    site.handler = once
    answer = await client.get(site.url("/old?a=1"), max_bytes=100, headers=lambda url: {"X-Url": url})
    assert answer.body.decode() == site.url("/new?b=2")


async def test_ends_endless_redirects(site: Site, client: SafeClient) -> None:
    async def again(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/again"})

    site.handler = again
    with pytest.raises(FetchFailed, match="redirected more than 3 times"):
        await client.get(site.url(), max_bytes=10)
    assert len(site.requests) == 4


async def test_a_redirect_to_nowhere_is_named(site: Site, client: SafeClient) -> None:
    async def nowhere(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302)

    site.handler = nowhere
    with pytest.raises(FetchFailed, match="without a Location"):
        await client.get(site.url(), max_bytes=10)


async def test_bounds_a_body_without_end(site: Site, client: SafeClient) -> None:
    gone = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        finally:
            gone.set()

    site.handler = endless
    with pytest.raises(FetchFailed, match="more than 50000 bytes"):
        await client.get(site.url(), max_bytes=50_000)
    await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize("begun", [False, True])
async def test_bounds_the_time_of_a_slow_answer(site: Site, client: SafeClient, begun: bool) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
            await response.write(b"<")
        await asyncio.Event().wait()
        return response

    site.handler = slow
    with pytest.raises(FetchFailed, match=r"took longer than 0\.2 s"):
        await client.get(site.url(), max_bytes=10, seconds=0.2)


async def test_other_statuses_are_failures(site: Site, client: SafeClient) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, reason="Oh no")

    site.handler = broken
    with pytest.raises(FetchFailed, match="answered 500 Oh no where 200 is expected"):
        await client.get(site.url(), max_bytes=10)
    assert (await client.get(site.url(), max_bytes=100, accept=frozenset({500}))).status == 500


async def test_compressed_answers_are_refused(site: Site, client: SafeClient) -> None:
    async def packed(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    site.handler = packed
    with pytest.raises(FetchFailed, match="compressed"):
        await client.get(site.url(), max_bytes=10)
    assert site.requests[0].headers["Accept-Encoding"] == "identity"


async def test_messages_keep_credentials_and_queries_to_themselves(site: Site, client: SafeClient) -> None:
    async def denied(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"].startswith("Basic ")
        return web.Response(status=403)

    site.handler = denied
    url = site.url("/flow?token=sesame#part").replace("http://", "http://user:hush@")
    with pytest.raises(FetchFailed) as caught:
        await client.get(url, max_bytes=10)
    message = str(caught.value)
    assert site.url("/flow") in message
    assert not {"hush", "user", "sesame", "token", "part"} & set(message.replace("/", " ").split())
    assert "sesame" not in message
    assert "hush" not in message


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("ftp://example.org/x", "http:// or https://"),
        ("/flow", "http:// or https://"),
        ("http://", "write http"),
        ("http://a b/", "encode it"),
        ("http://a/\r\nX: y", "encode it"),
        ("http://a:99999/", "not a URL"),
        ("http://a:0/", "port 0"),
        ("http://[::1/", "not a URL"),
        ("http://a/" + "x" * 5000, "too long"),
        ("http://" + "a" * 64 + ".example/", "no address"),
        ("http://a..example/", "no address|not a URL"),
    ],
)
async def test_unfit_urls_are_named(client: SafeClient, url: str, remedy: str) -> None:
    with pytest.raises(FetchFailed, match=remedy):
        await client.get(url, max_bytes=10)


async def test_nobody_listens(client: SafeClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(FetchFailed, match="no connection"):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=10)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
        b"HTTP/1.1 2",
        b"\0" * 99,
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000,
    ],
)
async def test_what_is_not_http(client: SafeClient, said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchFailed, match=r"^GET http://127.0.0.1:\d+/ failed: "):
            await client.get(f"http://127.0.0.1:{port}/", max_bytes=100)


async def test_a_host_gets_only_so_many_connections(site: Site) -> None:
    at_once, most = 0, 0

    async def count(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.Response()

    site.handler = count
    async with SafeClient(ClientSettings(allow_private_networks=True, connections_per_host=2)) as client:
        await asyncio.gather(*(client.get(site.url(), max_bytes=10) for _ in range(8)))
    assert most == 2


async def test_a_certificate_of_nobodys_is_refused(client: SafeClient, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path / "own.pem"))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchFailed, match="certificate"):
            await client.get(f"https://127.0.0.1:{port}/", max_bytes=10)


def _self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path
