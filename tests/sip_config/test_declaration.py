"""The declarative file: what it means, and every fault that it can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from sip_config.configuration import Configuration, names_by_id, with_ids_of
from sip_config.credentials import ha1
from sip_config.declaration import Declaration, declares, read_declaration
from sip_config.declared_account import CallflowRefused, DocumentFault
from sip_config.differences import Action, differences
from sip_config.faults import ConfigurationFaults
from sip_config.model import (
    CallerIdRule,
    DigestAlgorithm,
    NumberFormat,
    Region,
    Transport,
)
from sip_config.reading import FaultList, Section
from sip_config.toml_source import read_toml

GOOD = """
[accounts.acme]
calls_per_second = 5
concurrent_calls = 20
max_call_seconds = 3600
fallback_callflow = "sorry"

[accounts.acme.acls.office]
networks = ["192.0.2.0/24", "2001:db8::/32", "10.0.0.1"]

[accounts.acme.acls.roaming.sip_accounts]
pbx = { password = "correct horse" }
old = { ha1 = { MD5 = "00112233445566778899AABBCCDDEEFF" } }

[accounts.acme.domains.ACME]
acls = ["roaming", "office"]
algorithms = ["sha-256", "MD5"]
home_region = "us"
callflow = "welcome"

[accounts.acme.domains.trunk]

[accounts.acme.numbers]
"+31 20 123 4567" = { callflow = "welcome" }
"31201234568" = { callflow_url = "https://app.example.com/flow?x=1" }

[accounts.acme.callflows]
welcome = { file = "flows/welcome.xml" }
sorry = { document = "<sorry/>" }

[accounts.acme.media."tune.wav"]
file = "tune.WAV"

[accounts.acme.gateways.own]
host = "[2001:db8::5]"

[gateways.carrier]
host = "SIP.Carrier.example."
port = 5080
transport = "tcp"
prefixes = ["+31", "1"]
priority = 5
username = "u"
password = "p"
caller_id_rule = "own"
caller_id = "+31201234567"
number_format = "plain"
attempt_seconds = 3

[pops.ams]
region = "EU"
address = "ams.example.net:5080"
"""


def upper(document: bytes) -> str:
    """Stands for the checker of callflows."""
    if b"bad" in document:
        raise CallflowRefused(
            (
                DocumentFault(line=3, message="Bad.", remedy="Do good."),
                DocumentFault(line=4, message="Worse.", remedy="Do better."),
            )
        )
    return document.decode().upper()


def read(text: str, folder: Path) -> Declaration:
    faults = FaultList()
    root = Section(read_toml(text, "x.toml"), faults)
    declaration = read_declaration(root, base_domain="sip.example.com", folder=folder, canonical=upper)
    root.reject_unknown()
    faults.raise_if_any()
    return declaration


def faults_of(text: str, folder: Path) -> list[tuple[str, int | None, str, str, str]]:
    with pytest.raises(ConfigurationFaults) as caught:
        read(text, folder)
    return [
        (fault.source, fault.line, fault.key, fault.message, fault.remedy) for fault in caught.value.faults
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "welcome.xml").write_text("<welcome/>")
    (tmp_path / "tune.WAV").write_bytes(b"RIFF")
    return tmp_path


def test_everything_that_can_be_declared(folder: Path) -> None:
    declaration = read(GOOD, folder)
    declared = declaration.configuration
    (account,) = declared.accounts
    assert (account.name, account.calls_per_second, account.concurrent_calls) == ("acme", 5.0, 20)
    assert (account.max_call_seconds, account.fallback_callflow_id) == (3600, "callflow acme/sorry")
    office, roaming = declared.acls
    assert list(map(str, office.networks)) == ["10.0.0.1/32", "192.0.2.0/24", "2001:db8::/32"]
    old, pbx = roaming.sip_accounts
    assert old.ha1 == {DigestAlgorithm.MD5: "00112233445566778899aabbccddeeff"}
    assert pbx.ha1 == {
        algorithm: ha1(algorithm, username="pbx", realm="sip.example.com", password="correct horse")
        for algorithm in DigestAlgorithm
    }
    acme, trunk = declared.domains
    assert (acme.label, acme.home_region, acme.callflow_id) == ("acme", Region.US, "callflow acme/welcome")
    assert acme.acl_ids == ("acl acme/roaming", "acl acme/office")
    assert acme.algorithms == (DigestAlgorithm.SHA_256, DigestAlgorithm.MD5)
    assert (trunk.acl_ids, trunk.algorithms, trunk.home_region) == ((), (DigestAlgorithm.MD5,), Region.EU)
    first, second = declared.numbers
    assert (first.e164, first.callflow_id) == ("+31201234567", "callflow acme/welcome")
    assert (second.e164, second.callflow_url) == ("+31201234568", "https://app.example.com/flow?x=1")
    assert [(flow.title, flow.document) for flow in declared.callflows] == [
        ("welcome", "<WELCOME/>"),
        ("sorry", "<SORRY/>"),
    ]
    (media,) = declared.media
    assert (media.name, media.size) == ("tune.wav", 4)
    assert declaration.media_sources == {"media acme/tune.wav": folder / "tune.WAV"}
    carrier, own = declared.gateways
    assert (carrier.account_id, carrier.host, carrier.port) == (None, "sip.carrier.example", 5080)
    assert (carrier.transport, carrier.prefixes, carrier.priority) == (Transport.TCP, ("1", "31"), 5)
    assert (carrier.username, carrier.password, carrier.attempt_seconds) == ("u", "p", 3.0)
    assert (carrier.caller_id_rule, carrier.caller_id) == (CallerIdRule.OWN, "+31201234567")
    assert carrier.number_format is NumberFormat.PLAIN
    assert (own.account_id, own.host, own.prefixes) == ("account acme", "2001:db8::5", ("",))
    (pop,) = declared.pops
    assert (pop.name, pop.region, pop.address) == ("ams", Region.EU, "ams.example.net:5080")


def test_the_id_of_a_declared_entry_is_its_name(folder: Path) -> None:
    names = names_by_id(read(GOOD, folder).configuration)
    assert all(entry_id == name for entry_id, name in names.items())
    assert "sip account acme/roaming/pbx" in names


def test_an_empty_file_declares_nothing() -> None:
    root = Section(read_toml("[node]\n", "x.toml"), FaultList())
    assert not declares(root)
    assert declares(Section(read_toml("[accounts]\n", "x.toml"), FaultList()))


def test_all_faults_are_said_together_with_line_key_and_remedy(folder: Path) -> None:
    text = """\
