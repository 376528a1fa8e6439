"""The child of a scrubbed image is a new machine to cloud-init: it runs as on a first boot."""

import subprocess
from pathlib import Path

import pytest

from tests.build.scrub import cloud_init
from tests.build.scrub.cloud_init import Boot

pytestmark = pytest.mark.slow

FIRST = Boot(new=True, ran=("once", "once-per-instance"))
AGAIN = Boot(new=False, ran=())


def test_a_child_of_a_scrubbed_image_boots_as_for_the_first_time(bakery, tmp_path):
    tree, image, scrubbed = tmp_path / "tree", tmp_path / "image", tmp_path / "scrubbed"
    for folder in ("etc", "usr/bin", "var/lib/cloud"):
        (tree / folder).mkdir(parents=True)
    (tree / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    cloud = tree / "var/lib/cloud"
    assert [cloud_init.boot(cloud), cloud_init.boot(cloud)] == [FIRST, AGAIN]
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, image, "24M"], check=True)
    assert cloud_init.boot(taken_out(image, tmp_path / "child")) == AGAIN
    done = bakery("scrub", image, "-o", scrubbed, "-q")
    assert done.returncode == 0, done.stderr
    assert cloud_init.boot(taken_out(scrubbed, tmp_path / "scrubbed-child")) == FIRST


def taken_out(image: Path, folder: Path) -> Path:
    """The /var/lib/cloud of an image."""
    folder.mkdir()
    words: list[str | Path] = ["debugfs", "-R", f"rdump /var/lib/cloud {folder}", image]
    subprocess.run(words, check=True, capture_output=True)
    return folder / "cloud"
