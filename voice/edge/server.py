"""The edge as a part of a node: sockets, the proxy core, and the two doors to the call pool."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from sip_config.directory import Directory
from sip_config.model import Transport
from voice.bans import Ban
from voice.edge.core.carriers import GatewayView
from voice.edge.core.doors import INSIDE, Door, Doors
from voice.edge.core.ledger import Ledger
from voice.edge.core.over_limit import OverLimit
from voice.edge.core.proxy import Proxy
from voice.edge.core.reach import response_flow
from voice.edge.core.tariff import Tariff
from voice.edge.core.wishes import AddressesWanted, SeatWanted, Wish
from voice.edge.resolve import Question, Resolver, Unresolvable
from voice.edge.settings import EdgeSettings
from voice.edge.snapshot import EdgeSnapshot
from voice.edge.transports.certificates import Certificates
from voice.edge.transports.handshakes import Standing
from voice.edge.transports.renewal import Renewal
from voice.edge.transports.streams import Streams
from voice.edge.transports.udp import UdpSocket
from voice.pool.orders import CallPool, DialPlan, PoolFull, Seat, Ticket
from voice.records import Journal
from voice.sip.errors import StreamError
from voice.sip.flow import Flow

log = logging.getLogger(__name__)

_DEFAULT_THRESHOLD = (700, 10, 10)
"""Of CPython 3.11 and 3.12."""

_LEAVE_SECONDS = 2.0
"""For taking registrations back."""


class SteadyClock:
    """Seconds since the epoch that never go back, however the system's clock is set."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() + self._offset


