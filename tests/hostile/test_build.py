"""Every hostile image against `inspect` and `build`: a clear refusal or a right result."""

import os
import resource
import subprocess
from pathlib import Path

import pytest

from bakery import manifest
from tests import leftovers
from tests.conftest import BAKERY
from tests.hostile.kitchen import Kitchen
from tests.hostile.specimens import HOSTILE, Specimen

SECONDS = 10
MEMORY_BYTES = 1 << 30


def bounded(*argv: str | Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run bakery within a gigabyte of address space for each process and 10 s of CPU."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    return subprocess.run(
        [BAKERY, *argv],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=SECONDS * 6,  # wall time, on a machine that runs other tests beside
        env=os.environ | {"TMPDIR": str(scratch)},
        preexec_fn=limit,
    )


@pytest.mark.slow
@pytest.mark.parametrize("specimen", HOSTILE, ids=lambda specimen: specimen.name)
def test_each_is_refused_in_one_line_or_built_right(
    specimen: Specimen, kitchen: Kitchen, tmp_path: Path
):
    folder, scratch, output = (tmp_path / name for name in ("image", "scratch", "out"))
    folder.mkdir()
    scratch.mkdir()
    image = specimen.make(kitchen, folder)
    before = leftovers.present()

    looked = bounded("inspect", "--engine", "direct", "--", image, scratch=scratch)
    built = bounded("build", "--engine", "direct", "-o", output, "--", image, scratch=scratch)

    for done in (looked, built):
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        told = [line for line in done.stderr.splitlines() if line.startswith("bakery: ")]
        assert len(told) == (1 if done.returncode else 0), done.stderr
    if specimen.finding:
        assert built.returncode == 1, "what check refuses, build must refuse"
    if built.returncode:
        assert not output.exists()
    else:
        assert manifest.load(output).base.stat().st_size > 0
    assert not list(scratch.iterdir())
    assert not leftovers.left_since(before)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MEMORY_BYTES
