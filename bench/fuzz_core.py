"""The proxy core under bytes that decide: who sends what, changed how, when, and what is lost.

Everything happens in `tests.edge.world`: no sockets, and a clock that runs as fast as it is turned.  What
must hold, whatever the bytes say, is in `Stage.check` and `Stage.settle`.
"""

from __future__ import annotations

import gc
from collections import Counter, deque
from ipaddress import ip_address
from typing import Final

from bench.fuzz_choices import Choices, mutated
from bench.sip_messages import BYE, INVITE, OK
from sip_config.model import Number
from tests.edge.world import (
    ACCOUNT,
    CARRIER,
    CARRIER2,
    DOMAIN,
    FLOW,
    NUMBER,
    SDP,
    SEAT,
    Agent,
    Dialog,
    World,
    ack_of_failure,
    an_account,
    directory,
    established,
    gateway,
    with_credentials,
)
from voice.gauntlet.torture import torture_messages
from voice.pool.orders import DialPlan, Hunting
from voice.sip.builders import make_cancel
from voice.sip.errors import SipParseError, StreamError
from voice.sip.flow import Flow
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

ANSWERED: Final = "+31201111111"
"""A number that a callflow answers."""
GOOD: Final = "9.9.9.1"
ATTACKER: Final = "9.9.9.66"
CALL_SECONDS: Final = 60
_SETTLE_SECONDS: Final = 900.0
"""Longer than every timer, every call and every cooldown."""
_REMEMBERED: Final = 24
_MOST_STEPS: Final = 40

