"""How long a rack takes to be enrolled, several nodes at a time and one after another.

    .venv/bin/python -m tests.bench.nodes [--nodes 100] [--concurrency 8] [--work FOLDER]

Both send the same calls to one Ironic on this machine, which keeps its nodes in sqlite and is one
process: a service on several machines has more to gain. Then the second run of the same file,
which only looks. What counts is the ratio.
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


def report(services: Services, work: Path, count: int, concurrency: int) -> None:
    """Enroll two racks of that many nodes, and the second one again; print it."""
    env = services.fresh_project().env(SYSTEM)
    seconds = []
    for number, at_once in enumerate((1, concurrency), 1):
        rack = [entry(f"rack-{number}-{i}", (number << 16) + i) for i in range(count)]
        file = written(work / f"rack-{number}.json", *rack)
        argv: list[run.Arg] = [
            BAKERY,
            "nodes",
            "enroll",
            file,
            "--quiet",
            "--concurrency",
            str(at_once),
        ]
        seconds.append(measure(argv, env=env).seconds)
    again = measure([BAKERY, "nodes", "enroll", file, "--quiet"], env=env).seconds
    line(f"{count} nodes one after another, seconds", seconds[:1])
    line(f"{count} nodes, {concurrency} at a time, seconds", seconds[1:])
    line("one after another ÷ at a time", [seconds[0] / seconds[1]])
    line("second run, seconds", [again], "  goal < 10 for 1000 nodes")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--work", type=Path, default=Path.home(), help="folder for all it writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        work = Path(folder)
        with Services(work / "services", ironic=Place()) as services:
            report(services, work, options.nodes, options.concurrency)


if __name__ == "__main__":
    main()
