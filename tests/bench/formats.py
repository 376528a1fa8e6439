"""How long a build takes of each format of an image, beside the floor brought to the disk.

    .venv/bin/python -m tests.bench.formats [--pairs 3] [--image FILE]

The floor is one `qemu-img convert` of the partition or disk that becomes the base, and a sync of
what it wrote, which a build does as well. Of a given image every format is made; all run in turn.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from bakery.disk.extents import Extent
from bakery.manifest import manifest
from tests.bench.build import build, line, paired, sample
from tests.bench.meter import Reading, measure

FORMATS: dict[str, tuple[str, ...]] = {
    "raw": ("raw",),
    "qcow2": ("qcow2",),
    "qcow2, zlib": ("qcow2", "-c"),
    "qcow2, zstd": ("qcow2", "-c", "-o", "compression_type=zstd"),
    "VMDK": ("vmdk",),
    "VHD": ("vpc",),
}
"""By what qemu-img calls them, and how it is told to make them."""
GOAL = "  goal ≤ 1.3"


def floor(image: Path, kind: str, place: Extent, work: Path) -> Reading:
    """The place alone, by one qemu-img, on the disk when this returns."""
    below = {"driver": kind, "file": {"driver": "file", "filename": str(image)}}
    window = {"driver": "raw", "offset": place.offset, "size": place.length, "file": below}
    out = work / "floor"
    out.unlink(missing_ok=True)
    words: list[str | Path] = [
        "qemu-img",
        "convert",
        "-m",
        "8",
        "-W",
        "-O",
        "raw",
        "json:" + json.dumps(window),
        out,
    ]
    copied = measure(words)
    return Reading(copied.seconds + synced(out), 0)


def synced(path: Path) -> float:
    """The seconds until a file is on the disk."""
    started = time.perf_counter()
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return time.perf_counter() - started


def place_of(build_folder: Path) -> Extent:
    """Where on its disk the base of a build lies, which has one range."""
    made = manifest.load(build_folder).manifest
    if made.layout == "disk" or made.partition is None:
        return Extent(0, made.source.virtual_size_bytes)
    return Extent(made.partition.start_bytes, made.partition.size_bytes)


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--formats", default=";".join(FORMATS), help="some of them, by semicolon")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=Path.home()) as folder:
        work = Path(folder)
        source = options.image or sample(work)
        for name, (kind, *words) in FORMATS.items():
            if name in options.formats.split(";"):
                report(name, kind, converted(source, kind, words, work), work, options.pairs)


def converted(source: Path, kind: str, words: list[str], work: Path) -> Path:
    """The image in that format."""
    image = work / f"image.{kind}"
    image.unlink(missing_ok=True)
    measure(["qemu-img", "convert", *words, "-O", kind, source, image])
    return image


def report(name: str, kind: str, image: Path, work: Path, pairs: int) -> None:
    """The line of one format."""
    build(image, work)
    place = place_of(work / "build")
    ratios = paired(pairs, lambda: build(image, work), lambda: floor(image, kind, place, work))
    line(f"build ÷ floor, {name}", ratios, GOAL)


if __name__ == "__main__":
    main()
