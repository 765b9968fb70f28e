"""The services of a stack that run the project's own code: replicas of the gateway and simulated processors."""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from actors.domain.processors import Processor
from ops.environment import PYTHON_PATH, ROOT
from ops.stack.process import ManagedProcess
from ops.stack.settings import StackOptions


class ReplicaProcess(ManagedProcess):
    """One replica of the gateway: gunicorn with its only worker."""

    def __init__(self, number: int, options: StackOptions, env: dict[str, str], checkout: Path = ROOT) -> None:
        """Run the code of `checkout`, which may be another release, with this interpreter and its packages."""
        self.port = options.replica_ports[number - 1]
        bind = f"0.0.0.0:{options.port},[::]:{options.port},127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", options.application]
        name = f"replica-{number}"
        log = options.state_dir / "log" / f"{name}.log"
        path = f"{checkout}{os.pathsep}{checkout / 'http'}"
        env = env | {"REPLICA": str(number), "BIND": bind, "PYTHONPATH": path}
        if options.separate_journals:
            env["JOURNAL_DIR"] = str(self.journals_of(number, options))
        super().__init__(name, command, log=log, env=env, cwd=checkout)

    @staticmethod
    def journals_of(number: int, options: StackOptions) -> Path:
        """Tell where a replica has its journals, where each has a folder of its own."""
        return options.state_dir / "journals" / str(number)

    @property
    def url(self) -> str:
        """The address of this replica alone; its answers come from no other replica."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Tell whether `/readyz` answers 200."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200  # noqa: PLR2004 - HTTP's number
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()


class AnnouncedProcess(ManagedProcess):
    """A service that prints a line when it is ready."""

    def ready(self) -> bool:
        """Tell whether the service has printed that it is ready."""
        return self.pid is not None and "ready http" in self.output()


class SimulatorProcess(AnnouncedProcess):
    """One simulated payment processor; its charges are kept in a file, so that a restart finds them."""

    def __init__(self, processor: Processor, port: int, admin_port: int, options: StackOptions) -> None:
        ledger = options.state_dir / "simulator" / f"{processor.name}.ledger"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        arguments = {
            "name": processor.name,
            "port": port,
            "fee": processor.fee,
            "host": "127.0.0.1",
            "admin-port": admin_port,
            "ledger": ledger,
        }
        command = [sys.executable, "-m", "ops.simulator", *(f"--{name}={value}" for name, value in arguments.items())]
        log = options.state_dir / "log" / f"{processor.name}.log"
        super().__init__(processor.name, command, log=log, env=service_environment(options))
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"


def service_environment(options: StackOptions) -> dict[str, str]:
    """Return the environment variables of replicas and simulated processors."""
    return {**options.environment, "PYTHONPATH": PYTHON_PATH, "PYTHONUNBUFFERED": "1"}
