"""Imports run downwards only, and the source root `http/` does not hide the standard library's `http`."""

import ast
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = {"actors": ".", "ops": ".", "gateway": "http"}
"""Packages, and where they lie."""

DRIVERS = ("gevent", "psycopg", "psycopg_pool", "redis", "requests", "socket", "time", "threading")
"""What actors have adapters for."""

PURE = (
    "bisect",
    "collections",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "http.HTTPStatus",
    "itertools",
    "math",
    "random.Random",
    "re",
    "statistics",
    "typing",
    "urllib.parse",
    "uuid",
)
"""What the domain may use: without sockets, threads or a clock."""


@dataclass(frozen=True)
class Rule:
    own: tuple[str, ...]
    """What a module may import of the project."""
    foreign: tuple[str, ...] | None = None
    """What it may import of others; None for all but `never`."""
    never: tuple[str, ...] = ()


DOWN_TO_PORTS = ("actors.domain", "actors.errors", "actors.ports")

# The longest name that a module's own begins with decides.
RULES = {
    "actors.domain": Rule(("actors.domain", "actors.errors"), foreign=PURE),
    "actors.errors": Rule((), foreign=()),
    "actors.ports": Rule(("actors.domain", "actors.errors"), foreign=PURE),
    "actors.settings": Rule(("actors.domain", "actors.errors"), never=DRIVERS),
    "actors.adapters": Rule((*DOWN_TO_PORTS, "actors.adapters"), never=("pykka",)),
    "actors": Rule((*DOWN_TO_PORTS, "actors.actor"), never=DRIVERS),
    # It measures its own slices, and gives other greenlets their turn.
    "actors.actor": Rule(("actors.errors",), never=tuple(driver for driver in DRIVERS if driver != "time")),
    "actors.system": Rule(("actors",)),
    "actors.replica": Rule((*DOWN_TO_PORTS, "actors.router", "actors.supervisor", "actors.system")),
    "gateway": Rule(
        (
            "gateway",
            "actors.replica",
            "actors.books",
            "actors.system",
            "actors.settings",
            "actors.domain",
            "actors.errors",
        ),
        never=("psycopg", "psycopg_pool", "pykka", "redis", "requests"),
    ),
    "ops": Rule(("ops", "gateway", "actors")),
    # The simulator must not share mistakes with the gateway that is tested against it.
    "ops.simulator": Rule(("ops.simulator",)),
}


def begins_with(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module of the project by its dotted name; a package bears the name of its folder."""
    for package, source_root in SOURCE_ROOTS.items():
        base = root / source_root
        for path in sorted((base / package).rglob("*.py")):
            name = ".".join(path.relative_to(base).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Every name that is imported anywhere in a module, with what is taken out of it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            above = parents[: len(parents) + 1 - node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def is_allowed(imported: str, rule: Rule) -> bool:
    if imported.split(".", maxsplit=1)[0] in {*SOURCE_ROOTS, "tests"}:
        return begins_with(imported, rule.own)
    return not begins_with(imported, rule.never) and (rule.foreign is None or begins_with(imported, rule.foreign))


def violations(root: Path) -> list[str]:
    found = []
    for name, path in modules(root):
        rule = RULES[max((prefix for prefix in RULES if begins_with(name, (prefix,))), key=len)]
        found += [f"{name} imports {imported}" for imported in imports(name, path) if not is_allowed(imported, rule)]
    return found


def test_imports_run_downwards_only() -> None:
    assert violations(ROOT) == []


def test_every_layer_has_modules() -> None:
    names = {name for name, _ in modules(ROOT)}
    assert [prefix for prefix in RULES if not any(begins_with(name, (prefix,)) for name in names)] == []


@pytest.mark.parametrize(
    ("file", "source", "imported"),
    [
        ("actors/domain/life.py", "import time", "time"),
        ("actors/domain/life.py", "import gevent.event", "gevent.event"),
        ("actors/domain/life.py", "from random import random", "random.random"),
        ("actors/domain/life.py", "from http import client", "http.client"),
        ("actors/domain/life.py", "from actors import ports", "actors.ports"),
        ("actors/domain/life.py", "from ..ports import Journal", "actors.ports.Journal"),
        ("actors/domain/deep/__init__.py", "from ... import ports", "actors.ports"),
        ("actors/domain/life.py", "def late():\n    import socket", "socket"),
        ("actors/errors.py", "from actors.domain.payment import Payment", "actors.domain.payment.Payment"),
        ("actors/ports.py", "from actors.adapters.journal import FileJournal", "actors.adapters.journal.FileJournal"),
        ("actors/router.py", "from actors.adapters import journal", "actors.adapters.journal"),
        ("actors/router.py", "from .adapters.journal import FileJournal", "actors.adapters.journal.FileJournal"),
        ("actors/router.py", "from actors.intake import IntakeActor", "actors.intake.IntakeActor"),
        ("actors/router.py", "from actors.system import System", "actors.system.System"),
        ("actors/router.py", "from actors import *", "actors.*"),
        ("actors/router.py", "import redis", "redis"),
        ("actors/adapters/ledger.py", "from actors.router import RouterActor", "actors.router.RouterActor"),
        ("actors/adapters/ledger.py", "import actors.system", "actors.system"),
        ("actors/system.py", "from gateway.app import create_app", "gateway.app.create_app"),
        ("actors/system.py", "import ops.stack", "ops.stack"),
        (
            "http/gateway/app.py",
            "from actors.adapters.ledger import PostgresLedger",
            "actors.adapters.ledger.PostgresLedger",
        ),
        ("http/gateway/app.py", "from actors.router import RouterActor", "actors.router.RouterActor"),
        ("http/gateway/app.py", "from ops.stack.stack import Stack", "ops.stack.stack.Stack"),
        ("http/gateway/app.py", "import psycopg", "psycopg"),
        ("ops/simulator/ledger.py", "from actors.domain.payment import Payment", "actors.domain.payment.Payment"),
        ("ops/stack/stack.py", "from tests.conftest import postgres_url", "tests.conftest.postgres_url"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, source: str, imported: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert [found.partition(" imports ")[2] for found in violations(tmp_path)] == [imported]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("actors/domain/life.py", "from http import HTTPStatus\nfrom actors.domain.outcome import Outcome"),
        ("actors/domain/life.py", "from . import outcome\nfrom ..errors import FielError"),
        ("actors/router.py", "import logging\nfrom actors.actor import Actor\nfrom actors.ports import Runtime"),
        ("actors/adapters/ledger.py", "import psycopg\nfrom actors.ports import Beat"),
        ("actors/system.py", "import gevent\nfrom actors.adapters.ledger import PostgresLedger"),
        ("http/gateway/main.py", "from actors.system import System\nfrom gateway.app import create_app"),
        ("ops/stack/stack.py", "import gateway.app\nfrom actors.settings import Settings"),
    ],
)
def test_what_runs_downwards_is_no_violation(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert violations(tmp_path) == []


def test_the_standard_library_keeps_its_http() -> None:
    script = "import http, http.client; print(http.__file__)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "http")])}
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert Path(done.stdout.strip()) == Path(sysconfig.get_path("stdlib"), "http", "__init__.py")


def test_the_source_root_of_the_gateway_is_no_package() -> None:
    assert (ROOT / "http" / "gateway" / "__init__.py").exists()
    assert not (ROOT / "http" / "__init__.py").exists()
    assert not (ROOT / "tests" / "http").exists()
