"""The deployment keeps the rules of the event; read from its files, without Docker."""

import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from actors.adapters.postgres.queries import SCHEMA_VERSION
from actors.domain.processors import parse_processors
from actors.settings import Durability, Settings
from ops.migrate import MIGRATIONS, read_migrations
from ops.pack_submission import IMAGE, SUBMISSION, pack

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
COUNTED = [name for name, service in SERVICES.items() if "profiles" not in service]
"""The services of the event's deployment: all but the simulated processors, Prometheus and Grafana."""
REPLICAS = ("fiel1", "fiel2", "fiel3")
EVENT_NETWORK = "payment-processor"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FORBIDDEN = {"privileged", "replicas", "cap_add", "devices", "pid", "ipc"}


def limits_of(name: str) -> dict[str, str]:
    limits: dict[str, str] = SERVICES[name]["deploy"]["resources"]["limits"]
    return limits


def megabytes(limit: str) -> int:
    match = re.fullmatch(r"(\d+)MB", limit)
    assert match is not None, limit
    return int(match[1])


def settings_of(replica: str) -> Settings:
    return Settings.from_environment(SERVICES[replica]["environment"])


def holder_of_network(name: str) -> str:
    mode = str(SERVICES[name].get("network_mode", ""))
    return mode.removeprefix("service:") if mode.startswith("service:") else name


def keys_of(node: object) -> set[str]:
    if isinstance(node, dict):
        return set(node).union(*map(keys_of, node.values()))
    if isinstance(node, list):
        return set().union(*map(keys_of, node))
    return set()


def test_limits_add_up_to_at_most_one_and_a_half_cpus() -> None:
    assert sum(Decimal(limits_of(name)["cpus"]) for name in COUNTED) <= Decimal("1.5")


def test_limits_add_up_to_at_most_350_megabytes() -> None:
    assert sum(megabytes(limits_of(name)["memory"]) for name in COUNTED) <= 350


def test_nothing_but_the_simulated_processors_and_who_watches_is_left_out_of_the_sums() -> None:
    profiled = {name: service["profiles"] for name, service in SERVICES.items() if name not in COUNTED}
    simulated = {name: ["processors"] for name in ("payment-processor-default", "payment-processor-fallback")}
    assert profiled == simulated | {name: ["observability"] for name in ("prometheus", "grafana")}


def test_only_this_machine_reaches_who_watches_and_they_read_files_that_exist() -> None:
    for name in ("prometheus", "grafana"):
        service = SERVICES[name]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        mounted = [volume.partition(":")[0] for volume in service["volumes"] if volume.startswith("./")]
        assert mounted
        assert [path for path in mounted if not (ROOT / path).is_file()] == []


def test_prometheus_scrapes_each_replica_at_its_own_port() -> None:
    (group,) = yaml.safe_load((ROOT / "ops" / "observability" / "targets-compose.yml").read_text())
    ports = [SERVICES[name]["environment"]["BIND"].rpartition(":")[2] for name in REPLICAS]
    assert group["targets"] == [f"{holder_of_network(REPLICAS[0])}:{port}" for port in ports]
    assert set(SERVICES["prometheus"]["networks"]) <= set(SERVICES["front"]["networks"])


def test_nobody_has_rights_or_copies_that_the_event_forbids() -> None:
    assert keys_of(COMPOSE) & FORBIDDEN == set()


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_on_bridge_networks_of_this_file_or_the_events(name: str) -> None:
    service = SERVICES[holder_of_network(name)]
    assert "network_mode" not in service
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert COMPOSE["networks"]["gateway"] == {"driver": "bridge"}
    assert COMPOSE["networks"][EVENT_NETWORK] == {"external": True}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_runs_on_amd64_and_is_started_again(name: str) -> None:
    assert SERVICES[name]["platform"] == "linux/amd64"
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_port_9999_is_the_only_one_that_the_gateway_opens_on_the_host() -> None:
    assert {name: SERVICES[name]["ports"] for name in COUNTED if "ports" in SERVICES[name]} == {"front": ["9999:9999"]}


def test_three_named_replicas_share_the_port_and_have_one_of_their_own() -> None:
    assert [name for name in COUNTED if "REPLICA" in SERVICES[name].get("environment", {})] == list(REPLICAS)
    binds = [SERVICES[name]["environment"]["BIND"].split(",") for name in REPLICAS]
    assert [bind[0] for bind in binds] == ["0.0.0.0:9999"] * 3
    assert [bind[1] for bind in binds] == ["0.0.0.0:10001", "0.0.0.0:10002", "0.0.0.0:10003"]
    assert {holder_of_network(name) for name in REPLICAS} == {"front"}


def test_replicas_reach_the_events_processors_at_their_fees() -> None:
    expected = parse_processors(
        "default=http://payment-processor-default:8080,0.05 fallback=http://payment-processor-fallback:8080,0.15"
    )
    assert [settings_of(name).processors for name in REPLICAS] == [expected] * 3
    assert EVENT_NETWORK in SERVICES["front"]["networks"]


def test_replicas_differ_in_their_names_alone() -> None:
    settings = [settings_of(name) for name in REPLICAS]
    assert [each.replica for each in settings] == ["1", "2", "3"]
    assert {(each.database_url, each.redis_url, each.durability, each.allow_purge) for each in settings} == {
        ("postgresql://fiel:fiel@postgres/fiel", "redis://redis:6379/0", Durability.FSYNC, True)
    }


