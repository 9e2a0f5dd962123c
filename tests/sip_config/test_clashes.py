"""What may be there only once."""

from __future__ import annotations

from dataclasses import replace

from sip_config.clashes import clashes
from sip_config.configuration import Configuration
from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    Callflow,
    Domain,
    DomainId,
    Gateway,
    Number,
    Pop,
    Region,
)

ACME, OTHER = Account(id=AccountId("a"), name="acme"), Account(id=AccountId("o"), name="other")
BOTH = Configuration(accounts=(ACME, OTHER))


def test_labels_and_numbers_are_taken_by_one_account() -> None:
    domains = tuple(
        Domain(id=DomainId(f"d{at}"), account_id=one.id, label="x") for at, one in enumerate((ACME, OTHER))
    )
    numbers = tuple(
        Number(id=f"n{at}", account_id=one.id, e164="+31201234567") for at, one in enumerate((ACME, ACME))
    )
    label, number = clashes(replace(BOTH, domains=domains, numbers=numbers))
    assert (label.kind, label.key) == ("domain label", "x")
    assert "in account acme and in account other" in str(label)
    assert "twice in account acme" in str(number)


def test_names_of_lists_and_gateways_are_taken_within_an_account_only() -> None:
    acls = tuple(Acl(id=AclId(one.id), account_id=one.id, name="office") for one in (ACME, OTHER))
    gateways = (
        Gateway(id="1", account_id=None, name="carrier", host="h"),
        Gateway(id="2", account_id=ACME.id, name="carrier", host="h"),
    )
    assert clashes(replace(BOTH, acls=acls, gateways=gateways)) == ()
    (found,) = clashes(replace(BOTH, gateways=(gateways[0], replace(gateways[0], id="3"))))
    assert "what all accounts share" in str(found)


def test_an_account_has_one_default_callflow() -> None:
    flows = tuple(
        Callflow(id=title, account_id=ACME.id, title=title, document="<x/>", is_default=True)
        for title in ("one", "two")
    )
    (found,) = clashes(replace(BOTH, callflows=flows))
    assert found.kind == "default callflow"


def test_each_pop_has_an_address_of_its_own() -> None:
    addresses = (None, None, "[2001:db8::1]:5060", "192.0.2.1:5070", "192.0.2.1", "192.0.2.1:5060")
    pops = [Pop(name=f"p{at}", region=Region.EU, address=one) for at, one in enumerate(addresses)]
    (found,) = clashes(Configuration(pops=tuple(pops)))
    assert (found.kind, found.key, found.field) == ("POP address", "192.0.2.1", "address")
