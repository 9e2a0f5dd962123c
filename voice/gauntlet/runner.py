"""Runs the attacks, and asks after each whether the server still serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
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
from voice.gauntlet.aim import Aim, BadAim
from voice.gauntlet.attack import Attack, Failed, Result, Skipped, Verdict
from voice.gauntlet.call import good_call
from voice.gauntlet.field import Field
from voice.gauntlet.reply import Reply, statuses

ATTACK_SECONDS: Final = 120.0
"""An attack that takes longer hangs."""
_TRIES: Final = 3

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
    await _serves(aim)
    results = []
    for number, attack in enumerate(attacks):
        result = await _run_one(aim, attack, aim.source_of(number))
        results.append(result)
        if heard is not None:
            heard(result)
    return results


async def _serves(aim: Aim) -> None:
    try:
        await alive(aim)
    except (Failed, Skipped, OSError) as fault:
        raise BadAim(
            f"{aim.server} does not serve its good caller even before an attack: {fault} "
            "Correct the target, the domain, the number or the login."
        ) from None


async def _run_one(aim: Aim, attack: Attack, source: str | None) -> Result:
    began = time.monotonic()
    ground = Field(aim, source)
    verdict, reason = Verdict.PASS, ""
    try:
        async with asyncio.timeout(ATTACK_SECONDS):
            came = await attack.run(ground)
    except Failed as failed:
        verdict, came, reason = Verdict.FAIL, failed.came, str(failed)
    except Skipped as skipped:
        verdict, came, reason = Verdict.SKIP, "", str(skipped)
    except TimeoutError:
        verdict, came, reason = Verdict.FAIL, "no end", f"not over after {ATTACK_SECONDS:g} s"
    except OSError as fault:
        verdict, came, reason = Verdict.SKIP, "", f"this machine could not: {fault}"
    except Exception as bug:
        # Of the attack itself; the others are to be made all the same.
        verdict, came, reason = Verdict.FAIL, "", f"the attack could not go on: {bug!r}"
    finally:
        ground.close()
    try:
        await alive(aim)
    except (Failed, Skipped, OSError) as failed:
        verdict = Verdict.FAIL
        reason = "; ".join(filter(None, (reason, f"afterwards: {failed}")))
    return Result(
        family=attack.family,
        attack=attack.name,
        expected=attack.expected,
        came=came,
        verdict=verdict,
        reason=reason,
        seconds=time.monotonic() - began,
    )


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
