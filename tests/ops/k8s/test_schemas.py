"""Every manifest is what the API of Kubernetes takes: no field is unknown, misspelt or of another type."""

import copy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.ops.k8s.manifests import BASE, K8S, KUSTOMIZATION, Manifest, files, find, objects, pod_settings

VERSIONS = ("1.32", "1.37")
"""The oldest release that has all fields as stable ones, and the newest whose schemas are there."""
FOREIGN = ("monitoring.coreos.com/v1",)
"""What is described by other projects."""
KUBECTL = shutil.which("kubectl")


def has_kustomize() -> bool:
    """Tell whether there is a kubectl whose kustomize knows components; it tells its version since then."""
    if KUBECTL is None:
        return False
    done = subprocess.run([KUBECTL, "version", "--client"], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    return "Kustomize Version" in done.stdout


needs_kubectl = pytest.mark.skipif(not has_kustomize(), reason="no kubectl with a recent kustomize is installed")


def check(manifest: Manifest, version: str) -> None:
    if manifest["apiVersion"] not in FOREIGN:
        kubernetes_validate.validate(manifest, version, strict=True)


def rendered(folder: Path) -> list[Manifest]:
    """Let kustomize put a folder together."""
    assert KUBECTL is not None
    done = subprocess.run([KUBECTL, "kustomize", str(folder)], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_a_manifest_has_the_form_that_the_api_asks_for(path: Path, version: str) -> None:
    found = list(objects(path))
    assert found
    for manifest in found:
        check(manifest, version)


def plant(manifest: Manifest, path: tuple[Any, ...], value: object) -> Manifest:
    planted = copy.deepcopy(manifest)
    node: Any = planted
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return planted


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "terminationGracePeriod"), 50),
        (("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet", "pth"), "/livez"),
        (("spec", "replicas"), "three"),
        (("spec", "volumeClaimTemplates", 0, "spec", "accessMode"), "ReadWriteOnce"),
    ],
)
def test_a_planted_mistake_is_found(path: tuple[Any, ...], value: object) -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        check(plant(find("StatefulSet"), path, value), VERSIONS[-1])


def test_every_file_belongs_to_a_kustomization() -> None:
    named = set()
    for path in K8S.rglob(KUSTOMIZATION):
        for resource in yaml.safe_load(path.read_text()).get("resources", ()):
            assert (path.parent / resource).exists(), resource
            named.add((path.parent / resource).resolve())
    assert [path for path in files() if path.resolve() not in named] == []


@needs_kubectl
@pytest.mark.parametrize("version", VERSIONS)
def test_what_kustomize_makes_of_the_example_has_that_form_too(version: str) -> None:
    for manifest in rendered(K8S / "overlays" / "example"):
        check(manifest, version)


@needs_kubectl
def test_replicas_are_given_the_settings_under_the_name_that_kustomize_makes() -> None:
    made = rendered(BASE)
    (settings,) = (each for each in made if each["kind"] == "ConfigMap")
    (replicas,) = (each for each in made if each["kind"] == "StatefulSet")
    (container,) = replicas["spec"]["template"]["spec"]["containers"]
    assert settings["data"] == pod_settings()
    assert container["envFrom"][0]["configMapRef"]["name"] == settings["metadata"]["name"]


@needs_kubectl
def test_the_alerts_and_the_dashboard_come_from_where_they_stand() -> None:
    made = {each["metadata"]["name"]: each for each in rendered(K8S / "overlays" / "example")}
    observability = K8S.parent / "observability"
    assert made["fiel-alerts"]["data"] == {"alerts.yml": (observability / "alerts.yml").read_text()}
    assert made["fiel-dashboard"]["data"] == {"fiel.json": (observability / "dashboard.json").read_text()}


@needs_kubectl
def test_where_an_autoscaler_decides_nothing_else_says_how_many_replicas_there_are() -> None:
    (replicas,) = (each for each in rendered(K8S / "overlays" / "example") if each["kind"] == "StatefulSet")
    assert "replicas" not in replicas["spec"]
