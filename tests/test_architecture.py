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
    "abc",
    "array",
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
    "operator",
    "random.Random",
    "re",
    "statistics",
    "struct",
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


DOMAIN = ("actors.domain", "actors.errors")
DOWN_TO_PORTS = (*DOMAIN, "actors.ports", "actors.logs", "actors.outages")
SHARED_BY_ACTORS = (*DOWN_TO_PORTS, "actors.messages", "actors.actor", "actors.timer", "actors.known_here")


def drivers_except(*allowed: str) -> tuple[str, ...]:
    return tuple(driver for driver in DRIVERS if driver not in allowed)


# The longest name that a module's own begins with decides.
RULES = {
    "actors.domain": Rule(DOMAIN, foreign=PURE),
    "actors.errors": Rule((), foreign=("uuid",)),
    "actors.messages": Rule(("actors.domain", "actors.messages.trouble"), foreign=PURE),
    "actors.ports": Rule(DOMAIN, foreign=PURE),
    "actors.settings": Rule(DOMAIN, never=DRIVERS),
    "actors.trace_settings": Rule(DOMAIN, never=DRIVERS),
    "actors.lean_imports": Rule((), never=DRIVERS),
    "actors.logs": Rule(("actors.lean_imports",), never=DRIVERS),
    "actors.outages": Rule((*DOMAIN, "actors.logs", "actors.ports"), never=DRIVERS),
    "actors.log_settings": Rule((*DOMAIN, "actors.settings"), never=DRIVERS),
    "actors.log_lines": Rule((*DOMAIN, "actors.log_settings"), never=DRIVERS),
    "actors.adapters": Rule((*DOWN_TO_PORTS, "actors.adapters", "actors.lean_imports"), never=("pykka",)),
    "actors.adapters.journal": Rule(
        (*DOWN_TO_PORTS, "actors.adapters.journal"), never=("pykka", *drivers_except("gevent", "time"))
    ),
    "actors.adapters.postgres": Rule(
        (*DOWN_TO_PORTS, "actors.adapters.postgres", "actors.adapters.host_addresses"),
        never=("pykka", *drivers_except("gevent", "psycopg", "time")),
    ),
    # Actors know each other by messages alone.
    "actors": Rule(SHARED_BY_ACTORS, never=DRIVERS),
    "actors.lease": Rule(
        (
            *SHARED_BY_ACTORS,
            "actors.earlier_rows",
            "actors.fleet",
            "actors.resolver",
            "actors.store_watch",
            "actors.takeover",
        ),
        never=DRIVERS,
    ),
    "actors.ledger_intake": Rule((*SHARED_BY_ACTORS, "actors.intake"), never=DRIVERS),
    "actors.feed": Rule((*DOWN_TO_PORTS, "actors.summaries"), never=DRIVERS),
    "actors.queries": Rule(
        (*SHARED_BY_ACTORS, "actors.feed", "actors.payment_histories", "actors.peer_questions", "actors.summaries"),
        never=DRIVERS,
    ),
    "actors.monitor": Rule((*SHARED_BY_ACTORS, "actors.readiness"), never=DRIVERS),
    "actors.overview": Rule((*SHARED_BY_ACTORS, "actors.monitor", "actors.summaries"), never=DRIVERS),
    "actors.summaries": Rule(DOWN_TO_PORTS, never=DRIVERS),
    # It measures its own slices, and gives other greenlets their turn.
    "actors.actor": Rule(
        ("actors.errors", "actors.domain.counted", "actors.domain.level", "actors.inbox", "actors.logs"),
        never=drivers_except("time"),
    ),
    "actors.look_ups": Rule(DOWN_TO_PORTS, never=DRIVERS),
    "actors.processor": Rule((*SHARED_BY_ACTORS, "actors.look_ups"), never=DRIVERS),
    "actors.timer": Rule(("actors.ports",), never=DRIVERS),
    "actors.system": Rule(("actors",)),
    "actors.own_name": Rule(DOWN_TO_PORTS, never=DRIVERS),
    "actors.purge": Rule(DOWN_TO_PORTS, never=drivers_except("gevent")),
    "actors.supervisor": Rule(SHARED_BY_ACTORS, never=drivers_except("gevent")),
    "actors.readiness": Rule(
        (*DOWN_TO_PORTS, "actors.messages", "actors.router", "actors.settings", "actors.supervisor", "actors.system"),
        never=DRIVERS,
    ),
    "actors.measurements": Rule(
        (*DOWN_TO_PORTS, "actors.messages", "actors.supervisor", "actors.system"), never=DRIVERS
    ),
    "actors.replica": Rule(
        (
            *DOWN_TO_PORTS,
            "actors.arbiter",
            "actors.measurements",
            "actors.messages",
            "actors.own_name",
            "actors.purge",
            "actors.readiness",
            "actors.supervisor",
            "actors.system",
        ),
        never=drivers_except("gevent"),
    ),
    "gateway": Rule(
        (
            "gateway",
            "actors.replica",
            "actors.measurements",
            "actors.readiness",
            "actors.queries",
            "actors.monitor",
            "actors.overview",
            "actors.summaries",
            "actors.system",
            "actors.settings",
            "actors.messages",
            "actors.logs",
            "actors.outages",
            "actors.log_lines",
            "actors.log_settings",
            *DOMAIN,
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
        ("actors/domain/lifecycle.py", "import time", "time"),
        ("actors/domain/lifecycle.py", "import gevent.event", "gevent.event"),
        ("actors/domain/lifecycle.py", "from random import random", "random.random"),
        ("actors/domain/lifecycle.py", "from http import client", "http.client"),
        ("actors/domain/lifecycle.py", "from actors import ports", "actors.ports"),
        ("actors/domain/lifecycle.py", "from ..ports import Journal", "actors.ports.Journal"),
        ("actors/domain/deep/__init__.py", "from ... import ports", "actors.ports"),
        ("actors/domain/lifecycle.py", "def late():\n    import socket", "socket"),
        ("actors/errors.py", "from actors.domain.payment import Payment", "actors.domain.payment.Payment"),
        ("actors/messages/router.py", "from actors.ports import Recipient", "actors.ports.Recipient"),
        ("actors/messages/router.py", "import pykka", "pykka"),
        ("actors/domain/dispatcher.py", "from actors.messages.router import Route", "actors.messages.router.Route"),
        ("actors/ports.py", "from actors.messages.router import Route", "actors.messages.router.Route"),
        ("actors/ports.py", "from actors.adapters.journal import writer", "actors.adapters.journal.writer"),
        ("actors/purge.py", "from actors.replica import Replica", "actors.replica.Replica"),
        ("actors/takeover.py", "from actors.lease import LeaseActor", "actors.lease.LeaseActor"),
        ("actors/adapters/journal/writer.py", "import psycopg", "psycopg"),
        (
            "actors/adapters/postgres/payments.py",
            "from actors.adapters.journal.segment import HEADER",
            "actors.adapters.journal.segment.HEADER",
        ),
        ("actors/router.py", "from actors.adapters import journal", "actors.adapters.journal"),
        ("actors/router.py", "from .adapters.journal import writer", "actors.adapters.journal.writer"),
        ("actors/router.py", "from actors.intake import IntakeActor", "actors.intake.IntakeActor"),
        ("actors/router.py", "from actors.system import System", "actors.system.System"),
        ("actors/router.py", "from actors import *", "actors.*"),
        ("actors/router.py", "import redis", "redis"),
        ("actors/adapters/postgres/payments.py", "from actors.router import RouterActor", "actors.router.RouterActor"),
        ("actors/adapters/postgres/payments.py", "import actors.system", "actors.system"),
        ("actors/system.py", "from gateway.app import create_app", "gateway.app.create_app"),
        ("actors/system.py", "import ops.stack", "ops.stack"),
        (
            "http/gateway/app.py",
            "from actors.adapters.postgres.payments import PostgresPayments",
            "actors.adapters.postgres.payments.PostgresPayments",
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
        ("actors/domain/lifecycle.py", "from http import HTTPStatus\nfrom actors.domain.outcome import Outcome"),
        ("actors/domain/lifecycle.py", "from . import outcome\nfrom ..errors import FielError"),
        (
            "actors/router.py",
            "from actors.logs import get_logger\nfrom actors.actor import Actor",
        ),
        ("actors/adapters/postgres/payments.py", "import psycopg\nfrom actors.domain.records import Beat"),
        ("actors/system.py", "import gevent\nfrom actors.adapters.postgres.payments import PostgresPayments"),
        ("http/gateway/main.py", "from actors.system import System\nfrom gateway.app import create_app"),
        ("ops/stack/stack.py", "import gateway.app\nfrom actors.settings import Settings"),
    ],
)
def test_what_runs_downwards_is_no_violation(tmp_path: Path, file: str, source: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert violations(tmp_path) == []


def not_protocols(source: str) -> list[str]:
    """List what a module holds at its top level beside its docstring, imports and protocols."""
    return [
        ast.unparse(node).partition("\n")[0]
        for node in ast.parse(source).body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        and not (isinstance(node, ast.ClassDef) and "Protocol" in [ast.unparse(base) for base in node.bases])
    ]


def test_ports_are_protocols_alone() -> None:
    assert not_protocols((ROOT / "actors" / "ports.py").read_text()) == []


def test_a_planted_class_or_constant_among_the_ports_is_found() -> None:
    planted = '"""Ports."""\nfrom typing import Protocol\nLIMIT = 3\nclass Port(Protocol): ...\nclass Row: ...\n'
    assert not_protocols(planted) == ["LIMIT = 3", "class Row:"]


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
