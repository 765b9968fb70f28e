"""The parts of a stack that are the project's own: replicas of the gateway, simulated processors."""

import os
import sys
from http.client import HTTPConnection, HTTPException

from actors.domain.processors import Processor
from ops.process import ROOT, Process
from ops.settings import Settings


class Replica(Process):
    """One gunicorn with its worker."""

    def __init__(self, number: int, settings: Settings, env: dict[str, str]) -> None:
        self.port = settings.replica_ports[number - 1]
        bind = f"0.0.0.0:{settings.port},127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", settings.application]
        name = f"replica-{number}"
        log = settings.state_dir / "log" / f"{name}.log"
        super().__init__(name, command, log=log, env=env | {"REPLICA": str(number), "BIND": bind})

    @property
    def url(self) -> str:
        """Its own address, which no other replica shares."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200  # noqa: PLR2004 - HTTP's number
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


class Simulator(Process):
    """One simulated payment processor, whose charges outlive it."""

    def __init__(self, processor: Processor, port: int, admin_port: int, settings: Settings) -> None:
        ledger = settings.state_dir / "simulator" / f"{processor.name}.ledger"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        options = {
            "name": processor.name,
            "port": port,
            "fee": processor.fee,
            "host": "127.0.0.1",
            "admin-port": admin_port,
            "ledger": ledger,
        }
        command = [sys.executable, "-m", "ops.simulator", *(f"--{name}={value}" for name, value in options.items())]
        log = settings.state_dir / "log" / f"{processor.name}.log"
        super().__init__(processor.name, command, log=log, env=part_environment(settings))
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"

    def ready(self) -> bool:
        """Whether it has said so."""
        return self.pid is not None and "ready http" in self.output()


def part_environment(settings: Settings) -> dict[str, str]:
    """Give the variables that every part of ours starts with."""
    path = f"{ROOT}{os.pathsep}{ROOT / 'http'}"
    return {**settings.environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