class Edge:
    """The SIP front end; also the pool's `DialDesk`.

    `directory` is asked for every request, so a new configuration needs no reload.  `clock` gives
    seconds since the epoch and must never go back.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        directory: Callable[[], Directory],
        pool: CallPool,
        journal: Journal,
        clock: Callable[[], float] | None = None,
        ledger: Ledger | None = None,
        udp: Callable[..., UdpSocket] = UdpSocket,
    ) -> None:
        """`ledger`: shared with other edges of this machine; None: this edge counts for itself."""
        self._ledger = ledger
        self._open_socket = udp
        self._tariff = Tariff()
        self._settings = settings
        self._directory = directory
        self._pool = pool
        self._journal = journal
        self._clock = clock or SteadyClock()
        self._udp: dict[int, UdpSocket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._resolver = Resolver(settings.name_servers)
        self._certificates = None if settings.tls is None else Certificates(settings.tls)
        self._streams = Streams(
            self,
            settings.streams,
            self._certificates,
            settings.websocket_proxies,
            settings.websocket_origins,
        )
        self._renewal: Renewal | None = None
        self._started: Proxy | None = None
        self._stopped = False
        self._moved = asyncio.Event()
        """Set whenever the core has dealt with something."""

    @property
    def _proxy(self) -> Proxy:
        if self._started is None:
            raise RuntimeError("the edge has not been started")
        return self._started

    @property
    def addresses(self) -> tuple[Door, ...]:
        """The outside doors, with the ports that the system gave."""
        return self._proxy.kernel.doors.all[1:]

    @property
    def inside_address(self) -> tuple[str, int]:
        """Where call processes send to."""
        inside = self._proxy.kernel.doors.inside
        return inside.local_host, inside.port

    @property
    def receive_buffers(self) -> tuple[int, ...]:
        """Bytes that the system granted each UDP socket; the first limit of a fast edge."""
        return tuple(udp.receive_buffer for udp in self._udp.values())

    async def start(self) -> None:
        """Binds all sockets.  Raises OSError, and leaves none open, when one cannot be had."""
        settings = self._settings
        self._loop = asyncio.get_running_loop()
        doors = [self._open_udp(INSIDE, settings.inside_host, settings.inside_port, None)]
        try:
            for listen in settings.listen:
                shown = listen.advertise or settings.public_host
                if listen.transport is Transport.UDP:
                    doors.append(self._open_udp(len(doors), listen.host, listen.port, shown))
                else:
                    transport = listen.transport.value
                    bound = await self._streams.listen(transport, listen.host, listen.port, len(doors))
                    doors.append(_door(len(doors), transport, bound, shown))
        except OSError:
            await self._close_sockets()
            raise
        self._started = Proxy(
            settings,
            Doors(tuple(doors)),
            self._directory,
            self._journal,
            release_seat=self._pool.release,
            connected=self._streams.connected,
            ledger=self._ledger,
            names=self._streams.names,
        )
        self._started.kernel.limits.tariff = self._tariff
        for index, udp in self._udp.items():
            if index == INSIDE:
                udp.read(self._received_inside, self._after, self._clock)
            else:
                udp.read(self._started.receive, self._after, self._clock, self._started.kernel.crowd.batch)
        await self._streams.serve()
        self._started.liveness.begin(self._clock())
        self._after()
        if self._certificates is not None:
            self._renewal = Renewal(self._certificates, self._journal, self._clock)
        _spare_the_collector()

    async def stop(self) -> None:
        """Closes all sockets and forgets all transactions; calls go on without the edge."""
        if self._started is not None:
            await self._leave_carriers()
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._renewal is not None:
            await self._renewal.close()
        await self._close_sockets()
        await self._resolver.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._started is not None:
            self._started.kernel.refusals.flush()

    def reload_certificates(self) -> None:
        """Reads certificates and keys anew, at once, whatever their files' times say."""
        if self._renewal is not None:
            self._renewal.renew()

    def drain(self) -> None:
        """New calls are refused with 503 from now on; those that are there go on."""
        self._proxy.draining = True
        self._proxy.carriers.leave(self._clock())
        self._after()

    def reserve(self, call_id: str, account_id: str) -> OverLimit | None:
        """A place for a call that the API placed, within the limits of its account; None: it has one.

        `call_ended` gives it back.  Raises LookupError when there is no such account.
        """
        over = self._proxy.calls.reserve(call_id, account_id, self._clock())
        self._arm()
        return over

    def set_tariff(self, tariff: Tariff) -> None:
        """What calls cost from now on, and what prepaid accounts have."""
        self._tariff = tariff
        if self._started is not None:
            self._started.kernel.limits.tariff = tariff

    def is_trunk_call(self, call_id: str) -> bool:
        """Whether this is a running call that goes out by a gateway without a call process."""
        call = self._proxy.kernel.limits.calls.get(call_id)
        return call is not None and call.trunk

    def hang_up(self, call_id: str, reason: str) -> bool:
        """Ends a trunk call with BYE to both sides; False: no such call runs here.  `reason`: a sentence."""
        done = self._proxy.calls.hang_up(call_id, reason, self._clock())
        self._after()
        return done

    def beyond_their_day(self) -> list[tuple[str, str]]:
        """Calls that a limit of the day ends now, each with a sentence that says so."""
        return self._proxy.calls.beyond_their_day(self._clock())

    def call_ended(self, call_id: str) -> None:
        """The pool says that a callflow call is over: its place becomes free."""
        self._proxy.calls.ended(call_id, self._clock())

    def file(self, plan: DialPlan) -> Ticket:
        """Keeps the plan for a short while."""
        ticket = self._proxy.dials.file(plan, self._clock())
        self._after()
        return ticket

    def seat_lost(self, seat: Seat, reason: str) -> None:
        """The call process at this address is gone: answer what waits for it, cancel what it asked for."""
        log.warning("the call process at %s:%s is gone: %s", seat.host, seat.port, reason)
        self._proxy.seat_lost(seat, self._clock())
        self._after()

    def gateways(self) -> dict[str, GatewayView]:
        """How each gateway is, by id."""
        return self._proxy.carriers.view(self._clock())

    def put_ban(self, ban: Ban) -> None:
        """Takes over a ban, or the end of one, that somebody else decided."""
        self._proxy.kernel.bans.put(ban)

    def take_ban_news(self, most: int) -> list[Ban]:
        """Bans imposed here since it was asked last."""
        return self._proxy.kernel.bans.take_news(most)

    def enforced_bans(self) -> tuple[Ban, ...]:
        """What a firewall may keep out."""
        return self._proxy.kernel.enforced_bans(self._clock())

    def snapshot(self) -> EdgeSnapshot:
        proxy = self._proxy
        kernel = proxy.kernel
        servers, clients = kernel.layer.sizes
        calls: dict[str, int] = {}
        for call in kernel.limits.calls.values():
            calls[call.account_id] = calls.get(call.account_id, 0) + 1
        return EdgeSnapshot(
            addresses=tuple(f"{door.transport} {door.sent_by}" for door in self.addresses),
            inside=kernel.doors.inside.sent_by,
            draining=proxy.draining,
            calls=calls,
            calls_begun=proxy.calls.begun,
            messages_received=proxy.received,
            refusals=dict(kernel.refusals.by_gate),
            stray_responses=proxy.strays,
            server_transactions=servers,
            client_transactions=clients,
            connections=len(self._streams),
            connections_refused=self._streams.refused,
            pops=proxy.liveness.report(self._directory()),
            bans=len(kernel.bans.in_force(self._clock())),
            bugs=proxy.bugs,
            gateways=self.gateways(),
        )

    def _open_udp(self, index: int, host: str, port: int, advertise: str | None) -> Door:
        buffer = self._settings.receive_buffer_bytes
        udp = self._open_socket(host, port, index, failed=self._send_failed, receive_buffer=buffer)
        self._udp[index] = udp
        return _door(index, "UDP", udp.address, advertise)

    def stream_received(self, data: bytes, flow: Flow) -> bool:
        welcome = self._proxy.receive(data, flow, self._clock())
        self._after()
        return welcome

    def stream_unreadable(self, error: StreamError, flow: Flow) -> None:
        self._proxy.stream_unreadable(error, flow, self._clock())
        self._after()

    def stream_failed(self, flow: Flow, problem: str) -> None:
        if self._started is not None:
            self._send_failed(flow, problem)

    def stream_standing(self, flow: Flow) -> Standing:
        now = self._clock()
        if not self._proxy.stream_possible(flow, now):
            return Standing.STRANGER
        return Standing.KNOWN if self._proxy.kernel.is_known(flow.host, now) else Standing.POSSIBLE

    def stream_refused(self, flow: Flow, cause: str, detail: str) -> None:
        self._proxy.stream_refused(flow, cause, detail, self._clock())
        self._after()

    def _received_inside(self, data: bytes, source: Flow, now: float) -> None:
        # Bound to loopback, so the system delivers nothing else; a mistaken inside_host must not open a door.
        if source.host.startswith("127.") or source.host == "::1":
            self._proxy.receive(data, source, now)

    def _after(self) -> None:
        """Sends what the core left, sees to its wishes, and arms the timer."""
        if self._stopped:
            return
        self._moved.set()
        proxy = self._proxy
        kernel = proxy.kernel
        if kernel.outbox:
            outbox = kernel.outbox.copy()
            kernel.outbox.clear()
            for flow, data in outbox:
                if flow.transport == "UDP":
                    self._udp[flow.local].send(data, flow)
                else:
                    self._send_by_stream(data, flow)
        if kernel.wishes:
            wishes = kernel.wishes.copy()
            kernel.wishes.clear()
            for wish in wishes:
                task = self._loop.create_task(self._fulfil(wish))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        self._arm()

    def _send_by_stream(self, data: bytes, flow: Flow) -> None:
        way: Flow | None = flow
        if flow.connection and not self._streams.connected(flow):
            way = response_flow(data, flow)
        if way is None:
            self._loop.call_soon(self._send_failed, flow, "its connection is gone")
        else:
            self._streams.send(data, way, self._proxy.kernel.door_of(way))

    def _send_failed(self, flow: Flow, problem: str = "") -> None:
        if flow.transport == "UDP" and not self._proxy.kernel.layer.talks_to(flow.host):
            return  # The answer to a forged request: nobody waits to hear of it, and there may be many.
        self._proxy.transport_failed(flow, self._clock(), problem)
        self._after()

    def _arm(self) -> None:
        when = self._proxy.get_timer()
        if when is None:
            return
        at = self._loop.time() + max(0.0, when - self._clock())
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._proxy.handle_timer(self._clock())
        self._after()

    async def _fulfil(self, wish: Wish) -> None:
        match wish:
            case SeatWanted():
                await self._find_seat(wish)
            case AddressesWanted():
                try:
                    question = Question(wish.host, wish.port, wish.transport, wish.secure, wish.usable)
                    found = await self._resolver.resolve(question)
                except Unresolvable as fault:
                    wish.failed(str(fault), self._clock())
                else:
                    wish.found(found, self._clock())
        self._after()

    async def _find_seat(self, wish: SeatWanted) -> None:
        try:
            seat = await self._pool.seat(wish.order)
        except PoolFull as full:
            wish.full(str(full), full.retry_after, self._clock())
        except Exception:
            log.exception("bug: the pool could not seat call %s", wish.order.call_id)
            wish.failed("the call pool failed", self._clock())
        else:
            wish.given(seat, self._clock())

    async def _leave_carriers(self) -> None:
        """Takes registrations back; a carrier that does not answer is not waited for long."""
        carriers = self._proxy.carriers
        carriers.leave(self._clock())
        self._after()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_SECONDS):
                while carriers.leaving:
                    self._moved.clear()
                    await self._moved.wait()

    async def _close_sockets(self) -> None:
        for udp in self._udp.values():
            udp.close()
        self._udp.clear()
        await self._streams.close()


def _spare_the_collector() -> None:
    """Lets the cycle collector run more rarely than by default, unless somebody has decided otherwise.

    The edge leaves no cycles behind; but it keeps some hundred thousand objects for up to 64*T1, and by
    default the collector walks all of them again and again: 8 % of the time at 1,500 calls per second,
    in pauses.
    """
    if gc.get_threshold() == _DEFAULT_THRESHOLD:
        gc.set_threshold(50_000, 20, 100)


def _door(index: int, transport: str, bound: tuple[str, int], advertise: str | None) -> Door:
    host, port = bound
    shown = advertise or host
    return Door(
        index=index,
        transport=transport,
        host=f"[{shown}]" if ":" in shown else shown,
        port=port,
        ipv6=":" in host,
        local_host=host,
    )
