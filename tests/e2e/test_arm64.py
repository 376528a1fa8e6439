"""A system for arm64: told, built in its layouts, and booted.

Its processor is emulated: the sample takes three minutes once, a boot on idle cores half a minute.
"""

import json
from pathlib import Path

import pytest

from bakery.manifest import manifest
from bakery.manifest.manifest import Build
from tests.conftest import Bakery, Sample

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.xdist_group("arm64")]

BOOT_SECONDS = 3000


@pytest.fixture(scope="module", params=["lv", "disk"])
def built(
    request: pytest.FixtureRequest,
    bakery: Bakery,
    sample: Sample,
    tmp_path_factory: pytest.TempPathFactory,
) -> Build:
    folder: Path = tmp_path_factory.mktemp(request.param)
    done = bakery("build", sample("arm64"), "-o", folder, "--layout", request.param)
    assert done.returncode == 0, done.stderr
    return manifest.load(folder)


def test_inspect_tells_the_processor(bakery: Bakery, sample: Sample):
    told = json.loads(bakery("inspect", sample("arm64"), "--json").stdout)
    assert (told["architecture"], told["firmware"]) == ("aarch64", ["uefi"])


def test_it_boots_to_a_login_on_a_machine_of_its_own(bakery: Bakery, built: Build):
    assert built.manifest.architecture == "aarch64"
    words = ("--run", "uname -m; systemctl is-system-running --wait")
    done = bakery("prove", built.directory, *words, timeout=BOOT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[:2] == ["aarch64", "running"]
