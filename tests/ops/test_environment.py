"""The virtual environment is made only when it is missing, out of date or unfinished."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops import environment
from ops.environment import ROOT

UV = """
import sys
from pathlib import Path

*options, requirements = sys.argv[1:]
(Path(requirements).parent / "told").write_text(" ".join(options))
sys.exit("no-such-package" in Path(requirements).read_text())
"""
"""Stands for uv: notes what it is asked to do, and fails where a package is missing."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Requirements that ask for nothing, and an installer that is a file, so that pip needs no network."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "a checkout"
    root.mkdir()
    (root / environment.REQUIREMENTS).touch()
    wheel = tmp_path / "uv-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as files:
        files.writestr("uv/__main__.py", UV)
        files.writestr("uv-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: uv\nVersion: 1\n")
        files.writestr("uv-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        files.writestr("uv-1.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / environment.INSTALLER).write_text(f"uv @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    return root


def test_the_stamp_tells_requirements_interpreters_and_places_apart(checkout: Path, tmp_path: Path) -> None:
    stamp = environment.current_stamp(checkout)
    assert environment.current_stamp(checkout) == stamp
    assert environment.current_stamp(checkout, python="3.99") != stamp
    (checkout / environment.REQUIREMENTS).write_text("falcon==1.0")
    assert environment.current_stamp(checkout) != stamp
    (checkout / environment.REQUIREMENTS).write_text("")
    assert environment.current_stamp(checkout) == stamp
    assert environment.current_stamp(checkout.rename(tmp_path / "moved")) != stamp


def test_an_environment_is_made_once_and_again_after_a_change_or_a_failure(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    python = environment.ensure_environment(checkout)
    assert subprocess.run([python, "-c", ""], check=False).returncode == 0  # noqa: S603 - what was just made
    told = checkout / "told"
    assert told.read_text() == f"pip install --compile-bytecode --python {python} --no-deps --require-hashes -r"
    mark = checkout / ".venv" / "mark"
    mark.touch()
    told.unlink()
    assert environment.ensure_environment(checkout) == python
    assert not told.exists()
    (checkout / "more").touch()
    environment.ensure_environment(checkout, ["more"])
    assert told.exists()
    told.unlink()
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1/which-uv-does-not-know")
    environment.ensure_environment(checkout, ["more"])
    assert not told.exists()
    assert mark.exists()
    monkeypatch.delenv("PIP_INDEX_URL")
    (checkout / environment.REQUIREMENTS).write_text("./no-such-package")
    with pytest.raises(environment.EnvironmentSetupError, match="cannot install the requirements"):
        environment.ensure_environment(checkout)
    assert "no-such-package" in capfd.readouterr().err
    assert not (checkout / ".venv" / "stamp").exists()
    assert not mark.exists(), "it was made again, which removes what was there"
    mark.touch()
    # An installation that was interrupted leaves no stamp either. Where there is no uv, pip installs.
    (checkout / environment.REQUIREMENTS).write_text("")
    (checkout / environment.INSTALLER).write_text("./no-such-uv")
    environment.ensure_environment(checkout)
    assert not mark.exists()


def test_a_python_that_is_too_old_is_refused() -> None:
    with pytest.raises(
        environment.EnvironmentSetupError, match=r"Python 3\.10 is too old: run this with 3\.11 or newer"
    ):
        environment.check_python((3, 10))


def test_a_python_without_ensurepip_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "NEEDED_MODULES", ("venv", "no_such_module"))
    with pytest.raises(
        environment.EnvironmentSetupError, match=r"lacks no_such_module: install it \(`apt install python3"
    ):
        environment.check_python()


def test_modules_find_both_source_roots_and_the_http_of_the_standard_library() -> None:
    script = "import http, gateway, actors; print(http.__file__)"
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=environment.environment_variables(),
        cwd="/",
    )
    assert done.stderr == ""
    assert Path(done.stdout.strip()) == Path(os.__file__).parent / "http" / "__init__.py"


@pytest.mark.parametrize("name", ["up", "test", "chaos", "bench"])
def test_the_commands_are_executable(name: str) -> None:
    assert os.access(ROOT / "ops" / name, os.X_OK)
