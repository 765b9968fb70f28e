"""Writes the requirement files: all that the `.in` files ask for, directly or not, each version with its hashes.

Run as `python -m ops.pins`. What is pinned already stays as it is, unless an `.in` file asks for something else;
`--upgrade` takes the newest versions that they allow.
"""

import subprocess
import sys

from ops.environment import ROOT

FILES = ("requirements", "requirements-otel", "requirements-dev", "requirements-checks", "requirements-uv")
"""Each file gives what it shares with the file before it the same version."""
PYTHON_MIN = "3.11"
LEFT_OUT = "setproctitle"
"""Only mutmut's own runner, which is not used, asks for it. Where it is installed, gunicorn writes a title over the
command line and the environment of its processes, by which `ops/load` and `ops/bench` tell replicas apart."""


def main() -> None:
    """Write all files, from the smallest to the largest."""
    for before, name in zip((None, *FILES), FILES, strict=False):
        command = ["uv", "pip", "compile", "--quiet", "--universal", f"--python-version={PYTHON_MIN}"]
        command += [f"--no-emit-package={LEFT_OUT}"]
        command += ["--generate-hashes", "--custom-compile-command=python -m ops.pins", *sys.argv[1:]]
        command += [f"--constraint={before}.txt"] if before else []
        command += [f"{name}.in", f"--output-file={name}.txt"]
        subprocess.run([sys.executable, "-m", *command], check=True, cwd=ROOT)  # noqa: S603 - all is written above


if __name__ == "__main__":
    main()
