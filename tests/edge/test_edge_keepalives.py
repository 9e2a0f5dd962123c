"""Keepalives over UDP: STUN (RFC 5626, RFC 8489), and what telephones send without a standard."""

from __future__ import annotations

import os
import struct
from ipaddress import ip_address
from zlib import crc32

import pytest

from tests.edge.sockets import address, received, running, settings, udp_socket
from tests.edge.world import PBX, World, directory
from voice.records import Refusal
from voice.sip.flow import Flow
from voice.sip.stun import binding_response

COOKIE = b"\x21\x12\xa4\x42"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


def binding(attributes: bytes = b"", kind: int = 1, cookie: bytes = COOKIE) -> bytes:
    return struct.pack("!HH", kind, len(attributes)) + cookie + TRANSACTION + attributes


def mapped(answer: bytes) -> tuple[str, int]:
    """What XOR-MAPPED-ADDRESS says, with the header and the fingerprint checked."""
    kind, length = struct.unpack_from("!HH", answer)
    assert (kind, length, answer[4:8], answer[8:20]) == (0x0101, len(answer) - 20, COOKIE, TRANSACTION)
    name, size, _, family, port = struct.unpack_from("!HHBBH", answer, 20)
    assert name == 0x0020
    mask = COOKIE + TRANSACTION
    packed = bytes(one ^ other for one, other in zip(answer[28 : 24 + size], mask, strict=False))
    assert family == (1 if len(packed) == 4 else 2)
    print_name, four, print_value = struct.unpack("!HHI", answer[24 + size :])
    assert (print_name, four) == (0x8028, 4)
    assert print_value == crc32(answer[: 24 + size]) ^ 0x5354554E
    return str(ip_address(packed)), port ^ 0x2112


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 32853), ("2001:db8:1234:5678:11:2233:4455:6677", 1)]
)
def test_the_answer_says_where_the_request_came_from(host: str, port: int) -> None:
    answer = binding_response(binding(), host, port)
    assert answer is not None
    assert mapped(answer) == (host, port)


def test_the_mapped_address_is_that_of_rfc_5769() -> None:
    """Sections 2.2 and 2.3: the same transaction and addresses."""
    four = binding_response(binding(), "192.0.2.1", 32853)
    assert four is not None
    assert four[20:32] == bytes.fromhex("002000080001a147e112a643")
    six = binding_response(binding(), "2001:db8:1234:5678:11:2233:4455:6677", 32853)
    assert six is not None
    assert six[20:44] == bytes.fromhex("002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        binding(kind=0x0101),
        binding(cookie=b"abcd"),
        binding() + b"more",
        binding(b"odd"),
        binding(bytes(600)),
        b"OPTIONS sip:x SIP/2.0\r\n\r\n",
    ],
)
def test_anything_else_is_not_answered(data: bytes) -> None:
    assert binding_response(data, "192.0.2.1", 1) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_client_learns_its_address(host: str) -> None:
    config = directory(networks=("127.0.0.0/8", "::1/128"))
    async with running(config, settings(host)) as (edge, _):
        with udp_socket(host) as sock:
            sock.connect(address(edge, "UDP"))
            sock.send(binding(struct.pack("!HH", 0x8022, 4) + b"test"))
            assert mapped(await received(sock)) == sock.getsockname()[:2]


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n", b"\0\0\0\0", b" ", b""])
def test_blank_datagrams_are_no_refusals(data: bytes) -> None:
    world = World(directory())
    pbx = world.agent(PBX)
    world.send(data, pbx.flow)
    pbx.gets_nothing()
    assert world.said(Refusal) == []


def test_strangers_are_not_answered() -> None:
    world = World(directory())
    world.send(binding(), Flow("UDP", 1, "77.1.2.3", 5060))
    assert world.nowhere == []
    assert [one.cause for one in world.said(Refusal)] == ["source-unknown"]


def test_junk_from_a_known_source_is_still_on_record() -> None:
    world = World(directory())
    pbx = world.agent(PBX)
    world.send(b"\0\1" + os.urandom(30), pbx.flow)
    assert [one.cause for one in world.said(Refusal)] == ["malformed"]
