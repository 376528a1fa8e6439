import shutil
import subprocess

import pytest

from bakery.lab.commits import CPIO_BLOCK, EMPTY_CPIO, padded


def test_archives_are_padded_to_whole_blocks():
    assert padded(b"") == b""
    assert padded(b"x") == b"x" + bytes(CPIO_BLOCK - 1)
    assert len(padded(b"x" * CPIO_BLOCK)) == CPIO_BLOCK


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_the_empty_archive_is_one_that_cpio_takes():
    listed = subprocess.run(
        ["cpio", "--list", "--quiet"], input=padded(EMPTY_CPIO), capture_output=True, check=True
    )
    assert listed.stdout == b""
