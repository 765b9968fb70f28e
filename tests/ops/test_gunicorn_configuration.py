"""What ops/gunicorn.conf.py makes of the environment, read in a process of its own, since it patches modules."""

import json
import os
import resource
import subprocess
import sys

import pytest

from actors.adapters.processor_client import SPARE_CHARGES
from actors.look_ups import LOOK_UPS_MAX
from actors.settings import CALLS_BESIDE
from ops.environment import ROOT

READ = """
import json, resource, runpy
read = runpy.run_path("ops/gunicorn.conf.py")
print(json.dumps([read["bind"], read["worker_connections"], resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""
START = """
import gc, json, runpy
read = runpy.run_path("ops/gunicorn.conf.py")
before = gc.isenabled()
read["post_worker_init"](None)
print(json.dumps([before, gc.isenabled()]))
"""
IMPORTED = """
import runpy, sys
runpy.run_path("ops/gunicorn.conf.py")
import gateway.server.gunicorn_log, gateway.server.worker
print(*sys.modules)
"""
WITHOUT_IPV6 = """
import socket
def bind(*_):
    raise OSError
socket.socket.bind = bind
"""


def read(script: str = READ, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("BIND", "CONNECTIONS_MAX")}
    return subprocess.run(  # noqa: S603  # the test's own script
        [sys.executable, "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"REPLICA": "1", **own, **environment},
    )


def test_every_address_of_both_families_is_listened_on() -> None:
    bind, connections, _ = json.loads(read().stdout)
    assert (bind, connections) == (["0.0.0.0:9999", "[::]:9999"], 1000)


def test_a_machine_without_ipv6_listens_on_the_others() -> None:
    bind, *_ = json.loads(read(WITHOUT_IPV6 + READ, BIND="0.0.0.0:1,[::]:1,127.0.0.1:2").stdout)
    assert bind == ["0.0.0.0:1", "127.0.0.1:2"]


def test_the_master_does_without_the_libraries_of_its_worker() -> None:
    imported = set(read(IMPORTED).stdout.split())
    assert {"gevent", "gateway.server.own_folder"} <= imported
    assert not imported & {"redis", "psycopg", "requests", "falcon", "structlog", "pykka", "prometheus_client"}


def test_there_are_descriptors_for_all_connections() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))\n{READ}"
    several = "a=http://a,0.1 b=http://b,0.1 c=http://c,0.1"
    *_, soft = json.loads(read(script, CONNECTIONS_MAX="600", IN_FLIGHT_MAX="700", PROCESSORS=several).stdout)
    assert soft == 600 + 3 * (700 + 32) + 416


def test_what_a_processor_is_asked_beside_its_charges_is_counted_too() -> None:
    health_checks = 2  # Of the poller, and of the client that charges.
    assert SPARE_CHARGES + LOOK_UPS_MAX + health_checks <= CALLS_BESIDE


def test_more_connections_than_there_may_be_descriptors_are_refused_in_one_line() -> None:
    script = f"import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 1500))\n{READ}"
    done = read(script, CONNECTIONS_MAX="600")
    assert done.returncode == 1
    reason = (
        "CONNECTIONS_MAX=600 and IN_FLIGHT_MAX, 596 calls to processors in all, need 1612 descriptors,"
        " and this process may have 1500 (ulimit -Hn)"
    )
    assert json.loads(done.stderr)["reason"] == reason


@pytest.mark.parametrize("value", ["0", "-1", "many", ""])
def test_a_limit_that_is_no_number_is_told_in_one_line(value: str) -> None:
    done = read(CONNECTIONS_MAX=value)
    assert done.returncode == 1
    assert json.loads(done.stderr)["reason"] == f"CONNECTIONS_MAX={value!r} is not a whole number of at least 1"


def test_garbage_is_collected_once_the_worker_has_started() -> None:
    assert json.loads(read(START).stdout) == [False, True]
