"""Redis is found by Sentinels, real ones over real servers."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.peer_channel import RedisPeerChannel
from actors.adapters.redis_client import connect
from actors.domain.peers import PeerNews
from actors.errors import PeersUnavailableError
from ops.stack.embedded import redis_binary
from ops.stack.ports import reserve_ports
from ops.stack.process import ManagedProcess
from tests.actors.fakes import payment

AMPLE_S = 60.0


class Servers:
    """A master, a replica of it, and one Sentinel, whose word alone is enough."""

    def __init__(self, folder: Path) -> None:
        self.ports = reserve_ports(3)
        self._folder = folder
        replica_of = f"replicaof 127.0.0.1 {self.ports[0]}"
        self.redis = [self._start(0, ""), self._start(1, replica_of)]
        watched = f"sentinel monitor fiel 127.0.0.1 {self.ports[0]} 1"
        self.sentinel = self._start(2, watched, "--sentinel")

    @property
    def url(self) -> str:
        """The address by which the master is found; a Sentinel that is gone comes first."""
        return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.ports[2]}/fiel/0"

    def client(self, number: int) -> redis.Redis:
        return redis.Redis("127.0.0.1", self.ports[number], socket_timeout=AMPLE_S)

    def _start(self, number: int, line: str, *arguments: str) -> ManagedProcess:
        file = self._folder / f"{number}.conf"
        file.write_text(f'bind 127.0.0.1\nport {self.ports[number]}\ndir {self._folder}\nsave ""\n{line}\n')
        log = self._folder / f"{number}.log"
        process = ManagedProcess(f"redis {number}", [str(redis_binary()), str(file), *arguments], log=log)
        process.start()
        return process

    def stop(self) -> None:
        for process in (self.sentinel, *self.redis):
            process.kill()


def until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + AMPLE_S
    while True:
        try:
            if condition():
                return
        except (redis.RedisError, PeersUnavailableError):
            pass
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.02)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    try:
        with servers.client(2) as sentinel:
            # It has to know the replica, which it can promote only then.
            until(lambda: len(sentinel.sentinel_slaves("fiel")) == 1)
            until(lambda: sentinel.sentinel_slaves("fiel")[0]["master-link-status"] == "ok")
        yield servers
    finally:
        servers.stop()


def tell_and_hear(channel: RedisPeerChannel, number: int) -> bool:
    channel.tell(PeerNews("1", (payment(number),)))
    return payment(number) in [accepted for news in channel.hear() for accepted in news.accepted]


def test_what_replicas_tell_each_other_goes_on_after_a_failover(servers: Servers) -> None:
    with (
        closing(RedisPeerChannel(servers.url, HostDirectory(), 1)) as channel,
        servers.client(1) as promoted,
        servers.client(2) as sentinel,
    ):
        until(lambda: tell_and_hear(channel, 1))
        sentinel.execute_command("SENTINEL", "FAILOVER", "fiel")
        until(lambda: promoted.role()[0] == b"master")
        servers.redis[0].kill()
        until(lambda: tell_and_hear(channel, 2))
        assert promoted.exists("accepted:1")


def test_a_connection_to_a_master_that_has_become_a_replica_is_given_up_with_the_first_write(servers: Servers) -> None:
    with closing(connect(servers.url, HostDirectory())) as client, servers.client(0) as old:
        until(lambda: client.set("a", "1"))
        # Nobody ends its connections, as Sentinel would.
        old.execute_command("REPLICAOF", "127.0.0.1", str(servers.ports[1]))
        first = client.connection_pool.get_connection()
        client.connection_pool.release(first)
        until(lambda: is_refused(client))
        assert not first.is_connected


def is_refused(client: redis.Redis) -> bool:
    try:
        client.set("a", "2")
    except redis.TimeoutError:
        return False
    except redis.ConnectionError as error:
        return "replica now" in str(error)
    return False


def test_without_any_sentinel_redis_is_unavailable_at_once() -> None:
    url = "redis+sentinel://127.0.0.1:1,127.0.0.1:2/fiel"
    with closing(connect(url, HostDirectory())) as client, pytest.raises(redis.ConnectionError, match="fiel"):
        client.ping()
