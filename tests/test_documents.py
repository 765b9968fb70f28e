"""What the documents show works: examples run, links lead somewhere, tables are complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import yaml

from actors.domain.dispatcher import Dispatcher
from actors.domain.patience import Patience
from actors.domain.retries import RetryLimits
from actors.domain.routing_policies import CheapestFirst
from actors.log_settings import LogSettings
from actors.settings import DEFAULT_PROCESSORS, Settings, bind_addresses, host_name, lame_duck_s
from actors.trace_settings import exports_traces
from gateway.problem_types import ProblemType
from ops.stack.settings import parse_stack_options

ROOT = Path(__file__).parent.parent
READMES = sorted(ROOT.glob("README*.md"))
API = (ROOT / "docs" / "api.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
LISTED_MODULES = ("actors", "actors/adapters/journal", "actors/adapters/postgres", "http/gateway/server")
"""Folders whose modules the layout names one by one."""
PLACES = (".", "ops", "http/gateway", "actors", "actors/adapters")
"""What the layout's folders lie in."""
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|^    .*?$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| (.+?) \| (.+?) \| .* \|$", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
PARAMETER = re.compile(r"\{[^}]*\}")

GIVEN = {"DATABASE_URL": "postgresql://localhost/fiel", "REDIS_URL": "redis://localhost"}
"""The variables that have no default."""


class ReadVariables(dict[str, str]):
    """An environment that notes which variables are read."""

    def __init__(self) -> None:
        super().__init__(GIVEN)
        self.names: set[str] = set()

    def get(self, name: str, default: object = None) -> object:  # type: ignore[override]  # one form is enough
        self.names.add(name)
        return super().get(name, default)


def variables_read_directly() -> Iterator[str]:
    """Every name that the product's code asks `os.environ` for."""
    for folder in ("actors", "http", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.environ.get":
                    yield ast.literal_eval(node.args[0])


def documented_settings() -> dict[str, str]:
    """The variables that docs/settings.md describes with their defaults."""
    described, _, _ = (ROOT / "docs" / "settings.md").read_text().partition("## The event's deployment")
    rows = ROW.findall(described)
    return {QUOTED.findall(name)[0]: default.strip("`") for name, default in rows if name.startswith("`")}


def anchors(document: Path) -> set[str]:
    """The names under which GitHub links to the headings of a document."""
    headings = HEADING.findall(document.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def files_on_the_way() -> list[str]:
    """The files in the table of docs/architecture.md that follows a payment."""
    table = ARCHITECTURE.partition("each once, in order")[2].partition("\n#")[0]
    return [
        file for cell, _ in re.findall(r"^\| (`.+?) \| (.+) \|$", table, re.MULTILINE) for file in QUOTED.findall(cell)
    ]


def test_the_example_of_an_actors_test_passes() -> None:
    (example,) = EXAMPLE.findall((ROOT / "docs" / "testing-actors.md").read_text())
    names: dict[str, object] = {}
    exec(compile(example, "testing-actors.md", "exec"), names)  # noqa: S102  # our own document
    tests = [value for name, value in names.items() if name.startswith("test_") and callable(value)]
    assert len(tests) == 1
    tests[0]()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_or_heading(document: Path) -> None:
    missing = []
    for path, anchor in LINK.findall(CODE.sub("", document.read_text())):
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(f"{path}#{anchor}")
    assert missing == []


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_a_readme_is_short(readme: Path) -> None:
    lines = readme.read_text().splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 120] == []


def test_every_route_is_documented() -> None:
    routes = re.findall(r'app\.add_route\("([^"]+)"', (ROOT / "http" / "gateway" / "app.py").read_text())
    endpoints = re.findall(r"`(?:GET|POST|PUT) (/[^`?]*)[^`]*`", API.partition("\n## ")[0])
    assert {PARAMETER.sub("{}", endpoint) for endpoint in endpoints} == {PARAMETER.sub("{}", route) for route in routes}


def test_every_kind_of_problem_is_documented_with_its_status_and_meaning() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([0-9]{3}) \| (.+) \|$", API.partition("## Errors")[2], re.MULTILINE)
    kinds = [kind.value for kind in ProblemType]
    assert [(name, int(status)) for name, status, _ in rows] == [(kind.name, kind.status) for kind in kinds]
    assert [meaning for *_, meaning in rows] == [
        kind.meaning[0].lower() + kind.meaning[1:].removesuffix(".") for kind in kinds
    ]


def test_the_documented_metric_tells_what_payments_wait_for() -> None:
    metrics = API.partition("## Metrics")[2].partition("\n## ")[0]
    table = metrics.partition("| `waiting_for` | waits for |\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    dispatcher = Dispatcher(CheapestFirst((), Patience()), RetryLimits(), Random(1))
    assert {value for row in rows for value in QUOTED.findall(row)} == {
        waiting_for.replace(" ", "_") for waiting_for in dispatcher.counts()
    }


def test_the_settings_are_those_that_the_code_reads() -> None:
    environment = ReadVariables()
    Settings.from_environment(environment)
    LogSettings.from_environment(environment)
    exports_traces(environment)
    bind_addresses(environment)
    lame_duck_s(environment)
    parse_stack_options([], environment)
    assert set(documented_settings()) == environment.names.union(variables_read_directly())


def test_the_documented_defaults_are_the_products() -> None:
    documented = (
        documented_settings()
        | GIVEN
        | {"ADMIN_TOKEN": "", "PROCESSORS": DEFAULT_PROCESSORS, "REPLICA": host_name(), "CONTROLS_URL": ""}
    )
    assert Settings.from_environment(documented) == Settings.from_environment(GIVEN)
    assert LogSettings.from_environment(documented) == LogSettings.from_environment(GIVEN)
    assert f"\n{DEFAULT_PROCESSORS}\n" in (ROOT / "docs" / "settings.md").read_text()


def test_the_documented_values_of_the_deployment_are_those_of_its_file() -> None:
    _, _, deployment = (ROOT / "docs" / "settings.md").read_text().partition("## The event's deployment")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["fiel1"]["environment"]
    rows = {QUOTED.findall(name)[0]: QUOTED.findall(value)[0] for name, value in ROW.findall(deployment) if "`" in name}
    assert rows == {name: compose[name] for name in rows}
    own = Settings.from_environment(compose)
    defaults = Settings.from_environment({**compose, **{name: documented_settings()[name] for name in rows}})
    unset = Settings.from_environment({name: value for name, value in compose.items() if name not in rows})
    assert own != defaults == unset


def test_the_way_of_a_payment_leads_through_files_that_exist_each_once() -> None:
    files = files_on_the_way()
    assert len(files) > 20
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert len(set(files)) == len(files)


def test_the_layout_names_the_folders_that_exist_and_the_modules_of_some() -> None:
    layout = ARCHITECTURE.partition("\n## Layout\n")[2].partition("\n```\n")[0]
    modules = [path for folder in LISTED_MODULES for path in (ROOT / folder).glob("*.py") if path.stem != "__init__"]
    packages = {path.parent for top in ("actors", "http/gateway", "ops") for path in (ROOT / top).glob("*/*.py")}
    expected = {path.stem for path in modules} | {package.name for package in packages}
    assert expected - set(re.findall(r"\w+", layout)) == set()
    shown = re.findall(r"^ +([\w/]+)/ ", layout, re.MULTILINE)
    assert len(shown) > 20
    assert [folder for folder in shown if not any((ROOT / top / folder).is_dir() for top in PLACES)] == []
