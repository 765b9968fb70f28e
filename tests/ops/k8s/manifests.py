"""Reads the manifests of ops/k8s as they stand, without kustomize."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
K8S = ROOT / "ops" / "k8s"
BASE = K8S / "base"
KUSTOMIZATION = "kustomization.yaml"
NO_OBJECTS = (KUSTOMIZATION, "adapter-rule.yaml")
"""Files that hold no objects of the API: kustomize's own, and the configuration of another program."""
Manifest = dict[str, Any]


def files() -> list[Path]:
    """List the files that hold objects of the API."""
    return sorted(path for path in K8S.rglob("*.yaml") if path.name not in NO_OBJECTS)


def objects(*paths: Path) -> Iterator[Manifest]:
    """Read the objects in these files, or in all."""
    for path in paths or files():
        yield from yaml.safe_load_all(path.read_text())


def find(kind: str, name: str = "fiel") -> Manifest:
    """Find one object."""
    (found,) = (each for each in objects() if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def pod() -> Manifest:
    """Give what the pod of a replica is made of."""
    spec: Manifest = find("StatefulSet")["spec"]["template"]["spec"]
    return spec


def pod_settings() -> dict[str, str]:
    """Read the settings that are no secret."""
    lines = (BASE / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def pods() -> Iterator[tuple[str, Manifest]]:
    """Give every template of pods with its kind."""
    for each in objects():
        spec = each.get("spec", {})
        made_by = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        if "template" in made_by:
            yield each["kind"], made_by["template"]
