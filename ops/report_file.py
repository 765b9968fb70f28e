"""Writes the files that people ask for with --report."""

from pathlib import Path

from ops import OpsError


def check_report(report: Path | None) -> None:
    """Check before a run, rather than at its end, that the file can be written; its content stays.

    Raises:
        OpsError: it cannot be written.
    """
    if report is not None:
        _write(report, "a", "")


def write_report(report: Path, text: str) -> None:
    """Write the file.

    Raises:
        OpsError: it cannot be written.
    """
    _write(report, "w", text)


def _write(report: Path, mode: str, text: str) -> None:
    try:
        with report.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OpsError(f"--report {report}: {error.strerror}") from error
