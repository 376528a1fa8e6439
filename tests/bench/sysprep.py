"""How long a scrub takes, beside libguestfs' own virt-sysprep on the same image.

    .venv/bin/python -m tests.bench.sysprep [--pairs 3] [--image FILE] [--work FOLDER]

Secrets are planted in a copy of the image first (tests/build/scrub/planted.py). In turn, each on
its own copy, the clock around the whole command:

- bakery scrub --in-place: finds, removes, clears all that was deleted, writes the image anew, looks
  at it again, and brings it to the disk;
- virt-sysprep -a: removes in the image as it is.

Then the bytes of both disks are searched: how many of the secrets each has left.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.build import BAKERY, line
from tests.bench.meter import measure
from tests.build.scrub import planted

ROOT = "/dev/sda1"


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--image", type=Path, help="[default: the sample `plain`]")
    parser.add_argument("--work", type=Path, help="a folder for scratch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        work = Path(folder)
        image = options.image or work / "plain.qcow2"
        if options.image is None:
            measure([BAKERY, "lab", "image", image, "--variant", "plain"])
        _contest(image, work, options.pairs)
    return 0


def _contest(image: Path, work: Path, pairs: int) -> None:
    source = work / "planted.qcow2"
    shutil.copyfile(image, source)
    secrets, lost = planted.secrets(), planted.deleted()
    (work / "planted.tar").write_bytes(planted.tar_of(secrets + lost, {}))
    forgotten = Path(planted.DELETED[0]).parent
    commands = (f"tar-in {work}/planted.tar / xattrs:true", "sync", f"rm-rf {forgotten}")
    planted.guestfish(source, ROOT, *commands)
    marks = {secret.mark for secret in secrets + lost}
    ours, theirs = work / "ours.qcow2", work / "theirs.qcow2"
    took: dict[str, list[float]] = {"bakery scrub": [], "virt-sysprep": []}
    for _ in range(pairs):
        shutil.copyfile(source, ours)
        took["bakery scrub"].append(measure([BAKERY, "scrub", ours, "--in-place", "-q"]).seconds)
        shutil.copyfile(source, theirs)
        words: list[str | Path] = ["virt-sysprep", "--quiet", "-a", theirs]
        reading = measure(words, env=dict(planted.environment()))
        took["virt-sysprep"].append(reading.seconds)
    for name, seconds in took.items():
        line(f"{name}, seconds", seconds)
    ratios = [a / b for a, b in zip(*took.values(), strict=True)]
    line("bakery scrub ÷ virt-sysprep", ratios)
    for name, scrubbed in (("bakery scrub", ours), ("virt-sysprep", theirs)):
        left = _left(scrubbed, marks, work)
        print(f"secrets left by {name}: {len(left)} of {len(marks)}")


def _left(image: Path, marks: set[bytes], work: Path) -> set[bytes]:
    raw = work / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    found = planted.marks_in(raw)
    raw.unlink()
    return found & marks


if __name__ == "__main__":
    sys.exit(main())
