"""Containers by Docker's command: images of machines, and one container of each."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ops import OpsError
from ops.baretest.machines import Machine, dockerfile

LINES_MAX = 20
"""How many lines of a failed command are told."""


class Container:
    """A running container of a machine; leaving the context removes it."""

    def __init__(self, machine: Machine, run_options: Sequence[str]) -> None:
        """Start it."""
        self._id = _docker("run", "--detach", *run_options, image_of(machine)).strip()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it with all that runs in it."""
        _docker("rm", "--force", "--volumes", self._id)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the checkout, and wait for its end."""
        return subprocess.run(self._exec(command), check=False, capture_output=True, text=True)  # noqa: S603 - ours

    def start(self, *command: str, errors: IO[bytes]) -> "subprocess.Popen[str]":
        """Start a command in the checkout; its standard output is read line by line."""
        return subprocess.Popen(self._exec(command), stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603 - ours

    def cut_off(self) -> None:
        """Take the container out of every network."""
        names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
        for network in _docker("inspect", "--format", names, self._id).split():
            _docker("network", "disconnect", network, self._id)

    def _exec(self, command: Sequence[str]) -> list[str]:
        return ["docker", "exec", self._id, *command]


def image_of(machine: Machine) -> str:
    """Name the image that is built for a machine."""
    return f"fiel-bare:{machine.name}"


def clone(checkout: Path, folder: Path) -> None:
    """Clone the last commit of a checkout, with its history, into `folder`.

    Raises:
        OpsError: git cannot.
    """
    _run(["git", "clone", "--quiet", "--no-hardlinks", str(checkout), str(folder)])


def build(machine: Machine, context: Path) -> None:
    """Build the image of a machine from a folder that has the clone.

    Raises:
        OpsError: Docker cannot.
    """
    (context / "Dockerfile").write_text(dockerfile(machine))
    _docker("build", "--quiet", "--tag", image_of(machine), str(context))


def last_lines(text: str) -> str:
    """Return the end of what a command has written."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-LINES_MAX:])


def _docker(*arguments: str) -> str:
    return _run(["docker", *arguments])


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    except FileNotFoundError as error:
        raise OpsError(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise OpsError(f"{' '.join(command[:3])} failed:\n{last_lines(done.stderr or done.stdout)}")
    return done.stdout
