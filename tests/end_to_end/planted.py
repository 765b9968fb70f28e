"""A gateway with planted faults: `tests.end_to_end.planted:application()` instead of `gateway.main:application()`.

A test plants a fault by writing its name into the file at `fault_path`. The fault happens once, in the process that
deletes the file; `DIE_AT_EVERY_BEAT` happens again and again until the test deletes the file.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

import falcon
import gevent
from gevent.event import Event

from actors.adapters.journal import FileJournal
from actors.adapters.ledger import PostgresLedger
from actors.domain.messages import Claim, Move
from actors.domain.payment import Payment, Settlement
from actors.intake import IntakeActor
from actors.ports import Beat, WriteResult
from actors.supervisor import RestartLimits
from gateway import main

RAISE_AFTER_WRITE = "raise after a batch is committed"
LEAK_A_TIMEOUT = "leak a timeout that fires soon after"
DIE_AT_EVERY_BEAT = "raise at every heartbeat"
HANG_IN_JOURNAL = "hang in the journal"

INBOX_MAX = 16
HANG_S_MAX = 3.0


def fault_path(state_dir: Path, replica: str) -> Path:
    """Return the file into which a test writes the fault of a replica."""
    return state_dir / f"fault-{replica}"


class FaultyLedger(PostgresLedger):
    """A ledger that raises errors which no adapter may raise."""

    def write(self, claims: Sequence[Claim], moves: Sequence[Move], settlements: Sequence[Settlement]) -> WriteResult:
        result = super().write(claims, moves, settlements)
        if _take(RAISE_AFTER_WRITE):
            raise ValueError("planted")
        if _take(LEAK_A_TIMEOUT):
            gevent.Timeout.start_new(0.01)
        return result

    def beat(self, epoch: int, lease_s: float, watermark_ms: int) -> Beat:
        if _is_planted(DIE_AT_EVERY_BEAT):
            raise ValueError("planted")
        return super().beat(epoch, lease_s, watermark_ms)


class FaultyJournal(FileJournal):
    """A journal that hangs for ever."""

    def append(self, payments: Sequence[Payment]) -> None:
        if _take(HANG_IN_JOURNAL):
            Event().wait()
        super().append(payments)


def _own_path() -> Path:
    return fault_path(Path(os.environ["JOURNAL_DIR"]).parent, os.environ["REPLICA"])


def _is_planted(fault: str) -> bool:
    return _own_path().exists() and _own_path().read_text() == fault


def _take(fault: str) -> bool:
    planted = _is_planted(fault)
    if planted:
        _own_path().unlink()
    return planted


def application() -> falcon.App[falcon.Request, falcon.Response]:
    """Build the gateway's own application with the faulty parts above and with short limits."""
    patch("actors.system.PostgresLedger", FaultyLedger).start()
    patch("actors.system.FileJournal", FaultyJournal).start()
    patch("actors.replica.RestartLimits", partial(RestartLimits, hang_s_max=HANG_S_MAX)).start()
    IntakeActor.INBOX_MAX = INBOX_MAX
    return main.application()
