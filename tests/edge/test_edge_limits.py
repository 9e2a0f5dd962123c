"""Limits of accounts, domains and SIP accounts: each stops what it should, says why, and nothing else."""

from __future__ import annotations

import pytest

from sip_config.call_limits import UNLIMITED, CallLimits, NumberKind
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    FLOW,
    NUMBER,
    PBX,
    SEAT,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    gateway,
    with_credentials,
)
from voice.edge.core.ledger import Row
from voice.edge.core.tariff import Funds, Tariff
from voice.records import Gate, Refusal
from voice.sip.message import Request

OTHER = "+442071234567"
PREMIUM = "+31909123456"
UNIT = 1_000_000


class Trunk:
    """A PBX that calls by a carrier."""

    def __init__(self, limits: CallLimits = UNLIMITED, *, of: str = "account", **account: object) -> None:
        config = directory(
            account=an_account(limits=limits if of == "account" else UNLIMITED, **account),  # type: ignore[arg-type]
            domain_limits=limits if of == "domain" else UNLIMITED,
            user_limits=limits if of == "SIP account" else UNLIMITED,
            users={"pbx": "secret"} if of == "SIP account" else None,
            gateways=[gateway()],
        )
        self.world = World(config)
        self.pbx = self.world.agent(PBX)
        self.carrier = self.world.agent(CARRIER)
        self.invites: dict[str, Request] = {}
        self._digest = of == "SIP account"

    def tariff(self, per_minute: int, amount: int | None = None) -> None:
        prepaid: dict[str, Funds] = {} if amount is None else {ACCOUNT: Funds(amount, "EUR")}
        self.world.proxy.kernel.limits.tariff = Tariff([(None, "", per_minute)], prepaid)

    def calls(self, number: str = NUMBER) -> Request:
        """Sends an INVITE that has passed the digest, if one is asked for."""
        invite = self.pbx.invite(number)
        self.pbx.send(invite)
        if self._digest:
            challenge = self.pbx.gets_response(407)
            self.pbx.send(ack_of_failure(invite, challenge))
            invite = with_credentials(invite, challenge, "pbx", "secret")
            self.pbx.send(invite)
        self.invites[invite.call_id] = invite
        return invite

    def may_call(self, number: str = NUMBER) -> Request:
        """A call that gets through, and rings; the INVITE at the carrier."""
        self.calls(number)
        self.pbx.gets_response(100)
        return self.carrier.gets_request("INVITE")

    def is_busy(self, ringing: Request) -> None:
        """The carrier's end is busy."""
        self.carrier.answer(ringing, 486)
        self.carrier.gets_request("ACK")
        busy = self.pbx.gets_response(486)
        self.pbx.send(ack_of_failure(self.invites[busy.call_id], busy))

    def is_refused(self, cause: str, status: int, number: str = NUMBER) -> Refusal:
        self.calls(number)
        self.pbx.gets_response(status)
        self.carrier.gets_nothing()
        refusal = self.world.said(Refusal)[-1]
        assert (refusal.cause, refusal.gate, refusal.sip_status) == (cause, Gate.LIMITS, status)
        assert refusal.account_id == ACCOUNT
        assert refusal.remedy.endswith(".")
        return refusal

    def talks(self, seconds: float, number: str = NUMBER) -> None:
        """A whole call."""
        caller, _ = self.begins(number)
        self.world.wait(seconds)
        caller.send("BYE")
        self.carrier.answer(self.carrier.gets_request("BYE"), 200)
        self.pbx.gets_response(200)

    def begins(self, number: str = NUMBER) -> tuple:  # type: ignore[type-arg]
        assert not self._digest
        return established(self.pbx, self.carrier, self.pbx.invite(number))


WHO = ("account", "domain", "SIP account")


def of(who: str, cause: str) -> str:
    return f"{who.lower().replace(' ', '-')}-{cause}"


@pytest.mark.parametrize("who", WHO)
def test_concurrent_calls_of_each(who: str) -> None:
    trunk = Trunk(CallLimits(concurrent_calls=1), of=who)
    invite = trunk.may_call()
    refusal = trunk.is_refused(of(who, "concurrent-calls"), 503)
    assert refusal.rule.startswith(who)
    trunk.is_busy(invite)
    trunk.may_call()


@pytest.mark.parametrize("who", WHO)
def test_calls_per_second_of_each(who: str) -> None:
    trunk = Trunk(CallLimits(calls_per_second=2), of=who)
    trunk.may_call()
    trunk.may_call()
    trunk.is_refused(of(who, "calls-per-second"), 503)
    trunk.world.wait(0.5)
    trunk.may_call()


