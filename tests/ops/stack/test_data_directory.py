"""A data directory is made by initdb or copied from a template, whole or not at all."""

from pathlib import Path

import pytest

from ops.stack.data_directory import make_data_directory


class Initdb:
    """Stands for initdb: writes a file, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails = False

    def __call__(self, directory: Path) -> None:
        assert list(directory.iterdir()) == []
        self.runs += 1
        (directory / "PG_VERSION").write_text(f"18 {self.runs}")
        (directory / "PG_VERSION").chmod(0o600)
        if self.fails:
            raise KeyboardInterrupt


def test_without_a_template_each_is_made_by_initdb(tmp_path: Path) -> None:
    initdb = Initdb()
    for name in ("first", "second"):
        make_data_directory(tmp_path / name, initdb, None)
    assert (tmp_path / "second" / "PG_VERSION").read_text() == "18 2"
    assert (tmp_path / "second").stat().st_mode & 0o777 == 0o700  # Postgres starts on no other


def test_a_template_is_made_once_and_copied_with_its_modes(tmp_path: Path) -> None:
    initdb, template = Initdb(), tmp_path / "templates" / "postgres"
    for name in ("first", "second"):
        make_data_directory(tmp_path / name, initdb, template)
        assert (tmp_path / name / "PG_VERSION").read_text() == "18 1"
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
        assert (tmp_path / name / "PG_VERSION").stat().st_mode & 0o777 == 0o600
        (tmp_path / name / "PG_VERSION").write_text("used")
    assert initdb.runs == 1


@pytest.mark.parametrize("template", [None, "templates/postgres"])
def test_what_was_interrupted_is_begun_again(tmp_path: Path, template: str | None) -> None:
    initdb, data = Initdb(), tmp_path / "data"
    initdb.fails = True
    with pytest.raises(KeyboardInterrupt):
        make_data_directory(data, initdb, None if template is None else tmp_path / template)
    assert not data.exists()
    initdb.fails = False
    make_data_directory(data, initdb, None if template is None else tmp_path / template)
    assert (data / "PG_VERSION").read_text() == "18 2"
