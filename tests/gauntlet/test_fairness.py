"""The gauntlet blames no server for what is right, or says nothing of the server at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.gauntlet.ground import ground
from tests.gauntlet.phone import Phone, ringing
from voice.gauntlet.aim import Aim, BadAim
from voice.gauntlet.attack import Attack, Result, Verdict
from voice.gauntlet.call import ANSWER_SECONDS
from voice.gauntlet.field import Field
from voice.gauntlet.runner import ATTACKS, run


async def made(aim: Aim, *names: str) -> dict[str, Result]:
    """The results of the attacks of these names."""
    results = await run(aim, [attack for attack in ATTACKS if attack.name in names])
    assert len(results) == len(names)
    return {result.attack: result for result in results}


def an_attack(run_it: object) -> Attack:
    return Attack(family="x", name="x", expected="", run=run_it)  # type: ignore[arg-type]


NC = ("nc goes far back", "nc stays", "a used nonce", "nonce and nc used before", "a wrong password")


async def test_a_full_server_is_skipped_with_the_reason() -> None:
    async with ringing(Phone(challenges=True, answers=[503])) as aim:
        found = await made(aim, *NC, "a BYE 5 times", "Max-Forwards 0 with a login", "with another branch")
    for result in found.values():
        assert result.verdict is Verdict.SKIP, result
        assert result.reason.startswith("503: the server is full or the number busy")


@pytest.mark.parametrize("name", NC[:4])
async def test_a_server_that_is_full_for_a_moment_is_attacked_again(name: str) -> None:
    async with ringing(Phone(challenges=True, answers=[503, 503, 200, 407])) as aim:
        found = await made(aim, name)
    assert found[name].verdict is Verdict.PASS, found


async def test_a_login_that_serves_twice_fails_whatever_came_before() -> None:
    async with ringing(Phone(challenges=True, answers=[200, 503, 200])) as aim:
        found = await made(aim, "nc stays")
    assert found["nc stays"].verdict is Verdict.FAIL
    assert found["nc stays"].reason == "let in twice with one count"


@pytest.mark.parametrize(("over", "verdict"), [(481, Verdict.PASS), (200, Verdict.FAIL)])
async def test_a_bye_after_the_bye_is_harmless_and_info_is_not(over: int, verdict: Verdict) -> None:
    async with ringing(Phone(over=over)) as aim:
        found = (await made(aim, "requests after the call's end"))["requests after the call's end"]
    assert found.verdict is verdict, found
    assert found.reason == ("INFO was taken after the call's end" if over == 200 else "")


async def test_a_number_that_hangs_up_by_itself_is_skipped_and_one_that_forgets_its_call_fails() -> None:
    names = ("into a call with other tags", "a CSeq that goes back", "after the answer")
    async with ringing(Phone(stays=False)) as aim:
        hung_up = await made(aim, *names)
    for result in hung_up.values():
        assert result.verdict is Verdict.SKIP, result
        assert "hung up too soon: name a number that stays on the line" in result.reason
    async with ringing(Phone(forgets=True)) as aim:
        forgot = await made(aim, *names)
    for result in forgot.values():
        assert result.verdict is Verdict.FAIL, result
        assert (result.came[-7:], result.reason) == ("BYE 481", "the call did not survive it")


@pytest.mark.parametrize(("passes_on", "verdict"), [(False, Verdict.SKIP), (True, Verdict.FAIL)])
async def test_max_forwards_0_is_for_those_who_pass_a_call_on(passes_on: bool, verdict: Verdict) -> None:
    async with ringing(Phone(record_route=passes_on)) as aim:
        found = await made(aim, "Max-Forwards 0", "Max-Forwards 0 with a login")
    assert {result.verdict for result in found.values()} == {verdict}, found


async def test_a_route_proves_nothing_where_everybody_may_call() -> None:
    async with ringing(Phone()) as aim:
        found = (await made(aim, "a Route to the server"))["a Route to the server"]
    assert (found.verdict, found.reason) == (
        Verdict.SKIP,
        "calls are let in without a login from this address",
    )


@pytest.mark.parametrize(("strangers", "verdict"), [(200, Verdict.PASS), (403, Verdict.FAIL)])
async def test_a_new_call_to_a_contact_is_no_crime_where_everybody_may_call(
    strangers: int, verdict: Verdict
) -> None:
    """The call, the new one to its Contact, and one as any stranger would place it."""
    async with ringing(Phone(answers=[200, 200, strangers])) as aim:
        name = "into a call with its Contact stolen, as a new request"
        found = (await made(aim, name))[name]
    assert found.verdict is verdict, found


async def test_a_number_that_only_rings_is_good_enough_and_does_not_take_long() -> None:
    async with ringing(Phone(rings=True)) as aim:
        (result,) = await run(aim, [attack for attack in ATTACKS if attack.name == "of nothing"])
    assert result.verdict is Verdict.PASS, result
    assert result.seconds < ANSWER_SECONDS / 2


@pytest.mark.parametrize("status", [403, 407])
async def test_who_refuses_without_a_challenge_is_not_blamed(status: int) -> None:
    async with ringing(Phone(answers=[status])) as aim:
        (result,) = await run(aim, [attack for attack in ATTACKS if attack.name == "after a refusal"])
    assert (result.verdict, result.came) == (Verdict.PASS, "481"), result


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        (Phone(copies=(0.2, 0.6)), ""),
        (Phone(copies=(0.2, 0.6), crossing=True), ""),
        (Phone(copies=(0.2, 0.6), deaf=True), "an answer that was acknowledged was sent again"),
        (Phone(), "an answer that was not acknowledged was not sent again"),
    ],
    ids=["as it should be", "a copy that crosses the ACK", "the ACK is ignored", "no copies"],
)
async def test_copies_of_an_answer(phone: Phone, reason: str) -> None:
    name = "an answer without an ACK, then with one"
    async with ringing(phone) as aim:
        found = (await made(aim, name))[name]
    assert found.reason == reason
    assert found.verdict is (Verdict.FAIL if reason else Verdict.PASS)


async def test_who_is_banned_proves_nothing_and_the_table_says_so() -> None:
    by_name = {attack.name: attack for attack in ATTACKS}
    async with ground(from_anywhere=True, source="127.66.0.1", patience=0.2) as stage:
        results = await stage.attacked([by_name["well-known scanners"], by_name["of nothing"]])
    assert [result.verdict for result in results] == [Verdict.PASS, Verdict.SKIP]
    assert results[1].reason.startswith("127.66.0.1 gets no answer, not even to OPTIONS: it is banned by now")


async def test_a_good_caller_who_is_not_served_meanwhile_fails_an_attack() -> None:
    phone = Phone()

    async def upsets(_field: Field) -> str:
        phone.gone = True
        await asyncio.sleep(2)
        phone.gone = False
        return "nothing"

    async with ringing(phone) as aim:
        (result,) = await run(aim, [an_attack(upsets)])
    assert result.verdict is Verdict.FAIL
    assert result.reason.startswith("meanwhile: ")


async def test_a_good_caller_goes_on_beside_an_attack() -> None:
    phone = Phone()

    async def lasts(_field: Field) -> str:
        async with asyncio.timeout(10):
            while phone.good_calls < 3:
                await asyncio.sleep(0.05)
        return "nothing"

    async with ringing(phone) as aim:
        (result,) = await run(aim, [an_attack(lasts)])
    assert result.verdict is Verdict.PASS
    assert phone.good_calls >= 4, "one before, one after, and two meanwhile"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"domain": "a b"}, "--domain does not fit into a SIP URI"),
        ({"number": "1\r\n2"}, "--number does not fit into a SIP URI"),
        ({"claims": ("office",)}, "--claim 'office' is no IP address"),
        ({"source": "192.0.2.1"}, "--source '192.0.2.1' cannot be sent from"),
        ({"probe_source": "::1"}, "--probe-source '::1' cannot be sent from"),
    ],
)
async def test_an_aim_that_cannot_be_is_named(change: dict[str, object], said: str) -> None:
    async with ringing(Phone()) as aim:
        with pytest.raises(BadAim, match=said.replace("(", r"\(")):
            await run(replace(aim, **change), [])  # type: ignore[arg-type]
