"""Who is not let in, what they are told, and what is on record of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.conftest import MakePlatform
from tests.e2e.flows import flow, hangup, record, say
from tests.e2e.node import BASE_DOMAIN, NUMBER, PASSWORD, USER, account, settings_text, trunkflow_json
from tests.sipp import caller_arguments, sipp
from voice.records import CallEnded, CallStatus, Refusal

STRANGE_NUMBER = "+31209999999"


@pytest.mark.peer
@pytest.mark.parametrize(
    ("scenario", "status", "number", "domain", "password", "gate", "advice"),
    [
        ("refused", 404, NUMBER, "nobody", PASSWORD, "domain", "with the label of your domain"),
        ("refused", 403, NUMBER, "far", PASSWORD, "acl", "127.0.0.1"),
        ("refused_after_digest", 407, NUMBER, "acme", "a wrong password", "digest", "password"),
        ("refused_after_digest", 404, STRANGE_NUMBER, "acme", PASSWORD, "route", STRANGE_NUMBER),
    ],
    ids=["unknown domain", "wrong network", "wrong password", "unknown number"],
)
async def test_a_refusal_leaves_a_record_with_a_remedy(
    node: MakePlatform,
    tmp_path: Path,
    scenario: str,
    status: int,
    number: str,
    domain: str,
    password: str,
    gate: str,
    advice: str,
) -> None:
    accounts = account(flow=flow(say())) + account("far", networks=("192.0.2.0/24",))
    async with node(accounts) as here:
        who = caller_arguments(number, f"{domain}.{BASE_DOMAIN}", USER, password)
        async with sipp(
            scenario, here.door(), *who, folder=tmp_path / "sipp", values={"STATUS": str(status)}
        ) as caller:
            run = await caller.done()
        refusal = await here.notes.first(Refusal)
    run.check()
    assert (refusal.gate, refusal.sip_status) == (gate, status)
    assert advice in refusal.remedy
    assert refusal.request_uri == f"sip:{number}@{domain}.{BASE_DOMAIN}"
    (row,) = await trunkflow_json("refusals", config=here.config)
    assert (row["gate"], row["rule"], row["remedy"]) == (gate, refusal.rule, refusal.remedy)
    assert row["domain"] == (None if domain == "nobody" else domain)
    assert password not in str(row)


@pytest.mark.peer
async def test_a_source_that_nothing_admits_is_met_with_silence(node: MakePlatform, tmp_path: Path) -> None:
    async with node(account(networks=("127.0.0.1",), flow=flow(say()))) as here:
        who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
        async with sipp(
            "refused", here.door(), *who, folder=tmp_path / "sipp", host="127.0.0.2", values={"STATUS": "403"}
        ) as stranger:
            refusal = await here.notes.first(Refusal)
            # Sent again after half a second, and not answered either.
            await here.messages(2)
            assert "message received" not in stranger.messages()
    assert refusal.gate == "source"
    assert refusal.source_address.startswith("127.0.0.2:")


async def test_one_call_too_many_is_refused_until_a_place_is_free(node: MakePlatform) -> None:
    limits = "concurrent_calls = 1"
    async with node(account(flow=flow(record()), limits=limits)) as here:
        async with here.pbx() as first:
            await first.event("media")
            async with here.pbx() as second:
                assert await second.ended() == 503
            await first.do("hangup")
            assert await first.ended() == 200
        await here.idle()
        async with here.pbx() as third:
            await third.event("media")
            await third.do("hangup")
            await third.ended()
        (refusal,) = here.notes.all(Refusal)
    assert (refusal.gate, refusal.sip_status) == ("limits", 503)
    assert "raise its concurrent calls" in refusal.remedy


@pytest.mark.peer
async def test_a_full_pool_says_when_to_come_back(node: MakePlatform, tmp_path: Path) -> None:
    settings = settings_text().replace("max_processes = 12", "max_processes = 1")
    async with node(account(flow=flow(record())), settings) as here:
        async with here.pbx() as first:
            await first.event("media")
            who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
            async with sipp(
                "refused_after_digest", here.door(), *who, folder=tmp_path / "sipp", values={"STATUS": "503"}
            ) as second:
                run = await second.done()
            await first.do("hangup")
            await first.ended()
        refusal = await here.notes.first(Refusal)
        ends = await here.notes.some(2, CallEnded)
    run.check()
    assert "\nRetry-After: " in run.received("SIP/2.0 503")[0]
    assert (refusal.gate, refusal.sip_status) == ("pool", 503)
    assert "max_processes is 1" in refusal.remedy
    assert {end.status for end in ends} == {CallStatus.FAILED, CallStatus.ENDED}


@pytest.mark.peer
async def test_calls_that_come_too_fast_are_told_when_to_come_back(
    node: MakePlatform, tmp_path: Path
) -> None:
    limits = "calls_per_second = 0.01"
    async with node(account(flow=flow(hangup("busy")), limits=limits)) as here:
        async with here.pbx() as first:
            assert await first.ended() == 486
        who = caller_arguments(NUMBER, f"acme.{BASE_DOMAIN}", USER, PASSWORD)
        async with sipp(
            "refused_after_digest", here.door(), *who, folder=tmp_path / "sipp", values={"STATUS": "503"}
        ) as second:
            run = await second.done()
        (refusal,) = here.notes.all(Refusal)
    run.check()
    told = re.search(r"\nRetry-After: (\d+)\n", run.received("SIP/2.0 503")[0])
    assert told is not None
    assert 50 < int(told[1]) <= 100, "until there is one call more, from the first one on"
    assert refusal.gate == "limits"
    assert "calls per second" in refusal.rule
