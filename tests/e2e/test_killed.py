"""A build that is killed at any moment leaves nothing half done, and the next one ends right."""

import hashlib
import shutil
import time
from pathlib import Path

import pytest

from bakery.host.workdir import FOLDER
from bakery.manifest import manifest
from tests import leftovers
from tests.conftest import BAKERY, Bakery, Sample
from tests.processes import killed_after, moments

pytestmark = pytest.mark.slow

SEED = 20141209


def published(output: Path) -> set[str]:
    return {path.name for path in output.iterdir()} - {FOLDER} if output.is_dir() else set()


@pytest.mark.parametrize("kills", [6, pytest.param(51, marks=pytest.mark.full)])
def test_killed_at_moments_of_each_part_then_built(
    bakery: Bakery, sample: Sample, tmp_path: Path, kills: int
):
    image = sample("default")
    source = hashlib.sha256(image.read_bytes()).hexdigest()
    started = time.monotonic()
    done = bakery("build", image, "-o", tmp_path / "reference")
    whole = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    reference = manifest.load(tmp_path / "reference").manifest

    when = moments(kills, 0, whole, SEED)
    output = tmp_path / "out"
    hits = 0
    for _ in range(kills * 4):
        before = leftovers.present()
        killed = killed_after(next(when), [BAKERY, "build", image, "-o", output])
        assert not leftovers.left_since(before), "a process or a mount outlived the kill"
        # A manifest that is there is that of the whole build, and its files are all there.
        if any(name.endswith(manifest.SUFFIX) for name in published(output)):
            assert manifest.load(output).manifest == reference
        hits += killed
        # Now and then the same command goes on from whatever several kills have left.
        if not killed or hits % 3 == 0:
            again = bakery("build", image, "-o", output)
            assert again.returncode == 0, again.stderr
            assert manifest.load(output).manifest == reference
            assert not (output / FOLDER / "tmp").exists()
            assert len(published(output)) == 4, published(output)
            shutil.rmtree(output)
        if hits == kills:
            break
    assert hits == kills, "the kills came too late to mean anything"
    assert hashlib.sha256(image.read_bytes()).hexdigest() == source
