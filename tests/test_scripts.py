"""The two commands a newcomer runs, and the machine description that runs them."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.host.tools import TOOLS
from tests.conftest import REPOSITORY

SCRIPTS = (
    *("scripts/setup", "scripts/demo", "scripts/test", "scripts/openstack", "scripts/mutate"),
    ".ci/run",
)
PACKAGES = REPOSITORY / "scripts/packages.txt"
BUILDERS = REPOSITORY / "scripts/packages-all.txt"
OS_RELEASE = Path("/etc/os-release")
QUIET_TIMEOUT_SECONDS = 300
DEMO_TIMEOUT_SECONDS = 1100


def packages(file: Path = PACKAGES) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def call(
    *argv: str | Path, timeout: float = QUIET_TIMEOUT_SECONDS, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a program in the repository, with nothing to read."""
    return subprocess.run(
        argv,
        cwd=REPOSITORY,
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )


def stub(folder: Path, name: str, script: str) -> None:
    """A program of that name, which the scripts will find before the real one."""
    path = folder / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_can_be_read_and_run(script):
    assert os.access(REPOSITORY / script, os.X_OK)
    checked = call("bash", "-n", script)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    "file", [*SCRIPTS, "scripts/packages.txt", "scripts/packages-all.txt", "Vagrantfile"]
)
def test_no_address_is_written_into_the_scripts(file):
    assert "://" not in (REPOSITORY / file).read_text()


def test_setup_installs_the_package_of_every_tool():
    assert {tool.deb for tool in TOOLS} - set(packages()) == set()


def test_no_package_is_listed_twice():
    listed = [*packages(), *packages(BUILDERS)]
    assert len(listed) == len(set(listed))


def test_every_package_has_its_reason_in_the_documentation():
    text = (REPOSITORY / "docs/dependencies.md").read_text()
    named = [*packages(), *packages(BUILDERS), "vagrant"]
    assert [name for name in named if f"`{name}`" not in text] == []


def test_every_python_package_has_its_reason_in_the_documentation():
    text = (REPOSITORY / "docs/dependencies.md").read_text()
    project = (REPOSITORY / "pyproject.toml").read_text()
    named = re.findall(r'^    "([a-z0-9.-]+)(?:\[[a-z-]+\])?>=', project, flags=re.MULTILINE)
    assert {"click", "oslo.utils", "pytest"} <= set(named)
    assert [name for name in [*named, "hatchling"] if f"`{name}`" not in text] == []


def test_setup_with_nothing_to_do_needs_no_network():
    call("scripts/setup")  # a developer may have changed pyproject.toml since
    done = call("bwrap", "--dev-bind", "/", "/", "--unshare-net", "--", "scripts/setup")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"setup: ready: {REPOSITORY}/.venv/bin/bakery\n"


def test_setup_installs_what_is_missing_and_only_that(tmp_path):
    missing = ["mtools", "xfsprogs"]
    there = [name for name in packages() if name not in missing]
    log = tmp_path / "log"
    stub(tmp_path, "dpkg-query", "\n".join(f"echo installed {name}" for name in there))
    stub(tmp_path, "sudo", 'exec "$@"')
    stub(tmp_path, "apt-get", f'echo "$DEBIAN_FRONTEND: $*" >>{log}')
    done = call("scripts/setup", PATH=f"{tmp_path}:{os.environ['PATH']}", DEBIAN_FRONTEND="")
    assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines() == [
        ": update",
        "noninteractive: install --yes --no-install-recommends mtools xfsprogs",
    ]
    assert "installing 2 packages" in done.stdout


def test_builders_are_installed_for_the_whole_matrix_alone(tmp_path):
    there = "\n".join(f"echo installed {name}" for name in [*packages(), "vagrant"])
    log = tmp_path / "log"
    stub(tmp_path, "dpkg-query", there)
    stub(tmp_path, "sudo", 'exec "$@"')
    stub(tmp_path, "apt-get", f'echo "$*" >>{log}')
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert call("scripts/setup", "--test", PATH=path).returncode == 0
    assert not log.exists()
    assert call("scripts/setup", "--all", PATH=path).returncode == 0
    builders = sorted(packages(BUILDERS)) if Path("/dev/loop-control").exists() else []
    assert [word for word in log.read_text().split() if word in builders] == builders


