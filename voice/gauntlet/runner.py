"""Runs the attacks, and asks after each whether the server still serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from voice.gauntlet import (
    acl,
    cancels,
    challenges,
    dialogs,
    floods,
    logins,
    loops,
    oversize,
    relaying,
    retransmissions,
    scans,
    streams,
    torture,
    vectors,
)
from voice.gauntlet.aim import Aim, BadAim, check
from voice.gauntlet.attack import Attack, Failed, Full, Result, Skipped, Verdict, told
from voice.gauntlet.call import good_call
from voice.gauntlet.field import Field
from voice.gauntlet.good_caller import CALL_EVERY, GoodCaller
from voice.gauntlet.reply import Reply, statuses

ATTACK_SECONDS: Final = 120.0
"""An attack that takes longer hangs."""
_TRIES: Final = 3
_HEARD_SECONDS: Final = 0.7
_GONE: Final = 5
"""After so many attacks whose good caller was not served, the others would show nothing."""

ATTACKS: Final[tuple[Attack, ...]] = (
    *acl.ATTACKS,
    *vectors.ATTACKS,
    *challenges.ATTACKS,
    *logins.ATTACKS,
    *torture.ATTACKS,
    *streams.ATTACKS,
    *oversize.ATTACKS,
    *loops.ATTACKS,
    *relaying.ATTACKS,
    *dialogs.ATTACKS,
    *cancels.ATTACKS,
    *retransmissions.ATTACKS,
    *scans.ATTACKS,
    *floods.ATTACKS,
)
FAMILIES: Final = tuple(dict.fromkeys(attack.family for attack in ATTACKS))


async def run(
    aim: Aim, attacks: Sequence[Attack] = ATTACKS, heard: Callable[[Result], None] | None = None
) -> list[Result]:
    """Runs the attacks one after another; `heard` gets each result as it comes.

    Raises BadAim when the server serves nobody to begin with.
    """
    check(aim)
    await _serves(aim)
    until = time.monotonic() + aim.at_most
    results = []
    unserved = 0
    for number, attack in enumerate(attacks):
        if unserved >= _GONE:
            result = _not_made(attack, f"not made: after {_GONE} attacks in a row nobody was served")
        elif time.monotonic() >= until:
            result = _not_made(attack, f"not made: {aim.at_most:g} s are over, see --at-most")
        else:
            result, served = await _run_one(aim, attack, aim.source_of(number))
            unserved = 0 if served else unserved + 1
        results.append(result)
        if heard is not None:
            heard(result)
    return results


async def _serves(aim: Aim) -> None:
    try:
        await alive(aim)
    except (Failed, Skipped, OSError) as fault:
        raise BadAim(
            f"{aim.server} does not serve its good caller even before an attack: {told(fault)}. "
            "Correct the target, the domain, the number or the login."
        ) from None


async def _run_one(aim: Aim, attack: Attack, source: str | None) -> tuple[Result, bool]:
    """What came of an attack, and whether the good caller was served afterwards."""
    began = time.monotonic()
    good = GoodCaller(aim, first=CALL_EVERY)
    meanwhile = None if attack.watched else asyncio.ensure_future(good.work())
    try:
        verdict, came, reason = await _made(aim, attack, source)
    finally:
        good.stop()
    reasons = [reason] if reason else []
    if meanwhile is not None:
        reasons += await _fault_of("meanwhile", meanwhile)
    afterwards = await _fault_of("afterwards", alive(aim))
    reasons += afterwards
    if len(reasons) > bool(reason):
        verdict = Verdict.FAIL
    result = Result(
        family=attack.family,
        attack=attack.name,
        expected=attack.expected,
        came=came,
        verdict=verdict,
        reason="; ".join(reasons),
        seconds=time.monotonic() - began,
    )
    return result, not afterwards


async def _made(aim: Aim, attack: Attack, source: str | None) -> tuple[Verdict, str, str]:
    """Makes an attack, again when the server has no room for it.  Gives what came, and why it is no pass."""
    no_room = ""
    for attempt in range(_TRIES):
        if attempt:
            await asyncio.sleep(aim.busy_seconds)
        ground = Field(aim, source)
        try:
            async with asyncio.timeout(ATTACK_SECONDS):
                await _is_heard(aim, source)
                return Verdict.PASS, await attack.run(ground), ""
        except Failed as failed:
            return Verdict.FAIL, failed.came, str(failed)
        except Full as full:
            no_room = str(full)
        except Skipped as skipped:
            return Verdict.SKIP, "", str(skipped)
        except TimeoutError:
            return Verdict.FAIL, "no end", f"not over after {ATTACK_SECONDS:g} s"
        except OSError as fault:
            return Verdict.SKIP, "", f"this machine could not: {fault}"
        except Exception as bug:
            # Of the attack itself; the others are to be made all the same.
            return Verdict.FAIL, "", f"the attack could not go on: {bug!r}"
        finally:
            ground.close()
    return Verdict.SKIP, "", no_room


def _not_made(attack: Attack, reason: str) -> Result:
    return Result(
        family=attack.family,
        attack=attack.name,
        expected=attack.expected,
        came="",
        verdict=Verdict.SKIP,
        reason=reason,
        seconds=0.0,
    )


async def _fault_of(when: str, served: Awaitable[None]) -> list[str]:
    """What kept the good caller from being served, if anything did."""
    try:
        async with asyncio.timeout(ATTACK_SECONDS):
            await served
    except Full as full:
        # During an attack it may be the attack itself that takes the room; when it is over it may not.
        return [] if when == "meanwhile" else [f"{when}: {full}"]
    except (Failed, Skipped, OSError) as fault:
        return [f"{when}: {told(fault)}"]
    return []


async def _is_heard(aim: Aim, source: str | None) -> None:
    """Raises Skipped when the server does not answer the attacker at all: then nothing would be proven."""
    own = Field(aim, source)
    try:
        wire = await own.wire()
        for _ in range(_TRIES):
            if await own.ask(
                wire,
                own.request("OPTIONS", wire, f"sip:{aim.domain}"),
                within=min(_HEARD_SECONDS, aim.patience),
            ):
                return
    finally:
        own.close()
    raise Skipped(f"{wire.host} gets no answer, not even to OPTIONS: it is banned by now, or never served")


async def alive(aim: Aim) -> None:
    """Raises Failed unless OPTIONS is answered and, when one may be placed, a good call goes through."""
    ground = Field(aim, aim.probe_source)
    try:
        wire = await ground.wire()
        replies: list[Reply] = []
        for _ in range(_TRIES):
            replies = await ground.ask(wire, ground.request("OPTIONS", wire, f"sip:{aim.domain}"))
            if replies:
                break
        if not replies:
            raise Failed("nothing", "OPTIONS is not answered: the server is gone, or bans this address")
        if not replies[-1].final:
            raise Failed(statuses(replies), "OPTIONS gets no final answer")
        if aim.number is not None:
            await good_call(ground, wire)
    finally:
        ground.close()