def test_a_limit_of_a_sip_account_does_not_concern_another() -> None:
    trunk = Trunk(CallLimits(concurrent_calls=0), of="SIP account")
    trunk.is_refused("sip-account-concurrent-calls", 503)
    [acl] = trunk.world.config.acls_of(next(iter(trunk.world.config.domains.values())))
    assert acl.sip_accounts[0].limits.concurrent_calls == 0
    # The account itself has all of its places.
    assert trunk.world.proxy.calls.reserve(
        "0ca11000-0000-4000-8000-000000000001", ACCOUNT, trunk.world.now
    ) is None  # fmt: skip


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    ("limits", "cause", "number"),
    [
        (CallLimits(denied_prefixes=("319",)), "destination-prefix", PREMIUM),
        (CallLimits(denied_kinds=(NumberKind.PREMIUM,)), "destination-kind", PREMIUM),
        (CallLimits(denied_kinds=(NumberKind.SATELLITE,)), "destination-kind", "+88213123456"),
        (CallLimits(denied_countries=("GB",)), "destination-country", OTHER),
        (CallLimits(denied_countries=("GB",)), "destination-country", OTHER + "999"),
        (CallLimits(allowed_countries=("NL", "BE")), "destination-not-allowed", OTHER),
        (CallLimits(allowed_prefixes=("31",)), "destination-not-allowed", OTHER),
    ],
)
def test_destinations_of_each(who: str, limits: CallLimits, cause: str, number: str) -> None:
    trunk = Trunk(limits, of=who)
    refusal = trunk.is_refused(of(who, cause), 403, number)
    assert number in refusal.remedy
    trunk.may_call(NUMBER)


def test_what_is_refused_for_its_destination_takes_no_place() -> None:
    trunk = Trunk(CallLimits(denied_countries=("GB",)), concurrent_calls=1)
    for _ in range(3):
        trunk.is_refused("account-destination-country", 403, OTHER)
    trunk.may_call()


def test_a_call_without_a_route_takes_no_place() -> None:
    trunk = Trunk(concurrent_calls=1)
    for _ in range(3):
        trunk.calls("nobody")
        trunk.pbx.gets_response(404)
    trunk.may_call()


@pytest.mark.parametrize("who", WHO)
def test_new_destinations_an_hour(who: str) -> None:
    trunk = Trunk(CallLimits(new_destinations_per_hour=2), of=who)
    trunk.may_call("+31201111111")
    trunk.may_call("+31201111112")
    refusal = trunk.is_refused(of(who, "new-destinations"), 403, "+31201111113")
    assert "+31201111113" in refusal.remedy
    trunk.may_call("+31201111112")
    trunk.world.wait(1_900)
    trunk.pbx.inbox.clear()
    trunk.carrier.inbox.clear()
    trunk.may_call("+31201111113")


def test_new_countries_an_hour() -> None:
    trunk = Trunk(CallLimits(new_countries_per_hour=1))
    trunk.may_call(NUMBER)
    trunk.may_call("+31201111112")
    assert "GB" in trunk.is_refused(of("account", "new-countries"), 403, OTHER).remedy
    trunk.may_call("+31201111113")


def test_a_destination_that_was_refused_stays_new() -> None:
    trunk = Trunk(CallLimits(new_destinations_per_hour=1))
    trunk.may_call("+31201111111")
    for _ in range(2):
        trunk.is_refused("account-new-destinations", 403, "+31201111112")


@pytest.mark.parametrize("who", ["account", "domain"])
def test_minutes_of_a_day(who: str) -> None:
    trunk = Trunk(CallLimits(daily_minutes=3), of=who)
    trunk.talks(90)
    # 90 s are left, 60 of them set apart for a call that rings.
    ringing = trunk.may_call()
    trunk.is_refused(of(who, "daily-minutes"), 503)
    trunk.is_busy(ringing)
    trunk.talks(40)
    trunk.is_refused(of(who, "daily-minutes"), 503)
    trunk.world.wait(86_400)
    trunk.may_call()


