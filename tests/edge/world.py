"""The proxy core without sockets: agents at addresses, a wire that may lose, a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_network
from itertools import count
from typing import TypeVar

from sip_config.call_limits import UNLIMITED, CallLimits
from sip_config.credentials import ha1_for_all
from sip_config.directory import Directory
from sip_config.model import (
    Account,
    AccountId,
    Acl,
    AclId,
    Callflow,
    Domain,
    DomainId,
    Gateway,
    Number,
    SipAccount,
    SrtpPolicy,
)
from voice.edge.core.doors import INSIDE, Door, Doors
from voice.edge.core.proxy import Proxy
from voice.edge.core.wishes import AddressesWanted, SeatWanted
from voice.edge.settings import EdgeSettings
from voice.pool.orders import CallOrder, Seat
from voice.records import Record
from voice.sip.digest import answer
from voice.sip.errors import SipParseError
from voice.sip.flow import Flow
from voice.sip.headers import Headers
from voice.sip.message import Request, Response, parse_message
from voice.sip.respond import make_response

BASE = "sip.example.com"
DOMAIN = f"acme.{BASE}"
ACCOUNT = AccountId("0a000000-0000-4000-8000-00000000000a")
NUMBER = "+31201234567"
# Addresses that count as public; nothing is ever sent there.
EDGE = "8.8.4.4"
PBX = "9.9.9.9"
CARRIER = "1.1.1.1"
CARRIER2 = "1.0.0.1"
DOORS = {"UDP": (1, 5060), "TCP": (2, 5060), "TLS": (3, 5061), "WS": (4, 80), "WSS": (5, 443)}
"""Index and port of the edge's outside door for each transport."""
SEAT = Seat(host="127.0.0.1", port=6100)

SDP = b"v=0\r\no=- 1 1 IN IP4 9.9.9.9\r\ns=-\r\nc=IN IP4 9.9.9.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"

Found = TypeVar("Found", bound=object)


def directory(
    *,
    account: Account | None = None,
    networks: Sequence[str] = ("9.9.9.0/24",),
    users: dict[str, str] | None = None,
    certificates: Sequence[str] = (),
    gateways: Sequence[Gateway] = (),
    numbers: Sequence[Number] = (),
    callflows: Sequence[Callflow] = (),
    callflow_id: str | None = None,
    srtp: SrtpPolicy = SrtpPolicy.OPTIONAL,
    domain_limits: CallLimits = UNLIMITED,
    user_limits: CallLimits = UNLIMITED,
) -> Directory:
    """One account with one domain and one ACL."""
    acl = Acl(
        id=AclId("acl"),
        account_id=ACCOUNT,
        name="office",
        networks=tuple(ip_network(network) for network in networks),
        certificates=tuple(certificates),
        sip_accounts=tuple(
            SipAccount(
                id=name,
                username=name,
                ha1=ha1_for_all(username=name, realm=BASE, password=password),
                limits=user_limits,
            )
            for name, password in (users or {}).items()
        ),
    )
    domain = Domain(
        id=DomainId("domain"),
        account_id=ACCOUNT,
        label="acme",
        acl_ids=(acl.id,),
        callflow_id=callflow_id,
        srtp=srtp,
        limits=domain_limits,
    )
    return Directory(
        base_domain=BASE,
        pop="eu1",
        accounts=(account or an_account(),),
        acls=(acl,),
        domains=(domain,),
        gateways=gateways,
        numbers=numbers,
        callflows=callflows,
    )


def an_account(
    *,
    calls_per_second: float = 100,
    concurrent_calls: int = 100,
    max_call_seconds: int = 3_600,
    limits: CallLimits = UNLIMITED,
) -> Account:
    return Account(
        id=ACCOUNT,
        name="acme",
        calls_per_second=calls_per_second,
        concurrent_calls=concurrent_calls,
        max_call_seconds=max_call_seconds,
        limits=limits,
    )


FLOW = Callflow(id="flow", account_id=ACCOUNT, title="main", document="<callflow/>")


