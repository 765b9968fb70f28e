"""One name has one meaning over the whole tree."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("actors", "http", "ops")


def repeated_class_names(root: Path) -> dict[str, list[str]]:
    """Find the class names that stand more than once, with their files."""
    files: dict[str, list[str]] = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.ClassDef):
                    files[node.name].append(path.relative_to(root).as_posix())
    return {name: found for name, found in files.items() if len(found) > 1}


def test_no_two_classes_share_a_name() -> None:
    assert repeated_class_names(ROOT) == {}


def test_a_repeated_name_is_found_wherever_it_stands(tmp_path: Path) -> None:
    for file, source in (
        ("actors/domain/a.py", "class Once: ...\nclass Twice: ..."),
        ("http/gateway/b.py", "class Alone:\n    class Twice: ..."),
        ("ops/c.py", "def make():\n    class Other: ..."),
        ("tests/d.py", "class Once: ..."),
    ):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(source)
    assert repeated_class_names(tmp_path) == {"Twice": ["actors/domain/a.py", "http/gateway/b.py"]}


LONG = {
    "actors/domain/dispatcher.py": "one decision over one table of payments: parted, its invariants would span files",
    "actors/ports.py": "all that actors need of the world, each part once",
    "actors/system.py": "the composition root names every part once",
    "actors/domain/lifecycle.py": "one machine",
    "actors/domain/breaker.py": "one machine",
    "actors/domain/charge_gate.py": "all that decides how much room one processor has",
    "actors/health.py": "polls, probes, opinions and orders are decided by what one exchange with the board has read",
    "actors/lease.py": "join, beat, leave and take over share one registration and its watermarks",
    "actors/processor.py": "one message each of what a processor's actor is told, and what its gate then decides",
    "actors/domain/records.py": "what stores, processors and the board answer, one record after another",
    "ops/simulation/stores.py": "the storage ports over one set of tables",
    "ops/chaostest/checker.py": "one pure function over one history, with what it finds",
    "ops/judge.py": "one file that imports nothing of the project, to be carried to other gateways",
    "actors/replica.py": "what the HTTP side asks stands beside the start and the end that it depends on",
    "actors/intake.py": "one journal, and what is answered, told and delivered of all that is written to it",
    "actors/persistence.py": "one batch from its gathering to what follows from its commit",
}
"""Files that are longer than `LINES_MAX`, and why."""
LINES_MAX = 250


def test_no_file_is_long_without_a_reason() -> None:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    long = {path.relative_to(ROOT).as_posix() for path in paths if len(path.read_text().splitlines()) > LINES_MAX}
    assert long == LONG.keys()
