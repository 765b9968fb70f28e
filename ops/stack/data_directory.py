"""Makes the data directory of an embedded PostgreSQL: by initdb, or as a copy of a template."""

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def make_data_directory(data: Path, initdb: Callable[[Path], None], template: Path | None) -> None:
    """Make `data`, of which an interruption leaves nothing.

    Args:
        data: a directory that does not exist yet.
        initdb: fills an empty directory.
        template: a directory to copy, which is made by `initdb` where it is missing; None runs `initdb` for `data`.
    """
    if template is None:
        with _unfinished(data) as directory:
            directory.mkdir(mode=0o700)
            initdb(directory)
        return
    template.parent.mkdir(parents=True, exist_ok=True)
    with template.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            make_data_directory(template, initdb, None)
    with _unfinished(data) as directory:
        subprocess.run(["cp", "--archive", template, directory], check=True)  # noqa: S603, S607 - our own paths


@contextmanager
def _unfinished(data: Path) -> Iterator[Path]:
    """Give another name, which is renamed at the end, so that nothing looks whole that is not."""
    directory = data.with_name(f"{data.name}.unfinished")
    shutil.rmtree(directory, ignore_errors=True)
    yield directory
    directory.rename(data)
