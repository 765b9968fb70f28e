"""Each kind of crowd does its one bad thing, comes again when it is turned away, and ends with its parent."""

import asyncio
import json
import os
import select
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ops.chaostest.crowd import BODY_BYTES, KINDS, Crowd
from ops.environment import ROOT

DEADLINE_S = 30
Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def gather(kind: str, handle: Handle, done: asyncio.Event, members: int = 1) -> Crowd:
    """Let a crowd come to a server until `done` is set."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        crowd = Crowd(KINDS[kind], [server.sockets[0].getsockname()], members, 1)
        staying = asyncio.create_task(crowd.stay())
        waiting = asyncio.create_task(done.wait())
        ended, _ = await asyncio.wait({staying, waiting}, timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
        assert ended == {waiting}
        staying.cancel()
        await asyncio.wait({staying})
        return crowd


def received(kind: str, enough: Callable[[bytes], bool]) -> bytes:
    """Return what the first member of a kind sends, until it is enough."""
    data = bytearray()

    async def run() -> None:
        done = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while not enough(bytes(data)) and (more := await reader.read(65_536)):
                data.extend(more)
            if enough(bytes(data)):
                done.set()
            writer.close()

        await gather(kind, handle, done)

    asyncio.run(run())
    return bytes(data)


def test_an_idle_member_says_nothing_and_comes_again_when_it_is_turned_away() -> None:
    heard: list[bytes] = []

    async def run() -> Crowd:
        done = asyncio.Event()
        visits = 0

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal visits
            visits += 1
            writer.write_eof()
            heard.append(await reader.read())
            writer.close()
            if visits == 5:
                done.set()

        return await gather("idle", handle, done)

    crowd = asyncio.run(run())
    assert set(heard) == {b""}
    assert crowd.opened >= 5
    assert crowd.open == 0


def test_a_half_sent_body_lacks_its_last_byte() -> None:
    data = received("half_sent", lambda data: data.count(b" ") >= BODY_BYTES)
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"Content-Length: {BODY_BYTES}".encode() in head
    assert len(body) == BODY_BYTES - 1


def test_a_slow_sender_sends_a_byte_at_a_time() -> None:
    assert received("slow_sender", bool) == b"P"


def test_a_client_that_never_reads_asks_again_and_again() -> None:
    assert received("never_reading", lambda data: data.count(b"GET ") >= 200).count(b"\r\n\r\n") >= 199


def test_a_heavy_reader_asks_for_everything_and_gives_up() -> None:
    async def run() -> Crowd:
        done = asyncio.Event()
        given_up = 0

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal given_up
            assert (await reader.readline()).startswith(b"GET /payments-summary HTTP/1.1")
            await reader.read()
            given_up += 1
            writer.close()
            if given_up == 3:
                done.set()

        return await gather("heavy_reader", handle, done)

    assert asyncio.run(run()).opened >= 3


def test_a_nuisance_sends_lists_unknown_ids_garbage_and_oversized_heads() -> None:
    firsts: set[bytes] = set()
    oversized: set[bytes] = set()

    async def run() -> None:
        done = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.read(65_536)
            firsts.add(data[:14])
            while len(data) > 1_000 and not data.endswith(b"\r\n\r\n"):
                data += await reader.read(65_536)
            if len(data) > 1_000:
                oversized.add(data.split(b"\r\n")[2][:3])
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()
            if len(firsts) > 5 and len(oversized) > 2:
                done.set()

        await gather("nuisance", handle, done, members=30)

    asyncio.run(run())
    assert {b"GET /payments?", b"GET /payments/", b"POST /payments", b"GET /readyz HT"} < firsts
    assert b"Acc" in oversized


@pytest.mark.parametrize("arguments", [["nobody", "--url", "http://127.0.0.1:1", "--count", "1"], ["idle"]])
def test_senseless_arguments_are_refused(arguments: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-m", "ops.chaostest.crowd", *arguments], check=False, capture_output=True, cwd=ROOT
    )
    assert done.returncode == 2


def test_a_crowd_tells_its_figures_and_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ops.stack.process import ManagedProcess\n"
        "command = [sys.executable, '-m', 'ops.chaostest.crowd', 'idle', '--url=http://127.0.0.1:1', '--count=3']\n"
        "crowd = ManagedProcess('idle', command, log=Path(sys.argv[1]))\n"
        "crowd.start()\n"
        "while '{' not in crowd.output(): pass\n"
        "print(crowd.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-c", script, str(tmp_path / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        crowd = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.kill()
            assert is_over(crowd)
        finally:
            os.close(crowd)
    assert json.loads((tmp_path / "log").read_text().splitlines()[0]) == {"open": 0, "opened": 0}


def is_over(pidfd: int) -> bool:
    """Wait until the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(1000 * DEADLINE_S))
