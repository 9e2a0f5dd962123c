"""``trunkflow explain``: gates in order, the entry that decided, and what to change."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.console import BEGUN, CALL, Run, remember, started
from tests.edge.world import directory
from voice.explain import gates_of_refusal, source_now
from voice.records import Gate, Refusal


def refusal(gate: str = "limits", source: str = "192.0.2.1:5060") -> Refusal:
    return Refusal(
        at=BEGUN,
        gate=gate,
        cause="account-concurrent-calls",
        rule="account acme: 10 calls at a time",
        remedy="Wait until one ends.",
        sip_status=503,
        source_address=source,
        method="INVITE",
        request_uri="sip:+31201234567@acme.sip.example.com",
        sip_call_id="refused@pbx",
        domain="acme",
        acl="office",
        sip_account="pbx",
        count=3,
    )


def test_a_refused_call(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(tmp_path, refusal())
    status, output, _ = trunkflow("explain", "refused@pbx")
    assert status == 0
    lines = [line.split() for line in output.splitlines()]
    verdicts = {words[0]: " ".join(words[1:]) for words in lines if words and words[0] in list(Gate)}
    assert list(verdicts) == list(Gate)
    assert verdicts["domain"] == "passed domain acme"
    assert verdicts["acl"] == "passed access control list office"
    assert verdicts["digest"] == "passed SIP account pbx"
    assert verdicts["limits"] == "refused account acme: 10 calls at a time"
    assert verdicts["route"] == verdicts["pool"] == "not asked"
    assert "Refused (account-concurrent-calls), answered 503. Wait until one ends." in output
    assert "3 times" in output


def test_a_call_that_was_let_in_and_its_attempt_before(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(
        tmp_path, started(CALL, sip_call_id="refused@pbx", sip_account="pbx", callflow_id="main"), refusal()
    )
    for subject in (CALL, CALL[:8].upper(), "refused@pbx"):
        found = json.loads(trunkflow("explain", subject, "--json")[1])
        ((call,), (refused,)) = (found["calls"], found["refusals"])
        assert call["id"] == CALL
        assert {gate["verdict"] for gate in call["gates"]} == {"passed"}
        assert [gate["entry"] for gate in call["gates"] if gate["gate"] == "digest"] == ["SIP account pbx"]
        assert refused["cause"] == "account-concurrent-calls"
    assert "It was let in" in trunkflow("explain", CALL)[1]


def test_a_trunk_call_needs_no_call_process(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(tmp_path, started(CALL))
    [call] = json.loads(trunkflow("explain", CALL, "--json")[1])["calls"]
    assert call["gates"][-1] == {"gate": "pool", "verdict": "not asked", "entry": "no callflow answers it"}


def test_a_source(trunkflow: Run, tmp_path: Path) -> None:
    trunkflow("apply", "trunkflow.toml")
    remember(
        tmp_path,
        refusal(source="192.0.2.1:40000"),
        refusal(source="192.0.2.11:5060"),
        refusal(source="2001:db8::7:5060"),
        refusal(source="2001:db8::7:1:5060"),
        started(CALL),
    )
    status, output, _ = trunkflow("explain", "192.0.2.1")
    assert status == 0
    assert "A call from 192.0.2.1 now" in output
    assert "access control list office" in output
    assert "attach one to it" in output  # domain beta has no list
    found = json.loads(trunkflow("explain", "192.0.2.1", "--json")[1])
    assert [one["source_address"] for one in found["refusals"]] == ["192.0.2.1:40000"]
    assert [call["id"] for call in found["calls"]] == [CALL]
    assert [(one["domain"], one["verdict"]) for one in found["source"]["domains"]] == [
        ("acme", "passed"),
        ("beta", "refused"),
    ]
    for pasted in ("192.0.2.1:40000", " 192.0.2.1"):
        assert json.loads(trunkflow("explain", pasted, "--json")[1]) == found
    carrier = json.loads(trunkflow("explain", "2001:DB8:0::7", "--json")[1])
    assert json.loads(trunkflow("explain", "[2001:db8::7]:5060", "--json")[1]) == carrier
    assert carrier["source"]["gateway"] == "carrier"
    assert carrier["source"]["domains"][0]["verdict"] == "digest needed"
    assert [one["source_address"] for one in carrier["refusals"]] == ["2001:db8::7:5060"]


def test_a_banned_source(trunkflow: Run) -> None:
    trunkflow("apply", "trunkflow.toml")
    trunkflow("bans", "add", "198.51.100.9")
    status, output, _ = trunkflow("explain", "198.51.100.9")
    assert status == 0
    assert "It is banned until" in output
    assert "an operator banned it" in output
    found = json.loads(trunkflow("explain", "198.51.100.9", "--json")[1])
    assert found["ban"]["reason"] == "operator"
    trunkflow("bans", "release", "198.51.100.9")
    assert json.loads(trunkflow("explain", "198.51.100.9", "--json")[1])["ban"] is None


def test_nothing_on_record(trunkflow: Run) -> None:
    trunkflow("apply", "trunkflow.toml")
    status, _, errors = trunkflow("explain", "nobody@nowhere")
    assert status == 1
    assert "Nothing is on record about 'nobody@nowhere'." in errors


def test_a_call_of_a_carrier_asked_no_domain() -> None:
    facts = {"gate": "route", "rule": "r", "acl": None, "sip_account": None, "domain": None}
    verdicts = {one.gate: one.verdict for one in gates_of_refusal(facts)}
    assert (verdicts[Gate.DOMAIN], verdicts[Gate.ACL], verdicts[Gate.DIGEST]) == ("not asked",) * 3
    assert (verdicts[Gate.REQUEST], verdicts[Gate.ROUTE]) == ("passed", "refused")
    assert (verdicts[Gate.MEDIA], verdicts[Gate.LIMITS], verdicts[Gate.POOL]) == ("not asked",) * 3
    facts["gate"] = "limits"
    assert {one.gate: one.verdict for one in gates_of_refusal(facts)}[Gate.ROUTE] == "passed"


def test_a_call_of_another_pop_was_let_in_there() -> None:
    facts = {"gate": "pop", "rule": "relay token of another key", "acl": None, "sip_account": None}
    gates = {one.gate: (one.verdict, one.entry) for one in gates_of_refusal({**facts, "domain": None})}
    assert gates[Gate.ACL] == gates[Gate.DOMAIN] == ("not asked", "another POP let the call in")
    assert gates[Gate.POP] == ("refused", "relay token of another key")
    assert gates[Gate.LIMITS] == ("not asked", "")


def test_a_domain_that_asks_for_a_certificate_says_so() -> None:
    found = source_now(directory(networks=(), certificates=("pbx.acme.example",)), "192.0.2.1", most=5)
    assert found.verdict == "passed"
    (acme,) = found.domains
    assert acme.verdict == "certificate needed"
    assert "pbx.acme.example" in acme.remedy
