"""What diskimage-builder's own tools say about the elements."""

import json
import os
import shutil
import stat

import pytest

from bakery.host.run import run
from tests.conftest import REPOSITORY
from tests.elements import dib

LINT_SECONDS = 120


def lint(folder):
    settings = dib.environment() | {"ELEMENTS_DIR": str(folder), "LIB_DIR": str(folder)}
    return run(
        [dib.venv() / "bin/dib-lint"],
        cwd=REPOSITORY,
        env=settings,
        timeout=LINT_SECONDS,
        check=False,
    )


def test_dib_lint_has_nothing_to_say():
    done = lint(dib.ELEMENTS)
    assert done.returncode == 0, done.text
    assert done.text.splitlines()[-1] == "PASS"


def test_dib_lint_would_have(tmp_path):
    shutil.copytree(dib.ELEMENTS, tmp_path / "elements")
    (tmp_path / "elements/ostree-host/README.rst").unlink()
    (tmp_path / "elements/bakery-deploy/element-deps").write_text("package-installs\nbase\n")
    done = lint(tmp_path / "elements")
    assert done.returncode == 1
    assert "ostree-host lacks a README.rst" in done.text
    assert "element-deps is not sorted alphabetically" in done.text


@pytest.mark.parametrize(
    ("name", "brought"),
    [
        ("bakery-deploy", {"no-final-image", "package-installs"}),
        ("bakery-netboot", {"package-installs"}),
        ("ostree-host", {"package-installs"}),
    ],
)
def test_an_element_brings_those_it_needs(name, brought):
    words = [dib.venv() / "bin/python", dib.library() / "element-info.py", "debian-minimal", name]
    path = f"{dib.ELEMENTS}:{dib.library().parent / 'elements'}"
    settings = dib.environment() | {"ELEMENTS_PATH": path}
    expanded = set(run(words, env=settings, timeout=LINT_SECONDS).text.split())
    assert {name, "debian-minimal", "debootstrap", *brought} <= expanded


def test_every_element_is_there_with_its_parts():
    assert dib.NAMES == ["bakery-deploy", "bakery-netboot", "ostree-host"]
    for name in dib.NAMES:
        there = {path.name for path in (dib.ELEMENTS / name).iterdir()}
        assert {"README.rst", "element-deps", "environment.d", "package-installs.yaml"} <= there


def test_diskimage_builder_reads_their_packages(tmp_path):
    squash = dib.library().parent / "elements/package-installs/bin/package-installs-squash"
    out = tmp_path / "packages.json"
    words = ["--elements", " ".join(dib.NAMES), "--path", dib.ELEMENTS, out]
    settings = dib.environment() | {"ARCH": "amd64"}
    run([dib.venv() / "bin/python", squash, *words], env=settings, timeout=LINT_SECONDS)
    phases = json.loads(out.read_text())
    installed = {name for name, element in phases["install.d"]["install"]}
    assert {"busybox-static", "tgt", "udpcast", "ostree-boot", "lvm2"} <= installed
    assert phases["post-install.d"]["install"] == [["dracut", "ostree-host"]]


def test_phases_hold_programs_and_what_they_read():
    """dib-run-parts passes over a script that is not executable, without a word."""
    for folder in sorted(dib.ELEMENTS.glob("*/*.d")):
        for path in folder.iterdir():
            executable = bool(path.stat().st_mode & stat.S_IXUSR)
            numbered = path.name[:1].isdigit() and folder.name != "environment.d"
            assert executable == numbered, path
            assert os.access(path, os.R_OK)