_STATUSES: Final = (
    *(100, 180, 183, 200, 202, 302, 401, 404, 407, 408, 420, 422, 480, 481, 486, 487, 488, 491, 500, 501),
    *(503, 600, 603, 699),
)
_METHODS: Final = ("BYE", "INVITE", "ACK", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY", "OPTIONS", "MESSAGE")
_WATCHED: Final = frozenset(
    ("Invite", "Branch", "Relay", "LiveCall", "ServerTransaction", "ClientTransaction", "Request", "Response")
)
_SEEDS: Final = (INVITE, OK, BYE, *(one.data for one in torture_messages()))


class Violation(AssertionError):
    """Something that must hold did not."""


class Stage:
    """One edge that many inputs are tried on."""

    def __init__(self, *, digest: bool) -> None:
        self.digest = digest
        self.world = World(
            directory(
                account=an_account(
                    calls_per_second=1e6, concurrent_calls=10_000, max_call_seconds=CALL_SECONDS
                ),
                networks=("9.9.9.0/24",),
                users={"pbx": "secret"} if digest else None,
                gateways=(
                    gateway(),
                    gateway("second", CARRIER2, username="trunk", password="secret"),
                ),
                numbers=(Number(id="answered", e164=ANSWERED, account_id=ACCOUNT, callflow_id="flow"),),
                callflows=(FLOW,),
            ),
        )
        self.sent = 0
        self._good = self.world.agent(GOOD)
        self._seat = self.world.agent(SEAT.host, SEAT.port)
        self._agents = (
            self.world.agent(ATTACKER),
            self.world.agent(ATTACKER, 5062, transport="TCP"),
            self.world.agent(ATTACKER, 5063, transport="TLS"),
            self.world.agent(ATTACKER, 5064, transport="WSS"),
            self.world.agent(CARRIER),
            self.world.agent(CARRIER2),
            self._seat,
        )
        self._earlier: deque[tuple[bytes, Flow]] = deque(maxlen=_REMEMBERED)
        self._requests: deque[tuple[Agent, Request]] = deque(maxlen=_REMEMBERED)
        self._dialogs: deque[Dialog] = deque(maxlen=_REMEMBERED)
        self._invites: deque[tuple[Agent, Request]] = deque(maxlen=_REMEMBERED)
        self._unreadable_sent = 0

    def run(self, data: bytes) -> None:
        """Does what the bytes say, and checks.  Raises Violation."""
        choices = Choices(data)
        self._forget()
        world = self.world
        for _ in range(_MOST_STEPS):
            if choices.over:
                break
            self._step(choices)
            self._look()
            self.check()
        world.lose = lambda _data: False
        world.pool.full = world.pool.slow = False
        self.check()

    def settle(self) -> None:
        """Lets everything end.  Raises Violation when something stays."""
        world = self.world
        world.give_seats()
        for order in world.pool.orders:
            world.proxy.calls.ended(order.call_id, world.now)
        world.wait(_SETTLE_SECONDS)
        self.check()
        kernel = world.proxy.kernel
        if kernel.layer.sizes != (0, 0):
            staying = [*kernel.layer._clients.values(), *kernel.layer._servers.values()]
            raise Violation(f"transactions stay: {[f'{one!r} of {one.owner!r}' for one in staying[:3]]}")
        if kernel.limits.calls:
            raise Violation(f"calls stay: {list(kernel.limits.calls.values())[:3]}")
        self._forget()
        for agent in (*self._agents, self._good):
            agent.inbox.clear()
            agent.unreadable.clear()
        for record in (world.records, world.nowhere, world.pool.orders, world.pool.released):
            record.clear()

    def good_call(self) -> None:
        """A call by somebody who did nothing wrong.  Raises Violation when it fails."""
        for agent in (self._good, self._seat):
            agent.inbox.clear()
        invite = self._good.invite(ANSWERED)
        try:
            if self.digest:
                self._good.send(invite)
                challenge = self._good.gets_response(407)
                self._good.send(ack_of_failure(invite, challenge))
                invite = with_credentials(invite, challenge, "pbx", "secret")
            caller, _ = established(self._good, self._seat, invite)
            bye = caller.send("BYE")
            self._seat.answer(self._seat.gets_request("BYE"), 200)
            answered = self._good.gets_response(200)
        except AssertionError as fault:
            raise Violation(f"a good call failed: {fault}") from fault
        if answered.cseq.number != bye.cseq.number:
            raise Violation(f"the good BYE got {answered!r}")

    def check(self) -> None:
        """What must hold at every moment.  Raises Violation."""
        world = self.world
        if world.proxy.bugs:
            raise Violation("the proxy met a bug of its own: see the log")
        for agent in (*self._agents, self._good):
            for data in agent.unreadable:
                self._unreadable(data, agent.host)
            agent.unreadable.clear()
        for flow, data in world.nowhere:
            self._sent_to_nobody(flow, data)
        world.nowhere.clear()

    def alive(self) -> Counter[str]:
        """Objects of the core that are there, by class."""
        gc.collect()
        counted = Counter(type(thing).__name__ for thing in gc.get_objects())
        return Counter({name: counted[name] for name in _WATCHED if counted[name]})

    # -- what the bytes decide ---------------------------------------------------------------

    def _step(self, choices: Choices) -> None:
        match choices.below(12):
            case 0 | 1:
                self._call(choices)
            case 2:
                self._seed(choices)
            case 3 | 4 | 5:
                self._respond(choices)
            case 6 | 7:
                self._in_dialog(choices)
            case 8:
                self._again(choices)
            case 9:
                self._cancel(choices)
            case 10:
                self.world.wait(choices.one_of((0.01, 0.4, 0.6, 2.0, 7.0, 33.0, 61.0)))
            case _:
                self._trouble(choices)

    def _call(self, choices: Choices) -> None:
        agent = choices.one_of(self._agents)
        number = choices.one_of((ANSWERED, NUMBER, "+99", "nonsense", "%2B31201111111", "+31201234567;x=y"))
        invite = agent.invite(number)
        if agent is self._seat and choices.chance(2):
            invite = self._dialled(choices)
        elif self.digest and choices.chance(2):
            invite = self._with_login(agent, invite)
        self._invites.append((agent, invite))
        self._send(agent, invite.to_bytes(), choices)

    def _dialled(self, choices: Choices) -> Request:
        plan = DialPlan(
            call_id="0ca11000-0000-4000-8000-000000000001",
            account_id=ACCOUNT,
            targets=choices.one_of(
                ((NUMBER,), ("sip:x@9.9.9.66", NUMBER), ("sip:x@nowhere.example", NUMBER))
            ),
            hunting=choices.one_of(tuple(Hunting)),
            ring_seconds=20,
            caller_id="",
        )
        uri = self.world.proxy.dials.file(plan, self.world.now).uri
        return self._seat.request("INVITE", uri, body=SDP)

    def _with_login(self, agent: Agent, invite: Request) -> Request:
        agent.inbox.clear()
        self._transmit(agent.flow, invite.to_bytes())
        challenge = next(
            (one for one in agent.inbox if isinstance(one, Response) and one.status == 407), None
        )
        return with_credentials(invite, challenge, "pbx", "secret") if challenge is not None else invite

    def _seed(self, choices: Choices) -> None:
        data = choices.one_of(_SEEDS)
        if choices.chance(2):
            data = data.replace(b"chair-dnrc.example.com", DOMAIN.encode()).replace(
                b"example.com", DOMAIN.encode()
            )
        self._send(choices.one_of(self._agents), data, choices)

    def _respond(self, choices: Choices) -> None:
        if not self._requests:
            return
        agent, request = choices.one_of(self._requests)
        status = choices.one_of(_STATUSES)
        response = make_response(
            request, status, to_tag=None if status == 100 else choices.one_of(("a", "b")), body=SDP
        )
        if status != 100 and choices.below(4):
            response.headers.add("Contact", f"<{agent.contact}>")
        if status in (401, 407):
            name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
            response.headers.add(name, 'Digest realm="r", nonce="n", qop="auth"')
        if status == 302:
            response.headers.set("Contact", choices.one_of(("<sip:x@1.0.0.1>", "<sip:x@10.0.0.1>", "*")))
        if 200 <= status < 300 and request.method == "INVITE" and request.contact is not None:
            self._dialogs.append(Dialog.of_callee(agent, request, response))
        self._send(agent, response.to_bytes(), choices)

    def _in_dialog(self, choices: Choices) -> None:
        if not self._dialogs:
            return
        dialog = choices.one_of(self._dialogs)
        method = choices.one_of(_METHODS)
        cseq = choices.one_of((None, None, None, 0, 2, 2**31 - 1))
        request = dialog.request(method, body=SDP if method == "INVITE" else b"", cseq=cseq)
        if method == "INVITE":
            self._invites.append((dialog.agent, request))
        agent = choices.one_of(self._agents) if choices.chance(6) else dialog.agent
        self._send(agent, request.to_bytes(), choices)

    def _again(self, choices: Choices) -> None:
        if self._earlier:
            data, flow = choices.one_of(self._earlier)
            if choices.chance(4):
                flow = choices.one_of(self._agents).flow
            self._transmit(flow, mutated(data, choices) if choices.chance(2) else data)

    def _cancel(self, choices: Choices) -> None:
        if self._invites:
            agent, invite = choices.one_of(self._invites)
            self._send(agent, make_cancel(invite).to_bytes(), choices)

    def _trouble(self, choices: Choices) -> None:
        world = self.world
        match choices.below(9):
            case 0:
                world.proxy.transport_failed(choices.one_of(self._agents).flow, world.now)
            case 1:
                world.proxy.seat_lost(SEAT, world.now)
            case 2:
                world.pool.full = not world.pool.full
            case 3:
                world.pool.slow = not world.pool.slow
            case 4:
                world.give_seats()
            case 5:
                chosen = choices.below(3)
                world.lose = lambda data: chosen == 2 or (chosen == 1 and data.startswith(b"SIP/"))
            case 6:
                world.lose = lambda _data: False
            case 7:
                error = StreamError("cut", status=400, partial=None)
                world.proxy.stream_unreadable(error, self._agents[1].flow, world.now)
            case _:
                world.names["nowhere.example"] = [("UDP", "1.0.0.1", 5060)] if choices.chance(2) else []
        world.deliver()

    # -- sending and looking -----------------------------------------------------------------

    def _send(self, agent: Agent, data: bytes, choices: Choices) -> None:
        if choices.chance(3):
            data = mutated(data, choices)
        self._transmit(agent.flow, data)

    def _transmit(self, flow: Flow, data: bytes) -> None:
        self._earlier.append((data, flow))
        self.sent += 1
        self._last = data
        try:
            self.world.send(data, flow)
        except AssertionError as fault:
            raise Violation(str(fault)) from fault

    def _forget(self) -> None:
        for kept in (self._earlier, self._requests, self._dialogs, self._invites):
            kept.clear()

    def _look(self) -> None:
        """Takes what the agents got."""
        for agent in self._agents:
            for message in agent.inbox:
                if isinstance(message, Request):
                    self._requests.append((agent, message))
                elif 200 <= message.status < 300 and message.cseq.method == "INVITE":
                    self._answered(agent, message)
            agent.inbox.clear()

    def _answered(self, agent: Agent, response: Response) -> None:
        try:
            if response.contact is not None:
                self._dialogs.append(Dialog.of_caller(agent, response))
        except SipParseError:
            raise Violation(f"the edge passed on what it cannot read: {response.to_bytes()!r}") from None

    def _unreadable(self, data: bytes, host: str) -> None:
        """Only a refusal may repeat what is faulty, since it copies what it refuses."""
        if data[:9] not in (b"SIP/2.0 4", b"SIP/2.0 5"):
            raise Violation(f"{host} got what does not follow the grammar: {data!r}")

    def _sent_to_nobody(self, flow: Flow, data: bytes) -> None:
        known = {agent.host for agent in (*self._agents, self._good)}
        if data.startswith(b"SIP/2.0 "):
            if flow.host not in known:
                raise Violation(f"a response went to a stranger at {flow.host}: {data!r}")
            return
        message = parse_message(data)
        literal = ip_address(flow.host)
        if flow.host not in known and not literal.is_global:
            raise Violation(f"a {message!r} went to {flow.host}, inside somebody's network")
