"""A download that is killed at any moment leaves nothing half done, and the next one ends right."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from bakery.host.workdir import FOLDER
from bakery.manifest import manifest
from tests.conftest import BAKERY
from tests.openstack.glance.publishing import MIB, files, made, upload
from tests.processes import killed_after, moments

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

SEED = 20160405


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made") / "made", data=96 * MIB, size=160 * MIB)


@pytest.mark.parametrize("kills", [4, pytest.param(16, marks=pytest.mark.full)])
@pytest.mark.parametrize("shape", ["ami", "partition"])
def test_killed_at_moments_of_each_part_then_downloaded(shape, kills, folder, cloud, tmp_path):
    base = upload(cloud, folder, "--as", shape)["base"]
    output, reference = tmp_path / "out", files(folder)
    words: list[str | Path] = [BAKERY, "download", "made", "-o", output]
    env = os.environ | cloud.env()
    started = time.monotonic()
    subprocess.run(words, env=env, check=True, capture_output=True)
    whole = time.monotonic() - started
    shutil.rmtree(output)

    when = moments(kills, 0, whole, SEED)
    hits = parts = 0
    for _ in range(kills * 4):
        killed = killed_after(next(when), words, env)
        hits += killed
        parts += (output / FOLDER / "download" / f"{base}.part").exists()
        # A manifest that is there is that of the whole build, and its files are all there.
        if manifest.find(output):
            assert files(output) == reference
        # Now and then the same command goes on from whatever several kills have left.
        if not killed or hits % 2 == 0:
            again = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
            assert again.returncode == 0, again.stderr
            assert files(output) == reference
            assert not (output / FOLDER).exists()
            shutil.rmtree(output)
        if hits == kills:
            break
    assert hits == kills, "the kills came too late to mean anything"
    assert parts, "no kill hit the base on its way"
