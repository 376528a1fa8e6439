"""The lock file: every package that pyproject.toml asks for, in one version, with its hashes."""

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

LOCK = REPOSITORY / "scripts/requirements.lock"
ENTRY = re.compile(
    r"([a-z0-9.-]+)==(\S+)(?: ; [^\\]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
)


def locked() -> dict[str, str]:
    """The version of each package; fails where the file has anything beside them."""
    text = "".join(
        line for line in LOCK.read_text().splitlines(keepends=True) if not line.startswith("#")
    )
    assert ENTRY.sub("", text).strip() == ""
    return {canonicalize_name(name): version for name, version, _ in ENTRY.findall(text)}


def wanted() -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    groups = [project["build-system"]["requires"], project["project"]["dependencies"], *extras]
    found = [Requirement(text) for group in groups for text in group]
    return [requirement for requirement in found if requirement.name != "bakery"]


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_what_the_project_asks_for_is_locked_in_a_version_that_it_takes(requirement):
    assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)])


def test_bytes_that_are_not_the_locked_ones_are_not_installed(tmp_path):
    click = next(found for found in ENTRY.finditer(LOCK.read_text()) if found[1] == "click")
    (tmp_path / "only").write_text(click[0])
    # A wheel of that name and version from elsewhere: what it holds does not matter.
    (tmp_path / f"click-{click[2]}-py3-none-any.whl").write_bytes(b"not a wheel of theirs")
    words = [sys.executable, "-m", "pip", "download", "--no-index", "--find-links", tmp_path]
    words += ["--no-deps", "--require-hashes", "-r", tmp_path / "only", "-d", tmp_path / "got"]
    env = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
