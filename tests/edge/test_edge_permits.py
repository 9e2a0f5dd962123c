"""What callflows dial and the API calls: by the same rules as trunk calls, whatever way it is written."""

from __future__ import annotations

import pytest

from sip_config.call_limits import UNLIMITED, CallLimits, NumberKind
from sip_config.model import AccountId, Gateway
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    FLOW,
    NUMBER,
    PBX,
    SDP,
    SEAT,
    World,
    an_account,
    directory,
    established,
    gateway,
)
from voice.edge.core.tariff import Funds, Tariff
from voice.pool.orders import DialPlan, Hunting
from voice.records import Gate, Refusal
from voice.sip.message import Request, Response

CALL = "0ca11000-0000-4000-8000-000000000001"
PREMIUM = "+31909123456"
PHONE = "5.5.5.1"
NO_PREMIUM = CallLimits(denied_kinds=(NumberKind.PREMIUM,))
CLOSED = CallLimits(denied_countries=("NL",))


class Node:
    """A call process that dials, within a call that the edge knows."""

    def __init__(
        self,
        limits: CallLimits = UNLIMITED,
        *,
        carrier: Gateway | None = None,
        domain_limits: CallLimits = UNLIMITED,
    ) -> None:
        self.world = World(
            directory(
                account=an_account(limits=limits),
                domain_limits=domain_limits,
                gateways=[carrier or gateway()],
                callflows=[FLOW],
                callflow_id=FLOW.id,
            )
        )
        self.process = self.world.agent(SEAT.host, SEAT.port)
        self.carrier = self.world.agent(CARRIER)
        self.phone = self.world.agent(PHONE)

    def answers_a_call(self) -> str:
        """A call that came through the domain; its id."""
        pbx = self.world.agent(PBX)
        pbx.send(pbx.invite())
        self.process.gets_request("INVITE")
        return self.world.pool.orders[-1].call_id

    def is_placed_by_the_api(self) -> str:
        assert self.world.proxy.calls.reserve(CALL, ACCOUNT, self.world.now) is None
        return CALL

    def dials(self, *targets: str, call: str = CALL, hunting: Hunting = Hunting.PARALLEL) -> Request:
        plan = DialPlan(
            call_id=call,
            account_id=ACCOUNT,
            targets=targets,
            hunting=hunting,
            ring_seconds=30,
            caller_id="+31200000001",
        )
        ticket = self.world.proxy.dials.file(plan, self.world.now)
        invite = self.process.request("INVITE", ticket.uri, body=SDP)
        self.process.send(invite)
        self.process.gets_response(100)
        return invite

    def hears(self, status: int) -> Response:
        return self.process.gets_response(status)

    def causes(self) -> list[str]:
        return [refusal.cause for refusal in self.world.said(Refusal)]


@pytest.mark.parametrize("target", [PREMIUM, PREMIUM[1:], f"00{PREMIUM[1:]}", f"tel:{PREMIUM}"])
def test_a_number_that_the_account_may_not_call(target: str) -> None:
    node = Node(NO_PREMIUM)
    node.dials(target)
    node.hears(403)
    node.carrier.gets_nothing()
    [refusal] = node.world.said(Refusal)
    assert (refusal.cause, refusal.gate, refusal.sip_call_id) == (
        "account-destination-kind",
        Gate.LIMITS,
        CALL,
    )
    assert PREMIUM in refusal.remedy
    node.dials(NUMBER)
    node.carrier.gets_request("INVITE")


def test_of_several_targets_those_that_may_be_called_are() -> None:
    node = Node(NO_PREMIUM)
    node.dials(PREMIUM, NUMBER)
    node.carrier.answer(node.carrier.gets_request("INVITE"), 180)
    node.hears(180)


def test_the_rules_of_the_domain_hold_for_what_its_callflow_dials() -> None:
    node = Node(domain_limits=NO_PREMIUM)
    node.dials(PREMIUM, call=node.answers_a_call())
    node.hears(403)
    assert node.causes() == ["domain-destination-kind"]


def test_what_the_api_places_is_held_to_the_rules_of_the_account() -> None:
    node = Node(NO_PREMIUM)
    node.dials(PREMIUM, call=node.is_placed_by_the_api())
    node.hears(403)


@pytest.mark.parametrize("user", [PREMIUM, PREMIUM[1:], "bob"])
@pytest.mark.parametrize("host", [CARRIER, f"{CARRIER}:5080", "carrier.example", "CARRIER.example"])
def test_a_sip_uri_does_not_lead_to_a_gateway_of_all(user: str, host: str) -> None:
    node = Node(carrier=gateway(host="carrier.example" if "example" in host else CARRIER))
    node.world.names["carrier.example"] = [("UDP", CARRIER, 5060)]
    node.dials(f"sip:{user}@{host}")
    node.hears(403)
    assert node.causes() == ["gateway-by-uri"]
    node.carrier.gets_nothing()