class Pool:
    """Gives out one seat; `full` or `slow` on demand."""

    def __init__(self) -> None:
        self.full = False
        self.slow = False
        self.waiting: list[SeatWanted] = []
        self.orders: list[CallOrder] = []
        self.released: list[tuple[str, str | None]] = []

    def release(self, call_id: str, failure: str | None = None) -> None:
        self.released.append((call_id, failure))


class World:
    """An edge and everything around it."""

    def __init__(self, config: Directory, **settings: object) -> None:
        self.now = 1_800_000_000.0
        self.records: list[Record] = []
        self.pool = Pool()
        self.config = config
        self.lose: Callable[[bytes], bool] = lambda _data: False
        """Whether a message on the wire is lost, either way."""
        self.names: dict[str, list[tuple[str, str, int]]] = {}
        """What DNS knows."""
        self.nowhere: list[tuple[Flow, bytes]] = []
        """What was sent to addresses at which nobody is."""
        self.certificates: dict[tuple[str, int], tuple[str, ...]] = {}
        """What the verified certificates of TLS peers are for."""
        self._agents: dict[tuple[str, str, int], Agent] = {}
        self._settings = EdgeSettings(
            listen=(),
            base_domain=BASE,
            seal_key=b"k" * 32,
            digest_secret=b"s" * 32,
            **settings,  # type: ignore[arg-type]
        )
        self.proxy = self._new_proxy()

    def write(self, record: Record) -> None:
        self.records.append(record)

    def said(self, kind: type[Found]) -> list[Found]:
        """The records of a kind."""
        return [record for record in self.records if isinstance(record, kind)]

    def agent(
        self, host: str, port: int = 5060, *, transport: str = "UDP", contact: str | None = None
    ) -> Agent:
        """Somebody at an address; on loopback, a call process."""
        agent = Agent(self, host, port, transport, contact)
        self._agents[transport, host, port] = agent
        return agent

    def forget_agents(self) -> None:
        """Lets go of all agents, and of what was sent to nobody."""
        for agent in self._agents.values():
            agent.inbox.clear()
        self._agents.clear()
        self.nowhere.clear()

    def restart_edge(self) -> None:
        """Another edge in the place of this one, which knows nothing but the key."""
        self.proxy = self._new_proxy()

    def send(self, data: bytes, source: Flow) -> None:
        if not self.lose(data):
            self.proxy.receive(data, source, self.now)
        self.deliver()

    def deliver(self) -> None:
        """Brings what the proxy sent to whom it was sent to, and grants its wishes."""
        kernel = self.proxy.kernel
        while kernel.outbox or kernel.wishes:
            outbox, kernel.outbox[:] = kernel.outbox.copy(), []
            for flow, data in outbox:
                agent = self._agents.get((flow.transport, flow.host, flow.port))
                if self.lose(data):
                    continue
                if agent is None:
                    self.nowhere.append((flow, data))
                else:
                    # As on a real connection: what was verified when it was opened stays with it.
                    agent.flow = agent.flow._replace(name=flow.name)
                    agent.takes(data)
            wishes, kernel.wishes[:] = kernel.wishes.copy(), []
            for wish in wishes:
                self._grant(wish)
        assert self.proxy.bugs == 0, "the proxy met a bug of its own: see the log"

    def wait(self, seconds: float) -> None:
        """Turns the clock."""
        end = self.now + seconds
        while (when := self.proxy.get_timer()) is not None and when <= end:
            self.now = max(self.now, when)
            self.proxy.handle_timer(self.now)
            self.deliver()
        self.now = end

    def give_seats(self) -> None:
        """Answers the orders that a slow pool left waiting."""
        for wish in self.pool.waiting:
            wish.given(SEAT, self.now)
        self.pool.waiting.clear()
        self.deliver()

    def _new_proxy(self) -> Proxy:
        return Proxy(
            self._settings,
            Doors(
                (
                    Door(
                        index=INSIDE,
                        transport="UDP",
                        host="127.0.0.1",
                        port=4000,
                        ipv6=False,
                        local_host="127.0.0.1",
                    ),
                    *(
                        Door(index=index, transport=kind, host=EDGE, port=port, ipv6=False, local_host=EDGE)
                        for kind, (index, port) in DOORS.items()
                    ),
                )
            ),
            lambda: self.config,
            self,
            release_seat=self.pool.release,
            connected=lambda flow: (flow.transport, flow.host, flow.port) in self._agents,
            names=lambda flow: self.certificates.get((flow.host, flow.port), ()),
        )

    def _grant(self, wish: SeatWanted | AddressesWanted) -> None:
        if isinstance(wish, AddressesWanted):
            found = self.names.get(wish.host)
            if found:
                wish.found(found, self.now)
            else:
                wish.failed(f"{wish.host} has no address", self.now)
            return
        self.pool.orders.append(wish.order)
        if self.pool.full:
            wish.full("all call processes are busy", 5, self.now)
        elif self.pool.slow:
            self.pool.waiting.append(wish)
        else:
            wish.given(SEAT, self.now)


