"""The machines of ops/bare, and its command line."""

import pytest

from ops.baretest.machines import CHECKOUT, MACHINES, USER, dockerfile
from ops.baretest.options import QUICK_TESTS, parse_bare_options
from ops.environment import ROOT


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_has_one_public_image_and_a_user_who_is_not_root(name: str) -> None:
    lines = dockerfile(MACHINES[name]).splitlines()
    assert [line for line in lines if line.startswith("FROM ")] == [f"FROM {MACHINES[name].image}"]
    assert lines.index(f"COPY --chown={USER} fiel {CHECKOUT}") < lines.index(f"USER {USER}")
    assert not any(line.startswith("RUN ") for line in lines[lines.index(f"USER {USER}") :])


def test_debian_gets_python_and_its_venv_alone_and_an_image_of_python_nothing() -> None:
    assert "install --yes --no-install-recommends python3 python3-venv\n" in dockerfile(MACHINES["debian-12"])
    assert "apt-get" not in dockerfile(MACHINES["3.14"])


def test_every_python_that_the_project_promises_is_a_machine() -> None:
    assert {"3.11", "3.12", "3.13", "3.14", "debian-12", "debian-13"} == set(MACHINES)


def test_all_machines_are_tried_with_some_of_the_tests_by_default() -> None:
    options = parse_bare_options([])
    assert options.machines == tuple(MACHINES.values())
    assert options.test_arguments == QUICK_TESTS
    assert [path for path in QUICK_TESTS if not path.startswith("-") and not (ROOT / path).is_dir()] == []


def test_machines_are_chosen_by_name_each_once_with_what_docker_is_told() -> None:
    options = parse_bare_options(["3.14", "debian-12", "3.14", "--whole", "--run-option=--env=PIP_CERT"])
    assert options.machines == (MACHINES["3.14"], MACHINES["debian-12"])
    assert (options.test_arguments, options.run_options) == ((), ("--env=PIP_CERT",))


def test_a_machine_that_is_not_there_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse_bare_options(["2.7"])
    assert "'2.7' is none of debian-13, debian-12, 3.11" in capsys.readouterr().err
