"""Redis is connected to by addresses that are known already, and is never waited for."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from actors.adapters.host_addresses import HostDirectory, ServerAddress
from actors.adapters.redis_client import connect
from actors.adapters.redis_connection import LocatedTlsConnection
from actors.errors import SettingsError
from tests.actors.adapters.relay import Relay, to_redis

AMPLE_S = 30.0


@pytest.fixture
def relay(redis_url: str) -> Iterator[Relay]:
    with closing(Relay(to_redis(redis_url))) as relay:
        yield relay


def ping(client: redis.Redis) -> None:
    """Ask until there is an answer: on a busy machine it may come later than the client waits for one."""
    end_s = time.monotonic() + AMPLE_S
    while True:
        try:
            assert client.ping()
        except redis.TimeoutError:
            assert time.monotonic() < end_s, "no answer"
        else:
            return


def test_a_lost_connection_is_made_again_while_its_name_is_gone(relay: Relay) -> None:
    look_ups = 0

    def resolve(_host: str, port: int) -> tuple[ServerAddress, ...]:
        nonlocal look_ups
        look_ups += 1
        if look_ups > 1:
            raise socket.gaierror(socket.EAI_AGAIN, "planted")
        return tuple(ServerAddress(socket.AF_INET, (each, port)) for each in ("127.0.0.2", "127.0.0.1"))

    with closing(connect(f"redis://redis.invalid:{relay.port}/0", HostDirectory(resolve, fresh_s=0.0))) as client:
        for _ in range(3):
            ping(client)
            client.connection_pool.disconnect()


def test_a_look_up_that_hangs_is_not_waited_for_and_used_when_it_has_ended(relay: Relay) -> None:
    goes_on = threading.Event()

    def resolve(_host: str, port: int) -> tuple[ServerAddress, ...]:
        assert goes_on.wait(AMPLE_S)
        return (ServerAddress(socket.AF_INET, ("127.0.0.1", port)),)

    hosts = HostDirectory(resolve)
    with closing(connect(f"redis://redis.invalid:{relay.port}/0", hosts)) as client:
        for _ in range(3):
            with pytest.raises(redis.TimeoutError):
                client.ping()
        goes_on.set()
        hosts.of("redis.invalid", relay.port).get(float("inf"))
        ping(client)


@pytest.mark.parametrize("host", ["gone.invalid", "a..b", "x" * 64])
def test_a_host_without_an_address_is_an_error_of_redis(host: str) -> None:
    def resolve(host: str, _port: int) -> tuple[ServerAddress, ...]:
        raise socket.gaierror(socket.EAI_NONAME, host)

    with closing(connect(f"redis://{host}/0", HostDirectory(resolve))) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_with_tls_the_name_is_what_the_certificate_has_to_fit() -> None:
    with closing(connect("rediss://redis.invalid:6390/0", HostDirectory())) as client:
        connection = client.connection_pool.make_connection()
    assert isinstance(connection, LocatedTlsConnection)
    assert (connection.host, connection.port, connection.check_hostname) == ("redis.invalid", 6390, True)


def test_tls_is_spoken_over_a_connection_to_a_known_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun: list[bytes] = []

        def accept() -> None:
            client, _ = server.accept()
            with client:
                begun.append(client.recv(1))

        accepting = threading.Thread(target=accept)
        accepting.start()
        port = server.getsockname()[1]
        hosts = HostDirectory(lambda _host, port: (ServerAddress(socket.AF_INET, ("127.0.0.1", port)),))
        with closing(connect(f"rediss://redis.invalid:{port}/0", hosts)) as client:
            # On a busy machine one try may end before it has connected.
            while accepting.is_alive():
                with pytest.raises(redis.RedisError):
                    client.ping()
    assert begun == [b"\x16"], "the first byte of a TLS handshake"


def test_a_socket_of_the_file_system_needs_no_address(redis_url: str) -> None:
    with closing(connect(redis_url, HostDirectory())) as client:
        ping(client)


@pytest.mark.parametrize(
    "redis_url",
    [
        "nonsense",
        "http://h",
        "redis://h:99999",
        "redis://h?socket_timeout=x",
        "redis+sentinel://h",
        "redis+sentinel://h/service/x",
        "redis+sentinel:///service",
        "redis+sentinel://h,/service",
        "redis+sentinel://h:99999,i/service",
        "redis+sentinel://h/service?db=1",
        "rediss+sentinel://h/service",
    ],
)
def test_an_address_that_is_malformed_is_refused_by_the_name_of_its_setting(redis_url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        connect(redis_url, HostDirectory())
