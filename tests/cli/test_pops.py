"""``trunkflow pops`` and ``trunkflow dns zone``, run in this process."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import dns.zone
import pytest

from tests.cli.console import CALL, Run, remember, started
from voice.edge.core.liveness import PopReport, PopState
from voice.pop_states import FILE, STALE_SECONDS, keep_written, read_states

RELAY = '[node.relay]\nkey = "a key that all points of presence share"\n'
POPS = """
[pops.eu1]
region = "EU"
address = "192.0.2.1:5060"
[pops.us1]
region = "US"
address = "192.0.2.2:5060"
[pops.us2]
region = "US"
"""


def report(name: str, state: PopState) -> PopReport:
    return PopReport(
        name=name,
        region="US",
        address="192.0.2.2:5060",
        state=state,
        since=1_767_225_600.0,
        round_trip_ms=81.5,
        missed=0,
        why="no answer to OPTIONS",
        taken=3,
        untaken=1,
    )


@pytest.fixture
def applied(trunkflow: Run, tmp_path: Path) -> Run:
    path = tmp_path / "trunkflow.toml"
    path.write_text(path.read_text().replace("\n\n", f"\n{RELAY}\n", 1) + POPS)
    status, _, errors = trunkflow("apply", "trunkflow.toml")
    assert status == 0, errors
    return trunkflow


def test_nobody_knows_without_a_node(applied: Run) -> None:
    status, output, _ = applied("pops")
    assert status == 0
    assert "192.0.2.2:5060" in output
    assert "No node runs with this data directory" in output


def test_what_the_node_believes(applied: Run, tmp_path: Path) -> None:
    file = tmp_path / "data" / "run" / FILE

    async def node() -> None:
        reports = [report("us1", PopState.DOWN)]
        writing = asyncio.create_task(keep_written(file, lambda: reports))
        async with asyncio.timeout(10):
            while not file.exists():
                await asyncio.sleep(0.01)
            reports[0] = report("us1", PopState.ALIVE)
            while '"alive"' not in file.read_text():
                await asyncio.sleep(0.01)
            reports[0] = report("us1", PopState.DOWN)
            while '"down"' not in file.read_text():
                await asyncio.sleep(0.01)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    file.parent.mkdir(exist_ok=True)
    asyncio.run(node())
    _, output, _ = applied("pops", "--json")
    rows = {row["name"]: row for row in json.loads(output)}
    assert (rows["us1"]["state"], rows["us1"]["since"]) == ("down", "2026-01-01T00:00:00.000Z")
    assert rows["us1"]["why"] == "no answer to OPTIONS"
    assert rows["eu1"]["state"] is None
    _, output, _ = applied("pops")
    assert "down" in output
    assert "No node" not in output


def test_a_relayed_call_is_explained_where_it_is_handled(applied: Run, tmp_path: Path) -> None:
    remember(tmp_path, started(CALL, relayed_by="us1"))
    assert "POP us1 asked the gates before" in applied("explain", CALL)[1]
    assert re.search(r"relayed by POP +us1", applied("calls", "show", CALL)[1])
    status, _, errors = applied("explain", "elsewhere@pbx")
    assert status == 1
    assert "ask at POP us1" in errors
    assert "It is the address of POP us1" in applied("explain", "192.0.2.2")[1]
    assert "It is the address of POP" not in applied("explain", "192.0.2.1")[1], "its own"


def test_what_a_node_said_that_is_gone_counts_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / FILE
    assert read_states(file, 0.0) is None
    file.write_text('{"at": 100.0, "pops": [{"name": "eu1"}]}')
    assert read_states(file, 100.0 + STALE_SECONDS - 1) == {"eu1": {"name": "eu1"}}
    assert read_states(file, 100.0 + STALE_SECONDS + 1) is None
    file.write_text("{")
    assert read_states(file, 100.0) is None


def test_the_zone_of_what_is_configured(applied: Run) -> None:
    status, output, errors = applied(
        "dns", "zone", "--ns", "ns.example.net", "--contact", "j.doe@example.com", "--serial", "5", "--no-tls"
    )
    assert status == 0
    assert errors == "Without an address, and so not in the zone: us2.\n"
    found = dns.zone.from_text(output, origin="sip.example.com.", relativize=False)
    soa = str(found.find_rdataset("sip.example.com.", "SOA")[0])
    assert soa == r"ns.example.net. j\.doe.example.com. 5 3600 600 1209600 60"
    names = {str(name) for name in found}
    for name in (
        "acme",
        "acme.us1",
        "acme.us2",
        "beta.eu1",
        "_sip._udp.beta",
        "_sip._tcp.acme.us1",
        "edge-us1",
    ):
        assert f"{name}.sip.example.com." in names
    assert not any("_sips" in name for name in names)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ns", "ns=here"), "is not an IP address"),
        (("--ns", "acme.sip.example.com"), "is a customer's domain"),
        (("--ns", "ns.example.net", "--contact", "nobody"), "is no mailbox"),
    ],
)
def test_faults_of_the_zone(applied: Run, arguments: tuple[str, ...], said: str) -> None:
    status, _, errors = applied("dns", "zone", *arguments)
    assert status == 1
    assert said in errors
