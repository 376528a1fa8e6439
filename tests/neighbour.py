"""Another user of this machine, in a folder that both may write."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = "nobody"

needs_neighbour = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root, to be another user"
)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may write, each his own files alone, as in /tmp."""
    with tempfile.TemporaryDirectory(prefix="shared-") as name:
        folder = Path(name)
        folder.chmod(0o1777)
        yield folder


def as_nobody(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script as the neighbour, in `folder`; what it printed and how it ended."""
    words = ["setpriv", "--reuid", NOBODY, "--regid", "nogroup", "--clear-groups"]
    return subprocess.run(
        [*words, "sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False
    )
