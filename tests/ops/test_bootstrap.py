"""The environment is made when, and only when, it is missing, out of date or unfinished."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops import bootstrap
from ops.process import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Requirement files that ask for nothing, so that pip needs no network."""
    root = tmp_path / "a checkout"
    root.mkdir()
    for name in bootstrap.REQUIREMENTS:
        (root / name).write_text("")
    return root


def marked(root: Path) -> Path:
    """Leave a file in the environment that only a new environment lacks."""
    mark = root / ".venv" / "mark"
    mark.write_text("")
    return mark


def test_the_stamp_tells_requirements_interpreters_and_places_apart(checkout: Path, tmp_path: Path) -> None:
    stamp = bootstrap.current_stamp(checkout)
    assert bootstrap.current_stamp(checkout) == stamp
    assert bootstrap.current_stamp(checkout, python="3.99") != stamp
    (checkout / "requirements.txt").write_text("falcon==1.0")
    assert bootstrap.current_stamp(checkout) != stamp
    (checkout / "requirements.txt").write_text("")
    assert bootstrap.current_stamp(checkout) == stamp
    assert bootstrap.current_stamp(checkout.rename(tmp_path / "moved")) != stamp


def test_an_environment_is_made_once_and_again_after_a_change_or_an_interruption(checkout: Path) -> None:
    python = bootstrap.ensure_environment(checkout)
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0  # noqa: S603 - what was just made
    mark = marked(checkout)
    assert bootstrap.ensure_environment(checkout) == python
    assert mark.exists()
    (checkout / "requirements.txt").write_text("# changed")
    bootstrap.ensure_environment(checkout)
    assert not mark.exists()
    mark = marked(checkout)
    (checkout / ".venv" / "stamp").unlink()
    bootstrap.ensure_environment(checkout)
    assert not mark.exists()


def test_a_failing_installation_says_so_and_counts_for_nothing(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (checkout / "requirements.txt").write_text("")
    (checkout / "requirements-dev.txt").write_text("./no-such-package")
    with pytest.raises(bootstrap.BootstrapError, match="cannot install the requirements"):
        bootstrap.ensure_environment(checkout)
    assert "no-such-package" in capfd.readouterr().err
    assert not (checkout / ".venv" / "stamp").exists()


def test_an_old_python_is_told_so() -> None:
    with pytest.raises(bootstrap.BootstrapError, match=r"Python 3\.10 is too old: run this with 3\.11 or newer"):
        bootstrap.check_python((3, 10))


def test_a_python_without_ensurepip_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "NEEDED_MODULES", ("venv", "no_such_module"))
    with pytest.raises(bootstrap.BootstrapError, match=r"lacks no_such_module: install it \(`apt install python3"):
        bootstrap.check_python()


def test_the_children_find_both_source_roots_and_the_standard_librarys_http() -> None:
    script = "import http, gateway, actors; print(http.__file__)"
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=bootstrap.environment(),
        cwd="/",
    )
    assert done.stderr == ""
    assert Path(done.stdout.strip()) == Path(os.__file__).parent / "http" / "__init__.py"


@pytest.mark.parametrize("name", ["up", "test"])
def test_the_commands_are_executable(name: str) -> None:
    assert os.access(ROOT / "ops" / name, os.X_OK)
