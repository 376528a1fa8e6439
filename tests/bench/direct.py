"""How fast a node brings an image onto its disk, beside what others do with the same image.

    .venv/bin/python -m tests.bench.direct [--pairs 5] [--image FILE] [--work FOLDER]

The same base lies on one nginx, raw and packed. In turn it is brought to one file in place of a
disk, each time by a process of its own, start of the interpreter included:

- bakery: the node's half of the direct method, signature, digests and read-back included;
- bmaptool copy of the packed base, with its own check of the block map's checksums;
- curl | zstd -d | dd, which checks nothing;
- one GET of the raw image with a sha256 beside it, as ironic-python-agent writes a raw image.

bmaptool, curl and zstd are Debian's. Every writer ends with its data on stable storage.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bakery.conductor import write_list
from bakery.conductor.journal import Deployment
from bakery.disk.packed import packed_index
from bakery.manifest import manifest
from bakery.manifest.manifest import Build
from tests import nginx
from tests.bench.build import BAKERY, line, sample
from tests.bench.meter import measure

PIECE = str(4 << 20)
Run = Callable[[], float]


class Contest:
    """A build whose base is served at `url`, and a target to write it to."""

    def __init__(self, build: Build, url: str, work: Path) -> None:
        name = build.manifest.name
        self.index = packed_index.read(build.directory / f"{name}-base.index")
        self.raw, self.frames = f"{url}/{name}-base", f"{url}/{name}-base.zst"
        self.bmap = build.directory / f"{name}-base.bmap"
        self.log = work / "nginx/access.log"
        self.target = work / "target"
        deployment = Deployment.fresh()
        self.plan, self.key = work / "plan", deployment.public_key
        piece = {"place": 0, "frames": self.frames, "index": self.index}
        listed = write_list.signed([piece], write_list.terms(build), deployment.signed)
        self.plan.write_bytes(listed)

    def bakery(self) -> float:
        """The direct method."""
        words: list[str | Path] = [
            "-m",
            "tests.node.agent.puller",
            self.plan,
            self.key,
            self.blank(),
        ]
        return measure([sys.executable, *words]).seconds

    def bmaptool(self) -> float:
        """`bmaptool copy`, which flushes what it wrote."""
        words: list[str | Path] = ["copy", "--bmap", self.bmap, self.frames, self.blank()]
        return measure(["bmaptool", "--quiet", *words]).seconds

    def dd(self) -> float:
        """curl | zstd -d | dd."""
        target = self.blank()
        started = time.perf_counter()
        with (
            subprocess.Popen(["curl", "-sf", self.frames], stdout=subprocess.PIPE) as curl,
            subprocess.Popen(["zstd", "-dcq"], stdin=curl.stdout, stdout=subprocess.PIPE) as zstd,
        ):
            words = [f"of={target}", f"bs={PIECE}", "iflag=fullblock", "conv=notrunc,fsync"]
            subprocess.run(["dd", "status=none", *words], stdin=zstd.stdout, check=True)
        if curl.returncode or zstd.returncode:
            raise RuntimeError("curl or zstd failed")
        return time.perf_counter() - started

    def get(self) -> float:
        """One GET of everything."""
        words: list[str | Path] = ["-m", "tests.bench.one_get", self.raw, self.blank()]
        return measure([sys.executable, *words]).seconds

    def blank(self) -> Path:
        """The target, of the base's size and empty."""
        self.target.unlink(missing_ok=True)
        with self.target.open("wb") as file:
            file.truncate(self.index.size_bytes)
        subprocess.run(["sync"], check=True)
        return self.target

    def is_whole(self, base: Path) -> bool:
        """Whether the target holds the base."""
        same: list[str | Path] = ["cmp", "-s", base, self.target]
        return subprocess.run(same, check=False).returncode == 0

    def wire_bytes(self) -> int:
        """What nginx has sent so far, heads included."""
        return sum(int(row.rsplit(" ", 1)[1]) for row in self.log.read_text().splitlines())


def report(contest: Contest, base: Path, pairs: int) -> None:
    """Run everything in turn and print it."""
    ways = {"bakery": contest.bakery, "bmaptool copy": contest.bmaptool}
    ways |= {"curl | zstd -d | dd": contest.dd, "one GET of raw": contest.get}
    goals = {"bmaptool copy": 0.8, "curl | zstd -d | dd": 0.35, "one GET of raw": 0.4}
    for name, way in ways.items():  # these do not count
        way()
        if not contest.is_whole(base):
            raise RuntimeError(f"{name} wrote something else")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(pairs):
        for name, way in ways.items():
            seconds[name].append(way())
    for name, goal in goals.items():
        ratios = [
            ours / theirs for ours, theirs in zip(seconds["bakery"], seconds[name], strict=True)
        ]
        line(f"bakery ÷ {name}", ratios, f"  goal ≤ {goal}")
    for name, taken in seconds.items():
        line(f"{name}, seconds", taken)
    before = contest.wire_bytes()
    contest.bakery()
    data = sum(chunk.length for chunk in contest.index.chunks)
    line("wire bytes ÷ compressed data", [(contest.wire_bytes() - before) / data], "  goal ≤ 1.02")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path.home(), help="folder for all it writes")
    options = parser.parse_args()
    for program in ("bmaptool", "curl", "nginx", "zstd"):
        if not shutil.which(program):
            parser.error(f"{program} is not installed; scripts/setup installs it")
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        work = Path(folder)
        image = options.image or sample(work)
        measure([BAKERY, "build", image, "-o", work / "build", "--compress", "zstd", "--quiet"])
        build = manifest.load(work / "build")
        with nginx.serving(build.directory, work / "nginx") as url:
            report(Contest(build, url, work), build.base, options.pairs)


if __name__ == "__main__":
    main()
