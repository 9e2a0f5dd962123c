"""Who of the other POPs is alive: OPTIONS at short intervals, judged with hysteresis.

A POP is believed to live until it has missed several OPTIONS in a row, and to be down until it has answered
several; so one lost packet moves no calls, and a POP that comes and goes gets none.  What is concluded
concerns new calls only: those that are established keep their way.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sip_config.directory import Directory
from sip_config.model import Pop
from voice.edge.core.kernel import Alarm, Kernel
from voice.edge.core.pops import others_of
from voice.edge.settings import PopRelay
from voice.records import Event
from voice.sip.flow import Flow
from voice.sip.headers import Headers
from voice.sip.message import Request, Response
from voice.sip.transactions import ClientTransaction
from voice.sip.uri import SipUri, parse_uri
from voice.sip.via import MAGIC_COOKIE

log = logging.getLogger(__name__)

_LOCATE_SECONDS: Final = 30.0
"""After which the address of a POP that is known by name is looked up again."""


class PopState(StrEnum):
    HERE = "here"
    """The POP of this edge."""
    ALIVE = "alive"
    DOWN = "down"
    UNKNOWN = "unknown"
    """Not heard of yet; calls are sent there all the same."""
    NO_ADDRESS = "no address"


@dataclass(frozen=True, slots=True, kw_only=True)
class PopReport:
    """What is known of a POP, for people to look at."""

    name: str
    region: str
    address: str | None
    state: PopState
    since: float | None
    """When it took this state."""
    round_trip_ms: float | None
    """Of the last OPTIONS that it answered."""
    missed: int
    """OPTIONS in a row without a good answer."""
    why: str
    """What the last miss was."""
    taken: int
    """Calls that were relayed there and decided there: answered, or refused by who was called."""
    untaken: int
    """Calls that it did not take, for silence or because it could not: they went elsewhere."""


class _Peer:
    """Another POP, as this edge sees it."""

    def __init__(self, pop: Pop) -> None:
        self.pop = pop
        self.state = PopState.UNKNOWN
        self.since: float | None = None
        self.flow: Flow | None = None
        self.flows: Sequence[Flow] = ()
        """All ways to its name."""
        self.located: float | None = None
        self.asked: float | None = None
        self.client: ClientTransaction | None = None
        self.missed = 0
        self.answered = 0
        self.round_trip: float | None = None
        self.why = ""
        self.taken = 0
        self.untaken = 0
        self.alarm: Alarm | None = None


class Probe:
    """Owns the transaction of one OPTIONS."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[Response | None, str, float], None]) -> None:
        self._done = done

    def response(self, response: Response, now: float) -> None:
        if response.status >= 200:
            self._done(response, "", now)

    def silent(self, why: str, now: float) -> None:
        self._done(None, why, now)

    def transaction_over(self) -> None:
        """It said all that it had to say before."""