def test_journals_lie_on_one_named_volume_and_the_records_on_another() -> None:
    journals = {(str(settings_of(name).journal_dir), *SERVICES[name]["volumes"]) for name in REPLICAS}
    assert journals == {("/journal", "journal:/journal")}
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert {"journal", "postgres"} <= set(COMPOSE["volumes"])


def test_one_replica_migrates_and_the_others_wait_for_the_schema_it_makes() -> None:
    assert [name for name in SERVICES if "ops.migrate" in str(SERVICES[name].get("command"))] == ["fiel1"]
    assert read_migrations()[-1].version == SCHEMA_VERSION


def test_every_replica_tells_its_health_at_its_own_port() -> None:
    for name in REPLICAS:
        probe = SERVICES[name]["healthcheck"]["test"][-1]
        assert "/dev/tcp/127.0.0.1/$$((10000 + REPLICA))" in probe
        assert "GET /readyz " in probe


def test_postgres_syncs_and_has_room_for_the_connections_of_all_replicas() -> None:
    command = SERVICES["postgres"]["command"]
    assert SERVICES["postgres"]["image"].startswith("postgres:17")
    assert {"--fsync=on", "--synchronous_commit=on", "--max_connections=40"} <= set(command)


def test_redis_keeps_nothing_and_stays_small() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert SERVICES["redis"]["image"].startswith("redis:8")
    assert "--maxmemory-policy allkeys-lru --save  --appendonly no" in command
    assert re.search(r"--maxmemory \d+mb ", command)


@pytest.mark.parametrize(("name", "fee", "port"), [("default", "0.05", 8001), ("fallback", "0.15", 8002)])
def test_simulated_processors_answer_where_the_events_would(name: str, fee: str, port: int) -> None:
    service = SERVICES[f"payment-processor-{name}"]
    assert service["ports"] == [f"{port}:8080"]
    assert service["networks"] == [EVENT_NETWORK]
    assert {"ops.simulator", f"--name={name}", f"--fee={fee}", "--port=8080"} <= set(service["command"])


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users[-1:] == ["fiel"]
    assert all("user" not in SERVICES[name] for name in REPLICAS)


def test_the_image_installs_what_a_replica_needs_and_no_more() -> None:
    assert re.findall(r"requirements\S*\.txt", DOCKERFILE) == ["requirements.txt", "requirements.txt"]
    assert "FROM python:3.13-slim" in DOCKERFILE
    assert "PYTHONPATH=/app:/app/http" in DOCKERFILE


def test_the_build_context_holds_only_code_that_exists() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert "*" in lines
    assert [path for path in let_in if not (ROOT / path).exists()] == []
    assert MIGRATIONS.relative_to(ROOT).as_posix() in let_in


@pytest.mark.parametrize(
    "module",
    [
        "gateway.main",
        "ops.migrate",
        "ops.simulator.__main__",
        "ops.archiving.__main__",
        "ops.archiving.run",
        "ops.replicas",
        "ops.database",
        "ops.reconciliation",
        "ops.book_comparison",
        "ops.resolution",
    ],
)
def test_what_containers_start_needs_no_file_beside_those_of_the_image(tmp_path: Path, module: str) -> None:
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        path = line.removeprefix("!")
        if path == line:
            continue
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copyfile
        copy(ROOT / path, tmp_path / path)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{tmp_path / 'http'}"}
    command = [sys.executable, "-c", f"from gevent import monkey; monkey.patch_all(); import {module}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr


def test_what_is_submitted_is_this_file_without_what_the_event_brings_itself() -> None:
    assert (SUBMISSION / "docker-compose.yml").read_text() == pack(COMPOSE)
    submitted = yaml.safe_load((SUBMISSION / "docker-compose.yml").read_text())
    assert list(submitted["services"]) == COUNTED
    own = ("image", "build", "pull_policy")
    for name, service in submitted["services"].items():
        expected = {key: value for key, value in SERVICES[name].items() if key not in own}
        assert {key: value for key, value in service.items() if key != "image"} == expected
    assert (submitted["networks"], submitted["name"]) == (COMPOSE["networks"], COMPOSE["name"])


def test_every_image_that_is_submitted_can_be_pulled_by_its_name() -> None:
    submitted = yaml.safe_load((SUBMISSION / "docker-compose.yml").read_text())
    images = {service["image"] for service in submitted["services"].values()}
    assert images == {IMAGE, SERVICES["postgres"]["image"], SERVICES["redis"]["image"]}
    assert all("build" not in service and "pull_policy" not in service for service in submitted["services"].values())
    assert f"--tag {IMAGE} ." in (SUBMISSION / "README.md").read_text()


def test_the_submission_tells_what_the_event_asks_for_and_holds_nothing_else() -> None:
    assert {path.name for path in SUBMISSION.iterdir()} == {"README.md", "docker-compose.yml", "info.json"}
    told = json.loads((SUBMISSION / "info.json").read_text())
    lists = ("social", "langs", "storages", "messaging", "load-balancers", "other-technologies")
    assert told.keys() == {"name", "source-code-repo", *lists}
    assert all(isinstance(told[each], list) for each in lists)
    assert told["source-code-repo"] in (SUBMISSION / "README.md").read_text()