class Agent:
    """A SIP element that does what the test says."""

    _branches = count(1)

    def __init__(self, world: World, host: str, port: int, transport: str, contact: str | None) -> None:
        self.world = world
        self.host = host
        self.port = port
        self.transport = transport
        self.inbox: list[Request | Response] = []
        self.unreadable: list[bytes] = []
        """What came and does not follow the grammar: answers to what did not either."""
        shown = "ws" if transport == "WSS" else transport.lower()
        self.contact = contact or f"sip:{host}:{port}" + (f";transport={shown}" if shown != "udp" else "")
        local = INSIDE if host == "127.0.0.1" else DOORS[transport][0]
        self.flow = Flow(transport, local, host, port, 0 if transport == "UDP" else 9)

    # -- messages ----------------------------------------------------------------------------

    def request(
        self, method: str, uri: str, *headers: tuple[str, str], body: bytes = b"", **of: str
    ) -> Request:
        """A request out of the blue; `of`: from_, to, call_id, cseq, branch, route."""
        branch = of.get("branch") or f"z9hG4bK-{next(self._branches)}"
        fields = [
            ("Via", f"SIP/2.0/{self.transport} {self.host}:{self.port};branch={branch}"),
            *((("Route", of["route"]),) if of.get("route") else ()),
            ("Max-Forwards", "70"),
            ("From", of.get("from_") or f"<sip:+31200000001@{DOMAIN}>;tag=f{next(self._branches)}"),
            ("To", of.get("to") or f"<{uri}>"),
            ("Call-ID", of.get("call_id") or f"call-{next(self._branches)}"),
            ("CSeq", f"{of.get('cseq', '1')} {method}"),
            *(
                (("Contact", f"<{self.contact}>"),)
                if method in ("INVITE", "UPDATE", "REFER", "NOTIFY")
                else ()
            ),
            *headers,
        ]
        return Request(method, uri, Headers(fields), body)

    def invite(self, number: str = NUMBER, *headers: tuple[str, str], **of: str) -> Request:
        return self.request("INVITE", f"sip:{number}@{DOMAIN}", *headers, body=SDP, **of)

    def send(self, message: Request | Response) -> None:
        self.world.send(message.to_bytes(), self.flow)

    def answer(
        self, request: Request, status: int, *headers: tuple[str, str], tag: str = "callee", body: bytes = b""
    ) -> Response:
        """Sends a response of this agent."""
        response = make_response(
            request, status, to_tag=None if status == 100 else tag, headers=headers, body=body
        )
        if 100 < status < 300 and request.method in ("INVITE", "UPDATE"):
            response.headers.add("Contact", f"<{self.contact}>")
        self.send(response)
        return response

    # -- what came ---------------------------------------------------------------------------

    def takes(self, data: bytes) -> None:
        try:
            self.inbox.append(parse_message(data))
        except SipParseError:
            self.unreadable.append(data)

    def gets(self, wanted: str | int) -> Request | Response:
        """Takes the next message, which has to be this method or status."""
        assert self.inbox, f"{self.host} got nothing instead of {wanted}"
        message = self.inbox.pop(0)
        got = message.method if isinstance(message, Request) else message.status
        assert got == wanted, f"{self.host} got {message!r} instead of {wanted}"
        return message

    def gets_request(self, method: str) -> Request:
        message = self.gets(method)
        assert isinstance(message, Request)
        return message

    def gets_response(self, status: int) -> Response:
        message = self.gets(status)
        assert isinstance(message, Response)
        return message

    def gets_nothing(self) -> None:
        assert self.inbox == [], f"{self.host} got {self.inbox}"


