"""Which POP handles a call that was let in (DESIGN.md, section 3).

A plain name belongs to the home region of its domain and fails over to the others; a name with a POP's
label belongs to that POP and does not leave its region.  Sans-IO: who is alive is asked of
`voice.edge.core.liveness`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from sip_config.admission import Refused
from sip_config.directory import Directory
from sip_config.model import Domain, Pop
from voice.sip.message import Response

MOST_TRIES: Final = 3
"""Other POPs that are tried for a call: each that is silent costs the caller a second."""
RETRY_AFTER_SECONDS: Final = 5
ELSEWHERE: Final = f"{RETRY_AFTER_SECONDS} (another POP)"
"""Retry-After of a 503 by which an edge tells another that the call may be tried at the next POP."""


class Choice(NamedTuple):
    """Where a call goes."""

    elsewhere: tuple[Pop, ...] = ()
    """To be tried first, in order."""
    here: bool = True
    """Whether this edge handles it when none of those takes it."""
    bound: Pop | None = None


HERE: Final = Choice()


def choose(
    directory: Directory, host: str, domain: Domain, alive: Callable[[str], bool], call_id: str
) -> Choice:
    """`host`: of the Request-URI.  `alive`: whether another POP takes calls, as far as is known.

    With nobody to relay to, all is handled here.  `call_id` spreads calls over the POPs of a region.
    """
    own = own_pop(directory)
    others = others_of(directory)
    if own is None or not others:
        return HERE
    bound = directory.pop_for_host(host)
    if bound is not None:
        if bound.name == own.name:
            return HERE
        inside = [pop for pop in others if pop.region is bound.region]
        inside.sort(key=lambda pop: pop.name != bound.name)
        return Choice(
            tuple(pop for pop in inside if alive(pop.name))[:MOST_TRIES], own.region is bound.region, bound
        )
    if own.region is domain.home_region:
        return HERE
    home = [pop for pop in others if pop.region is domain.home_region and alive(pop.name)]
    first = crc32(call_id.encode("utf-8", "surrogateescape")) % len(home) if home else 0
    # Whichever regions are left: this one is nearest, and lives.
    return Choice(tuple(home[first:] + home[:first])[:MOST_TRIES], True)


def not_secure(bound: Pop) -> Refused:
    """Why a sips call to a bound name cannot be relayed."""
    return Refused(
        cause="pop-not-secure",
        rule=f"POP {bound.name}: sips, and the POPs do not speak TLS",
        remedy=f"The call is sips, and would have to go to POP {bound.name} without TLS: write transport = "
        '"tls" into [node.relay] of all POPs, or let the PBX call the POP itself, or with a sip URI.',
    )


def own_pop(directory: Directory) -> Pop | None:
    """The POP that this edge belongs to."""
    return directory.pops.get(directory.pop.lower())


def others_of(directory: Directory) -> Sequence[Pop]:
    """The other POPs that can be reached from here."""
    own = directory.pop.lower()
    return [pop for name, pop in directory.pops.items() if pop.address is not None and name != own]


def region_down(directory: Directory, bound: Pop) -> Refused:
    """Why a call to a bound name cannot be handled now."""
    region = [pop for pop in directory.pops.values() if pop.region is bound.region]
    unknown = [pop.name for pop in region if pop.address is None]
    if len(unknown) == len(region):
        return Refused(
            cause="pop-no-address",
            rule=f"POP {bound.name}: no address in region {bound.region}",
            remedy=f"The name is bound to POP {bound.name}, and no POP of region {bound.region} has an "
            "address: give them one, or let the PBX call the name without the POP's label.",
        )
    return Refused(
        cause="pop-region-down",
        rule=f"POP {bound.name}: region {bound.region} is down",
        remedy=f"The name is bound to POP {bound.name}, and no POP of region {bound.region} "
        f"({', '.join(pop.name for pop in region)}) is alive: let the PBX call the name without the POP's "
        "label, which fails over to other regions, or call again later.",
    )


def not_taken(bound: Pop) -> Refused:
    """Why a call to a bound name cannot be handled, though its region lives."""
    return Refused(
        cause="pop-not-taken",
        rule=f"POP {bound.name}: nobody in region {bound.region} takes the call",
        remedy=f"The name is bound to POP {bound.name}, and the POPs of region {bound.region} that are alive "
        "do not take the call: what they refused with this Call-ID says why. Let the PBX call the name "
        "without the POP's label, which fails over to other regions, or call again later.",
    )


def does_not_take(response: Response) -> bool:
    """Whether another POP did not take the call, and a third may.

    It says so; or it asks who is calling, and so has not read the token: it has no key.
    """
    says_so = response.status == 503 and response.headers.get("retry-after") == ELSEWHERE
    return says_so or response.status in (401, 407)
