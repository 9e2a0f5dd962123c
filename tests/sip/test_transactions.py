"""Transactions on a clock that the test turns: which message is sent when, and what the user hears of it."""

from __future__ import annotations

import pytest

from voice.sip.flow import Flow
from voice.sip.headers import Headers
from voice.sip.message import Request, parse_message
from voice.sip.respond import make_response
from voice.sip.transaction_tables import State
from voice.sip.transaction_timing import Timing
from voice.sip.transactions import (
    ClientTransaction,
    RequestArrived,
    ResponseArrived,
    ServerTransaction,
    StrayResponse,
    TimedOut,
    TransactionLayer,
    TransportFailed,
)

UDP = Flow("UDP", 1, "192.0.2.1", 5060)
TCP = Flow("TCP", 2, "192.0.2.1", 5060, 7)
T1 = 0.5


def request(method: str, branch: str | None = "z9hG4bK1", **changes: str) -> Request:
    via = "SIP/2.0/UDP a.example.com" + (f";branch={branch}" if branch else "")
    headers = Headers(
        (
            ("Via", via),
            ("From", "<sip:a@example.com>;tag=1"),
            ("To", changes.get("to", "<sip:b@example.com>")),
            ("Call-ID", "c1"),
            ("CSeq", f"{changes.get('cseq', '1')} {changes.get('cseq_method', method)}"),
            ("Max-Forwards", "70"),
        )
    )
    return Request(method, "sip:b@example.com", headers)


class Bench:
    """One layer, its clock, and what it sent."""

    def __init__(self, timing: Timing | None = None) -> None:
        self.layer = TransactionLayer(timing or Timing())
        self.now = 1000.0

    def client(self, method: str, flow: Flow = UDP) -> ClientTransaction:
        client = self.layer.begin_client(request(method), "z9hG4bK1", flow, self.now)
        assert self.sent() == [f"{method} sip:b@example.com SIP/2.0"]
        return client

    def server(self, method: str, flow: Flow = UDP) -> ServerTransaction:
        arrived = self.layer.receive(request(method), self.now)
        assert isinstance(arrived, RequestArrived)
        return self.layer.begin_server(arrived, flow)

    def sent(self) -> list[str]:
        """First lines of what was sent since the last time."""
        lines = [data.split(b"\r\n")[0].decode() for _, data in self.layer.outbox]
        self.layer.outbox.clear()
        return lines

    def answer(self, client: ClientTransaction, status: int) -> object:
        response = make_response(client.request, status, to_tag="t")
        return self.layer.receive(parse_message(response.to_bytes()), self.now)

    def respond(self, server: ServerTransaction, method: str, status: int) -> None:
        server.respond(make_response(request(method), status, to_tag="t"), self.now)

    def run(self, seconds: float) -> tuple[list[tuple[float, str]], list[object]]:
        """Turns the clock; returns what was sent when (in units of T1 from now), and what happened."""
        begin, end = self.now, self.now + seconds
        sent: list[tuple[float, str]] = []
        happened: list[object] = []
        while (when := self.layer.get_timer()) is not None and when <= end:
            self.now = max(self.now, when)
            happened += self.layer.handle_timer(self.now)
            sent += [(round((self.now - begin) / T1, 3), line.split(" ")[0]) for line in self.sent()]
        self.now = end
        return sent, happened


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_timer_a_doubles_until_timer_b_ends_the_wait(bench: Bench) -> None:
    client = bench.client("INVITE")
    sent, happened = bench.run(64 * T1)
    assert sent == [
        (1, "INVITE"),
        (3, "INVITE"),
        (7, "INVITE"),
        (15, "INVITE"),
        (31, "INVITE"),
        (63, "INVITE"),
    ]
    assert happened == [TimedOut(client)]
    assert client.over
    assert bench.layer.sizes == (0, 0)


def test_timers_e_and_f_of_a_request_other_than_invite(bench: Bench) -> None:
    client = bench.client("BYE")
    sent, happened = bench.run(64 * T1)
    # E doubles up to T2 = 8 T1 (section 17.1.2.2).
    assert [when for when, _ in sent] == [1, 3, 7, 15, 23, 31, 39, 47, 55, 63]
    assert happened == [TimedOut(client)]


