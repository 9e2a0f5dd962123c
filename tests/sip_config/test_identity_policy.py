"""Which numbers an account may be known by, as it is declared and as it is asked."""

from __future__ import annotations

import pytest

from sip_config.declared_identity import read_identity
from sip_config.faults import ConfigurationFaults, Unfit
from sip_config.identity_policy import E164_ONLY, IdentityPolicy, OtherCallers
from sip_config.reading import FaultList, Section
from sip_config.toml_source import read_toml
from sip_config.words import number_range


def declared(text: str) -> IdentityPolicy:
    faults = FaultList()
    policy = read_identity(Section(read_toml(text, "x.toml"), faults))
    faults.raise_if_any()
    return policy


def test_verified_numbers_and_ranges_may_be_shown() -> None:
    policy = IdentityPolicy(
        caller_id="+31200000009",
        verified=("+441632960001",),
        ranges=("+31201234500-+31201234599", "+14155550100-+14155550199"),
    )
    for number in ("+31200000009", "+441632960001", "+31201234500", "+31201234550", "+14155550199"):
        assert policy.allows(number), number
    for number in ("+31201234499", "+31201234600", "+3120123455", "+312012345501", "+441632960002"):
        assert not policy.allows(number), number
    assert not IdentityPolicy().allows("+31201234567")


def test_a_range_is_written_in_one_way() -> None:
    assert number_range(" +31201234500 - +31201234599 ") == "+31201234500-+31201234599"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+31201234500",
        "+31201234599-+31201234500",
        "+31201234500-+3120123459",
        "31201234500-31201234599",
        "+31201234500-+31201234599-+31201234699",
        "+99900000000-+99900000009",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        number_range(text)


def test_everything_that_can_be_declared() -> None:
    assert declared(
        """
        [identity]
        country = "nl"
        caller_id = "+31 20 123 4567"
        verified = ["+442079460000", "+31101234567"]
        ranges = ["+31201234500 - +31201234599"]
        others = "Replace"
        """
    ) == IdentityPolicy(
        country="NL",
        caller_id="+31201234567",
        verified=("+31101234567", "+442079460000"),
        ranges=("+31201234500-+31201234599",),
        others=OtherCallers.REPLACE,
    )
    assert declared("") == E164_ONLY


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('country = "Holland"', "ISO 3166"),
        ('caller_id = "0201234567"', "with the country code"),
        ('verified = ["+3120123456789012"]', "Use E.164"),
        ('ranges = ["+31201234567"]', "the first and the last one"),
        ('others = "hide"', "pass, replace, anonymise, refuse"),
        (f"ranges = {[f'+312012345{n}0-+312012345{n}9' for n in range(10, 100)] * 2}", "listed twice"),
        ("verified = [" + ",".join(f'"+3120{n:07}"' for n in range(1001)) + "]", "at most 1000"),
        ('own = ["+31201234567"]', "keys here"),
    ],
)
def test_every_fault_says_what_to_do(line: str, remedy: str) -> None:
    with pytest.raises(ConfigurationFaults, match=remedy):
        declared(f"[identity]\n{line}")
