"""A gateway with planted faults: `tests.end_to_end.planted:application()` instead of `gateway.main:application()`.

A test plants a fault by writing its name into the file at `fault_path`. The fault happens once, in the process that
deletes the file; `DIE_AT_EVERY_BEAT` happens again and again until the test deletes the file.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch
from wsgiref.types import WSGIApplication

import gevent
from gevent.event import Event

from actors.domain.payment import Claim, Closing, Mark, Move, Payment, Settlement
from actors.domain.quorum import Opinion
from actors.domain.records import Beat, LastPurge, SharedHealth, Watermarks, WriteResult
from actors.domain.wall_clock import ClockReading
from actors.intake import IntakeActor
from actors.ports import OwnedJournal
from actors.settings import Settings
from actors.supervisor import RestartLimits
from actors.system import Parts, production_parts
from gateway import main

RAISE_AFTER_WRITE = "raise after a batch is committed"
LEAK_A_TIMEOUT = "leak a timeout that fires soon after"
DIE_AT_EVERY_BEAT = "raise at every heartbeat"
HANG_IN_JOURNAL = "hang in the journal"
DIE_AT_AN_EXCHANGE = "raise at an exchange of opinions"

INBOX_MAX = 16
HANG_S_MAX = 3.0


def fault_path(state_dir: Path, replica: str) -> Path:
    """Return the file into which a test writes the fault of a replica."""
    return state_dir / f"fault-{replica}"


def _own_path() -> Path:
    return fault_path(Path(os.environ["JOURNAL_DIR"]).parent, os.environ["REPLICA"])


def _is_planted(fault: str) -> bool:
    return _own_path().exists() and _own_path().read_text() == fault


def _take(fault: str) -> bool:
    planted = _is_planted(fault)
    if planted:
        _own_path().unlink()
    return planted


def _write(
    write: Callable[
        [Sequence[Claim], Sequence[Move], Sequence[Settlement], Sequence[Closing], Sequence[Mark]], WriteResult
    ],
    claims: Sequence[Claim],
    moves: Sequence[Move],
    settlements: Sequence[Settlement],
    closings: Sequence[Closing],
    marks: Sequence[Mark],
) -> WriteResult:
    """Write to Postgres, then raise errors which no adapter may raise."""
    result = write(claims, moves, settlements, closings, marks)
    if _take(RAISE_AFTER_WRITE):
        raise ValueError("planted")
    if _take(LEAK_A_TIMEOUT):
        gevent.Timeout.start_new(0.01)
    return result


def _beat(
    beat: Callable[[int, Watermarks, ClockReading], Beat], epoch: int, watermarks: Watermarks, clock: ClockReading
) -> Beat:
    if _is_planted(DIE_AT_EVERY_BEAT):
        raise ValueError("planted")
    return beat(epoch, watermarks, clock)


def _exchange(exchange: Callable[[Sequence[Opinion]], SharedHealth], opinions: Sequence[Opinion]) -> SharedHealth:
    if _take(DIE_AT_AN_EXCHANGE):
        raise ValueError("planted")
    return exchange(opinions)


def _append(append: Callable[[Sequence[Payment]], None], payments: Sequence[Payment]) -> None:
    if _take(HANG_IN_JOURNAL):
        Event().wait()
    append(payments)


def faulty_parts(settings: Settings) -> Parts:
    """Build the real parts with faults in their methods, and short limits."""
    parts = production_parts(settings)
    patch.object(parts.payments, "write", partial(_write, parts.payments.write)).start()
    patch.object(parts.leases, "beat", partial(_beat, parts.leases.beat)).start()
    patch.object(parts.board, "exchange", partial(_exchange, parts.board.exchange)).start()

    def open_journal(last_purge: LastPurge) -> OwnedJournal:
        journal = parts.open_journal(last_purge)
        patch.object(journal, "append", partial(_append, journal.append)).start()
        return journal

    hang_s_max = float(os.environ.get("PLANTED_HANG_S_MAX", HANG_S_MAX))
    return replace(parts, open_journal=open_journal, restart_limits=RestartLimits(hang_s_max=hang_s_max))


def application() -> WSGIApplication:
    """Build the gateway's own application from faulty parts and with a short mailbox."""
    IntakeActor.INBOX_MAX = INBOX_MAX
    return main.application(faulty_parts)
