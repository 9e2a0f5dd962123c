"""Access control lists: DESIGN.md section 3, sentence by sentence."""

from __future__ import annotations

import itertools

import pytest

from sip_config.admission import Admitted, DomainGate, NeedsDigest, Refused
from sip_config.model import AccountId, Acl, AclId, DigestAlgorithm, Domain, DomainId, SipAccount
from sip_config.networks import parse_network

ACCOUNT = AccountId("a")
INSIDE, OUTSIDE = "192.0.2.10", "198.51.100.10"
DOMAIN = Domain(id=DomainId("d"), account_id=ACCOUNT, label="acme")
NETWORK = parse_network("192.0.2.0/24")


def user(name: str, secret: str = "f" * 32) -> SipAccount:
    return SipAccount(id=name, username=name, ha1={DigestAlgorithm.MD5: secret})


def acl(name: str, **entries: object) -> Acl:
    return Acl(id=AclId(name), account_id=ACCOUNT, name=name, **entries)  # type: ignore[arg-type]


def gate(*acls: Acl) -> DomainGate:
    return DomainGate(DOMAIN, acls)


def test_no_list_admits_nobody() -> None:
    decision = gate().by_source(INSIDE)
    assert isinstance(decision, Refused)
    assert "has no access control list" in decision.remedy


def test_an_empty_list_admits_nobody() -> None:
    decision = gate(acl("office")).by_source(INSIDE)
    assert isinstance(decision, Refused)
    assert "office" in decision.rule
    assert "no valid entry" in decision.remedy


def test_networks_alone_ask_for_the_source() -> None:
    office = acl("office", networks=(NETWORK,))
    assert gate(office).by_source(INSIDE) == Admitted(acl=office)
    refused = gate(office).by_source(OUTSIDE)
    assert isinstance(refused, Refused)
    assert refused.rule == "domain acme: networks of office"
    assert OUTSIDE in refused.remedy


def test_sip_accounts_alone_ask_for_a_digest_from_anywhere() -> None:
    roaming = acl("roaming", sip_accounts=(user("pbx"),))
    decision = gate(roaming).by_source(OUTSIDE)
    assert isinstance(decision, NeedsDigest)
    (credential,) = decision.credentials("pbx")
    assert credential.ha1(DigestAlgorithm.MD5) == "f" * 32
    assert credential.ha1(DigestAlgorithm.SHA_256) is None
    assert decision.credentials("PBX") == ()
    assert decision.admit(credential) == Admitted(acl=roaming, credential=credential)


def test_both_inside_one_list_are_required() -> None:
    strict = gate(acl("strict", networks=(NETWORK,), sip_accounts=(user("pbx"),)))
    assert isinstance(strict.by_source(INSIDE), NeedsDigest)
    assert isinstance(strict.by_source(OUTSIDE), Refused)


def test_any_list_suffices() -> None:
    office, roaming = acl("office", networks=(NETWORK,)), acl("roaming", sip_accounts=(user("pbx"),))
    both = gate(roaming, office)
    assert both.by_source(INSIDE) == Admitted(acl=office), "no digest where the source is enough"
    assert isinstance(both.by_source(OUTSIDE), NeedsDigest)


def test_a_user_of_a_list_whose_network_does_not_fit_does_not_count() -> None:
    bound = acl("bound", networks=(NETWORK,), sip_accounts=(user("bound"),))
    roaming = acl("roaming", sip_accounts=(user("roaming"),))
    decision = gate(bound, roaming).by_source(OUTSIDE)
    assert isinstance(decision, NeedsDigest)
    assert decision.acls == (roaming,)
    assert decision.credentials("bound") == ()
    inside = gate(bound, roaming).by_source(INSIDE)
    assert isinstance(inside, NeedsDigest)
    assert inside.acls == (bound, roaming)


def test_one_name_in_two_lists_offers_both_secrets() -> None:
    one, two = (
        acl("one", sip_accounts=(user("pbx", "1" * 32),)),
        acl("two", sip_accounts=(user("pbx", "2" * 32),)),
    )
    decision = gate(one, two).by_source(INSIDE)
    assert isinstance(decision, NeedsDigest)
    assert [entry.acl.name for entry in decision.credentials("pbx")] == ["one", "two"]


@pytest.mark.parametrize("source", [INSIDE, OUTSIDE])
def test_invalid_networks_do_not_turn_a_list_into_a_wider_one(source: str) -> None:
    broken = acl("broken", sip_accounts=(user("pbx"),), invalid_networks=("192.0.2.300",))
    assert isinstance(gate(broken).by_source(source), Refused)


@pytest.mark.parametrize("source", [INSIDE, OUTSIDE])
def test_invalid_sip_accounts_do_not_turn_a_list_into_a_wider_one(source: str) -> None:
    broken = acl("broken", networks=(NETWORK,), invalid_sip_accounts=("pbx",))
    assert isinstance(gate(broken).by_source(source), Refused)


