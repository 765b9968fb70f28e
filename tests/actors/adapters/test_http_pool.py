"""A request is sent once, its call ends, and a connection is used again only where that is safe."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import gevent
import pytest
from gevent.event import Event

from actors.adapters.host_addresses import HostAddresses, HostDirectory, ServerAddress
from actors.adapters.http_connection import UnsentError
from actors.adapters.http_pool import HttpPool, host_of_url
from actors.domain.outcome import Outcome
from tests.actors.adapters.servers import (
    AMPLE_S,
    PAYMENT,
    SHORT_S,
    STAMP_MS,
    Behaviour,
    Server,
    answer,
    calling,
    dripping,
    outcomes,
    resetting,
    saying,
    serving,
    silent,
)

REQUEST = b"GET /payments/7 HTTP/1.1\r\nHost: processor\r\n\r\n"


@contextmanager
def full_port() -> Iterator[str]:
    """A port whose queue of connections is full, so that another one is neither accepted nor refused."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = waiting.enter_context(socket.socket())
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_connection_is_used_again() -> None:
    with serving(saying(answer(200))) as server, calling(server.url) as client:
        assert [client.charge(PAYMENT, STAMP_MS) for _ in range(5)] == [Outcome.SETTLED] * 5
    assert server.connections == 1


def test_a_request_that_is_not_even_read_is_sent_once() -> None:
    class Rude(Server):
        def _serve(self, connection: socket.socket, _address: object) -> None:
            self.connections += 1
            connection.close()

    with closing(Rude()) as server, calling(server.url) as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.UNKNOWN
        assert server.connections == 1


def test_a_connection_that_is_reset_proves_nothing_and_is_not_tried_again() -> None:
    script: list[Behaviour] = [
        resetting,
        partial(resetting, said=answer(200)[:20]),
        partial(resetting, said=answer(200)[:-1]),
    ]
    assert outcomes(*script, charges=3) == [Outcome.UNKNOWN] * 3


def test_a_connection_that_was_closed_while_it_waited_is_replaced_before_anything_is_sent() -> None:
    gone = Event()

    def answer_and_go(connection: socket.socket) -> None:
        connection.sendall(answer(200))
        connection.close()
        gone.set()

    with serving(answer_and_go) as server, calling(server.url) as client:
        for _ in range(3):
            assert client.charge(PAYMENT, STAMP_MS) is Outcome.SETTLED
            assert gone.wait(AMPLE_S)
            gone.clear()
        assert (len(server.requests), server.connections) == (3, 3)


@pytest.mark.parametrize(
    "behaviour",
    [silent, dripping(b"HTTP/1.1 200 OK\r\nX-Long: "), dripping(answer(200, b"x" * 10**6)[:100])],
    ids=["silent", "drips its head", "drips its body"],
)
def test_the_deadline_cuts_a_call_and_frees_its_connection(behaviour: Behaviour) -> None:
    with (
        serving(behaviour, behaviour, saying(answer(200))) as server,
        calling(server.url, SHORT_S, charges_max=1) as client,
    ):
        assert [client.charge(PAYMENT, STAMP_MS) for _ in range(2)] == [Outcome.UNKNOWN] * 2
        # On a busy machine the next ones may be cut as well, before they are answered.
        assert any(client.charge(PAYMENT, STAMP_MS) is Outcome.SETTLED for _ in range(100))


def test_a_call_that_finds_no_free_connection_ends_as_well() -> None:
    with serving(silent) as server, calling(server.url, SHORT_S, charges_max=1) as client:
        calls = [gevent.spawn(client.charge, PAYMENT, STAMP_MS) for _ in range(5)]
        gevent.joinall(calls, AMPLE_S)
        # Those that wait a little longer than the first one may have the moment that is left of their time.
        assert {call.value for call in calls} == {Outcome.REFUSED, Outcome.UNKNOWN}
        assert all(call.dead for call in calls)


def test_where_no_connection_was_accepted_until_the_deadline_nothing_was_sent() -> None:
    with full_port() as url, calling(url, SHORT_S) as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.REFUSED


