"""How long a rack takes to be enrolled, several nodes at a time and one after another.

    .venv/bin/python -m tests.bench.nodes [--nodes 100] [--concurrency 8] [--workers 2] [--pairs 1]

Both send the same calls to one Ironic on this machine: a conductor, two processes of its API and a
MariaDB, as a fleet has it, or with `--workers 0` one process on sqlite. Then the second run of the
same file, which only looks. What counts is the ratio.
"""

import argparse
import tempfile
from pathlib import Path

from bakery import run
from tests.bench.build import BAKERY, line
from tests.bench.meter import measure
from tests.e2e.nodes import entry, written
from tests.services.ironic import Place
from tests.services.openstack import SYSTEM, Services

WARM_UP = 8


def report(services: Services, work: Path, options: argparse.Namespace) -> None:
    """Enroll racks in turn, one after another and at a time, and the last one again; print it."""
    env = services.fresh_project().env(SYSTEM)
    count, several = options.nodes, options.concurrency
    seconds: dict[int, list[float]] = {1: [], several: []}
    for number in range(2 * options.pairs + 1):  # the first rack is small: it warms up
        at_once = several if number % 2 == 0 else 1
        nodes = range(count if number else WARM_UP)
        rack = [entry(f"rack-{number}-{i}", (number << 16) + i) for i in nodes]
        file = written(work / f"rack-{number}.json", *rack)
        took = measure(_argv(file, "--concurrency", str(at_once)), env=env).seconds
        if number:
            seconds[at_once].append(took)
    again = measure(_argv(file), env=env).seconds
    line(f"{count} nodes one after another, seconds", seconds[1])
    line(f"{count} nodes, {several} at a time, seconds", seconds[several])
    ratios = [many / one for one, many in zip(seconds[1], seconds[several], strict=True)]
    line("at a time ÷ one after another", ratios, "  goal ≤ 0.5")
    line("second run, seconds", [again], "  goal < 10 for 1000 nodes")


def _argv(file: Path, *words: str) -> list[run.Arg]:
    return [BAKERY, "nodes", "enroll", file, "--quiet", *words]


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="processes of the API")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path.home(), help="folder for all it writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        work = Path(folder)
        with Services(work / "services", ironic=Place(workers=options.workers)) as services:
            report(services, work, options)


if __name__ == "__main__":
    main()
