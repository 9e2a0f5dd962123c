"""Calls between POPs, on real sockets: an edge for each, which relay to one another and watch one another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sip_config.gateway_options import GatewayOptions
from sip_config.identity_policy import IdentityPolicy
from tests.edge.platform import QUICK, STEADY, PopEdge, configuration, platform
from tests.edge.sockets import running, settings
from tests.edge.telephone import talk, telephone
from tests.edge.world import (
    BASE,
    NUMBER,
    SDP,
    Dialog,
    ack_of_failure,
    an_account,
    directory,
    gateway,
    with_credentials,
)
from voice.edge.core.liveness import PopState
from voice.edge.core.relay_token import HEADER
from voice.records import CallEnded, CallStarted, Event, Gate, Record, Refusal

PLAIN = f"sip:{NUMBER}@acme.{BASE}"


def bound(pop: str) -> str:
    return f"sip:{NUMBER}@acme.{pop}.{BASE}"


@contextmanager
def hole_at(pop: PopEdge) -> Iterator[None]:
    """Whatever is sent to a POP vanishes, and it sends nothing."""
    loop = asyncio.get_running_loop()
    sockets = list(pop.edge._udp.values())
    for udp in sockets:
        loop.remove_reader(udp._socket.fileno())
        udp.send = lambda data, flow: None  # type: ignore[method-assign]
    yield


def calls_of(pop: PopEdge) -> list[Record]:
    """What an edge has on record, but for what it believed of others."""
    return [record for record in pop.records.all if not isinstance(record, Event)]


def refusals(pops: dict[str, PopEdge]) -> list[Refusal]:
    """What all edges refused."""
    return [record for pop in pops.values() for record in pop.records.all if isinstance(record, Refusal)]


async def test_a_call_is_relayed_to_the_home_region_and_everything_of_it_passes_both_edges() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "eu1"], relay=STEADY, gateways=[way_out]) as pops:
            us1, eu1 = pops["us1"], pops["eu1"]
            invite = pbx.request("INVITE", PLAIN, body=b"v=0\r\n")
            near, far, arrived = await talk(pbx, carrier, us1.address, invite)
            assert [(via.host, via.port) for via in arrived.vias] == [
                eu1.address,
                us1.address,
                (pbx.host, pbx.port),
            ]
            assert HEADER not in arrived.headers
            assert near.target.partition("@")[2].startswith(us1.address[0])
            near.send("INFO")
            carrier.answer(await carrier.request_of("INFO"), 200)
            await pbx.response_of(200)
            far.send("INFO")
            pbx.answer(await pbx.request_of("INFO"), 200)
            await carrier.response_of(200)
            far.send("BYE")
            pbx.answer(await pbx.request_of("BYE"), 200)
            await carrier.response_of(200)
            started = await eu1.records.first(CallStarted)
            ended = await eu1.records.first(CallEnded)
            assert (started.source_address, started.acl) == (f"{pbx.host}:{pbx.port}", "office")
            assert ended.call_id == started.call_id
            assert calls_of(us1) == [], "the POP that handles a call keeps its records, and it alone"
            assert us1.edge.snapshot().calls == eu1.edge.snapshot().calls == {}


async def test_a_call_that_lasts_too_long_is_ended_through_both_edges() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        account = an_account(max_call_seconds=1)
        async with platform(["us1", "eu1"], gateways=[way_out], account=account) as pops:
            near, far, _ = await talk(pbx, carrier, pops["us1"].address, pbx.request("INVITE", PLAIN))
            for end, dialog in ((pbx, near), (carrier, far)):
                bye = await end.request_of("BYE")
                assert (bye.headers.get("From"), bye.headers.get("To")) == (dialog.remote, dialog.local)
                end.answer(bye, 200)
            assert "longest duration" in (await pops["eu1"].records.first(CallEnded)).reason


async def test_the_second_edge_asks_for_no_digest_and_its_own_lists_need_not_know_the_caller() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(
            ["us1", "eu1"], relay=STEADY, gateways=[way_out], users={"pbx": "secret"}
        ) as pops:
            invite = pbx.request("INVITE", PLAIN)
            pbx.calls(pops["us1"].address, invite)
            challenge = await pbx.response_of(407)
            pbx.send(ack_of_failure(invite, challenge))
            again = with_credentials(invite, challenge, "pbx", "secret")
            await talk(pbx, carrier, pops["us1"].address, again)
            started = await pops["eu1"].records.first(CallStarted)
            assert started.sip_account == "pbx"


async def test_who_calls_is_judged_by_the_pop_that_handles_the_call_and_told_in_every_message() -> None:
    account = replace(an_account(), identity=IdentityPolicy(verified=("+31201111111",)))
    with telephone() as pbx, telephone() as carrier:
        options = GatewayOptions(trusted=True)
        way_out = gateway(host=carrier.host, port=carrier.port, options=options)
        async with platform(["us1", "eu1"], gateways=[way_out], account=account) as pops:
            claims = (("Remote-Party-ID", "<sip:+31201111111@pbx>;privacy=full"), ("Subject", "private"))
            invite = pbx.request("INVITE", PLAIN, *claims, from_="<sip:a@anonymous.invalid>;tag=x")
            near, _, arrived = await talk(pbx, carrier, pops["us1"].address, invite)
            near.send("INFO")
            for message in (arrived, await carrier.request_of("INFO")):
                assert "<tel:+31201111111>" in message.headers.values("P-Asserted-Identity")
                assert message.headers.get("Privacy") == "id"
                assert "Remote-Party-ID" not in message.headers
            started = await pops["eu1"].records.first(CallStarted)
            assert started.source == "+31201111111"


async def test_a_caller_that_gives_up_is_believed_at_both_edges() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "eu1"], relay=STEADY, gateways=[way_out]) as pops:
            invite = pbx.request("INVITE", PLAIN)
            pbx.calls(pops["us1"].address, invite)
            arrived = await carrier.request_of("INVITE")
            carrier.answer(arrived, 180)
            await pbx.response_of(180)
            cancel = invite.copy()
            cancel.method = "CANCEL"
            cancel.headers.set("CSeq", "1 CANCEL")
            cancel.headers.remove("Contact")
            pbx.send(cancel)
            carrier.answer(await carrier.request_of("CANCEL"), 200)
            carrier.answer(arrived, 487)
            await pbx.response_of(200)
            pbx.send(ack_of_failure(invite, await pbx.response_of(487)))
            await pops["eu1"].records.first(CallEnded)


async def test_limits_hold_where_the_call_is_handled_and_nobody_tries_another_pop() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        account = an_account(concurrent_calls=0)
        async with platform(["us1", "eu1", "eu2"], relay=STEADY, gateways=[way_out], account=account) as pops:
            invite = pbx.request("INVITE", PLAIN)
            pbx.calls(pops["us1"].address, invite)
            pbx.send(ack_of_failure(invite, await pbx.response_of(503)))
            [refusal] = refusals(pops)
            assert refusal.cause == "account-concurrent-calls"
            assert calls_of(pops["us1"]) == []


async def test_a_pop_that_stays_silent_costs_a_call_less_than_four_seconds() -> None:
    """Nothing is known of the dead POPs yet when the call comes: their silence alone moves it."""
    relay = replace(QUICK, interval_seconds=60.0, silence_seconds=1.0)
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(
            ["us1", "eu1", "eu2"], relay=relay, gateways=[way_out], absent=["eu1", "eu2"]
        ) as pops:
            began = asyncio.get_running_loop().time()
            near, _, _ = await talk(pbx, carrier, pops["us1"].address, pbx.request("INVITE", PLAIN))
            assert 2.0 <= asyncio.get_running_loop().time() - began < 4.0
            started = await pops["us1"].records.first(CallStarted)
            assert started.domain == "acme"
            near.send("BYE")
            carrier.answer(await carrier.request_of("BYE"), 200)
            await pops["us1"].records.first(CallEnded)
            tried = {
                report.name: (report.taken, report.untaken) for report in pops["us1"].edge.snapshot().pops
            }
            assert tried == {"us1": (0, 0), "eu1": (0, 1), "eu2": (0, 1)}


async def test_a_pop_that_is_known_to_be_down_costs_nothing() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        relay = replace(QUICK, silence_seconds=30.0)
        async with platform(["us1", "eu1", "eu2"], relay=relay, gateways=[way_out], absent=["eu1"]) as pops:
            await pops["us1"].believes("eu1", PopState.DOWN)
            await pops["us1"].believes("eu2", PopState.ALIVE)
            for _ in range(5):
                await talk(pbx, carrier, pops["us1"].address, pbx.request("INVITE", bound("eu1")))
            started = [one for one in pops["eu2"].records.all if isinstance(one, CallStarted)]
            assert len(started) == 5


async def test_a_bound_name_does_not_leave_its_region() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "us2", "eu1"], gateways=[way_out], absent=["us1", "us2"]) as pops:
            invite = pbx.request("INVITE", bound("us1"))
            pbx.calls(pops["eu1"].address, invite)
            answer = await pbx.response_of(503)
            assert answer.headers.get("Retry-After") == "5"
            [refusal] = refusals(pops)
            assert (refusal.gate, refusal.cause, refusal.sip_status) == (Gate.POP, "pop-region-down", 503)
            assert "us1, us2" in refusal.remedy
            pbx.send(ack_of_failure(invite, answer))
            # Known to be down: refused at once, for the same reason, and the plain name still works.
            await pops["eu1"].believes("us1", PopState.DOWN)
            await pops["eu1"].believes("us2", PopState.DOWN)
            again = pbx.request("INVITE", bound("us1"))
            pbx.send(again)
            pbx.send(ack_of_failure(again, await pbx.response_of(503)))
            await talk(pbx, carrier, pops["eu1"].address, pbx.request("INVITE", PLAIN))


async def test_a_name_that_is_bound_to_this_pop_or_the_other_of_its_region_is_handled_here() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "us2", "eu1"], gateways=[way_out], absent=["us2"]) as pops:
            for name in ("us1", "us2"):
                invite = pbx.request("INVITE", bound(name))
                _, _, arrived = await talk(pbx, carrier, pops["us1"].address, invite)
                assert len(arrived.vias) == 2, "one edge and the caller"


async def test_established_calls_are_untouched_when_a_pop_is_believed_to_be_down() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "eu1"], gateways=[way_out]) as pops:
            near, far, _ = await talk(pbx, carrier, pops["us1"].address, pbx.request("INVITE", PLAIN))
            pops["eu1"].edge.drain()
            await pops["us1"].believes("eu1", PopState.DOWN)
            # A new call is handled elsewhere, without trying the POP that is being stopped.
            await talk(pbx, carrier, pops["us1"].address, pbx.request("INVITE", PLAIN))
            await pops["us1"].records.first(CallStarted)
            near.send("INFO")
            carrier.answer(await carrier.request_of("INFO"), 200)
            await pbx.response_of(200)
            far.send("BYE")
            pbx.answer(await pbx.request_of("BYE"), 200)
            await carrier.response_of(200)
            assert (await pops["eu1"].records.first(CallEnded)).reason == "The called party hung up."


async def test_a_pop_with_another_key_takes_nothing_over_and_says_why() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(
            ["us1", "eu1"],
            relay=STEADY,
            gateways=[way_out],
            keys={"eu1": b"another key of 32 bytes, for eu1!"[:32]},
        ) as pops:
            await talk(pbx, carrier, pops["us1"].address, pbx.request("INVITE", PLAIN))
            [refusal] = refusals(pops)
            assert (refusal.gate, refusal.cause) == (Gate.POP, "relay-seal")
            assert "same key" in refusal.remedy
            assert [type(one) for one in calls_of(pops["eu1"])] == [Refusal]
            await pops["us1"].records.first(CallStarted)


async def test_a_stranger_gains_nothing_by_a_token() -> None:
    """It knows the header, and has even overheard a token that was good for another call."""
    with telephone() as pbx, telephone() as carrier, telephone("127.0.0.66") as stranger:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(
            ["us1", "eu1"], relay=STEADY, gateways=[way_out], networks=["127.0.0.1/32"]
        ) as pops:
            forged = stranger.request("INVITE", PLAIN, (HEADER, "A" * 300))
            stranger.calls(pops["eu1"].address, forged)
            pbx.calls(pops["eu1"].address, pbx.request("INVITE", PLAIN, (HEADER, "A" * 300)))
            assert HEADER not in (await carrier.request_of("INVITE")).headers
            assert stranger.inbox == []
            [refusal] = refusals(pops)
            assert refusal.cause == "source-unknown"


async def test_a_call_that_a_pop_took_and_had_no_time_to_ring_is_moved_when_the_pop_is_lost() -> None:
    """The POP has said 100, so silence says nothing; that it is down does."""
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "eu1"], gateways=[way_out]) as pops:
            await pops["us1"].believes("eu1", PopState.ALIVE)
            invite = pbx.request("INVITE", PLAIN)
            pbx.calls(pops["us1"].address, invite)
            first = await carrier.request_of("INVITE")
            assert first.vias[0].host == pops["eu1"].address[0]
            # From here on eu1 neither hears nor says anything.
            with hole_at(pops["eu1"]):
                began = asyncio.get_running_loop().time()
                second = await carrier.request_of("INVITE")
                assert asyncio.get_running_loop().time() - began < 4.0
                assert second.vias[0].host == pops["us1"].address[0]
                carrier.answer(second, 200, body=SDP)
                ok = await pbx.response_of(200)
                Dialog.of_caller(pbx, ok).send("ACK", cseq=ok.cseq.number)
                await carrier.request_of("ACK")


async def test_a_pop_is_heard_however_its_ipv6_address_is_written() -> None:
    async with running(directory(networks=("::1/128",)), settings("::1")) as (other, _):
        written = f"[0:0:0:0:0:0:0:1]:{other.addresses[0].port}"
        config = configuration("eu1", {"eu1": None, "us1": written})
        async with running(config, replace(settings("::1"), relay=QUICK)) as (edge, records):
            await PopEdge("eu1", edge, records).believes("us1", PopState.ALIVE)


async def test_a_call_that_rings_is_left_where_it_rings() -> None:
    with telephone() as pbx, telephone() as carrier:
        way_out = gateway(host=carrier.host, port=carrier.port)
        async with platform(["us1", "eu1"], gateways=[way_out]) as pops:
            await pops["us1"].believes("eu1", PopState.ALIVE)
            pbx.calls(pops["us1"].address, pbx.request("INVITE", PLAIN))
            arrived = await carrier.request_of("INVITE")
            carrier.answer(arrived, 180)
            await pbx.response_of(180)
            pops["eu1"].edge.drain()
            await pops["us1"].believes("eu1", PopState.DOWN)
            carrier.answer(arrived, 200, body=SDP)
            await pbx.response_of(200)
            assert carrier.inbox == []