def test_setup_ends_with_the_installers_last_words(tmp_path):
    stub(tmp_path, "dpkg-query", "exit 1")
    stub(tmp_path, "sudo", 'exec "$@"')
    stub(tmp_path, "apt-get", 'echo "no space left"; exit 100')
    done = call("scripts/setup", PATH=f"{tmp_path}:{os.environ['PATH']}", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "apt-get update' failed" in done.stderr


def test_setup_refuses_words_it_does_not_know():
    done = call("scripts/setup", "--everything")
    assert done.returncode == 1
    assert "usage: scripts/setup [--test|--all]" in done.stderr


def test_the_demo_does_not_empty_a_folder_that_is_no_build(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    done = call("scripts/demo", tmp_path)
    assert done.returncode == 1
    assert "not a build" in done.stderr
    assert precious.read_text() == "mine"
    assert call("scripts/demo", precious).returncode == 1
    assert precious.read_text() == "mine"


@pytest.mark.slow
def test_the_demo_ends_with_a_login(sample, tmp_path):
    sample("default")
    done = call("scripts/demo", tmp_path / "demo", timeout=DEMO_TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "login reached" in done.stdout + done.stderr
    assert "root=/dev/mapper/atomicos-root ostree=/ostree/boot." in done.stdout
    rows = re.findall(r"^(\S.*?|  \w+)  +[0-9.]+ s$", done.stdout, flags=re.MULTILINE)
    assert "  base" in rows
    assert "bakery build, everything included" in rows
    assert "qemu-img convert of the partition, nothing else" in rows


def vagrant_validates(folder: Path, state: Path) -> subprocess.CompletedProcess[str]:
    return call(
        *("env", "-C", folder, "vagrant", "validate", "--ignore-provider"),
        VAGRANT_HOME=str(state / "home"),
        VAGRANT_DOTFILE_PATH=str(state / "dot"),
    )


@pytest.mark.skipif(
    shutil.which("vagrant") is None
    and 'VERSION_ID="12"' not in Path("/etc/os-release").read_text(),
    reason="this distribution has no vagrant (Debian 12 is the last Debian with it)",
)
def test_vagrant_takes_the_machine_description(tmp_path):
    done = vagrant_validates(REPOSITORY, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "Vagrantfile").write_text(
        (REPOSITORY / "Vagrantfile").read_text().replace("config.vm.hostname", "config.vm.hostnme")
    )
    assert vagrant_validates(tmp_path, tmp_path).returncode != 0


def test_pytest_passes_over_no_folder_of_the_tests(pytestconfig: pytest.Config):
    """Left alone it passes over every folder named `build`."""
    patterns = pytestconfig.getini("norecursedirs")
    folders = {path.parent for path in (REPOSITORY / "tests").rglob("test_*.py")}
    names = {name for folder in folders for name in folder.relative_to(REPOSITORY).parts}
    assert [n for n in names for pattern in patterns if fnmatch.fnmatch(n, pattern)] == []


def test_tests_of_one_group_run_in_one_process(tmp_path: Path):
    """They share a service, a build, a network; twice at once they would only be slow."""
    (tmp_path / "test_group.py").write_text(
        "import os, pathlib, pytest, time\n"
        "@pytest.mark.xdist_group('one')\n"
        "@pytest.mark.parametrize('number', range(6))\n"
        "def test_it(number):\n"
        "    time.sleep(0.05)\n"
        "    pathlib.Path(f'{os.environ[\"PYTEST_XDIST_WORKER\"]}-ran').touch()\n"
    )
    options = ("-p", "no:cacheprovider", "--numprocesses", "2", "--dist", "loadgroup")
    words = [sys.executable, "-m", "pytest", "-q", *options, "test_group.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(list(tmp_path.glob("*-ran"))) == 1
