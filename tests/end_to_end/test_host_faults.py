"""What is done to the links, disks and clocks of hosts really happens to their processes."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.clustertest.clock import SEEN_AFTER_S, HostClock, library
from ops.clustertest.configuration import link_proxy_arguments
from ops.clustertest.disks import HostDisk
from ops.clustertest.links import Direction, Links
from ops.clustertest.namespaces import build_network, inside
from ops.clustertest.needs import missing
from ops.clustertest.plan import LINK_PROXY_PORT, Place
from ops.clustertest.state import ClusterState
from ops.environment import PYTHON_PATH
from tests.waiting import wait_until

LACKING = missing(wrong_clocks=False)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(LACKING), reason=f"this machine lacks {'; and '.join(LACKING)}"),
]

PORT = 7000
DELAY_MS = 200
SERVER = """
import socket, sys, threading

def answer(client):
    with client:
        client.sendall(client.recv(1))

server = socket.create_server((sys.argv[1], int(sys.argv[2])))
while True:
    threading.Thread(target=answer, args=server.accept()[:1]).start()
"""
CLIENT = """
import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
client.sendall(b"?")
sys.exit(client.recv(1) != b"?")
"""
LATE_CLIENT = """
import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
print("connected", flush=True)
sys.stdin.readline()
client.sendall(b"?")
sys.exit(client.recv(1) != b"?")
"""
BRIEFLY_S, AMPLE_S = "0.5", "60"


class Hosts:
    """Three hosts, on each of which a server sends back what it gets."""

    def __init__(self, folder: Path) -> None:
        self._state = ClusterState(folder)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.plan = self._state.claim(1)

    def start(self) -> None:
        build_network(self.plan)
        for host in self.plan.hosts:
            self.run(host, "-c", SERVER, host.address, str(PORT))

    def run(self, host: Place, *arguments: str) -> None:
        command = [*inside(host), sys.executable, *arguments]
        self._processes.append(subprocess.Popen(command, env={**os.environ, "PYTHONPATH": PYTHON_PATH}))  # noqa: S603

    def stop(self) -> None:
        self._state.clear()
        for process in self._processes:
            process.wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    hosts = Hosts(tmp_path)
    try:
        hosts.start()
        yield hosts
    finally:
        hosts.stop()


def reaches(host: Place, other: Place, within_s: str = AMPLE_S, port: int = PORT) -> bool:
    command = [*inside(host), sys.executable, "-c", CLIENT, other.address, str(port), within_s]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603 - ours


def test_what_is_sent_over_a_cut_link_is_lost_until_it_is_healed(hosts: Hosts, tmp_path: Path) -> None:
    first, second, third = hosts.plan.hosts
    links = Links(first, tmp_path / "links.json")
    links.prepare()
    wait_until(lambda: reaches(first, second) and reaches(second, first) and reaches(first, third))
    for direction in Direction:
        links.cut(second, direction)
        assert not reaches(first, second, BRIEFLY_S)
        assert not reaches(second, first, BRIEFLY_S)
        assert reaches(first, third)
    links.heal()
    assert reaches(first, second)


def test_what_is_sent_over_a_slow_link_takes_longer_and_over_a_stalled_one_never_arrives(
    hosts: Hosts, tmp_path: Path
) -> None:
    first, second, third = hosts.plan.hosts
    links = Links(first, tmp_path / "links.json")
    links.prepare()
    hosts.run(first, "-m", "ops.clustertest.link_proxy", *link_proxy_arguments(str(links.state_file)))
    wait_until(lambda: reaches(first, second) and reaches(first, third))
    links.stall(second)
    # The proxy sees soon, not at once, what it is told.
    wait_until(lambda: listens(first) and not reaches(first, second, BRIEFLY_S))
    assert reaches(first, third)
    links.slow(second, DELAY_MS)
    began_s = time.monotonic()
    assert reaches(first, second)
    assert time.monotonic() - began_s >= 2 * DELAY_MS / 1000
    links.heal()
    assert reaches(first, second)


def test_connections_that_were_made_over_a_slow_link_outlive_its_healing(hosts: Hosts, tmp_path: Path) -> None:
    first, second, third = hosts.plan.hosts
    links = Links(first, tmp_path / "links.json")
    links.prepare()
    hosts.run(first, "-m", "ops.clustertest.link_proxy", *link_proxy_arguments(str(links.state_file)))
    wait_until(lambda: listens(first) and reaches(first, second))
    links.slow(second, DELAY_MS)
    clients = [late_client(first, second) for _ in range(2)]
    links.cut(third)
    links.heal(third)
    assert says_it_is_answered(clients[0])
    links.heal()
    assert says_it_is_answered(clients[1])


def late_client(host: Place, other: Place) -> "subprocess.Popen[bytes]":
    """Start one that is connected and has sent nothing yet."""
    command = [*inside(host), sys.executable, "-c", LATE_CLIENT, other.address, str(PORT), AMPLE_S]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - ours
    assert client.stdout is not None
    assert client.stdout.readline() == b"connected\n"
    return client


def says_it_is_answered(client: "subprocess.Popen[bytes]") -> bool:
    """Let one send, and tell whether it is answered."""
    client.communicate(b"\n")
    return client.returncode == 0


def listens(host: Place) -> bool:
    script = "import socket, sys\nsocket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"
    command = [*inside(host), sys.executable, "-c", script, str(LINK_PROXY_PORT)]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0  # noqa: S603 - ours


def test_a_full_disk_takes_nothing_more_until_it_is_emptied(tmp_path: Path) -> None:
    disk = HostDisk(tmp_path / "disk", 1)
    disk.mount()
    try:
        (disk.path / "kept").write_bytes(b"1" * 8192)
        disk.fill()
        with pytest.raises(OSError, match="No space left"):
            (disk.path / "more").write_bytes(b"1" * 65536)
        disk.empty()
        (disk.path / "more").write_bytes(b"1" * 65536)
        disk.wipe()
        assert list(disk.path.iterdir()) == []
    finally:
        disk.unmount()


@pytest.fixture
def folder_on_disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@pytest.mark.skipif(library() is None, reason="libfaketime is not installed")
def test_a_process_sees_the_wrong_clock_of_its_host_while_it_runs_and_can_sleep(folder_on_disk: Path) -> None:
    clock = HostClock(folder_on_disk / "clock", can_be_wrong=True)
    clock.step(0)
    script = "import sys, time\nfor line in sys.stdin:\n    time.sleep(0.01)\n    print(time.time(), flush=True)\n"
    with subprocess.Popen(  # noqa: S603 - ours
        [*clock.prefix, sys.executable, "-c", script],
        env={**os.environ, **clock.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def difference() -> float:
            stdin.write("\n")
            stdin.flush()
            return float(stdout.readline()) - time.time()

        assert abs(difference()) < SEEN_AFTER_S + 60
        for step_s in (3600, -3600, 0):
            clock.step(step_s)
            wait_until(lambda step_s=step_s: abs(difference() - step_s) < 60)  # type: ignore[misc]
        stdin.close()
