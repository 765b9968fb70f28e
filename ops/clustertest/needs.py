"""Tells what a cluster needs of the machine, and what is missing."""

import os
import pwd
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ops import OpsError
from ops.clustertest import clock
from ops.clustertest.namespaces import may_be_made, program

PACKAGES = {
    "ip": "iproute2",
    "ss": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
    "etcd": "etcd-server",
    "patroni": "patroni",
    "haproxy": "haproxy",
}
"""The programs of the system that a cluster runs, and the packages of Debian that they are in."""
POSTGRES_PACKAGE = "postgresql"
CLOCK_PACKAGE = "libfaketime"
POSTGRES_ACCOUNT = "postgres"
"""The account under which PostgreSQL runs, since it refuses root; Debian's package makes it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs that a cluster runs, by their whole paths."""

    etcd: str
    patroni: str
    haproxy: str
    postgres_binaries: str
    """The folder of the newest PostgreSQL."""
    postgres_uid: int


def postgres_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL that Debian's packages have installed, or None."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(folders, key=lambda path: float(path.parent.name), default=None)


def missing(
    *,
    wrong_clocks: bool,
    is_there: Callable[[str], bool] = lambda name: Path(program(name)).is_absolute(),
    binaries: Callable[[], Path | None] = postgres_binaries,
    may: Callable[[], bool] = may_be_made,
) -> list[str]:
    """Return what is missing, each as words that tell what to do; nothing where a cluster can run."""
    if sys.platform != "linux":
        return ["Linux, since a host is a network namespace"]
    found = [] if os.geteuid() == 0 else ["root, who alone may make network namespaces and mount disks"]
    if not found and not may():
        found = ["the right to make network namespaces, which a container has with --privileged"]
    packages = {package for name, package in PACKAGES.items() if not is_there(name)}
    if binaries() is None:
        packages.add(POSTGRES_PACKAGE)
    if wrong_clocks and clock.library() is None:
        packages.add(CLOCK_PACKAGE)
    if packages:
        found.append(f"packages, as Debian calls them: apt-get install {' '.join(sorted(packages))}")
    return found


def find(*, wrong_clocks: bool) -> Programs:
    """Find all that a cluster runs.

    Raises:
        OpsError: something is missing; the message tells all of it.
    """
    lacking = missing(wrong_clocks=wrong_clocks)
    folder = postgres_binaries()
    if lacking or folder is None:
        raise OpsError(f"this machine lacks {'; and '.join(lacking)}")
    try:
        account = pwd.getpwnam(POSTGRES_ACCOUNT)
    except KeyError:
        account = pwd.getpwnam("nobody")
    return Programs(program("etcd"), program("patroni"), program("haproxy"), str(folder), account.pw_uid)