class Dialog:
    """One side of a dialog, which it makes from the messages alone, as RFC 3261 section 12 says."""

    def __init__(
        self, agent: Agent, *, call_id: str, local: str, remote: str, target: str, routes: list[str]
    ) -> None:
        self.agent = agent
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.target = target
        self.routes = routes
        self.cseq = 100

    @classmethod
    def of_caller(cls, agent: Agent, response: Response) -> Dialog:
        assert response.contact is not None
        dialog = cls(
            agent,
            call_id=response.call_id,
            local=response.headers.get("From") or "",
            remote=response.headers.get("To") or "",
            target=response.contact.uri,
            routes=[str(route) for route in reversed(response.record_routes)],
        )
        dialog.cseq = response.cseq.number
        return dialog

    @classmethod
    def of_callee(cls, agent: Agent, invite: Request, response: Response) -> Dialog:
        assert invite.contact is not None
        return cls(
            agent,
            call_id=invite.call_id,
            local=response.headers.get("To") or "",
            remote=response.headers.get("From") or "",
            target=invite.contact.uri,
            routes=[str(route) for route in invite.record_routes],
        )

    def request(
        self, method: str, *headers: tuple[str, str], body: bytes = b"", cseq: int | None = None
    ) -> Request:
        if cseq is None and method not in ("ACK", "CANCEL"):
            self.cseq += 1
        return self.agent.request(
            method,
            self.target,
            *headers,
            body=body,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=str(cseq if cseq is not None else self.cseq),
            route=", ".join(self.routes),
        )

    def send(
        self, method: str, *headers: tuple[str, str], body: bytes = b"", cseq: int | None = None
    ) -> Request:
        request = self.request(method, *headers, body=body, cseq=cseq)
        self.agent.send(request)
        return request


def with_credentials(request: Request, challenge: Response, user: str, password: str) -> Request:
    """The request again, with a digest."""
    given = answer(
        challenge, method=request.method, uri=request.uri, username=user, password=password, cnonce="c0ffee"
    )
    again = request.copy()
    again.headers.set("Via", (request.headers.get("Via") or "") + "a")
    again.headers.set("CSeq", f"{request.cseq.number + 1} {request.method}")
    again.headers.add(given.header, given.value)
    return again


def ack_of_failure(request: Request, response: Response) -> Request:
    headers = Headers(
        (
            ("Via", request.headers.get("Via") or ""),
            ("Max-Forwards", "70"),
            ("From", request.headers.get("From") or ""),
            ("To", response.headers.get("To") or ""),
            ("Call-ID", request.call_id),
            ("CSeq", f"{request.cseq.number} ACK"),
        )
    )
    return Request("ACK", request.uri, headers)


def established(
    caller: Agent, callee: Agent, invite: Request | None = None, tag: str = "callee"
) -> tuple[Dialog, Dialog]:
    """Takes a call as far as its ACK; returns both ends."""
    caller.send(invite or caller.invite())
    caller.gets_response(100)
    arrived = callee.gets_request("INVITE")
    answer_ = callee.answer(arrived, 200, tag=tag, body=SDP)
    ok = caller.gets_response(200)
    ends = Dialog.of_caller(caller, ok), Dialog.of_callee(callee, arrived, answer_)
    ends[0].send("ACK", cseq=ok.cseq.number)
    callee.gets_request("ACK")
    return ends


def trunk(**config: object) -> tuple[World, Agent, Agent]:
    """A world with a plain trunk, its PBX, and the carrier; `config` as `directory` takes it."""
    world = World(directory(gateways=[gateway()], **config))  # type: ignore[arg-type]
    return world, world.agent(PBX), world.agent(CARRIER)


def gateway(name: str = "carrier", host: str = CARRIER, **more: object) -> Gateway:
    return Gateway(id=name, account_id=None, name=name, host=host, **more)  # type: ignore[arg-type]
