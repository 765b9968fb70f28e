"""All that names the release names the same one."""

import re
import tomllib
from pathlib import Path

import falcon.testing

from actors.domain.version import VERSION
from gateway.app import create_app
from gateway.openapi.document import make_document
from ops.pack_submission import IMAGE
from tests.gateway.fake_gateway import FakeGateway

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LABELS = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def test_the_project_the_api_the_metrics_the_image_and_the_changelog_bear_one_version() -> None:
    gateway = FakeGateway()
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False)
    metrics = falcon.testing.TestClient(app).simulate_get("/metrics").text
    (build_info,) = [line for line in metrics.splitlines() if line.startswith("fiel_build_info{")]
    assert PROJECT["version"] == VERSION
    assert make_document()["info"]["version"] == VERSION
    assert f'version="{VERSION}"' in build_info
    assert LABELS["version"] == VERSION
    assert IMAGE.endswith(f":{VERSION}")
    assert (ROOT / "ops" / "submission" / "README.md").read_text().count(IMAGE) == 2
    releases = RELEASE.findall((ROOT / "CHANGELOG.md").read_text())
    assert releases[0][0] == VERSION
    assert releases == sorted(releases, key=lambda release: release[1], reverse=True)


def test_the_image_says_what_it_is_under_which_licence_and_of_which_commit() -> None:
    assert LABELS["title"] == "Fiel"
    assert LABELS["description"] == PROJECT["description"]
    assert LABELS["licenses"] == PROJECT["license"]
    assert (ROOT / "LICENSE").read_text().startswith(f"{PROJECT['license']} License")
    assert LABELS["revision"] == "$REVISION"
    assert "\nARG REVISION=" in DOCKERFILE


def test_the_image_lists_its_packages_but_has_no_tool_that_lists_them() -> None:
    *_, image = DOCKERFILE.split("\nFROM ")
    assert "cyclonedx-py environment" in DOCKERFILE
    assert "cyclonedx-py" not in image
    assert "COPY --from=listing /sbom.cdx.json ." in image
