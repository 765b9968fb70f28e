"""A consumer of the feed as a process: keeps each page with the cursor behind it, and goes on where it was stopped."""

import itertools
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def pages_of(file: Path) -> list[dict[str, object]]:
    """Read the pages that were kept as a whole."""
    return [json.loads(line) for line in _whole_lines(file).splitlines()]


def _whole_lines(file: Path) -> bytes:
    data = file.read_bytes() if file.exists() else b""
    return data[: data.rfind(b"\n") + 1]


def consume(file: Path, urls: list[str]) -> None:
    """Read on for ever, from one replica after another."""
    kept = pages_of(file)
    after = kept[-1]["next"] if kept else ""
    with file.open("r+b" if file.exists() else "wb", buffering=0) as out:
        # The rest of a line that was cut short was never kept.
        out.truncate(len(_whole_lines(file)))
        out.seek(0, os.SEEK_END)
        query = "{}/payments/events?after={}&limit=7&wait=1"
        for url in itertools.cycle(urls):
            try:
                with urllib.request.urlopen(query.format(url, after), timeout=30) as answer:  # noqa: S310  # our own replicas
                    page = json.load(answer)
            except (OSError, urllib.error.URLError):
                continue
            after = page["next"]
            out.write(json.dumps(page).encode() + b"\n")


if __name__ == "__main__":
    consume(Path(sys.argv[1]), sys.argv[2:])
