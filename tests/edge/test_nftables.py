"""Bans in the kernel, by the real nft in a network namespace of the test's own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voice.bans import Ban, BanReason
from voice.nftables import Nftables

NOW = 1_800_000_000.0
PORT = 5060

needs_nft = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None or shutil.which("ip") is None,
    reason="making a network namespace takes root, and the programs ip and nft (Debian: iproute2, nftables)",
)


@pytest.fixture
def namespace() -> Iterator[str]:
    name = f"tf-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside(name, "ip", "link", "set", "lo", "up")
        inside(name, "ip", "addr", "add", "2001:db8:66::1/64", "dev", "lo", "nodad")
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def inside(namespace: str, *command: str) -> str:
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *command], check=True, capture_output=True, text=True
    )
    return done.stdout


def kept_out(namespace: str) -> dict[str, set[str]]:
    """What the kernel's sets hold."""
    found: dict[str, set[str]] = {}
    for entry in json.loads(inside(namespace, "nft", "-j", "list", "table", "inet", "trunkflow"))["nftables"]:
        if "set" in entry:
            found[entry["set"]["name"]] = {shown(one) for one in entry["set"].get("elem", [])}
    return found


def shown(element: Any) -> str:
    value = element["elem"]["val"]
    return value if isinstance(value, str) else f"{value['prefix']['addr']}/{value['prefix']['len']}"


def a_ban(address: str, *, seconds: float = 60, proven: bool = True) -> Ban:
    return Ban(
        address=address, since=NOW, until=NOW + seconds, reason=BanReason.SCANNER, level=1, proven=proven
    )


def firewall(namespace: str) -> Nftables:
    return Nftables([PORT, 5061], ("ip", "netns", "exec", namespace, "nft"))


@needs_nft
async def test_the_sets_hold_who_is_banned_and_nobody_else(namespace: str) -> None:
    held = firewall(namespace)
    four, six, forged = a_ban("192.0.2.1"), a_ban("2001:db8:1:2::/64"), a_ban("192.0.2.3", proven=False)
    forged6 = a_ban("2001:db8:9::/64", proven=False)
    await held.apply([four, six, forged, forged6], NOW)
    assert kept_out(namespace) == {
        "banned4": {"192.0.2.1"},
        "banned6": {"2001:db8:1:2::/64"},
        "banned4_udp": {"192.0.2.3"},
        "banned6_udp": {"2001:db8:9::/64"},
    }
    # One is released, one is proven by now, one is longer, one is new.
    longer = a_ban("2001:db8:1:2::/64", seconds=6_000)
    await held.apply([longer, a_ban("192.0.2.3"), a_ban("192.0.2.4")], NOW + 1)
    assert kept_out(namespace) == {
        "banned4": {"192.0.2.3", "192.0.2.4"},
        "banned6": {"2001:db8:1:2::/64"},
        "banned4_udp": set(),
        "banned6_udp": set(),
    }
    assert "timeout 1h39m" in inside(namespace, "nft", "list", "set", "inet", "trunkflow", "banned6")
    await held.close()
    assert inside(namespace, "nft", "list", "tables") == ""


@needs_nft
async def test_elements_that_the_kernel_dropped_by_itself_do_no_harm(namespace: str) -> None:
    held = firewall(namespace)
    await held.apply([a_ban("192.0.2.1", seconds=600), a_ban("192.0.2.2", seconds=600)], NOW)
    inside(namespace, "nft", "delete", "element", "inet", "trunkflow", "banned4", "{ 192.0.2.1 }")
    await held.apply([a_ban("192.0.2.2", seconds=900)], NOW + 1)
    assert kept_out(namespace)["banned4"] == {"192.0.2.2"}
    await held.close()


@needs_nft
async def test_what_an_earlier_node_left_is_replaced(namespace: str) -> None:
    killed = firewall(namespace)
    await killed.apply([a_ban("192.0.2.1")], NOW)
    held = firewall(namespace)
    await held.apply([a_ban("192.0.2.2")], NOW)
    assert kept_out(namespace)["banned4"] == {"192.0.2.2"}
    await held.close()


@needs_nft
async def test_ten_thousand_bans_are_fed_in_parts(namespace: str) -> None:
    held = firewall(namespace)
    many = [a_ban(f"10.0.{number >> 8}.{number & 255}") for number in range(10_000)]
    await held.apply(many, NOW)
    assert len(kept_out(namespace)["banned4"]) == 10_000
    await held.apply(many[:10], NOW + 1)
    assert len(kept_out(namespace)["banned4"]) == 10
    await held.close()


@needs_nft
@pytest.mark.parametrize(
    ("source", "banned", "proven", "kind", "arrives"),
    [
        ("127.0.0.66", "127.0.0.66", True, socket.SOCK_DGRAM, False),
        ("127.0.0.66", "127.0.0.66", True, socket.SOCK_STREAM, False),
        ("127.0.0.66", "127.0.0.66", False, socket.SOCK_DGRAM, False),
        ("127.0.0.66", "127.0.0.66", False, socket.SOCK_STREAM, True),
        ("127.0.0.67", "127.0.0.66", True, socket.SOCK_DGRAM, True),
        ("2001:db8:66::1", "2001:db8:66::/64", True, socket.SOCK_DGRAM, False),
    ],
)
async def test_packets_of_the_banned_do_not_arrive(
    namespace: str, source: str, banned: str, proven: bool, kind: int, arrives: bool
) -> None:
    held = firewall(namespace)
    await held.apply([a_ban(banned, proven=proven)], NOW)
    target = "2001:db8:66::1" if ":" in source else "127.0.0.1"
    said = await asyncio.to_thread(inside, namespace, sys.executable, "-c", _TRY, source, target, str(kind))
    assert said.strip() == ("arrived" if arrives else "lost")
    await held.close()


_TRY = f"""
import socket, sys
source, target, kind = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in source else socket.AF_INET
listener, sender = socket.socket(family, kind), socket.socket(family, kind)
for one in (listener, sender):
    one.settimeout(0.5)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((target, {PORT}))
sender.bind((source, 0))
try:
    if kind == socket.SOCK_STREAM:
        listener.listen(1)
        sender.connect((target, {PORT}))
    else:
        sender.sendto(b"x", (target, {PORT}))
        listener.recv(10)
except TimeoutError:
    print("lost")
else:
    print("arrived")
"""


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'Error: Operation not permitted' >&2; exit 1", "Operation not permitted"),
        ("exit 3", "exit status 3"),
        (None, "No such file or directory"),
    ],
)
async def test_a_fault_is_logged_once_a_minute_and_tried_again(
    script: str | None, says: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = tmp_path / "nft"
    if script is not None:
        program.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
        program.chmod(0o755)
    held = Nftables([PORT], (str(program),))
    with caplog.at_level(logging.ERROR):
        for later in range(59):
            await held.apply([a_ban("192.0.2.1")], NOW + later)
        assert len(caplog.records) == 1
        assert says in caplog.text
        assert "set nftables = false in [node.bans]" in caplog.text
        await held.apply([a_ban("192.0.2.1")], NOW + 61)
        assert len(caplog.records) == 2
    program.write_text("#!/bin/sh\ncat >/dev/null\n")
    program.chmod(0o755)
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        await held.apply([a_ban("192.0.2.1")], NOW + 130)
        await held.close()
    assert caplog.records == []


async def test_a_program_that_does_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("voice.nftables.NFT_SECONDS", 0.2)
    program = tmp_path / "nft"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    with caplog.at_level(logging.ERROR):
        await Nftables([PORT], (str(program),)).apply([], NOW)
    assert "did not end within 0.2 s" in caplog.text
