"""The machines: which public image each is made from, and what is added to it."""

from dataclasses import dataclass

USER = "newcomer"
CHECKOUT = f"/home/{USER}/fiel"
"""Where the clone lies in a container."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine that a newcomer may have."""

    name: str
    """What a person types."""
    image: str
    """The public image that it is made from; it has nothing of the project."""
    packages: tuple[str, ...] = ()
    """Packages of Debian that are added: Python, where the image has none."""


DEBIAN_PACKAGES = ("python3", "python3-venv")
MACHINES = {
    machine.name: machine
    for machine in (
        Machine("debian-13", "debian:trixie-slim", DEBIAN_PACKAGES),
        Machine("debian-12", "debian:12-slim", DEBIAN_PACKAGES),
        Machine("3.11", "python:3.11-slim"),
        Machine("3.12", "python:3.12-slim"),
        Machine("3.13", "python:3.13-slim"),
        Machine("3.14", "python:3.14-slim"),
    )
}
"""All machines, by name."""


def dockerfile(machine: Machine) -> str:
    """Write the Dockerfile of a machine, whose build context has the clone in the folder `fiel`."""
    installed = [
        f"RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends {' '.join(machine.packages)}"
    ]
    lines = [
        f"FROM {machine.image}",
        *(installed if machine.packages else []),
        f"RUN useradd --create-home {USER}",
        f"COPY --chown={USER} fiel {CHECKOUT}",
        f"USER {USER}",
        f"WORKDIR {CHECKOUT}",
        # bash, since the first process of a container has to wait for those whose parents have ended.
        'CMD ["bash", "-c", "sleep infinity & wait"]',
    ]
    return "\n".join(lines) + "\n"