class Liveness:
    """Asks the other POPs, as soon as it has begun; without a relay key there are none to ask."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._settings: PopRelay = kernel.settings.relay
        self._peers: dict[str, _Peer] = {}
        self._followed: Mapping[str, Pop] | None = None
        self._jitter = random.Random(os.urandom(8))  # noqa: S311 - no secret depends on it
        self._following: Alarm | None = None
        self.when_down: Callable[[str, float], None] = _nobody_listens

    def begin(self, now: float) -> None:
        """From now on the POPs are asked."""
        if self._settings.key is not None:
            self._following = Alarm(self._kernel, self._follow)
            self._follow(now)

    def alive(self, name: str) -> bool:
        """Whether calls are sent to this POP."""
        peer = self._peers.get(name)
        return peer is not None and peer.flow is not None and peer.state is not PopState.DOWN

    def flow(self, name: str) -> Flow | None:
        peer = self._peers.get(name)
        return None if peer is None else peer.flow

    def took(self, name: str, taken: bool) -> None:
        """Whether a POP took a call that was sent to it."""
        peer = self._peers.get(name)
        if peer is not None and taken:
            peer.taken += 1
        elif peer is not None:
            peer.untaken += 1

    def report(self, directory: Directory) -> tuple[PopReport, ...]:
        """All POPs, in the order of the configuration."""
        return tuple(self._reported(pop, directory) for pop in directory.pops.values())

    def _reported(self, pop: Pop, directory: Directory) -> PopReport:
        peer = self._peers.get(pop.name)
        here = pop.name.lower() == directory.pop.lower()
        state = PopState.HERE if here else PopState.NO_ADDRESS if pop.address is None else PopState.UNKNOWN
        if peer is not None:
            state = peer.state
        return PopReport(
            name=pop.name,
            region=pop.region.value,
            address=pop.address,
            state=state,
            since=peer.since if peer else None,
            round_trip_ms=None
            if peer is None or peer.round_trip is None
            else round(peer.round_trip * 1e3, 1),
            missed=peer.missed if peer else 0,
            why=peer.why if peer else "",
            taken=peer.taken if peer else 0,
            untaken=peer.untaken if peer else 0,
        )

    def _follow(self, now: float) -> None:
        """Keeps to the configuration, which may change at any time."""
        directory = self._kernel.directory()
        if directory.pops is not self._followed:
            self._followed = directory.pops
            wanted = {pop.name: pop for pop in others_of(directory)}
            for name, peer in list(self._peers.items()):
                if wanted.get(name) != peer.pop:
                    self._forget(self._peers.pop(name), now)
            for name, pop in wanted.items():
                if name not in self._peers:
                    self._add(pop, now)
            self._note_addresses()
        assert self._following is not None
        self._following.set(now + self._settings.interval_seconds)

    def _add(self, pop: Pop, now: float) -> None:
        peer = self._peers[pop.name] = _Peer(pop)
        peer.alarm = Alarm(self._kernel, lambda at: self._round(peer, at))
        # Not all POPs of a platform that was started at once ask at the same moment.
        peer.alarm.set(now + self._jitter.random() * self._settings.interval_seconds * 0.1)
        self._locate(peer, now)

    def _forget(self, peer: _Peer, now: float) -> None:
        if peer.alarm is not None:
            peer.alarm.stop()
        if peer.client is not None:
            peer.client.owner = None
            peer.client.forget(now)

    def _locate(self, peer: _Peer, now: float) -> None:
        peer.located = now

        def found(flows: Sequence[Flow], later: float) -> None:
            if peer.flow not in flows:
                peer.flow = flows[0]
            peer.flows = flows
            self._note_addresses()

        def failed(problem: str, later: float) -> None:
            # A name server that is down takes nothing away that was known.
            if peer.flow is None:
                self._missed(peer, problem, later)

        self._kernel.locate(self._uri(peer.pop), trusted=True, found=found, failed=failed, now=now)

    def _uri(self, pop: Pop) -> SipUri:
        uri, transport = parse_uri(f"sip:{pop.address}"), self._settings.transport
        if transport == "UDP":
            return uri
        port = self._settings.tls_port if transport == "TLS" else uri.port
        return uri._replace(port=port, params=(("transport", transport.lower()),))

    def _note_addresses(self) -> None:
        self._kernel.pop_hosts = frozenset(flow.host for peer in self._peers.values() for flow in peer.flows)

    def _round(self, peer: _Peer, now: float) -> None:
        """One look at a POP: the last OPTIONS has had its time, and the next one goes out."""
        if peer.client is not None:
            self._missed(peer, "no answer to OPTIONS", now)
            peer.client.owner = None
            peer.client.forget(now)
            peer.client = None
        if peer.flow is None or peer.located is None or now - peer.located >= _LOCATE_SECONDS:
            self._locate(peer, now)
        if peer.flow is not None:
            self._ask(peer, peer.flow, now)
        assert peer.alarm is not None
        peer.alarm.set(now + self._settings.interval_seconds * (0.9 + 0.2 * self._jitter.random()))

    def _ask(self, peer: _Peer, flow: Flow, now: float) -> None:
        kernel = self._kernel
        door = kernel.door_of(flow)
        branch = f"{MAGIC_COOKIE}{os.urandom(12).hex()}"
        uri = str(self._uri(peer.pop))
        headers = Headers(
            (
                ("Via", f"SIP/2.0/{door.transport} {door.sent_by};branch={branch};rport"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{door.sent_by}>;tag={os.urandom(6).hex()}"),
                ("To", f"<{uri}>"),
                ("Call-ID", os.urandom(12).hex()),
                ("CSeq", "1 OPTIONS"),
            )
        )

        def done(response: Response | None, why: str, later: float) -> None:
            if peer.client is not client:
                return
            peer.client = None
            if response is None:
                self._missed(peer, why, later)
            elif response.status >= 300:
                # An edge of ours says 200, or 503: anything else is somebody else, or this edge itself.
                self._missed(peer, f"{response.status} to OPTIONS", later)
            else:
                peer.round_trip = later - now
                self._answered(peer, later)

        peer.client = client = kernel.layer.begin_client(Request("OPTIONS", uri, headers), branch, flow, now)
        client.owner = Probe(done)

    def _missed(self, peer: _Peer, why: str, now: float) -> None:
        if peer.flow in peer.flows:
            # One edge of several may be lost: the next is asked, and gets the calls if it answers.
            peer.flow = peer.flows[(peer.flows.index(peer.flow) + 1) % len(peer.flows)]
        peer.answered = 0
        peer.missed += 1
        peer.why = why
        if peer.missed >= self._settings.misses_until_down:
            self._becomes(peer, PopState.DOWN, now)

    def _answered(self, peer: _Peer, now: float) -> None:
        peer.missed = 0
        peer.answered += 1
        if peer.state is PopState.UNKNOWN or peer.answered >= self._settings.answers_until_up:
            self._becomes(peer, PopState.ALIVE, now)

    def _becomes(self, peer: _Peer, state: PopState, now: float) -> None:
        if peer.state is state:
            return
        before, peer.state, peer.since = peer.state, state, now
        if state is PopState.DOWN:
            log.warning("POP %s is down (%s): new calls go elsewhere", peer.pop.name, peer.why)
            self._tell("pop_down", peer, f"POP {peer.pop.name} is down: {peer.why}.", now)
            self.when_down(peer.pop.name, now)
        elif before is PopState.DOWN:
            log.warning("POP %s is alive again", peer.pop.name)
            self._tell("pop_up", peer, f"POP {peer.pop.name} is alive again.", now)

    def _tell(self, kind: str, peer: _Peer, detail: str, now: float) -> None:
        self._kernel.journal.write(Event(at=now, kind=kind, detail=detail, data={"pop": peer.pop.name}))


def _nobody_listens(_pop: str, _now: float) -> None:
    """Until somebody does."""
