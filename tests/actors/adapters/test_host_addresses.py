"""A name that is slow or gone holds up nobody who knows its address already."""

import socket
import threading
import time
from collections.abc import Callable

import gevent
import pytest

from actors.adapters.host_addresses import HostAddresses, HostDirectory, ServerAddress, resolve

AMPLE_S = 30.0
FIRST, SECOND = (ServerAddress(socket.AF_INET, (f"192.0.2.{number}", 8080)) for number in (1, 2))


class NameServer:
    """Answers look-ups one after the other by a script, the last answer again and again."""

    def __init__(self, *script: ServerAddress | OSError) -> None:
        self._script = list(script)
        self.look_ups = 0
        self.goes_on = threading.Event()
        """Clear while look-ups hang."""
        self.goes_on.set()

    def resolve(self, _host: str, _port: int) -> tuple[ServerAddress, ...]:
        self.look_ups += 1
        self.goes_on.wait(AMPLE_S)
        answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(answer, OSError):
            raise answer
        return (answer,)


def in_time() -> float:
    return time.monotonic() + AMPLE_S


def until(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until a condition holds."""
    with gevent.Timeout(AMPLE_S):
        while not condition():
            gevent.sleep(0.001)


def test_a_name_is_looked_up_once_while_its_address_is_fresh() -> None:
    names = NameServer(FIRST, SECOND)
    addresses = HostAddresses("processor", 8080, names.resolve)
    for _ in range(1000):
        assert addresses.get(in_time()) == (FIRST,)
        gevent.sleep(0)
    assert names.look_ups == 1


def test_an_old_address_is_used_until_a_look_up_has_found_the_new_one() -> None:
    names = NameServer(FIRST, SECOND)
    addresses = HostAddresses("processor", 8080, names.resolve, fresh_s=0.0)
    assert addresses.get(in_time()) == (FIRST,)
    names.goes_on.clear()
    assert [addresses.get(in_time()) for _ in range(10)] == [(FIRST,)] * 10
    names.goes_on.set()
    until(lambda: addresses.get(in_time()) == (SECOND,))


def test_only_one_look_up_is_under_way() -> None:
    names = NameServer(FIRST)
    names.goes_on.clear()
    addresses = HostAddresses("processor", 8080, names.resolve)
    calls = [gevent.spawn(addresses.get, in_time()) for _ in range(10)]
    until(lambda: names.look_ups > 0)
    names.goes_on.set()
    gevent.joinall(calls, AMPLE_S)
    assert [call.value for call in calls] == [(FIRST,)] * 10
    assert names.look_ups == 1


def test_the_last_good_address_stays_in_use_while_look_ups_fail() -> None:
    names = NameServer(FIRST, socket.gaierror("gone"))
    addresses = HostAddresses("processor", 8080, names.resolve, fresh_s=0.0)
    assert addresses.get(in_time()) == (FIRST,)
    until(lambda: addresses.get(in_time()) == (FIRST,) and names.look_ups > 3)


def test_a_name_that_was_never_found_is_looked_up_for_each_call() -> None:
    names = NameServer(socket.gaierror("unknown"), FIRST)
    addresses = HostAddresses("processor", 8080, names.resolve)
    with pytest.raises(socket.gaierror):
        addresses.get(in_time())
    assert addresses.get(in_time()) == (FIRST,)


def test_a_look_up_that_hangs_ends_with_the_deadline_of_the_call() -> None:
    names = NameServer(FIRST)
    names.goes_on.clear()
    addresses = HostAddresses("processor", 8080, names.resolve)
    with pytest.raises(TimeoutError):
        addresses.get(time.monotonic())
    names.goes_on.set()
    assert addresses.get(in_time()) == (FIRST,)


def test_a_host_that_is_given_by_its_address_is_never_looked_up() -> None:
    names = NameServer(socket.gaierror("gone"))
    addresses = HostAddresses("127.0.0.1", 8080, names.resolve, fresh_s=0.0)
    assert [addresses.get(time.monotonic()) for _ in range(3)] == [
        (ServerAddress(socket.AF_INET, ("127.0.0.1", 8080)),)
    ] * 3
    assert names.look_ups == 0


def test_what_cannot_be_a_name_has_no_address() -> None:
    for impossible in ("a..b", "x" * 64 + ".test"):
        with pytest.raises(socket.gaierror, match="is no name"):
            HostAddresses(impossible, 8080).get(in_time())


def test_who_shares_a_directory_shares_the_look_ups_of_a_host() -> None:
    names = NameServer(FIRST)
    hosts = HostDirectory(names.resolve)
    assert [hosts.of("processor", 8080).get(in_time()) for _ in range(3)] == [(FIRST,)] * 3
    assert names.look_ups == 1
    hosts.of("processor", 8081).get(in_time())
    assert names.look_ups == 2


def test_numbers_are_addresses() -> None:
    assert resolve("127.0.0.1", 8080) == (ServerAddress(socket.AF_INET, ("127.0.0.1", 8080)),)
    assert resolve("::1", 8080) == (ServerAddress(socket.AF_INET6, ("::1", 8080, 0, 0)),)