def test_spend_of_a_day() -> None:
    trunk = Trunk(CallLimits(daily_spend=3 * UNIT))
    trunk.tariff(UNIT)
    trunk.talks(61)
    trunk.may_call()
    trunk.is_refused(of("account", "daily-spend"), 503)
    trunk.tariff(UNIT // 10)
    trunk.may_call()


def test_a_call_that_goes_on_is_told_when_its_day_is_used_up() -> None:
    trunk = Trunk(CallLimits(daily_minutes=2))
    trunk.begins()
    calls = trunk.world.proxy.calls
    trunk.world.wait(119)
    assert calls.beyond_their_day(trunk.world.now) == []
    trunk.world.wait(2)
    [(call_id, why)] = calls.beyond_their_day(trunk.world.now)
    assert why == "A limit ended the call: account acme: 2 minutes a day."
    assert calls.hang_up(call_id, why, trunk.world.now)
    trunk.world.deliver()
    trunk.pbx.gets_request("BYE")
    trunk.carrier.gets_request("BYE")
    assert calls.beyond_their_day(trunk.world.now) == []


class Lock:
    """Says whether somebody has it."""

    held = False
    to_be_had = True

    def __enter__(self) -> bool:
        assert not self.held, "taken twice, and given back by the first of the two"
        self.held = True
        return self.to_be_had

    def __exit__(self, *_: object) -> None:
        self.held = False


def test_sums_are_read_and_changed_by_one_process_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else others read that one more talks, and not yet since when: since ever, and calls end for nothing."""
    lock, seen = Lock(), set()

    def watch(name: str) -> None:
        method = getattr(Row, name)

        def watched(*arguments: object) -> object:
            assert lock.held, name
            seen.add(name)
            return method(*arguments)

        monkeypatch.setattr(Row, name, watched)

    names = {"wait_for", "count", "used", "running", "hold", "talk_begins", "talk_ends", "spend"}
    for name in names:
        watch(name)
    trunk = Trunk(CallLimits(daily_minutes=9, new_destinations_per_hour=9))
    trunk.tariff(UNIT, 99 * UNIT)
    trunk.world.proxy.kernel.limits._ledger.lock = lock
    trunk.talks(10)
    trunk.talks(100)
    trunk.is_busy(trunk.may_call())
    trunk.begins()
    trunk.world.wait(100)
    assert trunk.world.proxy.calls.beyond_their_day(trunk.world.now) == []
    trunk.world.wait(600)
    [(call_id, why)] = trunk.world.proxy.calls.beyond_their_day(trunk.world.now)
    assert trunk.world.proxy.calls.hang_up(call_id, why, trunk.world.now)
    assert seen == names


def test_calls_end_by_what_was_read_with_the_lock_alone() -> None:
    trunk = Trunk(CallLimits(daily_minutes=2))
    trunk.begins()
    lock = trunk.world.proxy.kernel.limits._ledger.lock = Lock()
    trunk.world.wait(121)
    lock.to_be_had = False
    assert trunk.world.proxy.calls.beyond_their_day(trunk.world.now) == []
    lock.to_be_had = True
    assert len(trunk.world.proxy.calls.beyond_their_day(trunk.world.now)) == 1


def test_a_prepaid_account_has_the_first_minute_of_each_call_that_it_begins() -> None:
    trunk = Trunk()
    trunk.tariff(UNIT, 2 * UNIT)
    first = trunk.may_call()
    trunk.may_call()
    assert "0.00 EUR" in trunk.is_refused("balance", 402).remedy
    trunk.is_busy(first)
    trunk.may_call()


def test_a_prepaid_account_pays_for_what_is_being_talked() -> None:
    trunk = Trunk()
    trunk.tariff(UNIT, 3 * UNIT)
    trunk.begins()
    trunk.world.wait(119)
    trunk.is_busy(trunk.may_call())
    trunk.world.wait(2)
    trunk.is_refused("balance", 402)


def test_a_prepaid_account_calls_nothing_that_has_no_rate() -> None:
    trunk = Trunk()
    trunk.world.proxy.kernel.limits.tariff = Tariff([(None, "31", UNIT)], {ACCOUNT: Funds(9 * UNIT, "EUR")})
    trunk.may_call()
    trunk.is_refused("no-rate", 402, OTHER)


def test_a_prepaid_account_without_balance_calls_not_even_what_costs_nothing() -> None:
    trunk = Trunk()
    trunk.tariff(0, 0)
    trunk.is_refused("balance", 402)


# -- callflows -------------------------------------------------------------------------------------


def test_calls_that_a_callflow_answers_have_no_destination() -> None:
    limits = CallLimits(denied_countries=("NL",), new_destinations_per_hour=0, daily_minutes=0)
    world = World(directory(account=an_account(limits=limits), callflows=[FLOW], callflow_id=FLOW.id))
    pbx, process = world.agent(PBX), world.agent(SEAT.host, SEAT.port)
    pbx.send(pbx.invite())
    process.gets_request("INVITE")


def test_a_callflow_hears_the_shortest_of_the_call_lengths() -> None:
    world = World(
        directory(
            account=an_account(max_call_seconds=600, limits=CallLimits(max_call_seconds=500)),
            domain_limits=CallLimits(max_call_seconds=400),
            callflows=[FLOW],
            callflow_id=FLOW.id,
        )
    )
    pbx = world.agent(PBX)
    pbx.send(pbx.invite())
    assert [order.max_seconds for order in world.pool.orders] == [400]
