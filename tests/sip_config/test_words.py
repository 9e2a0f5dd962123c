"""Converters of single values."""

from __future__ import annotations

import pytest

from sip_config import words
from sip_config.faults import ConfigurationFaults, Fault, Unfit, listed, meant, quoted


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("192.0.2.1", ("192.0.2.1", None)),
        ("192.0.2.1:5060", ("192.0.2.1", 5060)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:5060", ("2001:db8::1", 5060)),
        ("2001:DB8:0:0::1", ("2001:db8::1", None)),
        ("[2001:0DB8::0001]:5060", ("2001:db8::1", 5060)),
        ("[FE80:0::1%eth0]", ("fe80::1%eth0", None)),
        ("SIP.example.com.:1", ("sip.example.com", 1)),
        ("localhost", ("localhost", None)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
    ],
)
def test_host_and_port(text: str, result: tuple[str, int | None]) -> None:
    assert words.host_and_port(text) == result


@pytest.mark.parametrize(
    "text",
    ["", ":5060", "host:", "host:65536", "host:-1", "host:٥", "a b", "192.0.2.300", "-x.com", "x" * 300,
     "a..b", "[::1", "fe80::1:99999:x", "[example.com]:1", "host:5060:5061"],
)  # fmt: skip
def test_bad_hosts_and_ports(text: str) -> None:
    with pytest.raises(Unfit):
        words.host_and_port(text)


@pytest.mark.parametrize(
    "text", ["https://a.example/x?y=z", "http://127.0.0.1:8080", "https://[2001:db8::1]/"]
)
def test_web_addresses(text: str) -> None:
    assert words.web_address(text) == text


@pytest.mark.parametrize(
    "text", ["", "a.example", "ftp://a.example", "https://", "https:///x", "http://a b/", "http://a:x/",
             "http://a:99999/", "javascript:1", "http://[::1/", "http://a\n/"],
)  # fmt: skip
def test_bad_web_addresses(text: str) -> None:
    with pytest.raises(Unfit, match="is not a web address"):
        words.web_address(text)


def test_labels_are_stored_in_lower_case() -> None:
    assert words.label("AcMe01") == "acme01"
    for text in ("", "a-b", "a_b", "a.b", "é", "x" * 64, "a "):
        with pytest.raises(Unfit):
            words.label(text)


def test_file_names_lead_nowhere_else() -> None:
    assert words.file_name("Welcome tune-1.wav") == "Welcome tune-1.wav"
    for text in ("", ".", "..", "../x", "a/b", ".x", "a\\b", "é.wav", "x" * 129, "a\0"):
        with pytest.raises(Unfit):
            words.file_name(text)


def test_texts_from_outside_are_quoted_short_and_on_one_line() -> None:
    assert quoted("abc") == "“abc”"
    assert len(quoted("x" * 1_000)) < 80
    assert quoted("a\nb\x1b[0m") == r"'a\nb\x1b[0m'"


def test_what_was_meant() -> None:
    assert meant("calls_per_sec", ["calls_per_second", "x"], "keys") == "Did you mean calls_per_second?"
    assert meant("zzz", ["a", "b"], "keys") == "The keys are a, b."
    assert meant("zzz", [], "keys") == "There are no keys: remove it."
    assert listed(map(str, range(20))).endswith("and 8 more")


def test_faults_are_sorted_by_file_and_line() -> None:
    def fault(source: str, line: int | None) -> Fault:
        return Fault(source=source, line=line, key="k", message="m.", remedy="r.")

    refused = ConfigurationFaults([fault("b", 1), fault("a", 9), fault("a", None), fault("a", 2)])
    assert str(refused).splitlines() == ["a: k: m. r.", "a:2: k: m. r.", "a:9: k: m. r.", "b:1: k: m. r."]
