"""The load is offered whether or not the gateway answers, within its bounds, and ends when nobody looks."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.server import StreamServer
from gevent.socket import socket

from ops.controls.load import CLIENTS, PAYMENTS_PER_CONNECTION, UNDER_WAY_MAX, PaymentLoad
from ops.stack.ports import reserve_ports

DEADLINE_S = 30


class ScriptedGateway:
    """Answers each post with what the test wants; None keeps it waiting."""

    def __init__(self) -> None:
        self.answer: bytes | None = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        self.connections = 0
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.port = int(self._server.address[1])

    def stop(self) -> None:
        self._server.stop()

    def _serve(self, client: socket, _address: object) -> None:
        self.connections += 1
        while client.recv(4096):
            if self.answer is not None:
                client.sendall(self.answer)


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    scripted = ScriptedGateway()
    yield scripted
    scripted.stop()


@pytest.fixture
def offer() -> Iterator[Callable[[PaymentLoad, int], PaymentLoad]]:
    greenlets = []

    def start(load: PaymentLoad, rate: int) -> PaymentLoad:
        greenlets.append(gevent.spawn(load.run))
        load.set_rate(rate)
        return load

    yield start
    gevent.killall(greenlets)


def wait_until(holds: Callable[[], bool]) -> None:
    with gevent.Timeout(DEADLINE_S):
        while not holds():
            gevent.sleep(0.005)


def test_payments_are_offered_while_none_is_answered_and_those_beyond_the_bound_fail(
    gateway: ScriptedGateway, offer: Callable[[PaymentLoad, int], PaymentLoad]
) -> None:
    gateway.answer = None
    load = offer(PaymentLoad(gateway.port), 500)
    wait_until(lambda: load.failed > 0)
    load.set_rate(0)
    assert load.accepted == 0
    assert load.sent - load.failed <= UNDER_WAY_MAX < load.sent


def test_answers_are_counted_by_whether_the_payment_was_accepted(
    gateway: ScriptedGateway, offer: Callable[[PaymentLoad, int], PaymentLoad]
) -> None:
    load = offer(PaymentLoad(gateway.port), 500)
    wait_until(lambda: load.accepted > 10)
    assert load.failed == 0
    gateway.answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    wait_until(lambda: load.failed > 10)
    load.set_rate(0)
    wait_until(lambda: load.sent == load.accepted + load.failed)


def test_clients_take_turns_and_connect_anew_so_that_restarted_replicas_get_their_share(
    gateway: ScriptedGateway, offer: Callable[[PaymentLoad, int], PaymentLoad]
) -> None:
    load = offer(PaymentLoad(gateway.port), 500)
    wait_until(lambda: load.accepted >= CLIENTS)
    assert gateway.connections >= CLIENTS
    load.sent = CLIENTS * PAYMENTS_PER_CONNECTION
    wait_until(lambda: gateway.connections >= 2 * CLIENTS)


def test_a_gateway_that_is_gone_lets_payments_fail(offer: Callable[[PaymentLoad, int], PaymentLoad]) -> None:
    load = offer(PaymentLoad(reserve_ports(1)[0]), 500)
    wait_until(lambda: load.failed > 10)
    assert load.accepted == 0


def test_a_load_that_nobody_looks_at_stops_by_itself_and_can_be_started_again(
    gateway: ScriptedGateway, offer: Callable[[PaymentLoad, int], PaymentLoad]
) -> None:
    now_s = [100.0]
    load = offer(PaymentLoad(gateway.port, lambda: now_s[0], unwatched_s_max=600), 500)
    wait_until(lambda: load.sent > 0)
    now_s[0] += 599
    load.note_viewer()
    now_s[0] += 599
    sent = load.sent
    wait_until(lambda: load.sent > sent)
    assert load.rate == 500
    now_s[0] += 2
    wait_until(lambda: load.rate == 0)
    load.set_rate(500)
    sent = load.sent
    wait_until(lambda: load.sent > sent)


def test_a_slow_load_obeys_a_change_at_once(
    gateway: ScriptedGateway, offer: Callable[[PaymentLoad, int], PaymentLoad]
) -> None:
    load = offer(PaymentLoad(gateway.port, lambda: 0.0), 1)
    wait_until(lambda: load.accepted == 1)
    load.set_rate(500)
    wait_until(lambda: load.accepted > 1)
