import subprocess

import pytest

from bakery.samples.filesystems import make_filesystem
from bakery.samples.variants import MIB


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "vfat"])
def test_each_filesystem_has_the_identity_it_is_known_by(kind, tmp_path):
    made = make_filesystem(tmp_path / "fs", kind, 320 * MIB)
    printed = subprocess.run(
        ["/usr/sbin/blkid", "-p", "-o", "export", made.path],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found = dict(line.split("=", 1) for line in printed.stdout.splitlines())
    assert (found["TYPE"], found["UUID"]) == (kind, made.uuid)
    assert made.spec == f"UUID={made.uuid}"
    assert made.path.stat().st_size == made.size_bytes
