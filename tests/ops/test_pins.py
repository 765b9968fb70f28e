"""The requirement files hold what the `.in` files ask for, each package in one version with the hashes of its files."""

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest

from ops.environment import REQUIREMENTS, ROOT
from ops.pins import FILES

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)
ENTRY = re.compile(r"^\S+==.*(?:\n {4}--hash=.*)*", re.MULTILINE)


def pins(file: str) -> set[tuple[str, str]]:
    """Read the packages that a file names with a version."""
    return {(re.sub(r"[-_.]+", "-", name).lower(), pin) for name, pin in PIN.findall((ROOT / file).read_text())}


def asked_for(name: str) -> Iterator[tuple[str, str]]:
    """Read what an `.in` file asks for, also by the files that it refers to."""
    yield from pins(f"{name}.in")
    for other in re.findall(r"^-r (\S+)\.in$", (ROOT / f"{name}.in").read_text(), re.MULTILINE):
        yield from asked_for(other)


@pytest.mark.parametrize("name", FILES)
def test_what_is_asked_for_is_pinned_in_that_version(name: str) -> None:
    assert set(asked_for(name)) - pins(f"{name}.txt") == set()


@pytest.mark.parametrize("name", FILES)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / f"{name}.txt").read_text()
    entries = ENTRY.findall(text)
    assert len(entries) == len(PIN.findall(text)) > 0
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_each_file_has_the_versions_of_the_file_before_it() -> None:
    *before, checks_file, _ = FILES
    assert f"{before[-1]}.txt" == REQUIREMENTS
    for smaller, larger in pairwise(before):
        assert pins(f"{smaller}.txt") <= pins(f"{larger}.txt")
    dev, checks = dict(pins(REQUIREMENTS)), dict(pins(f"{checks_file}.txt"))
    assert {name: pin for name, pin in checks.items() if dev.get(name, pin) != pin} == {}
