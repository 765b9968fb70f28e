"""The process of the controls, by which the live page offers a load, disturbs processors and kills replicas."""

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from actors.domain.processors import Processor
from ops.stack.process import ProcessState
from ops.stack.services import AnnouncedProcess, service_environment
from ops.stack.settings import REPLICAS_MAX, StackOptions

ORDER_BYTES_MAX = 16


class ControlsProcess(AnnouncedProcess):
    """The server of the controls (`ops.controls`), which may be restarted: its port and its link stay open here."""

    def __init__(self, options: StackOptions, processors: Sequence[Processor]) -> None:
        """Listen on the loopback address, on any free port unless the options name one."""
        self._listener = socket.create_server(("127.0.0.1", options.controls_port))
        self._link, self._far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.settimeout(0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        names = [processor.name for processor in processors]
        simulators = zip(names, options.admin_ports, strict=True) if options.processors is None else ()
        command = [sys.executable, "-m", "ops.controls", f"--port={options.port}"]
        command += [f"--listener={self._listener.fileno()}", f"--link={self._far_end.fileno()}"]
        command += ["--replicas", *(str(number) for number in range(1, options.replicas + 1))]
        command += ["--processors", *names]
        command += ["--simulators", *(f"{name}={admin_port}" for name, admin_port in simulators)]
        self._allow_force = options.environment.get("ALLOW_FORCE") or "1"
        log = options.state_dir / "log" / "controls.log"
        super().__init__("controls", command, log=log, env=service_environment(options))

    @property
    def replica_environment(self) -> dict[str, str]:
        """The environment of replicas that have controls: breakers may be forced, unless that is forbidden."""
        return {"CONTROLS_URL": self.url, "ALLOW_FORCE": self._allow_force}

    def start(self) -> None:
        """Start the controls, unless they are alive."""
        if self.pid is None:
            self.kill()
            self._spawn(keep_fds=[self._listener.fileno(), self._far_end.fileno()])

    def stop(self, timeout_s: float = 10) -> None:
        """End the controls and free their port; may be called again, but they cannot be started any more."""
        super().stop(timeout_s)
        for end in (self._listener, self._link, self._far_end):
            end.close()

    def orders(self) -> set[int]:
        """Take the numbers of the replicas that the controls want to have killed."""
        orders = set[int]()
        with suppress(BlockingIOError):
            while len(orders) < REPLICAS_MAX:
                orders.add(int(self._link.recv(ORDER_BYTES_MAX)))
        return orders

    def tell(self, states: Mapping[int, ProcessState]) -> None:
        """Tell the controls in which state each replica is, by its number."""
        # If they do not read now, they are told again later.
        with suppress(BlockingIOError):
            self._link.send(json.dumps({number: state.value for number, state in states.items()}).encode())
