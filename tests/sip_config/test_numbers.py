"""Telephone numbers, as dialled and as written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_config.numbers import MAX_DIGITS, NumberFault, looks_complete, normalise


@pytest.mark.parametrize(
    "text",
    [
        "+31201234567",
        "31201234567",
        "0031201234567",
        "+31-20-123.45.67",
        "+31 (20) 123 4567",
        "+31201234567;npdi;rn=+31200000000",
        "+310201234567",  # a trunk zero after the country code, as many write it
    ],
)
def test_every_spelling_is_one_number(text: str) -> None:
    assert normalise(text) == "+31201234567"


def test_a_zero_that_belongs_to_the_number_stays() -> None:
    assert normalise("390612345678") == "+390612345678"  # Rome


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a telephone number"),
        ("+", "is not a telephone number"),
        ("alice", "is not a telephone number"),
        ("+31201234567x12", "is not a telephone number"),
        ("++31201234567", "is not a telephone number"),
        ("٣١٢٠١٢٣٤٥٦٧", "is not a telephone number"),
        ("0201234567", "begins with a zero"),
        ("0000031201234567", "begins with a zero"),
        ("112", "has 3 digits"),
        ("+1234567890123456", "has 16 digits"),
        ("+99912345678", "does not begin with a country code"),
        ("1234567;phone-context=+3120", "is a local number"),
        ("1" * 1_000_000, "is too long"),
    ],
)
def test_what_is_no_number_is_refused_with_a_sentence(text: str, why: str) -> None:
    with pytest.raises(NumberFault, match=why) as caught:
        normalise(text)
    assert "Use E.164" in str(caught.value)
    assert len(str(caught.value)) < 250


@given(st.text(max_size=80))
def test_whatever_comes_is_a_number_or_refused(text: str) -> None:
    try:
        number = normalise(text)
    except NumberFault:
        return
    assert number.startswith("+")
    assert number[1:].isdigit()
    assert len(number) <= MAX_DIGITS + 1


def test_zeros_that_go_may_leave_too_few_digits() -> None:
    with pytest.raises(NumberFault, match="too short"):
        normalise("+430000000")


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_normalising_twice_changes_nothing(text: str) -> None:
    try:
        number = normalise(text)
    except NumberFault:
        return
    assert normalise(number) == number


def test_numbers_of_an_unused_length_are_dialled_but_not_configured() -> None:
    short = normalise("+120255501")
    assert short == "+120255501"
    assert not looks_complete(short)
    assert looks_complete(normalise("+31201234567"))


@pytest.mark.parametrize(
    ("country", "dialled", "number"),
    [
        ("NL", "0201234567", "+31201234567"),
        ("NL", "020-123 45 67", "+31201234567"),
        ("NL", "0031201234567", "+31201234567"),
        ("NL", "+442079460000", "+442079460000"),
        # Trunks send E.164 without its plus sign: only a trunk prefix makes a number a national one.
        ("NL", "442079460000", "+442079460000"),
        ("NL", "201234567", "+201234567"),
        ("DE", "0301234567", "+49301234567"),
        ("IT", "0669812345", "+390669812345"),
        ("HU", "0612345678", "+3612345678"),
        ("RU", "84951234567", "+74951234567"),
        ("US", "(415) 555-1234", "+14155551234"),
        ("US", "14155551234", "+14155551234"),
        ("US", "01131201234567", "+31201234567"),
        ("US", "31201234567", "+31201234567"),
        ("DK", "20123456", "+4520123456"),
        ("ES", "912345678", "+34912345678"),
        ("AU", "001131201234567", "+31201234567"),
        ("AU", "0061212345678", "+61212345678"),
        ("JP", "01081312345678", "+81312345678"),
    ],
)
def test_national_formats_are_those_of_the_country(country: str, dialled: str, number: str) -> None:
    assert normalise(dialled, country) == number


def test_without_a_country_a_national_number_is_none() -> None:
    with pytest.raises(NumberFault, match="lacks its country code"):
        normalise("0201234567")


@pytest.mark.parametrize("text", ["112", "0", "00", "02012345678901234", "*21#"])
def test_what_is_no_number_abroad_is_none_at_home_either(text: str) -> None:
    with pytest.raises(NumberFault):
        normalise(text, "NL")


@given(st.text("0123456789+- ", max_size=20), st.sampled_from(["NL", "US", "IT", "AU", "RU", "DK"]))
def test_a_number_dialled_in_a_country_is_e164_whatever_was_dialled(text: str, country: str) -> None:
    try:
        number = normalise(text, country)
    except NumberFault:
        return
    assert normalise(number) == number