def test_a_name_that_leads_to_a_gateway_is_seen_through() -> None:
    node = Node()
    node.world.names["innocent.example"] = [("UDP", PHONE, 5060), ("UDP", CARRIER, 5060)]
    node.dials(f"sip:{PREMIUM}@innocent.example")
    node.hears(403)
    assert node.causes() == ["gateway-by-uri"]
    node.carrier.gets_nothing()
    node.phone.gets_nothing()


def test_a_sip_uri_to_the_own_gateway_counts_as_its_number() -> None:
    own = Gateway(id="own", account_id=ACCOUNT, name="own", host=CARRIER)
    node = Node(NO_PREMIUM, carrier=own)
    node.dials(f"sip:{PREMIUM}@{CARRIER}")
    node.hears(403)
    assert node.causes() == ["account-destination-kind"]
    node.dials(f"sip:reception@{CARRIER}")
    node.carrier.gets_request("INVITE")


def test_another_accounts_gateway_is_not_reached_by_uri() -> None:
    theirs = Gateway(id="theirs", account_id=AccountId("another"), name="theirs", host=CARRIER)
    node = Node(carrier=theirs)
    node.dials(f"sip:{NUMBER}@{CARRIER}")
    node.hears(403)
    assert node.causes() == ["gateway-by-uri"]


def test_a_number_at_any_other_host_is_no_telephone_number() -> None:
    node = Node(CLOSED)
    node.dials(f"sip:{NUMBER}@{PHONE}")
    node.phone.gets_request("INVITE")


def test_a_prepaid_account_has_the_first_minute_of_each_target_that_rings() -> None:
    node = Node()
    node.world.proxy.kernel.limits.tariff = Tariff([(None, "", 100)], {ACCOUNT: Funds(250, "EUR")})
    call = node.is_placed_by_the_api()
    node.dials("+31201111111", "+31201111112", "+31201111113", call=call)
    assert node.causes() == ["balance"]
    first, second = node.carrier.gets_request("INVITE"), node.carrier.gets_request("INVITE")
    node.carrier.gets_nothing()
    for invite in (first, second):
        node.carrier.answer(invite, 486)
        node.carrier.gets_request("ACK")
    node.hears(403)
    # Of targets that come one after another, one is talked to.
    node.dials("+31201111111", "+31201111112", "+31201111113", call=call, hunting=Hunting.SERIAL)
    for _ in range(3):
        node.carrier.answer(node.carrier.gets_request("INVITE"), 486)
        node.carrier.gets_request("ACK")
    node.hears(486)


def test_what_a_callflow_talks_counts_to_the_day() -> None:
    node = Node(CallLimits(daily_minutes=2))
    call = node.is_placed_by_the_api()
    node.dials(NUMBER, call=call)
    node.carrier.answer(node.carrier.gets_request("INVITE"), 200, body=SDP)
    node.hears(200)
    node.process.inbox.clear()
    node.world.wait(61)
    node.process.inbox.clear()
    node.world.proxy.calls.ended(call, node.world.now)
    node.dials(NUMBER)
    node.hears(403)
    assert node.causes() == ["account-daily-minutes"]
    node.world.wait(86_400)
    node.carrier.inbox.clear()
    node.process.inbox.clear()
    node.dials(NUMBER)
    node.carrier.gets_request("INVITE")


def test_new_destinations_count_whoever_dials_them() -> None:
    node = Node(CallLimits(new_destinations_per_hour=1))
    node.dials("+31201111111")
    node.carrier.gets_request("INVITE")
    node.dials("+31201111112")
    node.hears(403)
    assert node.causes() == ["account-new-destinations"]
    node.dials("+31201111111")
    node.carrier.gets_request("INVITE")


@pytest.mark.parametrize(
    "target", [f"<sip:{PREMIUM}@{CARRIER}>", f"sip:{PREMIUM}@anywhere.example", f"<tel:{PREMIUM}>"]
)
def test_a_caller_does_not_refer_a_gateway_to_a_number_that_it_may_not_call(target: str) -> None:
    world = World(directory(account=an_account(limits=NO_PREMIUM), gateways=[gateway()]))
    pbx, carrier = world.agent(PBX), world.agent(CARRIER)
    caller, callee = established(pbx, carrier)
    caller.send("REFER", ("Refer-To", target))
    pbx.gets_response(403)
    carrier.gets_nothing()
    assert [refusal.cause for refusal in world.said(Refusal)] == ["account-destination-kind"]
    caller.send("REFER", ("Refer-To", f"<sip:{NUMBER}@{CARRIER}>"))
    carrier.answer(carrier.gets_request("REFER"), 202)
    pbx.gets_response(202)
    # Where the callee sends the caller, the caller's own call goes by the gates.
    callee.send("REFER", ("Refer-To", target))
    pbx.gets_request("REFER")