[accounts.acme]
calls_per_sec = 5
concurrent_calls = "many"
max_call_seconds = 0
fallback_callflow = "sory"

[accounts.acme.acls.office]
networks = ["192.0.2.1/24", "300.1.1.1", 7]
netwroks = []

[accounts.acme.acls.roaming.sip_accounts]
"a:b" = { password = "x" }
none = {}
both = { password = "x", ha1 = { MD5 = "zz", SHA1 = "x" } }
empty = { password = "" }

[accounts.acme.domains.ac-me]
[accounts.acme.domains.acme]
acls = ["offices", "roaming", "roaming"]
algorithms = ["SHA256"]
home_region = "Mars"
callflow = "sorry"
callflow_url = "ftp://x/y"

[accounts.acme.callflows]
sorry = { document = "bad" }
gone = { file = "flows/gone.xml" }
file = { file = "flows/welcome.xml" }
none = {}

[accounts.acme.numbers]
"0201234567" = {}
"+1202555" = {}
"+31201234567" = 5

[accounts.acme.media]
".hidden.wav" = { file = "tune.WAV" }
"a.txt" = { file = "flows/welcome.xml" }
"b.wav" = {}

[accounts."a/b"]

[accounts.beta.domains.ACME]
[accounts.beta.numbers."31201234567"]
[accounts.beta.numbers."+31201234567"]

[gateways.g]
prefixes = ["0031", "3x", "31"]
port = 70000
transport = "SCTP"
username = "u"
caller_id_rule = "fixed"
attempt_seconds = nan

[gateways.h]
host = "10.0.0.300"
prefixes = []

[pops.p]
address = "host:0"

