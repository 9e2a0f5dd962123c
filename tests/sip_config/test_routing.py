"""What answers a call, and how a gateway is addressed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sip_config.admission import Refused
from sip_config.directory import Directory
from sip_config.model import (
    AccountId,
    CallerIdRule,
    Callflow,
    Domain,
    DomainId,
    Gateway,
    Number,
    NumberFormat,
)
from sip_config.routing import (
    RunCallflow,
    SendOut,
    caller_id_for,
    dialled_as,
    route_call,
    route_from_gateway,
)

ACME, OTHER = AccountId("acme-id"), AccountId("other-id")
DIALLED = "+31201234567"
FLOW = Callflow(id="f", account_id=ACME, title="welcome", document="<callflow/>")
SECOND = Callflow(id="g", account_id=ACME, title="second", document="<callflow/>")
TRUNK = Domain(id=DomainId("d"), account_id=ACME, label="acme")
GATEWAY = Gateway(id="gw", account_id=None, name="carrier", host="carrier.example")


def directory(**parts: object) -> Directory:
    fields: dict[str, object] = {"callflows": [FLOW, SECOND], **parts}
    return Directory(base_domain="sip.example.com", pop="eu1", **fields)  # type: ignore[arg-type]


def number(
    account: AccountId = ACME, *, callflow_id: str | None = None, callflow_url: str | None = None
) -> Number:
    return Number(
        id="n", account_id=account, e164=DIALLED, callflow_id=callflow_id, callflow_url=callflow_url
    )


def domain(*, callflow_id: str | None = None, callflow_url: str | None = None) -> Domain:
    return replace(TRUNK, callflow_id=callflow_id, callflow_url=callflow_url)


def test_the_callflow_of_the_number_comes_first() -> None:
    owned = number(callflow_id="f")
    route = route_call(directory(numbers=[owned]), domain(callflow_id="g"), DIALLED)
    assert route == RunCallflow(callflow=FLOW, url=None, number=owned)


def test_a_number_may_be_bound_to_a_url() -> None:
    owned = number(callflow_url="https://app.example/flow")
    route = route_call(directory(numbers=[owned]), TRUNK, DIALLED)
    assert route == RunCallflow(callflow=None, url="https://app.example/flow", number=owned)


def test_else_the_callflow_of_the_domain() -> None:
    route = route_call(directory(numbers=[number()]), domain(callflow_id="g"), DIALLED)
    assert route == RunCallflow(callflow=SECOND, url=None, number=None)


def test_the_callflow_of_a_domain_answers_what_is_no_number_too() -> None:
    assert isinstance(route_call(directory(), domain(callflow_url="https://app.example/"), None), RunCallflow)


def test_a_number_of_another_account_is_reached_by_carrier_only() -> None:
    known = directory(numbers=[number(OTHER, callflow_id="f")], gateways=[GATEWAY])
    assert route_call(known, TRUNK, DIALLED) == SendOut(gateways=(GATEWAY,))


def test_else_a_plain_trunk_sends_the_number_out() -> None:
    assert route_call(directory(gateways=[GATEWAY]), TRUNK, DIALLED) == SendOut(gateways=(GATEWAY,))


def test_else_nothing_answers_and_the_reason_says_what_to_do() -> None:
    route = route_call(directory(), TRUNK, DIALLED)
    assert isinstance(route, Refused)
    assert DIALLED in route.rule
    assert "add a gateway" in route.remedy
    route = route_call(directory(gateways=[GATEWAY]), TRUNK, None)
    assert isinstance(route, Refused)
    assert "E.164" in route.remedy


def test_a_callflow_that_is_gone_answers_nothing() -> None:
    assert isinstance(route_call(directory(), domain(callflow_id="gone"), DIALLED), Refused)


def test_a_carrier_reaches_the_callflow_of_a_number() -> None:
    owned = number(callflow_id="f")
    known = directory(numbers=[owned])
    assert route_from_gateway(known, GATEWAY, DIALLED) == RunCallflow(callflow=FLOW, url=None, number=owned)
    foreign = Gateway(id="x", account_id=OTHER, name="x", host="x")
    assert isinstance(route_from_gateway(known, foreign, DIALLED), Refused)
    assert isinstance(route_from_gateway(known, GATEWAY, "+31207654321"), Refused)
    assert isinstance(route_from_gateway(directory(numbers=[number()]), GATEWAY, DIALLED), Refused)


def _gateway(rule: CallerIdRule, written: NumberFormat = NumberFormat.PLUS) -> Gateway:
    return Gateway(
        id="g",
        account_id=None,
        name="g",
        host="h",
        caller_id_rule=rule,
        caller_id="+31880000000",
        number_format=written,
    )


@pytest.mark.parametrize(
    ("rule", "wanted", "shown"),
    [
        (CallerIdRule.PASS, "+4930123456", "+4930123456"),
        (CallerIdRule.PASS, "4930123456", "+4930123456"),
        (CallerIdRule.PASS, "alice", "alice"),
        (CallerIdRule.PASS, None, None),
        (CallerIdRule.OWN, DIALLED, DIALLED),
        (CallerIdRule.OWN, DIALLED[1:], DIALLED),
        (CallerIdRule.OWN, "+4930123456", "+31880000000"),
        (CallerIdRule.OWN, "alice", "+31880000000"),
        (CallerIdRule.OWN, None, "+31880000000"),
        (CallerIdRule.FIXED, DIALLED, "+31880000000"),
    ],
)
def test_caller_id_rules(rule: CallerIdRule, wanted: str | None, shown: str | None) -> None:
    known = directory(numbers=[number()])
    assert caller_id_for(known, _gateway(rule), ACME, wanted) == shown


def test_another_accounts_number_is_not_ones_own() -> None:
    known = directory(numbers=[number(OTHER)])
    assert caller_id_for(known, _gateway(CallerIdRule.OWN), ACME, DIALLED) == "+31880000000"


def test_numbers_are_written_as_the_gateway_wants_them() -> None:
    plain = _gateway(CallerIdRule.PASS, NumberFormat.PLAIN)
    assert dialled_as(plain, DIALLED) == "31201234567"
    assert dialled_as(_gateway(CallerIdRule.PASS), DIALLED) == DIALLED
    assert caller_id_for(directory(), plain, ACME, DIALLED) == "31201234567"


def test_a_number_without_anything_is_answered_by_the_default_of_its_account() -> None:
    default = replace(SECOND, is_default=True)
    owned = number()
    made = directory(callflows=[FLOW, default], numbers=[owned])
    answer = RunCallflow(callflow=default, url=None, number=owned)
    assert route_call(made, domain(callflow_id="f"), DIALLED) == answer
    assert route_from_gateway(made, GATEWAY, DIALLED) == answer
    assert isinstance(
        route_from_gateway(directory(numbers=[owned], callflows=[FLOW]), GATEWAY, DIALLED), Refused
    )


def test_the_default_does_not_stand_in_for_a_callflow_that_is_gone_nor_for_another_account() -> None:
    default = replace(SECOND, is_default=True)
    gone = directory(callflows=[FLOW, default], numbers=[number(callflow_id="gone")])
    assert isinstance(route_from_gateway(gone, GATEWAY, DIALLED), Refused)
    others = directory(callflows=[FLOW, default], numbers=[number(OTHER)])
    assert isinstance(route_from_gateway(others, GATEWAY, DIALLED), Refused)


def test_an_account_owns_its_own_numbers_only() -> None:
    made = directory(numbers=[number()])
    assert made.owns(ACME, DIALLED)
    assert not made.owns(OTHER, DIALLED)
    assert not made.owns(ACME, "+31201234568")
