"""How long a build takes, beside the floor and beside the way it was done in 2014.

    .venv/bin/python -m tests.bench.build [--pairs 5] [--original 5] [--image FILE]

The floor is one `qemu-img convert` of the partition alone, with the output options bakery uses.
The original is the script of 2014 (tests/bench/original.py). All run in turn on one machine; what
counts are the ratios.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bakery.manifest import manifest
from tests.bench import original
from tests.bench.meter import Reading, disk_bytes, measure
from tests.bench.original import SIZE, START, Original

BAKERY = Path(sys.executable).with_name("bakery")


def floor(image: Path, work: Path) -> Reading:
    """The partition alone, by one qemu-img; it may still be in memory when this returns."""
    window = {
        "driver": "raw",
        "offset": START,
        "size": SIZE,
        "file": {"driver": "qcow2", "file": {"driver": "file", "filename": str(image)}},
    }
    source = "json:" + json.dumps(window)
    out = work / "floor"
    out.unlink(missing_ok=True)
    return measure(["qemu-img", "convert", "-m", "8", "-W", "-O", "raw", source, out])


def build(image: Path, work: Path, *, memory: bool = False, engine: str = "direct") -> Reading:
    """A cold build: nothing of an earlier one is there."""
    shutil.rmtree(work / "build", ignore_errors=True)
    argv: list[str | Path] = [
        BAKERY,
        "build",
        image,
        "-o",
        work / "build",
        "--engine",
        engine,
        "-q",
    ]
    return measure(argv, memory=memory)


def against_the_original(image: Path, work: Path) -> tuple[Original, float]:
    """The pipeline of 2014, and the seconds of a build in the same minute.

    Of two builds, since the first finds nothing in memory.
    """
    before = original.run(image, work)
    build(image, work)
    return before, build(image, work).seconds


def inspect(image: Path) -> Reading:
    """`bakery inspect`, interpreter start included."""
    return measure([BAKERY, "inspect", image, "-q"])


def grown(image: Path, work: Path) -> Path:
    """The same image on a disk four times as large."""
    larger = work / "larger.qcow2"
    shutil.copyfile(image, larger)
    measure(["qemu-img", "resize", "-q", "-f", "qcow2", larger, str(4 * 6 << 30)])
    return larger


def paired(pairs: int, left: Callable[[], Reading], right: Callable[[], Reading]) -> list[float]:
    """left ÷ right, run in turn, after one run of each that does not count."""
    left(), right()
    return [left().seconds / right().seconds for _ in range(pairs)]


def line(name: str, ratios: list[float], goal: str = "") -> None:
    """A line of the result: median and range."""
    middle = statistics.median(ratios)
    print(f"{name:<46} {middle:6.2f}  ({min(ratios):.2f} to {max(ratios):.2f}){goal}", flush=True)


def main() -> None:
    """Print all ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--original", type=int, default=5, help="pairs with the way of 2014")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=Path.home()) as folder:
        report(options.image or sample(Path(folder)), Path(folder), options)


def sample(work: Path) -> Path:
    """The default sample, out of the cache."""
    image = work / "default.qcow2"
    measure([BAKERY, "lab", "image", image])
    return image


def report(image: Path, work: Path, options: argparse.Namespace) -> None:
    """Run everything once through and print it."""
    line(
        "build ÷ floor",
        paired(options.pairs, lambda: build(image, work), lambda: floor(image, work)),
        "  goal ≤ 1.3",
    )
    made = manifest.load(work / "build").manifest
    data = sum(extent.length for a in made.artifacts.values() for extent in a.extents)
    line("disk written ÷ data", [disk_bytes(work / "build") / data], "  goal ≤ 1.01")
    pairs = [against_the_original(image, work) for _ in range(options.original)]
    line("original of 2014 ÷ build", [old.whole / new for old, new in pairs], "  goal ≥ 30")
    line("its two copies alone ÷ build", [old.copies / new for old, new in pairs])
    on_disk = [(old.copies + old.flush) / new for old, new in pairs]
    line("the same, both on the disk", on_disk)
    for name in ("files", "copies", "flush"):
        line(f"original, {name}, seconds", [getattr(old, name) for old, _ in pairs])
    line("build, seconds", [new for _, new in pairs])
    line("inspect, seconds", [inspect(image).seconds for _ in range(options.pairs)], "  goal ≤ 0.5")
    help_seconds = [measure([BAKERY, "--help"]).seconds for _ in range(options.pairs)]
    line("--help, seconds", help_seconds, "  goal ≤ 0.15")
    normal = build(image, work, memory=True).memory_bytes
    large = build(grown(image, work), work, memory=True).memory_bytes
    line("peak memory, MiB", [normal / (1 << 20)], "  goal ≤ 200")
    line("peak memory, disk four times as large ÷ same", [large / normal], "  goal 1")


if __name__ == "__main__":
    main()