def test_after_a_provisional_response_timer_e_is_t2_and_f_goes_on(bench: Bench) -> None:
    client = bench.client("BYE")
    assert isinstance(bench.answer(client, 100), ResponseArrived)
    sent, happened = bench.run(64 * T1)
    # The running interval ends first, then every T2.
    assert [when for when, _ in sent] == [1, 9, 17, 25, 33, 41, 49, 57]
    assert happened == [TimedOut(client)]


def test_a_provisional_response_ends_the_retransmissions_of_invite_for_good(bench: Bench) -> None:
    client = bench.client("INVITE")
    bench.answer(client, 180)
    assert client.heard_provisional
    assert bench.run(3600) == ([], [])
    assert not client.over


def test_a_failure_is_acknowledged_by_the_transaction_each_time_it_comes(bench: Bench) -> None:
    client = bench.client("INVITE")
    assert isinstance(bench.answer(client, 486), ResponseArrived)
    assert bench.sent() == ["ACK sip:b@example.com SIP/2.0"]
    bench.now += 0.5
    assert bench.answer(client, 486) is None
    assert bench.sent() == ["ACK sip:b@example.com SIP/2.0"]
    assert bench.answer(client, 200) is None
    _, happened = bench.run(31.4)
    assert bench.layer.sizes == (0, 1)
    bench.run(0.2)
    assert bench.layer.sizes == (0, 0)
    assert happened == []


def test_the_ack_of_a_failure_has_the_tag_of_the_response_and_the_branch_of_the_invite(bench: Bench) -> None:
    client = bench.client("INVITE")
    bench.answer(client, 503)
    ack = parse_message(bench.layer.outbox[0][1])
    assert ack.to.tag == "t"
    assert ack.via.branch == "z9hG4bK1"
    assert ack.cseq == (1, "ACK")


def test_every_2xx_reaches_the_user_until_timer_m(bench: Bench) -> None:
    client = bench.client("INVITE")
    for _ in range(3):
        assert isinstance(bench.answer(client, 200), ResponseArrived)
        bench.now += 4
    assert bench.sent() == []
    assert client.state is State.ACCEPTED
    bench.run(64 * T1)
    assert client.over
    response = make_response(request("INVITE"), 200, to_tag="t")
    assert isinstance(bench.layer.receive(response, bench.now), StrayResponse)


def test_a_final_response_to_another_request_is_absorbed_until_timer_k(bench: Bench) -> None:
    client = bench.client("BYE")
    assert isinstance(bench.answer(client, 200), ResponseArrived)
    assert bench.answer(client, 200) is None
    bench.run(4.9)
    assert not client.over
    bench.run(0.2)
    assert client.over


@pytest.mark.parametrize("method", ["INVITE", "BYE"])
def test_over_tcp_nothing_is_sent_twice_and_nothing_lingers(bench: Bench, method: str) -> None:
    client = bench.client(method, TCP)
    sent, _ = bench.run(31.9)
    assert sent == []
    assert isinstance(bench.answer(client, 486), ResponseArrived)
    assert client.over


def test_an_abandoned_invite_is_not_sent_again_but_still_heard(bench: Bench) -> None:
    client = bench.client("INVITE")
    client.abandon(bench.now)
    sent, _ = bench.run(10)
    assert sent == []
    assert isinstance(bench.answer(client, 180), ResponseArrived)


def test_an_invite_that_rings_for_ever_can_be_forgotten_and_an_answered_one_cannot(bench: Bench) -> None:
    client = bench.client("INVITE")
    bench.answer(client, 180)
    client.forget(bench.now)
    assert bench.layer.sizes == (0, 0)
    client = bench.client("INVITE")
    bench.answer(client, 200)
    client.forget(bench.now)
    assert bench.layer.sizes == (0, 1)