@pytest.mark.parametrize("source", [INSIDE, OUTSIDE])
def test_a_list_whose_entries_are_all_invalid_admits_nobody(source: str) -> None:
    broken = acl("broken", invalid_networks=("x",), invalid_sip_accounts=("y",))
    assert isinstance(gate(broken).by_source(source), Refused)


def test_the_valid_rest_of_a_partly_invalid_list_counts() -> None:
    partly = acl("partly", networks=(NETWORK,), invalid_networks=("x",))
    assert isinstance(gate(partly).by_source(INSIDE), Admitted)
    assert isinstance(gate(partly).by_source(OUTSIDE), Refused)


def _by_the_book(lists: tuple[Acl, ...], source: str, names: tuple[str, ...] = ()) -> str:
    """The rules in their plainest form, as the second opinion."""
    inside = source == INSIDE
    digest = False
    for one in lists:
        wants_network, wants_digest = bool(one.networks), bool(one.sip_accounts)
        wants_name = bool(one.certificates)
        if (wants_network and not inside) or (wants_name and not set(names) & set(one.certificates)):
            continue
        if (wants_network or wants_name) and not wants_digest:
            return "admitted"
        digest = digest or wants_digest
    return "digest" if digest else "refused"


def test_all_combinations_of_three_lists_agree_with_the_rules() -> None:
    kinds: tuple[dict[str, object], ...] = (
        {},
        {"networks": (NETWORK,)},
        {"sip_accounts": (user("pbx"),)},
        {"networks": (NETWORK,), "sip_accounts": (user("pbx"),)},
        {"certificates": ("pbx.example",)},
        {"certificates": ("pbx.example",), "networks": (NETWORK,)},
        {"certificates": ("other.example",), "sip_accounts": (user("pbx"),)},
        {"certificates": ("pbx.example",), "networks": (NETWORK,), "sip_accounts": (user("pbx"),)},
    )
    shown = ((), ("pbx.example",), ("other.example", "third.example"))
    words = {Admitted: "admitted", NeedsDigest: "digest", Refused: "refused"}
    for chosen in itertools.product(kinds, repeat=3):
        lists = tuple(acl(str(at), **entries) for at, entries in enumerate(chosen))
        for source in (INSIDE, OUTSIDE, "2001:db8::1", "nonsense"):
            for names in shown:
                decision = gate(*lists).by_source(source, names)
                assert words[type(decision)] == _by_the_book(lists, source, names)


def test_refusals_after_a_digest_name_what_to_change() -> None:
    decision = gate(acl("roaming", sip_accounts=(user("pbx"),))).by_source(OUTSIDE)
    assert isinstance(decision, NeedsDigest)
    unknown = decision.refuse("nobody", DigestAlgorithm.MD5)
    assert unknown.rule == "domain acme: SIP accounts of roaming"
    assert "“nobody” is in no access control list" in unknown.remedy
    assert "no SHA-256 secret" in decision.refuse("pbx", DigestAlgorithm.SHA_256).remedy
    wrong = decision.refuse("pbx", DigestAlgorithm.MD5).remedy
    assert "password" in wrong
    assert "is wrong" in wrong
    assert "f" * 32 not in wrong


def test_a_name_from_outside_is_short_and_on_one_line_in_the_record() -> None:
    decision = gate(acl("roaming", sip_accounts=(user("pbx"),))).by_source(OUTSIDE)
    assert isinstance(decision, NeedsDigest)
    remedy = decision.refuse("x\r\n" * 10_000, DigestAlgorithm.MD5).remedy
    assert "\n" not in remedy
    assert len(remedy) < 500


def test_a_certificate_that_is_missing_or_for_another_name_is_said() -> None:
    strict = gate(acl("office", networks=(NETWORK,), certificates=("pbx.example",)))
    nothing = strict.by_source(INSIDE)
    assert isinstance(nothing, Refused)
    assert nothing.cause == "acl-certificates"
    assert "showed no certificate" in nothing.remedy
    other = strict.by_source(INSIDE, ("other.example",))
    assert isinstance(other, Refused)
    assert "is for other.example" in other.remedy
    assert "pbx.example" in other.remedy
    outside = strict.by_source(OUTSIDE, ("pbx.example",))
    assert isinstance(outside, Refused)
    assert outside.cause == "acl-networks"


def test_a_list_without_certificates_still_fits_beside_one_with_them() -> None:
    strict = acl("strict", networks=(NETWORK,), certificates=("pbx.example",))
    office = acl("office", networks=(NETWORK,))
    assert gate(strict, office).by_source(INSIDE) == Admitted(acl=office)
    assert gate(strict, office).by_source(INSIDE, ("pbx.example",)) == Admitted(acl=strict)
