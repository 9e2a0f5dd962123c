"""The commands, run in this process against real databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.console import BEGUN, CALL, DECLARED, FLOW, NODE, Run, remember, started
from voice.cli.output import bytes_shown, rfc3339, shown
from voice.node import NodeError
from voice.records import (
    CallEnded,
    CallStatus,
    Direction,
    Event,
    LegChanged,
    LegMedia,
    LegStarted,
    LegStatus,
    Record,
    RecordingDone,
    RecordingStarted,
    Refusal,
    StepFinished,
    StepStarted,
)
from voice.settings import Settings

HISTORY: tuple[Record, ...] = (
    started(CALL, sip_call_id="abc@pbx"),
    LegStarted(
        leg_id="l1",
        call_id=CALL,
        at=BEGUN,
        direction=Direction.INCOMING,
        source="+31201111111",
        destination="acme",
    ),
    LegChanged(
        leg_id="l1", call_id=CALL, at=BEGUN + 0.25, status=LegStatus.ONGOING, sip_status=200, sip_reason="OK"
    ),
    StepStarted(call_id=CALL, at=BEGUN + 0.25, seq=1, step_id="greet", action="say"),
    StepFinished(
        call_id=CALL,
        at=BEGUN + 1.75,
        seq=1,
        step_id="greet",
        action="say",
        outcome="done",
        detail="",
        seconds=1.5,
    ),
    RecordingStarted(
        recording_id="r1", call_id=CALL, leg_id="l1", at=BEGUN + 2, path="/data/r1.wav", kind="ivr"
    ),
    RecordingDone(recording_id="r1", call_id=CALL, at=BEGUN + 4, seconds=2.0, size=32_044, status="done"),
    LegStarted(
        leg_id="l2",
        call_id=CALL,
        at=BEGUN + 4,
        direction=Direction.OUTGOING,
        source="+31201111111",
        destination="+4930123456",
        gateway="carrier",
    ),
    LegChanged(
        leg_id="l2", call_id=CALL, at=BEGUN + 5, status=LegStatus.BUSY, sip_status=486, sip_reason="Busy Here"
    ),
    LegChanged(leg_id="l1", call_id=CALL, at=BEGUN + 6, status=LegStatus.HANGUP),
    LegMedia(
        leg_id="l1",
        call_id=CALL,
        codec="PCMA",
        received_packets=290,
        received_lost=3,
        received_jitter_ms=1.26,
        sent_packets=288,
        sent_lost=0,
        sent_jitter_ms=0.5,
    ),
    Event(at=BEGUN + 5.5, kind="speech", detail="slow", call_id=CALL),
    CallEnded(call_id=CALL, at=BEGUN + 6, status=CallStatus.ENDED, reason="The caller hung up."),
)


def test_a_dry_run_before_there_is_a_database_finds_what_is_there_twice(
    trunkflow: Run, tmp_path: Path
) -> None:
    pops = "".join(
        f'[pops.{name}]\nregion = "EU"\naddress = "192.0.2.1{port}"\n'
        for name, port in (("eu1", ""), ("eu2", ":5060"))
    )
    relay = f'[node.relay]\nkey = "{"k" * 32}"\n'
    (tmp_path / "trunkflow.toml").write_text(NODE + relay + DECLARED + pops)
    status, _, errors = trunkflow("apply", "trunkflow.toml", "--dry-run")
    assert status == 1
    assert "POP address 192.0.2.1 is twice" in errors


def test_apply_says_what_changed_and_then_nothing(trunkflow: Run, tmp_path: Path) -> None:
    status, output, errors = trunkflow("apply", "trunkflow.toml", "--dry-run")
    assert (status, errors) == (0, "")
    assert "added domain acme/acme" in output
    assert "nothing was changed (--dry-run)" in output
    assert not (tmp_path / "data").exists()
    status, output, _ = trunkflow("apply", "trunkflow.toml")
    assert status == 0
    assert "added domain acme/acme" in output
    assert output.endswith("10 changes made.\n")
    assert trunkflow("apply", "trunkflow.toml")[1] == "Nothing to change.\n"
    (tmp_path / "trunkflow.toml").write_text(NODE + DECLARED.replace("correct horse", "another"))
    status, output, _ = trunkflow("apply", "trunkflow.toml", "--dry-run")
    assert output == (
        "changed acl acme/roaming\n    sip account pbx: password changed\n"
        "1 change to make; nothing was changed (--dry-run).\n"
    )


def test_apply_says_what_is_hardly_meant_so(trunkflow: Run, tmp_path: Path) -> None:
    secret = DECLARED + '\n[gateways.open]\nhost = "192.0.2.1"\nsrtp = "required"\n'
    (tmp_path / "trunkflow.toml").write_text(NODE + secret)
    status, output, _ = trunkflow("apply", "trunkflow.toml", "--dry-run")
    assert status == 0
    assert "caution: gateway open requires SRTP and is reached by UDP" in output
    assert 'Use transport = "TLS".' in output


def test_a_faulty_file_changes_nothing(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    before = trunkflow("domains", "--json")[1]
    text = NODE + DECLARED.replace('acls = ["office", "roaming"]', 'acls = ["ofice"]\nnonsense = 1')
    (tmp_path / "faulty.toml").write_text(text.replace("accounts.beta.domains.beta", "accounts.beta"))
    status, output, errors = trunkflow("apply", "faulty.toml")
    assert (status, output) == (2, "")
    assert errors.splitlines() == [
        "faulty.toml:10: accounts.acme.domains.acme.acls[0]: Account acme has no access control list "
        "“ofice”. Did you mean office?",
        "faulty.toml:11: accounts.acme.domains.acme.nonsense: There is no key “nonsense” here. "
        "The keys here are callflow, callflow_url, acls, algorithms, home_region, srtp, limits.",
    ]
    assert trunkflow("domains", "--json")[1] == before


def test_apply_finds_its_node(trunkflow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "accounts.toml").write_text(DECLARED)
    assert trunkflow("apply", "accounts.toml")[0] == 0
    assert (tmp_path / "data" / "trunkflow.db").exists(), "that of ./trunkflow.toml"
    (tmp_path / "other.toml").write_text(NODE.replace('"data"', '"other"'))
    assert trunkflow("apply", "trunkflow.toml", "--config", "other.toml")[0] == 0
    assert (tmp_path / "other" / "trunkflow.db").exists(), "that of --config"
    (tmp_path / "third.toml").write_text(NODE.replace('"data"', '"third"'))
    monkeypatch.setenv("TRUNKFLOW_CONFIG", "third.toml")
    assert trunkflow("apply", "accounts.toml")[0] == 0
    assert (tmp_path / "third" / "trunkflow.db").exists(), "that of the environment"


def test_apply_of_nothing_is_not_taken_for_an_order_to_delete(trunkflow: Run, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(NODE)
    status, _, errors = trunkflow("apply", "settings.toml")
    assert status == 1
    assert "declares nothing" in errors


def test_check(trunkflow: Run, tmp_path: Path) -> None:
    (tmp_path / "good.xml").write_text(FLOW)
    assert trunkflow("check", "good.xml") == (0, "good.xml: good, 1 step.\n", "")
    (tmp_path / "bad.xml").write_text(
        '<callflow>\n<steps>\n<step id="a" action="jump"/>\n<step action="hangup"/></steps></callflow>'
    )
    status, output, errors = trunkflow("check", "bad.xml")
    assert (status, output) == (2, "")
    first, second = errors.splitlines()
    assert first.startswith("bad.xml:3: /callflow/steps/step[1]: There is no action “jump”.")
    assert second.startswith("bad.xml:4: /callflow/steps/step[2]: The step has no id.")
    status, _, errors = trunkflow("check", "none.xml")
    assert status == 1
    assert "none.xml cannot be read: No such file" in errors


def test_listings_before_there_is_a_database(trunkflow: Run, tmp_path: Path) -> None:
    status, output, errors = trunkflow("domains")
    assert (status, output) == (1, "")
    assert "There is no database" in errors
    assert "trunkflow apply" in errors
    assert not (tmp_path / "data").exists()


def test_listings_for_people(trunkflow: Run) -> None:
    trunkflow("apply", "trunkflow.toml")
    shown_domains = trunkflow("domains")[1]
    assert "acme.sip.example.com" in shown_domains
    assert "office, roaming" in shown_domains
    assert "bye" in shown_domains
    shown_acls = trunkflow("acls")[1]
    assert "192.0.2.0/24" in shown_acls
    assert "pbx" in shown_acls
    assert "https://app.example.com/flow" in trunkflow("numbers")[1]
    shown_gateways = trunkflow("gateways")[1]
    assert "[2001:db8::7]:5060" in shown_gateways
    assert "(all)" in shown_gateways
    assert shown_gateways.index("carrier") < shown_gateways.index("own")
    for listing in (shown_domains, shown_acls, shown_gateways):
        assert "correct horse" not in listing
        assert "battery staple" not in listing


def test_listings_for_programs(trunkflow: Run) -> None:
    trunkflow("apply", "trunkflow.toml")

    def listed(*arguments: str) -> list[dict[str, Any]]:
        status, output, _ = trunkflow(*arguments, "--json")
        assert status == 0
        assert "correct horse" not in output
        assert "battery staple" not in output
        for entry in (entries := json.loads(output)):
            assert len(entry.pop("id")) == 36
        return entries  # type: ignore[no-any-return]

    assert listed("domains") == [
        {
            "account": "acme",
            "name": "acme.sip.example.com",
            "acls": ["office", "roaming"],
            "algorithms": ["MD5"],
            "home_region": "EU",
            "callflow": "bye",
            "callflow_url": None,
        },
        {
            "account": "beta",
            "name": "beta.sip.example.com",
            "acls": [],
            "algorithms": ["MD5"],
            "home_region": "EU",
            "callflow": None,
            "callflow_url": None,
        },
    ]
    assert [acl["sip_accounts"] for acl in listed("acls")] == [[], ["pbx"]]
    assert listed("numbers") == [
        {
            "account": "acme",
            "number": "+31201234567",
            "callflow": None,
            "callflow_url": "https://app.example.com/flow",
        }
    ]
    assert [gateway["account"] for gateway in listed("gateways")] == [None, "acme"]
    assert listed("domains", "--account", "beta")[0]["account"] == "beta"
    assert listed("numbers", "--account", "beta") == []
    assert listed("calls") == []
    assert listed("refusals") == []


def test_an_unknown_account_is_a_mistake(trunkflow: Run) -> None:
    trunkflow("apply", "trunkflow.toml")
    status, _, errors = trunkflow("domains", "--account", "acmee")
    assert status == 1
    assert errors == "There is no account acmee. The accounts are acme, beta.\n"


def test_empty_listings_say_so(trunkflow: Run) -> None:
    trunkflow("apply", "trunkflow.toml")
    assert trunkflow("calls")[1] == "There are no calls on record.\n"
    assert trunkflow("refusals")[1] == "Nothing was refused.\n"
    assert trunkflow("numbers", "--account", "beta")[1] == "There are no numbers.\n"


def test_calls_and_one_of_them(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(tmp_path, *HISTORY, started("0f7c9999", at=BEGUN + 60))
    lines = [line.split() for line in trunkflow("calls")[1].splitlines() if "0f7c" in line]
    assert [line[0] for line in lines] == ["0f7c9999", CALL]
    assert "6.0 s" in " ".join(lines[1])
    assert CALL not in trunkflow("calls", "--limit", "1")[1]
    assert "0f7c9999" not in trunkflow("calls", "--status", "ended")[1]

    status, output, _ = trunkflow("calls", "show", CALL[:8])
    assert status == 0
    for fact in ("The caller hung up.", "abc@pbx", "roaming", "192.0.2.1", "2026-01-01T00:00:00.000Z"):
        assert fact in output
    moments = [" ".join(line.split()) for line in output.splitlines() if line.strip().startswith("+")]
    assert moments == [
        "+0.000 call +31201111111 to +31202222222, let in by ACL roaming",
        "+0.000 leg 1 incoming, +31201111111 to acme",
        "+0.250 leg 1 answered, 200 OK",
        "+0.250 step 1 say greet",
        "+1.750 step 1 say greet done after 1.500 s",
        "+2.000 recording begun: /data/r1.wav",
        "+4.000 leg 2 outgoing, +31201111111 to +4930123456 by gateway carrier",
        "+4.000 recording done, 2.0 s, 32 kB: /data/r1.wav",
        "+5.000 leg 2 ended, busy, 486 Busy Here",
        "+5.500 event speech: slow",
        "+6.000 leg 1 ended, hangup",
        "+6.000 call ended: The caller hung up.",
    ]
    assert "leg 1 PCMA 290 3 1.3 ms 288 0 0.5 ms" in " ".join(output.split())
    assert "ivr done 2.0 s 32 kB /data/r1.wav" in " ".join(output.split())


def test_a_call_for_programs(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(tmp_path, *HISTORY)
    call = json.loads(trunkflow("calls", "show", CALL, "--json")[1])
    assert call["started_at"] == "2026-01-01T00:00:00.000Z"
    assert call["end_reason"] == "The caller hung up."
    assert [leg["sip_status"] for leg in call["legs"]] == [200, 486]
    assert call["legs"][0]["received_lost"] == 3
    assert call["steps"][0]["outcome"] == "done"
    assert call["recordings"][0]["path"] == "/data/r1.wav"
    assert call["events"][0]["at"] == "2026-01-01T00:00:05.500Z"


def test_calls_that_cannot_be_shown(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(tmp_path, started("abcd1"), started("abcd2"), started("abcd"))
    assert "There is no call abce." in trunkflow("calls", "show", "abce")[2]
    assert "is too short" in trunkflow("calls", "show", "ab")[2]
    assert trunkflow("calls", "show", "abcd")[0] == 0, "a whole id, though others begin with it"
    remember(tmp_path, started("abcdef1"), started("abcdef2"))
    status, _, errors = trunkflow("calls", "show", "abcdef")
    assert status == 1
    assert "More than one call begins with abcdef: abcdef1, abcdef2." in errors


def test_a_call_of_which_little_is_known(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(tmp_path, CallEnded(call_id="little", at=BEGUN, status=CallStatus.FAILED, reason="r"))
    status, output, _ = trunkflow("calls", "show", "little")
    assert status == 0
    assert "+0.000" in output
    assert trunkflow("calls")[0] == 0


def test_refusals(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    hostile = Refusal(
        at=BEGUN,
        gate="acl",
        cause="acl-networks",
        rule="networks of \x1b[31moffice",
        remedy="Add [bold]it[/bold].",
        sip_status=403,
        source_address="198.51.100.9",
        method="INVITE",
        request_uri="sip:+31201234567@acme.sip.example.com",
        domain="acme",
        count=17,
    )
    remember(tmp_path, hostile)
    status, output, _ = trunkflow("refusals")
    assert status == 0
    for fact in ("198.51.100.9", "403", "17", "INVITE sip:+31201234567@acme", "Add [bold]it[/bold]."):
        assert fact in output
    assert "\x1b" not in output
    assert r"networks of \x1b[31moffice" in output
    (refusal,) = json.loads(trunkflow("refusals", "--json", "--source", "198.51.100.9")[1])
    assert (refusal["at"], refusal["count"]) == ("2026-01-01T00:00:00.000Z", 17)
    assert trunkflow("refusals", "--gate", "digest")[1] == "Nothing was refused.\n"


def test_mistakes_on_the_command_line(trunkflow: Run) -> None:
    for arguments in (["apply"], ["nonsense"], ["calls", "--status", "odd"], ["calls", "--limit", "0"]):
        status, output, errors = trunkflow(*arguments)
        assert (status, output) == (2, "")
        assert "Traceback" not in errors
    status, output, _ = trunkflow("--help")
    assert status == 0
    assert all(command in output for command in ("serve", "apply", "check", "calls", "refusals"))


def test_no_config_file(trunkflow: Run, tmp_path: Path) -> None:
    (tmp_path / "trunkflow.toml").unlink()
    status, _, errors = trunkflow("domains")
    assert status == 2
    assert errors.startswith("trunkflow.toml: The file cannot be read: No such file or directory.")


def test_serve_applies_what_its_file_declares_and_then_runs_the_node(
    trunkflow: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served: list[Settings] = []
    monkeypatch.setattr("voice.node.serve", served.append)
    status, output, _ = trunkflow("serve", "trunkflow.toml")
    assert status == 0
    assert "added domain acme/acme" in output
    assert [settings.base_domain for settings in served] == ["sip.example.com"]
    (tmp_path / "trunkflow.toml").write_text(NODE)
    assert trunkflow("serve", "trunkflow.toml") == (0, "", "")
    assert len(json.loads(trunkflow("domains", "--json")[1])) == 2, (
        "a file that declares nothing removes nothing"
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (OSError(98, "Address already in use"), "Address already in use. If an address is in use, stop"),
        (NodeError("Another node is running."), "Another node is running."),
    ],
)
def test_a_node_that_cannot_run_says_why(
    trunkflow: Run, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str
) -> None:
    def fails(_: object) -> None:
        raise fault

    monkeypatch.setattr("voice.node.serve", fails)
    status, _, errors = trunkflow("serve", "trunkflow.toml")
    assert status == 1
    assert said in errors
    assert "Traceback" not in errors


def test_cells() -> None:
    assert shown(None) == ""
    assert shown(True) == "yes"
    assert shown(("a", 1)) == "a, 1"
    assert shown("a\nb\x07é") == r"a\nb\x07é"
    assert rfc3339(None) is None
    assert rfc3339(0.0015) == "1970-01-01T00:00:00.002Z" or rfc3339(0.0015) == "1970-01-01T00:00:00.001Z"
    assert [bytes_shown(size) for size in (None, 44, 32_044, 12_000_000)] == ["", "44 B", "32 kB", "12 MB"]


def test_the_first_key_is_made_before_anything_else(trunkflow: Run, tmp_path: Path) -> None:
    status, output, errors = trunkflow("keys", "create", "--operator", "--label", "me")
    assert status == 0
    (key,) = output.splitlines()
    assert key.startswith("live_")
    assert errors.strip().endswith("This is the only time that the key is shown.")
    assert (tmp_path / "data" / "trunkflow.db").stat().st_mode & 0o777 == 0o600
    status, output, _ = trunkflow("keys", "list")
    assert status == 0
    assert "(operator)" in output
    assert key not in output


def test_keys_of_an_account_are_made_rotated_and_revoked(trunkflow: Run) -> None:
    assert trunkflow("apply", "trunkflow.toml")[0] == 0
    status, output, _ = trunkflow(
        *("keys", "create", "--account", "acme", "--test", "--scope", "calls:read", "--scope", "webhooks"),
        *("--days", "7", "--json"),
    )
    assert status == 0
    made = json.loads(output)
    assert made["key"].startswith("test_")
    assert (made["scopes"], made["test"]) == (["calls:read", "webhooks"], True)
    status, output, _ = trunkflow("keys", "rotate", made["id"][:8], "--overlap", "1", "--json")
    assert status == 0
    assert json.loads(output)["scopes"] == made["scopes"]
    assert trunkflow("keys", "revoke", made["id"])[0] == 0
    listed = json.loads(trunkflow("keys", "list", "--account", "acme", "--json")[1])
    assert [one["revoked_at"] is not None for one in listed] == [True, False]
    status, _, errors = trunkflow("keys", "revoke", made["id"])
    assert (status, errors.strip()) == (1, f"Key {made['id']} was revoked before.")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create"], "Say whose key it is to be"),
        (["create", "--operator", "--account", "acme"], "Say whose key it is to be"),
        (["create", "--account", "nobody"], "There is no account nobody"),
        (["create", "--operator", "--scope", "call"], "Did you mean calls?"),
        (["revoke", "ffff"], "There is no access key whose id begins with ffff"),
    ],
)
def test_keys_that_cannot_be_made_are_refused(trunkflow: Run, arguments: list[str], said: str) -> None:
    trunkflow("apply", "trunkflow.toml")
    status, _, errors = trunkflow("keys", *arguments)
    assert status == 1
    assert said in errors


def test_a_callflow_is_run_without_a_telephone(trunkflow: Run, tmp_path: Path) -> None:
    steps = '<step id="hello" action="say"><language>en-GB</language><text>Hello.</text></step>'
    (tmp_path / "flow.xml").write_text(f"<callflow><steps>{steps}</steps></callflow>")
    status, output, errors = trunkflow("check", "flow.xml", "--simulate", "--key", "1:5", "--hangs-up", "30")
    assert (status, errors) == (0, "")
    assert "good, 1 step" in output
    assert "hello" in output
    status, _, errors = trunkflow("check", "flow.xml", "--simulate", "--key", "5")
    assert (status, errors.startswith("5 is no key press.")) == (1, True)


def test_a_callflow_in_json_is_checked_as_well(trunkflow: Run, tmp_path: Path) -> None:
    (tmp_path / "flow.json").write_text('{"steps": [{"action": "hangup"}]}')
    assert trunkflow("check", "flow.json")[0] == 0