def test_a_transport_error_concerns_the_transactions_to_that_peer_only(bench: Bench) -> None:
    client = bench.client("INVITE")
    assert bench.layer.transport_failed(Flow("UDP", 1, "192.0.2.1", 5061), bench.now) == []
    assert bench.layer.transport_failed(Flow("TCP", 1, "192.0.2.1", 5060), bench.now) == []
    assert bench.layer.transport_failed(UDP, bench.now) == [TransportFailed(client)]
    assert bench.layer.transport_failed(UDP, bench.now) == []
    assert bench.layer.sizes == (0, 0)


def test_responses_are_expected_only_from_where_something_is_under_way(bench: Bench) -> None:
    assert not bench.layer.talks_to(UDP.host)
    client = bench.client("BYE")
    assert bench.layer.talks_to(UDP.host)
    bench.answer(client, 200)
    assert bench.layer.talks_to(UDP.host)
    bench.run(6)
    assert not bench.layer.talks_to(UDP.host)


def test_a_server_sends_its_last_provisional_response_again(bench: Bench) -> None:
    server = bench.server("INVITE")
    assert bench.layer.receive(request("INVITE"), bench.now) is None
    assert bench.sent() == []
    for status in (100, 180):
        bench.respond(server, "INVITE", status)
    bench.sent()
    assert bench.layer.receive(request("INVITE"), bench.now) is None
    assert bench.sent() == ["SIP/2.0 180 Ringing"]


def test_timer_g_repeats_a_failure_until_the_ack_and_timer_i_absorbs_more_acks(bench: Bench) -> None:
    server = bench.server("INVITE")
    bench.respond(server, "INVITE", 404)
    bench.sent()
    sent, _ = bench.run(7 * T1)
    assert [when for when, _ in sent] == [1, 3, 7]
    ack = request("ACK", to="<sip:b@example.com>;tag=t")
    assert bench.layer.receive(ack, bench.now) is None
    assert server.state is State.CONFIRMED
    sent, _ = bench.run(4.9)
    assert sent == []
    assert bench.layer.receive(ack, bench.now) is None
    bench.run(0.2)
    assert server.over


def test_timer_h_ends_the_wait_for_an_ack(bench: Bench) -> None:
    server = bench.server("INVITE")
    bench.respond(server, "INVITE", 404)
    bench.sent()
    sent, happened = bench.run(64 * T1)
    assert [when for when, _ in sent] == [1, 3, 7, 15, 23, 31, 39, 47, 55, 63]
    assert happened == [TimedOut(server)]


def test_after_a_2xx_retransmissions_of_the_invite_are_absorbed_and_more_2xx_pass(bench: Bench) -> None:
    server = bench.server("INVITE")
    bench.respond(server, "INVITE", 200)
    assert bench.sent() == ["SIP/2.0 200 OK"]
    assert bench.layer.receive(request("INVITE"), bench.now) is None
    assert bench.sent() == []
    bench.respond(server, "INVITE", 200)
    assert bench.sent() == ["SIP/2.0 200 OK"]
    # The ACK of a 2xx has a branch of its own: it belongs to no transaction (RFC 6026 section 6).
    ack = request("ACK", branch="z9hG4bK2")
    assert isinstance(bench.layer.receive(ack, bench.now), RequestArrived)
    bench.run(64 * T1)
    assert server.over


def test_a_final_response_to_another_request_is_repeated_until_timer_j(bench: Bench) -> None:
    server = bench.server("BYE")
    bench.respond(server, "BYE", 200)
    bench.sent()
    bench.now += 31
    assert bench.layer.receive(request("BYE"), bench.now) is None
    assert bench.sent() == ["SIP/2.0 200 OK"]
    bench.run(1.1)
    assert server.over
    assert isinstance(bench.layer.receive(request("BYE"), bench.now), RequestArrived)


def test_a_request_that_will_not_be_answered_is_forgotten(bench: Bench) -> None:
    server = bench.server("BYE")
    server.forget()
    assert bench.layer.sizes == (0, 0)


