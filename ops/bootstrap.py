"""Make the checkout's `.venv` where it is missing or out of date, and run a module in it.

Standard library only, and parsed by any Python 3, so that an old one can say that it is too old.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
NEEDED_MODULES = ("venv", "ensurepip")
OUTPUT_LINES_MAX = 20


class BootstrapError(Exception):
    """One line: why there is no environment, and what to do about it."""


def check_python(version: "tuple[int, ...]" = sys.version_info[:2]) -> None:
    """Do nothing where `version` is at least 3.11 and can make environments.

    Raises:
        BootstrapError: it cannot.
    """
    found = f"{version[0]}.{version[1]}"
    if version < (3, 11):
        raise BootstrapError(
            f"Python {found} is too old: run this with 3.11 or newer, as in `python3.12 {sys.argv[0]}`"
        )
    for module in NEEDED_MODULES:
        if importlib.util.find_spec(module) is None:
            raise BootstrapError(f"Python {found} lacks {module}: install it (`apt install python{found}-venv`)")


def ensure_environment(root: Path = ROOT) -> Path:
    """Return the Python of an environment that holds exactly what the requirement files name; may be called at once.

    Raises:
        BootstrapError: it cannot be made.
    """
    check_python()
    python = root / ".venv" / "bin" / "python"
    with _lock(root / "var" / "bootstrap.lock"):
        stamp = root / ".venv" / "stamp"
        if not (python.exists() and stamp.exists() and stamp.read_text() == current_stamp(root)):
            # Last come, first gone: an interrupted installation has no stamp, and is begun anew.
            stamp.unlink(missing_ok=True)
            _install(root, python)
            stamp.write_text(current_stamp(root))
    return python


def current_stamp(root: Path, python: str = sys.version) -> str:
    """Name what an environment in `root` depends on: the requirement files, the interpreter, its own place."""
    digest = hashlib.sha256(f"{python}\n{root}\n".encode())
    for name in REQUIREMENTS:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def environment(root: Path = ROOT) -> "dict[str, str]":
    """Give the environment variables that the project's modules run with."""
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'http'}"}


def run_module(command: str, module: str, *arguments: str) -> None:
    """Become `python -m module arguments` in the environment, in the checkout; `command` is what the person typed."""
    # subprocess.run ends its child on any exception, so that an installation ends with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        python = str(ensure_environment())
    except BootstrapError as error:
        sys.exit(f"{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{command}: interrupted; the next start begins the installation anew")
    os.chdir(ROOT)
    os.execve(python, [python, "-m", module, *arguments], environment())  # noqa: S606 - no shell is wanted


@contextlib.contextmanager
def _lock(path: Path) -> "Iterator[None]":
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another start, which is installing")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(root: Path, python: Path) -> None:
    _say("installing the requirements into .venv (once, a minute or so)")
    # The interpreter's own variables would lead pip out of the new environment.
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    pip = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    _run([sys.executable, "-m", "venv", "--clear", str(root / ".venv")], variables, "cannot make .venv, see above")
    _run(
        [*pip, "-r", str(root / REQUIREMENTS[-1])],
        variables,
        "cannot install the requirements, see above: check the connection to the package index, then run it again",
    )


def _run(command: "list[str]", variables: "dict[str, str]", fault: str) -> None:
    done = subprocess.run(  # noqa: S603 - venv or pip, with paths of ours
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=variables,
    )
    if done.returncode != 0:
        for line in done.stdout.splitlines()[-OUTPUT_LINES_MAX:]:
            _say(f"    {line}")
        raise BootstrapError(fault)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - for whoever waits


def main() -> None:
    """Make the environment and print the path of its Python."""
    try:
        print(ensure_environment())  # noqa: T201 - the answer
    except BootstrapError as error:
        sys.exit(f"ops.bootstrap: {error}")


if __name__ == "__main__":
    main()