def test_what_a_server_says_unasked_is_no_answer() -> None:
    answered, said = Event(), Event()

    def answer_twice(connection: socket.socket) -> bool:
        connection.sendall(answer(422))
        answered.wait(AMPLE_S)
        connection.sendall(answer(200))
        said.set()
        return True

    with serving(answer_twice, saying(answer(500, b""))) as server, calling(server.url) as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.ALREADY_CHARGED
        answered.set()
        assert said.wait(AMPLE_S)
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.FAILED
        assert server.connections == 2


def test_an_answer_that_comes_before_the_request_was_read_is_an_answer() -> None:
    class Hasty(Server):
        def _serve(self, connection: socket.socket, _address: object) -> None:
            self.connections += 1
            with connection:
                connection.recv(10)
                connection.sendall(answer(413))
                while connection.recv(65536):
                    pass

    with closing(Hasty()) as server, calling(server.url) as client:
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.DECLINED


def test_a_call_that_is_killed_leaves_its_answer_to_nobody() -> None:
    asked, go = Event(), Event()

    def answer_late(connection: socket.socket) -> None:
        asked.set()
        go.wait(AMPLE_S)
        connection.sendall(answer(200))

    with serving(answer_late, saying(answer(422))) as server, calling(server.url, charges_max=1) as client:
        call = gevent.spawn(client.charge, PAYMENT, STAMP_MS)
        assert asked.wait(AMPLE_S)
        call.kill()
        go.set()
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.ALREADY_CHARGED


def test_there_are_never_more_connections_than_allowed() -> None:
    with serving(saying(answer(200))) as server, calling(server.url, charges_max=3) as client:
        calls = [gevent.spawn(client.charge, PAYMENT, STAMP_MS) for _ in range(50)]
        gevent.joinall(calls, AMPLE_S)
        assert [call.value for call in calls] == [Outcome.SETTLED] * 50
        assert server.connections <= 3


def test_the_connection_of_a_call_is_closed_at_its_end_where_the_client_was_closed_meanwhile() -> None:
    asked, go, ended = Event(), Event(), Event()

    def answer_late(connection: socket.socket) -> None:
        asked.set()
        go.wait(AMPLE_S)
        connection.sendall(answer(200))
        if not connection.recv(1):
            ended.set()

    with serving(answer_late) as server, calling(server.url) as client:
        call = gevent.spawn(client.charge, PAYMENT, STAMP_MS)
        assert asked.wait(AMPLE_S)
        client.close()
        go.set()
        assert call.get(timeout=AMPLE_S) is Outcome.SETTLED
        assert ended.wait(AMPLE_S)


def test_an_address_where_nobody_listens_is_passed_over() -> None:
    with socket.socket() as unheard, serving(saying(answer(200))) as server:
        unheard.bind(("127.0.0.1", 0))
        port = int(server.url.rpartition(":")[2])
        found = tuple(ServerAddress(socket.AF_INET, at) for at in (unheard.getsockname(), ("127.0.0.1", port)))
        with closing(HttpPool(HostAddresses("processor", port, lambda _host, _port: found), AMPLE_S, 1)) as pool:
            assert pool.call(REQUEST) == (200, b"{}")


def test_a_connection_that_was_opened_ahead_is_used_by_the_next_call() -> None:
    with serving(saying(answer(200))) as server, calling(server.url) as client:
        assert client.knock()
        assert client.knock()
        assert client.charge(PAYMENT, STAMP_MS) is Outcome.SETTLED
        assert server.connections == 1


def test_no_connection_is_opened_ahead_while_all_are_in_use() -> None:
    with serving(silent) as server, closing(HttpPool(host_of_url(HostDirectory(), server.url), AMPLE_S, 1)) as pool:
        call = gevent.spawn(pool.call, REQUEST)
        gevent.idle()
        with pytest.raises(UnsentError):
            pool.open_one(SHORT_S)
        call.kill()


def test_where_a_connection_is_neither_accepted_nor_refused_none_is_opened_ahead() -> None:
    with (
        full_port() as url,
        closing(HttpPool(host_of_url(HostDirectory(), url), AMPLE_S, 1)) as pool,
        pytest.raises(UnsentError),
    ):
        pool.open_one(SHORT_S)
