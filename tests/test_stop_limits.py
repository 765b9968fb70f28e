"""Every limit of a stop leaves room for the limits of what it waits for."""

import re
from pathlib import Path

import yaml

from actors.adapters.postgres.connections import READ_S_MAX, WRITE_S_MAX
from actors.replica import DRAIN_S_MAX, DRAIN_STOP_S_MAX, LEAVE_S_MAX
from actors.settings import lame_duck_s, settle_s
from actors.supervisor import HANG_S_MAX, STOP_S_MAX
from gateway.server.worker import GatewayWorker
from tests.ops.k8s.manifests import pod, pod_settings

ROOT = Path(__file__).parent.parent
REPLICAS = ("fiel1", "fiel2", "fiel3")
LEASE_STATEMENTS = 4
"""Statements of one heartbeat."""
LEASE_QUESTIONS_S = 3.0


def end_s_max() -> float:
    """Read how long an end may take beside a lame duck and `SETTLE_MS`."""
    match = re.search(r"^END_S_MAX = (\d+)$", (ROOT / "ops" / "gunicorn.conf.py").read_text(), re.MULTILINE)
    assert match is not None
    return float(match[1])


def test_no_actor_that_waits_for_statements_hangs() -> None:
    assert HANG_S_MAX > LEASE_STATEMENTS * READ_S_MAX + LEASE_QUESTIONS_S
    assert HANG_S_MAX > WRITE_S_MAX + READ_S_MAX


def test_actors_have_the_time_to_end_a_statement_and_to_write_what_waits() -> None:
    assert STOP_S_MAX >= HANG_S_MAX + WRITE_S_MAX


def test_a_worker_has_the_time_to_end_its_requests_and_its_actors() -> None:
    requests_s = GatewayWorker.REQUESTS_S_MAX + GatewayWorker.KILL_S_MAX
    actors_s = DRAIN_S_MAX + LEAVE_S_MAX + DRAIN_STOP_S_MAX
    assert requests_s + actors_s < end_s_max()


def test_a_container_has_the_time_to_end_its_worker() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in REPLICAS:
        settings = compose[name]["environment"]
        given_s = float(compose[name]["stop_grace_period"].removesuffix("s"))
        assert given_s > lame_duck_s(settings) + settle_s(settings) + end_s_max()


def test_a_pod_has_the_time_for_its_lame_duck_and_its_end() -> None:
    settings, given_s = pod_settings(), pod()["terminationGracePeriodSeconds"]
    assert given_s > lame_duck_s(settings) + settle_s(settings) + end_s_max()
