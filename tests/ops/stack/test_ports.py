"""Ports that are reserved belong to one process, and to one purpose in it, until the process ends."""

import socket
import subprocess
import sys

import pytest

from ops import OpsError
from ops.environment import ROOT
from ops.stack.ports import BLOCKS, WIDE_BLOCKS, reserve_ports

RESERVE_ALL_BLOCKS = """
import sys
from ops import OpsError
from ops.stack.ports import reserve_ports
first, stop, step = map(int, sys.argv[1:])
try:
    while True:
        print(reserve_ports(step - 1, range(first, stop, step)).start, flush=True)
except OpsError:
    print("all are taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def blocks() -> range:
    """Three small blocks that no other test uses, since they lie within reserved ports."""
    ports = reserve_ports(9)
    return range(ports.start, ports.stop, 3)


def test_two_reservations_of_one_process_never_overlap(blocks: range) -> None:
    reserved = [port for _ in blocks for port in reserve_ports(2, blocks)]
    assert sorted(reserved) == [port for port in range(blocks.start, blocks.stop) if port not in blocks]
    with pytest.raises(OpsError, match="are in use"):
        reserve_ports(1, blocks)


def test_two_processes_never_reserve_the_same_ports_until_one_of_them_ends(blocks: range) -> None:
    mine = reserve_ports(2, blocks)
    command = [sys.executable, "-c", RESERVE_ALL_BLOCKS, str(blocks.start), str(blocks.stop), str(blocks.step)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:  # noqa: S603 - our own script
        try:
            assert other.stdout is not None
            theirs = [other.stdout.readline().strip() for _ in blocks]
            assert theirs[-1] == "all are taken"
            assert sorted([mine.start, *map(int, theirs[:-1])]) == [guard + 1 for guard in blocks]
            with pytest.raises(OpsError):
                reserve_ports(2, blocks)
        finally:
            other.kill()
    assert reserve_ports(2, blocks).start != mine.start


def test_processes_that_reserve_at_the_same_time_share_the_blocks_without_overlap(blocks: range) -> None:
    command = [sys.executable, "-c", RESERVE_ALL_BLOCKS, str(blocks.start), str(blocks.stop), str(blocks.step)]
    others = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603 - our own script
        for _ in range(2)
    ]
    reserved: list[str] = []
    try:
        for other in others:
            assert other.stdout is not None
            reserved += iter(other.stdout.readline, "all are taken\n")
    finally:
        for other in others:
            other.kill()
            other.communicate()
    assert sorted(map(int, reserved)) == [guard + 1 for guard in blocks]


def test_a_block_in_which_somebody_listens_is_passed_over(blocks: range) -> None:
    with socket.create_server(("127.0.0.1", blocks[1] + 2)):
        assert {reserve_ports(2, blocks).start for _ in range(2)} == {blocks[0] + 1, blocks[2] + 1}
        with pytest.raises(OpsError):
            reserve_ports(2, blocks)


def test_reserved_ports_can_be_listened_to() -> None:
    for port in reserve_ports(9):
        socket.create_server(("127.0.0.1", port)).close()


def test_more_ports_than_a_block_has_are_refused() -> None:
    with pytest.raises(ValueError, match="room for 9 ports"):
        reserve_ports(BLOCKS.step, BLOCKS)
    with pytest.raises(ValueError, match="room for 69 ports"):
        reserve_ports(WIDE_BLOCKS.step)


def test_more_ports_than_a_block_has_come_from_a_wide_one() -> None:
    first, second = reserve_ports(BLOCKS.step), reserve_ports(WIDE_BLOCKS.step - 1)
    assert (len(first), len(second)) == (BLOCKS.step, WIDE_BLOCKS.step - 1)
    assert first.start != second.start
    assert {first.start - 1, second.start - 1} <= set(WIDE_BLOCKS)
