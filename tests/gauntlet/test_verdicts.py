"""The gauntlet finds what is wrong, says what it could not try, and attacks nobody without leave."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.edge.sockets import PATIENCE_SECONDS
from tests.edge.world import NUMBER
from tests.gauntlet.ground import PASSWORD, USER, ground
from tests.gauntlet.phone import Phone, ringing
from tests.gauntlet.servers import bad_server
from voice.cli.main import run as command
from voice.gauntlet.aim import BadAim, located
from voice.gauntlet.attack import Attack, Result, Verdict
from voice.gauntlet.field import Field
from voice.gauntlet.reply import read_reply, statuses
from voice.gauntlet.runner import ATTACKS, run

pytestmark = pytest.mark.long


def family(*names: str) -> list[Attack]:
    return [attack for attack in ATTACKS if attack.family in names]


def by_name(results: list[Result]) -> dict[str, Result]:
    return {result.attack: result for result in results}


async def test_a_server_that_says_yes_to_all_fails() -> None:
    reasons = {
        "well-known scanners": "a scanner",
        "numbers tried by INVITE": "may be called without a login",
        "what the answers tell": "which software",
        "all methods by a Route": "where a stranger said",
        "a REGISTER that names it": "registered without a login",
        "BYE in a guessed dialog": "a request in no call was taken",
        "of nothing": "cancelled what there is not",
        "3.1.2.16 badvers": "not what the RFC wants",
        "Max-Forwards 0": "Max-Forwards 0 was let pass",
    }
    async with bad_server() as aim:
        chosen = [attack for attack in ATTACKS if attack.name in (*reasons, "a spiral")]
        found = by_name(await run(aim, chosen))
    for name, reason in reasons.items():
        assert found[name].verdict is Verdict.FAIL, found[name]
        assert reason in found[name].reason
    assert found["a spiral"].verdict is Verdict.SKIP
    assert found["a spiral"].reason == "needs a number that may be called: say --number"


async def test_a_server_that_dies_of_an_attack_fails_it_and_all_that_follow() -> None:
    async def harmless(_field: Field) -> str:
        return "nothing"

    attacks = [
        Attack(family="x", name=name, expected="", run=harmless) for name in ("before", "deadly", "after")
    ]
    # An OPTIONS before all; for each attack one of the attacker, and one of the good caller afterwards.
    async with bad_server(dies_after=4) as aim:
        results = await run(aim, attacks)
    assert [result.verdict for result in results] == [Verdict.PASS, Verdict.FAIL, Verdict.FAIL]
    assert results[1].reason.startswith("afterwards: OPTIONS is not answered")


async def test_a_server_that_is_gone_is_not_attacked_any_further() -> None:
    async def harmless(_field: Field) -> str:
        return "nothing"

    async with bad_server(dies_after=1) as aim:
        results = await run(
            replace(aim, patience=0.05), [Attack(family="x", name="x", expected="", run=harmless)] * 7
        )
    assert [result.verdict for result in results] == [Verdict.FAIL] * 5 + [Verdict.SKIP] * 2
    assert results[5].reason == "not made: after 5 attacks in a row nobody was served"


async def test_no_attack_begins_when_the_time_is_over() -> None:
    async def slow(_field: Field) -> str:
        await asyncio.sleep(0.3)
        return "nothing"

    async with bad_server() as aim:
        results = await run(
            replace(aim, at_most=0.2), [Attack(family="x", name="x", expected="", run=slow)] * 3
        )
    assert [result.verdict for result in results] == [Verdict.PASS, Verdict.SKIP, Verdict.SKIP]
    assert results[2].reason == "not made: 0.2 s are over, see --at-most"


async def test_an_attack_with_a_bug_of_its_own_is_no_pass_and_does_not_end_the_others() -> None:
    async def broken(_field: Field) -> str:
        raise ZeroDivisionError

    async with bad_server() as aim:
        results = await run(aim, [Attack(family="x", name="x", expected="", run=broken)] * 2)
    assert [result.verdict for result in results] == [Verdict.FAIL] * 2
    assert "ZeroDivisionError" in results[0].reason


async def test_a_server_that_serves_nobody_is_not_attacked() -> None:
    async with bad_server(silent=True) as aim:
        with pytest.raises(BadAim, match="does not serve its good caller even before an attack"):
            await run(aim, family("scans"))


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("127.0.0.1", ("127.0.0.1", "127.0.0.1", 5060)),
        ("127.0.0.1:5070", ("127.0.0.1", "127.0.0.1", 5070)),
        ("[::1]:5070", ("[::1]", "::1", 5070)),
        ("::1", ("[::1]", "::1", 5060)),
        ("10.1.2.3", ("10.1.2.3", "10.1.2.3", 5060)),
        ("192.168.0.1", ("192.168.0.1", "192.168.0.1", 5060)),
    ],
)
def test_near_targets_may_be_attacked(target: str, found: tuple[str, str, int]) -> None:
    assert located(target, "udp", permitted=False) == found


def test_tls_has_a_port_of_its_own() -> None:
    assert located("127.0.0.1", "tls", permitted=False)[2] == 5061


@pytest.mark.parametrize("target", ["8.8.8.8", "[2001:4860:4860::8888]:5060", "224.0.0.1"])
def test_others_may_not_unless_it_is_said(target: str) -> None:
    with pytest.raises(BadAim, match="--i-may-attack-this"):
        located(target, "udp", permitted=False)
    assert located(target, "udp", permitted=True)[2] == 5060


@pytest.mark.parametrize("target", ["", ":5060", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"])
def test_what_is_no_target_is_named(target: str) -> None:
    with pytest.raises(BadAim, match=r"Write HOST"):
        located(target, "udp", permitted=False)


def test_replies_are_read_whatever_they_are() -> None:
    folded = read_reply(b"SIP/2.0 200 \r\nv: a,\r\n b\r\nt:x\r\nno colon\r\n\r\nbody")
    assert (folded.status, folded.get("via"), folded.get("to"), folded.get("from")) == (200, "a, b", "x", "")
    request = read_reply(b"BYE sip:x SIP/2.0\r\n\r\n")
    junk = read_reply(b"\xff" * 5)
    assert statuses([folded, folded, request, junk]) == "200 (2 times), BYE, 5 bytes that are no SIP"


async def started(folder: Path, repository: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voice.cli.main", *arguments),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository), "PYTHONWARNINGS": "error"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Whoever runs the tests in the background may have SIGINT ignored, which is handed down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


async def trunkflow(folder: Path, repository: Path, *arguments: str) -> tuple[int, str, str]:
    process = await started(folder, repository, *arguments)
    out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def test_the_command(tmp_path: Path, repository: Path) -> None:
    async with ground() as stage:
        target = f"127.0.0.1:{stage.aim.port}"
        login = ("--number", NUMBER, "--user", USER, "--password", PASSWORD)
        aimed = ("gauntlet", target, "--domain", stage.aim.domain, *login, "--only")
        status, table, errors = await trunkflow(tmp_path, repository, *aimed, "retransmission")
        assert (status, errors) == (0, "")
        assert "a good INVITE 5 times" in table
        assert table.splitlines()[-1] == "8 pass, 0 fail, 0 skip."
        status, out, _ = await trunkflow(tmp_path, repository, *aimed, "digest vectors", "--json")
        assert status == 0
        assert {row["verdict"] for row in json.loads(out)} == {"pass"}
        assert stage.edge.snapshot().bugs == 0


async def test_the_command_ends_with_1_when_something_failed(tmp_path: Path, repository: Path) -> None:
    async with bad_server() as aim:
        status, table, _ = await trunkflow(
            tmp_path, repository, "gauntlet", f"127.0.0.1:{aim.port}", "--only", "loops"
        )
    assert status == 1
    assert "Max-Forwards 0 was let pass" in table


async def test_the_command_shows_what_it_has_when_it_is_interrupted(tmp_path: Path, repository: Path) -> None:
    phone = Phone()
    async with ringing(phone) as aim:
        target = f"{aim.host}:{aim.port}"
        process = await started(tmp_path, repository, "gauntlet", target, "--number", NUMBER)
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            while phone.good_calls < 3:
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        table, errors = await process.communicate()
    assert process.returncode == 1
    assert re.fullmatch(r"\s*Interrupted: \d+ attacks were not made\.\n", errors.decode())
    assert "is let in as it is" in table.decode()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("8.8.8.8",), "neither loopback nor a private address"),
        (("127.0.0.1", "--transport", "sctp"), "sctp is no transport"),
        (("127.0.0.1", "--user", "x"), "both --user and --password"),
        (("127.0.0.1", "--only", "x"), "x is no family of attacks"),
    ],
)
def test_the_command_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert command(["gauntlet", *arguments]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert said in errors
