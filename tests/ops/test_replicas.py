"""`ops/replicas`."""

import json

import pytest

from actors.domain.records import Absence
from ops.replicas import main
from tests.actors.adapters.postgres.storage import claim, expel, opened, uid
from tests.actors.fakes import NOW_MS, READING, both


@pytest.fixture(autouse=True)
def environment(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def test_replicas_are_listed_with_what_they_may_hold(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with opened(database_url, "a") as mine, opened(database_url, "b") as gone, opened(database_url, "c") as emptied:
        for each in (mine, gone, emptied):
            each.leases.register(0, READING)
        gone.payments.write([claim(1)], [], [])
        expel(mine, "b")
        emptied.leases.retire(1, both(NOW_MS))
        emptied.leases.note_emptied()
        assert main(["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["state"], each["claims"]) for each in told["replicas"]] == [
        ("a", "lives", 0),
        ("b", "gone", 1),
        ("c", "left with nothing", 0),
    ]
    assert told["gone"] == ["b"]


def test_a_replica_that_is_gone_for_good_is_not_waited_for_until_it_comes_back(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(database_url, "a") as mine, opened(database_url, "b") as gone:
        for each in (mine, gone):
            each.leases.register(0, READING)
        assert main(["--gone", "b"]) == 1
        assert "Refused: b still has its lease, or " in (told := capsys.readouterr().out)
        assert "try again in 5 s." in told
        expel(mine, "b")
        assert mine.payments.absence(uid(1)) == Absence(recorded=False, others=frozenset({"b"}))
        assert main(["--gone", "b"]) == 0
        assert mine.payments.absence(uid(1)) == Absence(recorded=False, others=frozenset())
        gone.leases.register(0, READING)
        assert mine.payments.absence(uid(1)) == Absence(recorded=False, others=frozenset({"b"}))


def test_a_name_that_nobody_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--gone", "nobody"]) == 1
    assert "not known" in capsys.readouterr().out


def test_a_database_that_is_not_migrated_is_told(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert main([]) == 3
    assert 'relation "replica" does not exist' in capsys.readouterr().err
