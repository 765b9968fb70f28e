from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from ops.simulator.ledger import LedgerEntry
from ops.simulator.ledger_file import LedgerFile, LedgerFileError

FIRST = LedgerEntry(UUID(int=1), 1990, datetime(2025, 7, 15, 12, 34, 56, 789_000, tzinfo=UTC))
SECOND = LedgerEntry(UUID(int=2), -5, datetime(2025, 7, 15, tzinfo=UTC))
THIRD = LedgerEntry(UUID(int=3), 10**20, datetime(1, 1, 1, tzinfo=UTC))


def write(path: Path, *payments: LedgerEntry) -> None:
    with LedgerFile(path) as file:
        for payment in payments:
            file.append(payment)


def read(path: Path) -> list[LedgerEntry]:
    with LedgerFile(path) as file:
        return file.load()


def test_charges_are_read_back_in_order(tmp_path: Path) -> None:
    write(tmp_path / "ledger", FIRST, SECOND)
    write(tmp_path / "ledger", THIRD)

    assert read(tmp_path / "ledger") == [FIRST, SECOND, THIRD]


def test_a_charge_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    with LedgerFile(tmp_path / "ledger") as file:
        file.append(FIRST)

        assert read(tmp_path / "ledger") == [FIRST]


def test_a_last_line_torn_at_any_byte_is_dropped_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    write(path, FIRST)
    whole = path.read_bytes()
    write(path, SECOND)
    both = path.read_bytes()

    for size in range(len(whole), len(both)):
        path.write_bytes(both[:size])
        assert read(path) == [FIRST]
        assert whole == path.read_bytes()
        write(path, THIRD)
        assert read(path) == [FIRST, THIRD]


def test_a_broken_line_in_the_middle_is_reported_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    write(path, FIRST)
    path.write_bytes(path.read_bytes() + b"rubbish\n")
    write(path, SECOND)

    with pytest.raises(LedgerFileError, match=r"ledger:2: .*rubbish"):
        read(path)


def test_a_purge_empties_the_file_and_leaves_it_usable(tmp_path: Path) -> None:
    with LedgerFile(tmp_path / "ledger") as file:
        file.append(FIRST)
        file.purge()
        file.append(SECOND)

        assert file.load() == [SECOND]
