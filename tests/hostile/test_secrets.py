"""A BMC's password is in the lab's own files, and nowhere where another user could look."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conductor import builds
from tests.conductor.targets import until
from tests.conftest import BAKERY
from tests.lab.labs import command, lab_up
from tests.neighbour import needs_neighbour
from tests.watch import files_with, watching

LOOKS = 20
CONDUCTOR = f"{sys.executable}\0-P\0-m\0bakery.conductor.conductor\0"


@pytest.fixture
def lab(tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir(mode=0o755)
    with lab_up(folder, "--memory", "128", "--disk", "1M") as lab:
        yield lab


@needs_neighbour
def test_no_password_leaves_the_labs_folder(lab, tmp_path):
    folder, canary = Path(lab.folder), lab.nodes[0].bmc.password
    assert len(canary) >= 16
    builds.build(tmp_path / "build")
    (tmp_path / "ramdisk").mkdir()
    words = [BAKERY, "deploy", "node-1", "--image", tmp_path / "build", "--json"]
    words += ["--ramdisk", tmp_path / "ramdisk", "--lab", folder]
    log = tmp_path / "log"
    with (
        watching() as watch,
        log.open("wb") as out,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as deploy,
    ):
        until(lambda: deploy.poll() is not None or watch.programs(CONDUCTOR) > 0)
        looks = watch.looks + LOOKS
        until(lambda: deploy.poll() is not None or watch.looks >= looks)
        deploy.terminate()
    assert watch.programs(CONDUCTOR), log.read_text()  # it was there to be looked at
    assert not watch.showed(canary)
    assert canary not in log.read_text()
    for form in ((), ("--json",)):
        said = command(folder, "status", *form)
        assert said.returncode == 0
        assert canary not in said.stdout + said.stderr
        assert "******" in said.stdout
    told = json.loads(command(folder, "status", "--json", "--show-secrets").stdout)
    assert told["nodes"][0]["bmc"]["password"] == canary
    assert files_with(canary, tmp_path) == {folder / "lab.json"}
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
