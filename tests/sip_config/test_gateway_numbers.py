"""How numbers are written for a gateway, and which header fields its rules may change."""

from __future__ import annotations

import pytest

from sip_config.faults import Unfit
from sip_config.header_fields import header_field, header_name
from sip_config.model import NumberFormat
from sip_config.number_formats import dialled_for


@pytest.mark.parametrize(
    ("number_format", "country", "strip", "add", "number", "written"),
    [
        (NumberFormat.PLUS, None, "", "", "+31201234567", "+31201234567"),
        (NumberFormat.PLAIN, None, "", "", "+31201234567", "31201234567"),
        (NumberFormat.INTERNATIONAL, None, "", "", "+31201234567", "0031201234567"),
        (NumberFormat.NATIONAL, "NL", "", "", "+31201234567", "0201234567"),
        (NumberFormat.NATIONAL, "NL", "", "", "+31612345678", "0612345678"),
        (NumberFormat.NATIONAL, "NL", "", "", "+4930123456", "004930123456"),
        (NumberFormat.NATIONAL, "US", "", "", "+12015550123", "2015550123"),
        (NumberFormat.PLAIN, None, "31", "0", "+31201234567", "0201234567"),
        (NumberFormat.PLAIN, None, "31", "0", "+4930123456", "04930123456"),
        (NumberFormat.PLAIN, None, "31201234567", "", "+31201234567", "31201234567"),
        (NumberFormat.PLAIN, None, "", "1234#", "+31201234567", "1234#31201234567"),
    ],
)
def test_a_number_is_written_as_the_gateway_wants_it(
    number_format: NumberFormat, country: str | None, strip: str, add: str, number: str, written: str
) -> None:
    assert dialled_for(number, number_format, country, strip, add) == written


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Via: x", "SIP itself needs"),
        ("call-id: x", "SIP itself needs"),
        ("X-Trunkflow-Leg: x", "SIP itself needs"),
        ("Proxy-Authorization: x", "SIP itself needs"),
        ("P-Asserted-Identity: <sip:x@y>", "says who calls"),
        ("v: x", "is no header name"),
        ("X Y: z", "is no header name"),
        ("User-Agent", "is no header field"),
        ("User-Agent:", "is no header field"),
        ("X-A: b\r\nVia: c", "cannot be sent"),
        ("X-A: " + "b" * 513, "cannot be sent"),
    ],
)
def test_what_sip_needs_cannot_be_changed(text: str, says: str) -> None:
    with pytest.raises(Unfit, match=says):
        header_field(text)


def test_other_header_fields_may_be_changed() -> None:
    assert header_field("X-Trunk:  4711 ") == ("X-Trunk", "4711")
    assert header_name("User-Agent") == "User-Agent"
