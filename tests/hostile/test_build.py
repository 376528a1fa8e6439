"""Every hostile image against `inspect` and `build`: a clear refusal or a right result."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bakery.manifest import manifest
from tests import leftovers
from tests.conftest import BAKERY
from tests.hostile.kitchen import Kitchen
from tests.hostile.specimens import HOSTILE, Specimen

MEMORY_BYTES = 1 << 30


def cases() -> Iterator[Any]:
    """All of them; what is refused as another of its kind is only run by `scripts/test --all`.

    It is the check that refuses, which tests/hostile/test_check.py holds against each of them;
    what grows when it is unpacked is measured here every time, what stands for a CVE once for each.
    """
    met = set()
    for specimen in HOSTILE:
        kind = specimen.name.split("-")[0]
        always = not specimen.finding or kind in ("bomb", "packed")
        repeated = not always and (specimen.cve or specimen.finding) in met
        met.add(specimen.cve or specimen.finding)
        marks = [pytest.mark.full] if repeated else []
        yield pytest.param(specimen, id=specimen.name, marks=marks)


# Runs the command behind its first word, and writes there how much memory its largest process had.
METER = """
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


class Ended(NamedTuple):
    """How a command ended, and the memory of its largest process."""

    returncode: int
    stderr: str
    memory_bytes: int


def bounded(*argv: str | Path, scratch: Path) -> Ended:
    """Run bakery within 10 s of CPU for each of its processes."""
    meter = scratch.with_name("memory")
    done = subprocess.run(
        [sys.executable, "-c", METER, meter, BAKERY, *argv],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60,  # wall time, on a machine that runs other tests beside
        env=os.environ | {"TMPDIR": str(scratch)},
    )
    return Ended(done.returncode, done.stderr, int(meter.read_text()) * 1024)


@pytest.mark.slow
@pytest.mark.parametrize("specimen", list(cases()))
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
    assert max(looked.memory_bytes, built.memory_bytes) < MEMORY_BYTES
