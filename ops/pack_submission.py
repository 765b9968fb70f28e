"""`python -m ops.pack_submission`: makes `ops/submission/docker-compose.yml`, the file that the event starts Fiel from.

It is docker-compose.yml without what the event brings or does itself: the simulated processors, and building the image.
"""

import copy
from pathlib import Path
from typing import Any

import yaml

from ops.environment import ROOT

SUBMISSION = ROOT / "ops" / "submission"
"""The folder that is copied into the event's repository, under the participant's name."""
IMAGE = "docker.io/fielgateway/fiel:0.1.0"
"""The name under which the image has to be published before the event pulls it."""
HEAD = "# Made by `python -m ops.pack_submission` from the docker-compose.yml of the project, which gives reasons.\n"


class _PlainDumper(yaml.SafeDumper):
    """Writes repeated values in full, without YAML's anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002  # as YAML declares it
        return True


def pack(compose: dict[str, Any]) -> str:
    """Make the event's compose file from the project's, as YAML."""
    packed = copy.deepcopy({name: part for name, part in compose.items() if not name.startswith("x-")})
    packed["services"] = {name: each for name, each in packed["services"].items() if "profiles" not in each}
    for service in packed["services"].values():
        service.pop("build", None)
        if service.pop("pull_policy", None):
            service["image"] = IMAGE
    mounted = [volume.partition(":")[0] for each in packed["services"].values() for volume in each.get("volumes", ())]
    packed["volumes"] = {name: options for name, options in packed["volumes"].items() if name in mounted}
    return HEAD + yaml.dump(packed, Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)


def main(folder: Path = SUBMISSION) -> None:
    """Write the compose file into the folder of the submission."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    (folder / "docker-compose.yml").write_text(pack(compose))


if __name__ == "__main__":
    main()
