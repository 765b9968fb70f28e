"""The workflows for GitHub run what a person runs, with no more rights than that needs; read from their files."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.environment import INSTALLER, REQUIREMENTS

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").iterdir())
WORKFLOWS: dict[str, dict[Any, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
OTHERS_COMMANDS = {"git", "python3"}
"""What the machines of the workflows have."""
ACTIONLINT = shutil.which("actionlint")


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, workflow in WORKFLOWS.items():
        for job_name, job in workflow["jobs"].items():
            yield f"{name}/{job_name}", job


def steps() -> Iterator[dict[str, Any]]:
    for _, job in jobs():
        yield from job["steps"]


def triggers(workflow: str) -> dict[str, Any]:
    # YAML 1.1 reads the word `on` as true.
    found: dict[str, Any] = WORKFLOWS[workflow][True]
    return found


def test_there_are_workflows_for_changes_for_the_image_and_for_known_vulnerabilities() -> None:
    assert WORKFLOWS.keys() == {"audit", "ci", "image"}
    assert {"push", "pull_request"} <= triggers("ci").keys()
    assert triggers("image")["push"]["tags"] == ["v*"]
    assert [len(each["cron"].split()) for each in triggers("audit")["schedule"]] == [5]


def test_every_job_has_an_end_and_by_default_may_only_read() -> None:
    assert [name for name, job in jobs() if job["timeout-minutes"] > 60] == []
    assert [workflow["permissions"] for workflow in WORKFLOWS.values()] == [{"contents": "read"}] * len(WORKFLOWS)
    more = {name: job["permissions"] for name, job in jobs() if "permissions" in job}
    assert more == {"image/build": {"contents": "read", "packages": "write"}}


def test_actions_are_github_s_and_docker_s_own_each_of_one_major_version() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    assert [action for action in used if not re.fullmatch(r"(actions|docker)/[a-z-]+@v\d+", action)] == []
    assert len({action.partition("@")[0] for action in used}) == len(used)


def test_no_job_keeps_the_token_in_its_checkout() -> None:
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(list(jobs()))
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_script_contains_text_that_others_may_choose() -> None:
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_what_a_change_has_to_pass_is_the_projects_own_commands_on_the_oldest_and_the_newest_python() -> None:
    job, long, coverage = (WORKFLOWS["ci"]["jobs"][name] for name in ("check", "long", "coverage"))
    assert [each["steps"][-1]["run"] for each in (job, long, coverage)] == [".ci/run", ".ci/run --long", ".ci/coverage"]
    assert long["steps"][:-1] == job["steps"][:-1]
    assert long["container"]["options"] == job["container"]["options"]
    pythons = job["strategy"]["matrix"]["python"]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert oldest == f">={pythons[0]}"
    assert pythons == ["3.11", "3.13", "3.14"]
    assert "FROM python:3.13-slim" in (ROOT / "Dockerfile").read_text()
    assert "${{ matrix.python }}" in job["container"]["image"]


def test_every_command_of_a_step_exists() -> None:
    for script in (step["run"] for step in steps() if "run" in step):
        assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0, script  # noqa: S603, S607 - ours
        if "\n" in script.strip():
            continue
        command, *_ = shlex.split(script)
        assert command in OTHERS_COMMANDS or os.access(ROOT / command, os.X_OK), script


def test_the_audit_reads_all_that_a_checkout_and_its_checks_install() -> None:
    (job,) = WORKFLOWS["audit"]["jobs"].values()
    words = shlex.split(job["steps"][-1]["run"])
    read = {after for word, after in pairwise(words) if word == "--requirement"}
    assert read == {REQUIREMENTS, "requirements-checks.txt", INSTALLER}
    assert all((ROOT / name).is_file() for name in read)


def test_the_image_is_published_for_a_tag_alone_with_its_packages_its_provenance_and_its_commit() -> None:
    (job,) = WORKFLOWS["image"]["jobs"].values()
    build = job["steps"][-1]["with"]
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    assert build["push"] == "${{ github.ref_type == 'tag' }}"
    (argument, _) = build["build-args"].split("=", 1)
    assert f"\nARG {argument}=" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("tag", ["", "v{version}", "v99.0.0", "{version}"])
def test_a_tag_that_is_not_the_version_publishes_nothing(tag: str, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (job,) = WORKFLOWS["image"]["jobs"].values()
    (script,) = [step["run"] for step in job["steps"] if step.get("id") == "release"]
    output = tmp_path / "output"
    given = {
        "GITHUB_REF_TYPE": "tag" if tag else "branch",
        "GITHUB_REF_NAME": tag.format(version=version) or "main",
        "GITHUB_REPOSITORY": "FielGateway/fiel",
        "REGISTRY": "registry.example",
        "GITHUB_OUTPUT": str(output),
    }
    done = subprocess.run(  # noqa: S603 - ours
        ["bash", "-e", "-c", script],  # noqa: S607 - the one of PATH
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **given},
    )
    if tag in {"", "v{version}"}:
        assert (done.returncode, output.read_text()) == (0, f"image=registry.example/fielgateway/fiel:{version}\n")
    else:
        assert (done.returncode, output.exists()) == (1, False)
        assert f"is not v{version}" in done.stderr


@pytest.mark.skipif(ACTIONLINT is None, reason="actionlint is not installed")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run([str(ACTIONLINT), *map(str, FILES)], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.returncode == 0, done.stdout
