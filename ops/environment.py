"""Makes the virtual environment `.venv` of this checkout where it is missing or out of date, and runs modules in it.

This file uses the standard library alone, and syntax that any Python 3 can parse, so that a Python that is too old
can say so.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ops import ExitStatus

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the checkout."""

PYTHON_PATH = f"{ROOT}{os.pathsep}{ROOT / 'http'}"
"""The folders in which Python has to look for the project's packages."""

PYTHON_MIN = (3, 11)
REQUIREMENTS = "requirements-dev.txt"
"""What is installed: every package in one version, with the hashes of its files (`ops/pins.py`)."""
INSTALLER = "requirements-uv.txt"
"""What installs it in less time than pip takes."""
NEEDED_MODULES = ("venv", "ensurepip")
OUTPUT_LINES_MAX = 20
HELP_OPTIONS = frozenset(("-h", "--help"))


class EnvironmentSetupError(Exception):
    """The environment cannot be made; the message is one line that says why, and what to do about it."""


def check_python(version: "tuple[int, ...]" = sys.version_info[:2]) -> None:
    """Check that Python is at least 3.11 and can make virtual environments.

    Raises:
        EnvironmentSetupError: Python is too old, or lacks a module for it.
    """
    found = f"{version[0]}.{version[1]}"
    if version < PYTHON_MIN:
        raise EnvironmentSetupError(
            f"Python {found} is too old: run this with 3.11 or newer, as in `python3.12 {sys.argv[0]}`"
        )
    for module in NEEDED_MODULES:
        if importlib.util.find_spec(module) is None:
            raise EnvironmentSetupError(f"Python {found} lacks {module}: install it (`apt install python{found}-venv`)")


def ensure_environment(root: Path = ROOT, more: "Sequence[str]" = ()) -> Path:
    """Return the Python of an environment in which the requirements are installed, making it where needed.

    `more` are files of further requirements in `root`. Several processes may call this at the same time: one installs,
    the others wait.

    Raises:
        EnvironmentSetupError: the environment cannot be made.
    """
    check_python()
    python = root / ".venv" / "bin" / "python"
    with _lock(root / "var" / "environment.lock"):
        stamp = root / ".venv" / "stamp"
        if not (python.exists() and stamp.exists() and stamp.read_text() == current_stamp(root)):
            # Written last and deleted first, so that an interrupted installation has no stamp and is started again.
            stamp.unlink(missing_ok=True)
            _say("installing the requirements into .venv (once, half a minute or so)")
            _run([sys.executable, "-m", "venv", "--clear", str(root / ".venv")], "cannot make .venv, see above")
            _install(python, _installer(python, root), root / REQUIREMENTS)
            stamp.write_text(current_stamp(root))
        for name in more:
            _install(python, _installer(python, root), root / name)
    return python


def current_stamp(root: Path, python: str = sys.version) -> str:
    """Return a hash of all that an environment depends on: requirements, interpreter, place of the checkout."""
    files = (root / REQUIREMENTS).read_bytes() + (root / INSTALLER).read_bytes()
    return hashlib.sha256(f"{python}\n{root}\n".encode() + files).hexdigest()


def environment_variables() -> "dict[str, str]":
    """Return the environment variables that the project's modules run with."""
    return {**os.environ, "PYTHONPATH": PYTHON_PATH}


def run_module(command: str, module: str, *arguments: str) -> None:
    """Replace this process by `python -m module arguments`, run in the environment and in the checkout.

    `command` is what the person typed; error messages begin with it. A --help that needs no package is printed by this
    process, without an environment.
    """
    if module.startswith("ops.") and sys.version_info >= PYTHON_MIN and not HELP_OPTIONS.isdisjoint(arguments):
        _print_help(module)
    python = _prepare(command)
    os.chdir(ROOT)
    os.execve(python, [python, "-m", module, *arguments], environment_variables())  # noqa: S606 - no shell is wanted


def _prepare(command: str, more: "Sequence[str]" = ()) -> str:
    """Return the environment's Python; where there is no environment, say why and end this process."""
    # subprocess.run ends its child on any exception, SystemExit included: an installation ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ExitStatus.INTERRUPTED))
    try:
        return str(ensure_environment(more=more))
    except EnvironmentSetupError as error:
        _say(f"{command}: {error}")
        sys.exit(ExitStatus.NOT_RUN)
    except KeyboardInterrupt:
        _say(f"{command}: interrupted; the next start begins the installation again")
        sys.exit(ExitStatus.INTERRUPTED)


def _print_help(module: str) -> None:
    """Let a module of the project print its help and end this process; return where it needs a package for that."""
    with contextlib.suppress(ModuleNotFoundError):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


@contextlib.contextmanager
def _lock(path: Path) -> "Iterator[None]":
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another process, which is installing")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _installer(python: Path, root: Path) -> str:
    """Return uv, installed by pip, or pip itself where its configuration, which uv does not read, names an index."""
    configured = _done([str(python), "-m", "pip", "config", "list"]).stdout
    if "index" in configured or _done(_command(python, "pip", root / INSTALLER)).returncode != 0:
        return "pip"
    return "uv"


def _install(python: Path, installer: str, requirements: Path) -> None:
    """Install what a file of requirements lists; where uv cannot, perhaps for want of a certificate, pip does.

    Raises:
        EnvironmentSetupError: it cannot be installed.
    """
    if installer == "uv":
        done = _done(_command(python, installer, requirements))
        if done.returncode == 0:
            return
        _say(f"pip is asked, since uv cannot install them: {' '.join(done.stdout.split())[-200:]}")
    _run(
        _command(python, "pip", requirements),
        "cannot install the requirements, see above: check the connection to the package index, then run it again",
    )


def _command(python: Path, installer: str, requirements: Path) -> "list[str]":
    options = {
        "pip": ["install", "--no-input", "--disable-pip-version-check"],
        "uv": ["pip", "install", "--compile-bytecode", "--python", str(python)],
    }
    # The files are complete: what their packages ask for is in them, or is left out on purpose.
    files = ["--no-deps", "--require-hashes", "-r", str(requirements)]
    return [str(python), "-m", installer, *options[installer], *files]


def _run(command: "list[str]", fault: str) -> None:
    done = _done(command)
    if done.returncode != 0:
        for line in done.stdout.splitlines()[-OUTPUT_LINES_MAX:]:
            _say(f"    {line}")
        raise EnvironmentSetupError(fault)


def _done(command: "list[str]") -> "subprocess.CompletedProcess[str]":
    # These variables would make pip install into another environment than the new one.
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(  # noqa: S603 - venv, pip or uv, with paths of ours
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=variables,
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress for the person who waits


def main() -> None:
    """Make the environment, install in it what the files named by the arguments list, and print its Python's path."""
    print(_prepare("ops.environment", sys.argv[1:]))  # noqa: T201 - what the command is for


if __name__ == "__main__":
    main()
