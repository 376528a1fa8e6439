"""A whole deploy, power-on to login, beside the same deploy by another checkout of bakery.

    .venv/bin/python -m tests.bench.before CHECKOUT [--pairs 2] [--method direct] [--image FILE]

CHECKOUT is a clone of an earlier commit whose `scripts/setup` has run. Each side builds with its
own code, and has a lab of its own for each run; they run by turns.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.build import BAKERY, line, paired, sample
from tests.bench.meter import Reading


class Side(NamedTuple):
    """One bakery, and the folder that it works in."""

    program: Path
    work: Path

    def run(self, *words: str | Path) -> None:
        """A command of its own; RuntimeError with its words where it fails."""
        done = subprocess.run([self.program, *words], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.program} {words[0]} failed: {done.stderr}")

    def build(self, image: Path) -> None:
        """The build that is deployed."""
        self.run("build", image, "-o", self.work / "build", "-q")

    def deploy(self, method: str) -> Reading:
        """One deploy in a fresh lab, whose start and end are not counted."""
        lab = ("--lab", self.work / "lab")
        self.run("lab", "up", *lab, "-q")
        try:
            words = ("deploy", "node-1", "--image", self.work / "build", "--method", method)
            started = time.perf_counter()
            self.run(*words, *lab, "-q")
            return Reading(time.perf_counter() - started, 0)
        finally:
            self.run("lab", "down", *lab, "-q")


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--method", choices=["iscsi", "direct"], default="iscsi")
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=Path.home()) as folder:
        work = Path(folder)
        image = options.image or sample(work)
        now = side(BAKERY, work / "now", image)
        before = side(options.checkout / ".venv/bin/bakery", work / "before", image)
        ratios = paired(options.pairs, by(now, options.method), by(before, options.method))
        line(f"deploy ÷ deploy before, {options.method}", ratios, "  goal ≤ 1.05")


def side(program: Path, work: Path, image: Path) -> Side:
    """A bakery with its build made."""
    work.mkdir()
    made = Side(program, work)
    made.build(image)
    return made


def by(one: Side, method: str) -> Callable[[], Reading]:
    """A run of that side, told as it ends."""

    def run() -> Reading:
        reading = one.deploy(method)
        print(f"{one.work.name:<8}{reading.seconds:7.1f} s", flush=True)
        return reading

    return run


if __name__ == "__main__":
    main()