def test_a_response_after_the_final_one_is_a_bug_of_ours_with_a_name(bench: Bench) -> None:
    server = bench.server("INVITE")
    bench.respond(server, "INVITE", 486)
    with pytest.raises(
        LookupError, match="INVITE server transaction in state COMPLETED: no row for PROVISIONAL"
    ):
        bench.respond(server, "INVITE", 180)


def test_a_cancel_finds_its_invite_and_only_that(bench: Bench) -> None:
    server = bench.server("INVITE")
    assert bench.layer.invite_of(request("CANCEL")) is server
    assert bench.layer.invite_of(request("CANCEL", branch="z9hG4bK2")) is None
    # The CANCEL is a transaction of its own.
    assert isinstance(bench.layer.receive(request("CANCEL"), bench.now), RequestArrived)


def test_without_the_magic_cookie_a_request_is_known_by_what_rfc_2543_compares(bench: Bench) -> None:
    arrived = bench.layer.receive(request("INVITE", branch=None), bench.now)
    assert isinstance(arrived, RequestArrived)
    server = bench.layer.begin_server(arrived, UDP)
    assert bench.layer.receive(request("INVITE", branch=None), bench.now) is None
    other = request("INVITE", branch=None, cseq="2")
    assert isinstance(bench.layer.receive(other, bench.now), RequestArrived)
    bench.respond(server, "INVITE", 486)
    ack = request("ACK", branch=None, to="<sip:b@example.com>;tag=t")
    assert bench.layer.receive(ack, bench.now) is None
    assert server.state is State.CONFIRMED
    assert bench.layer.invite_of(request("CANCEL", branch=None)) is server


def test_the_same_branch_from_another_sender_is_another_request(bench: Bench) -> None:
    bench.server("INVITE")
    other = request("INVITE")
    other.headers.set("Via", "SIP/2.0/UDP b.example.com;branch=z9hG4bK1")
    assert isinstance(bench.layer.receive(other, bench.now), RequestArrived)


def test_a_response_with_another_method_in_cseq_is_a_stray(bench: Bench) -> None:
    client = bench.client("INVITE")
    response = make_response(client.request, 200, to_tag="t")
    response.headers.set("CSeq", "1 CANCEL")
    assert isinstance(bench.layer.receive(response, bench.now), StrayResponse)


def test_base_times_are_settings() -> None:
    bench = Bench(Timing(t1=0.1, t2=0.4, t4=0.5))
    bench.client("BYE")
    begin = bench.now
    times = []
    while (when := bench.layer.get_timer()) is not None:
        bench.layer.handle_timer(when)
        times += [round(when - begin, 3)] * len(bench.sent())
    assert times[:5] == [0.1, 0.3, 0.7, 1.1, 1.5]
    assert times[-1] <= 6.4


def test_two_ends_agree_over_a_lossy_wire() -> None:
    """A client and a server joined by a wire that loses every other datagram."""
    bench = Bench()
    user = bench.layer
    peer = TransactionLayer(Timing())
    count = 0
    heard: list[int] = []
    client = user.begin_client(request("INVITE"), "z9hG4bK1", UDP, bench.now)
    server: ServerTransaction | None = None
    end = bench.now + 60
    while bench.now < end:
        for layer, other in ((user, peer), (peer, user)):
            outbox, layer.outbox[:] = layer.outbox.copy(), []
            for _, data in outbox:
                count += 1
                if count % 2:
                    continue
                occurrence = other.receive(parse_message(data), bench.now)
                if isinstance(occurrence, RequestArrived) and occurrence.request.method == "INVITE":
                    server = other.begin_server(occurrence, UDP)
                    bench.respond(server, "INVITE", 603)
                elif isinstance(occurrence, ResponseArrived):
                    heard.append(occurrence.response.status)
        if user.outbox or peer.outbox:
            continue
        times = [time for time in (user.get_timer(), peer.get_timer()) if time is not None]
        if not times:
            break
        bench.now = max(bench.now, min(times))
        user.handle_timer(bench.now)
        peer.handle_timer(bench.now)
    assert heard == [603]
    assert client.over
    assert server is not None
    assert server.over
    assert (user.sizes, peer.sizes) == ((0, 0), (0, 0))
