"""Two sipp on the two sides of an edge: a plain trunk with digest, over UDP and TCP, with losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sip_config.gateway_options import PLAIN_CARRIER, GatewayOptions
from sip_config.identity_policy import IdentityPolicy
from sip_config.model import Transport
from tests.edge.sockets import address, running
from tests.edge.world import DOMAIN, NUMBER, an_account, directory, gateway
from tests.ports import free_port
from tests.sipp import DEFAULTS, SippRun, caller_arguments, sipp
from voice.records import CallEnded, CallStarted, CallStatus, Record

pytestmark = pytest.mark.peer

CALLS = 10
CALLER = "+31201111111"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How the calls of a test went."""

    near: SippRun
    far: SippRun
    port: int
    records: list[Record]
    calls: dict[str, int]

    def check(self) -> None:
        self.near.check()
        self.far.check()
        started = [record for record in self.records if isinstance(record, CallStarted)]
        ended = [record for record in self.records if isinstance(record, CallEnded)]
        assert len(started) == len(ended) == CALLS
        assert {end.status for end in ended} == {CallStatus.ENDED}
        assert self.calls == {}
        # Neither side was ever told where the other is.
        assert f":{self.port}" not in self.near.messages


async def trunk_calls(
    folder: Path,
    caller: str,
    carrier: str,
    *arguments: str,
    near: Transport = Transport.UDP,
    far: Transport = Transport.UDP,
    mode: str = "u1",
    values: Mapping[str, str] = DEFAULTS,
    options: GatewayOptions = PLAIN_CARRIER,
) -> Ran:
    """Places calls from one sipp to another through an edge of its own."""
    port = free_port()
    config = directory(
        account=replace(an_account(), identity=IdentityPolicy(verified=(CALLER,))),
        networks=("127.0.0.0/8",),
        users={"pbx": "secret"},
        gateways=[gateway(host="127.0.0.1", port=port, transport=far, options=options)],
    )
    who = caller_arguments(NUMBER, DOMAIN, "pbx", "secret")
    far_mode = "t1" if far is Transport.TCP else "u1"
    async with running(config) as (edge, records):
        answering = sipp(
            carrier, None, "-t", far_mode,
            folder=folder / "carrier", port=port, calls=CALLS, values=values,
        )  # fmt: skip
        async with answering as callee:
            host, door = address(edge, near.value)
            calling = sipp(
                caller, f"{host}:{door}", "-t", mode, "-r", "20", *who, *arguments,
                folder=folder / "pbx", calls=CALLS, values=values,
            )  # fmt: skip
            async with calling as pbx:
                near_run = await pbx.done()
            far_run = await callee.done()
        calls = edge.snapshot().calls
    return Ran(near=near_run, far=far_run, port=port, records=records.all, calls=calls)


@pytest.mark.parametrize(
    ("near", "far", "mode"),
    [
        (Transport.UDP, Transport.UDP, "u1"),
        (Transport.UDP, Transport.UDP, "un"),
        (Transport.TCP, Transport.TCP, "t1"),
        (Transport.TCP, Transport.UDP, "tn"),
        (Transport.UDP, Transport.TCP, "u1"),
    ],
    ids=["udp", "udp, a socket per call", "tcp", "tcp, a connection per call, to udp", "udp to tcp"],
)
async def test_calls_with_hold_and_resume(near: Transport, far: Transport, mode: str, tmp_path: Path) -> None:
    more = ["-max_socket", "100"]
    ran = await trunk_calls(tmp_path, "trunk_call", "carrier", *more, near=near, far=far, mode=mode)
    ran.check()


CLAIMS = f"""P-Asserted-Identity: "Robertina" <sip:{CALLER}@pbx.example>
      P-Asserted-Identity: <tel:{CALLER}>
      Diversion: <tel:{CALLER}>;reason=no-answer
      User-Agent: Robertina's PBX
      Subject: Robertina calls
      Privacy: user"""


async def test_an_identity_stays_in_every_message_that_a_trusted_carrier_gets(tmp_path: Path) -> None:
    values = {**DEFAULTS, "HEADERS": CLAIMS}
    options = GatewayOptions(trusted=True)
    ran = await trunk_calls(tmp_path, "trunk_call", "carrier", values=values, options=options)
    ran.check()
    for method, count in (("INVITE", 3), ("ACK", 3), ("BYE", 1)):
        requests = ran.far.received(method)
        assert len(requests) == count * CALLS
        for request in requests:
            assert f'P-Asserted-Identity: "Robertina" <sip:{CALLER}@' in request, request
            assert f"P-Asserted-Identity: <tel:{CALLER}>" in request, request
            assert "Privacy: user" in request, request
    started = [record for record in ran.records if isinstance(record, CallStarted)]
    assert {record.source for record in started} == {CALLER}


async def test_a_plain_carrier_gets_no_trace_of_a_caller_that_leaves_none(tmp_path: Path) -> None:
    ran = await trunk_calls(tmp_path, "trunk_call", "carrier", values={**DEFAULTS, "HEADERS": CLAIMS})
    ran.check()
    assert len(ran.far.received("INVITE")) == 3 * CALLS
    seen = ran.far.messages.lower()
    for trace in ("robertina", CALLER[1:], "asserted", "diversion", "o=pbx", "pbx@", "privacy"):
        assert trace not in seen
    started = [record for record in ran.records if isinstance(record, CallStarted)]
    assert {record.source for record in started} == {CALLER}