[gateway.g]
host = "x"
"""
    (folder / "flows" / "welcome.xml").write_text("\n\nbad")
    found = faults_of(text, folder)
    at = {(line, key) for source, line, key, _, _ in found if source == "x.toml"}
    assert at == {
        (2, "accounts.acme.calls_per_sec"),
        (3, "accounts.acme.concurrent_calls"),
        (4, "accounts.acme.max_call_seconds"),
        (5, "accounts.acme.fallback_callflow"),
        (8, "accounts.acme.acls.office.networks[0]"),
        (8, "accounts.acme.acls.office.networks[1]"),
        (8, "accounts.acme.acls.office.networks[2]"),
        (9, "accounts.acme.acls.office.netwroks"),
        (12, 'accounts.acme.acls.roaming.sip_accounts."a:b"'),
        (13, "accounts.acme.acls.roaming.sip_accounts.none"),
        (14, "accounts.acme.acls.roaming.sip_accounts.both"),
        (14, "accounts.acme.acls.roaming.sip_accounts.both.ha1.MD5"),
        (14, "accounts.acme.acls.roaming.sip_accounts.both.ha1.SHA1"),
        (15, "accounts.acme.acls.roaming.sip_accounts.empty.password"),
        (17, "accounts.acme.domains.ac-me"),
        (18, "accounts.acme.domains.acme"),
        (19, "accounts.acme.domains.acme.acls[0]"),
        (19, "accounts.acme.domains.acme.acls[2]"),
        (20, "accounts.acme.domains.acme.algorithms[0]"),
        (21, "accounts.acme.domains.acme.home_region"),
        (23, "accounts.acme.domains.acme.callflow_url"),
        (26, "accounts.acme.callflows.sorry.document"),
        (27, "accounts.acme.callflows.gone.file"),
        (29, "accounts.acme.callflows.none"),
        (32, "accounts.acme.numbers.0201234567"),
        (33, 'accounts.acme.numbers."+1202555"'),
        (34, 'accounts.acme.numbers."+31201234567"'),
        (37, 'accounts.acme.media.".hidden.wav"'),
        (38, 'accounts.acme.media."a.txt".file'),
        (39, 'accounts.acme.media."b.wav"'),
        (41, 'accounts."a/b"'),
        (43, "accounts.beta.domains.ACME"),
        (44, "accounts.beta.numbers.31201234567"),
        (45, 'accounts.beta.numbers."+31201234567"'),
        (47, "gateways.g"),
        (48, "gateways.g.prefixes[0]"),
        (48, "gateways.g.prefixes[1]"),
        (49, "gateways.g.port"),
        (50, "gateways.g.transport"),
        (52, "gateways.g.caller_id_rule"),
        (53, "gateways.g.attempt_seconds"),
        (56, "gateways.h.host"),
        (57, "gateways.h.prefixes"),
        (59, "pops.p"),
        (60, "pops.p.address"),
        (62, "gateway"),
    }
    flow = str(folder / "flows" / "welcome.xml")
    assert [fault[:2] for fault in found if fault[0] == flow] == [(flow, 3), (flow, 4)]
    assert all(message.endswith((".", "?")) and remedy.endswith((".", "?")) for *_, message, remedy in found)
    said = {(key, message): remedy for _, _, key, message, remedy in found}
    assert said["accounts.acme.calls_per_sec", "There is no key “calls_per_sec” here."] == (
        "Did you mean calls_per_second?"
    )
    assert said[
        "accounts.acme.domains.acme.acls[0]", "Account acme has no access control list “offices”."
    ] == ("Did you mean office?")
    assert said["accounts.acme.callflows.sorry.document", "Line 4 of the document: Worse."] == ("Do better.")
    assert ("gateways.g", "The key host is missing.") in said
    assert (
        "accounts.beta.domains.ACME",
        "Label acme is given twice: here and in accounts.acme.domains.acme.",
    ) in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accounts = 5", "This is a whole number."),
        ("accounts = []", "This is an array in [ ]."),
        ("[accounts]\nacme = 'x'", "This is a text in quotes."),
        ("[accounts.a]\nacls = 2024-01-01", "This is a date or time."),
        ("[accounts.a.acls.b]\nnetworks = '10.0.0.1'", "This is a text in quotes."),
        ("[accounts.a]\nconcurrent_calls = true", "This is true or false."),
        ("[accounts.a]\nconcurrent_calls = 1.0", "This is a number."),
        ("[[accounts]]\nname = 'acme'", "This is an array in [ ]."),
    ],
)
def test_wrong_types(text: str, message: str, tmp_path: Path) -> None:
    assert message in [fault[3] for fault in faults_of(text, tmp_path)]


def test_a_name_from_the_file_stays_short_in_a_message(tmp_path: Path) -> None:
    (fault,) = faults_of(f'[accounts."{"x" * 10_000}"]', tmp_path)
    assert len(fault[2]) < 200
    assert len(fault[3]) < 200


def test_an_unreadable_or_huge_callflow(tmp_path: Path) -> None:
    (tmp_path / "huge.xml").write_bytes(b" " * 300_000)
    text = (
        '[accounts.a.callflows]\nx = { file = "huge.xml" }\ny = { file = "." }\n'
        f'z = {{ document = "{"x" * 300_000}" }}'
    )
    found = {fault[2]: fault[3] for fault in faults_of(text, tmp_path)}
    assert "is larger than" in found["accounts.a.callflows.x.file"]
    assert "cannot be read: Is a directory" in found["accounts.a.callflows.y.file"]
    assert "300000 characters" in found["accounts.a.callflows.z.document"]


def _counted() -> object:
    count = 0

    def mint() -> str:
        nonlocal count
        count += 1
        return f"id-{count}"

    return mint


def test_entries_keep_their_ids_and_new_ones_get_one(folder: Path) -> None:
    declared = read(GOOD, folder).configuration
    first = with_ids_of(declared, Configuration(), _counted())  # type: ignore[arg-type]
    assert first.accounts[0].id == first.acls[0].account_id == first.domains[0].account_id
    assert first.domains[0].acl_ids == (first.acls[1].id, first.acls[0].id)
    assert first.accounts[0].fallback_callflow_id == first.callflows[1].id
    assert first.numbers[0].callflow_id == first.callflows[0].id
    again = with_ids_of(declared, first, _counted())  # type: ignore[arg-type]
    assert again == first
    assert differences(first, again) == ()


def test_differences_name_what_changes_and_no_secret(folder: Path) -> None:
    declared = read(GOOD, folder).configuration
    before = with_ids_of(declared, Configuration(), _counted())  # type: ignore[arg-type]
    changed = (
        GOOD.replace("calls_per_second = 5", "calls_per_second = 6")
        .replace('fallback_callflow = "sorry"', "")
        .replace("10.0.0.1", "10.0.0.2")
        .replace("correct horse", "battery staple")
        .replace("old = {", "new = {")
        .replace('["roaming", "office"]', '["office", "roaming"]')
        .replace('password = "p"', 'password = "another"')
        .replace("<sorry/>", "<sorrier/>")
        .replace('"31201234568" =', '"31201234569" =')
        .replace('transport = "tcp"\n', "")
    )
    (folder / "tune.WAV").write_bytes(b"RIFFRIFF")
    after = with_ids_of(read(changed, folder).configuration, before, lambda: "new")
    found = differences(before, after)
    said = {change.name: (change.action, change.details) for change in found}
    assert said == {
        "number acme/+31201234568": (Action.REMOVED, ()),
        "number acme/+31201234569": (Action.ADDED, ()),
        "account acme": (
            Action.CHANGED,
            ("calls per second: 5.0 -> 6.0", "fallback callflow: sorry -> none"),
        ),
        "callflow acme/sorry": (Action.CHANGED, ("document: changed",)),
        "media acme/tune.wav": (Action.CHANGED, ("sha256: changed",)),
        "acl acme/office": (Action.CHANGED, ("networks: -10.0.0.1/32, +10.0.0.2/32",)),
        "acl acme/roaming": (
            Action.CHANGED,
            (
                "sip account old: removed",
                "sip account new: added",
                "sip account pbx: password changed",
            ),
        ),
        "domain acme/acme": (Action.CHANGED, ("acl: roaming, office -> office, roaming",)),
        "gateway carrier": (Action.CHANGED, ("transport: TCP -> UDP", "password: changed")),
    }
    text = "\n".join(map(str, found))
    assert "another" not in text
    assert "staple" not in text
    assert repr(after).count("another") == 0, "nor does the configuration itself show passwords"


def test_what_goes_goes_before_what_it_points_at_and_comes_after(folder: Path) -> None:
    declared = with_ids_of(read(GOOD, folder).configuration, Configuration(), _counted())  # type: ignore[arg-type]
    kinds = [change.name.split()[0] for change in differences(Configuration(), declared)]
    assert kinds.index("account") < kinds.index("callflow") < kinds.index("domain")
    assert kinds.index("acl") < kinds.index("domain")
    gone = [change.name.split()[0] for change in differences(declared, Configuration())]
    assert gone == kinds[::-1]


def test_one_callflow_of_an_account_may_be_its_default(tmp_path: Path) -> None:
    text = (
        "[accounts.acme.callflows]\n"
        'one = { document = "<w/>", default = true }\n'
        'two = { document = "<w/>", default = DEFAULT }\n'
        '[accounts.beta.callflows]\nother = { document = "<w/>", default = true }\n'
    )
    flows = read(text.replace("DEFAULT", "false"), tmp_path).configuration.callflows
    assert [(flow.title, flow.is_default) for flow in flows] == [
        ("one", True),
        ("two", False),
        ("other", True),
    ]
    with pytest.raises(ConfigurationFaults, match="The default of acme is given twice"):
        read(text.replace("DEFAULT", "true"), tmp_path)
