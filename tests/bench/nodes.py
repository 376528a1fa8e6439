"""How long a rack takes to be enrolled, several nodes at a time and one after another.

    .venv/bin/python -m tests.bench.nodes [--nodes 100] [--concurrency 8] [--pairs 1] [--workers 8]

Both send the same calls to one Ironic: a conductor, eight processes of its API and a MariaDB, as a
fleet has it, or with `--workers 0` one process on sqlite. It is asked on this machine, whose
processors it shares with everything else here, and then as from 20 ms away. Last the second run of
a file, which only looks. What counts are the ratios.
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
from tests.services.proxy import Proxy

WARM_UP = 16
AWAY_SECONDS = 0.02  # there and back, for each request


class Racks:
    """Files of fresh nodes, and an Ironic that they are enrolled in."""

    def __init__(self, services: Services, work: Path, count: int) -> None:
        self.env = services.fresh_project().env(SYSTEM)
        self.work = work
        self.count = count
        self._made = 0

    def fresh(self, count: int) -> Path:
        """A file of nodes that nobody has seen yet."""
        self._made += 1
        rack = self._made
        nodes = [entry(f"rack-{rack}-{i}", (rack << 16) + i) for i in range(count)]
        return written(self.work / f"rack-{rack}.json", *nodes)

    def seconds(self, file: Path, *words: str) -> float:
        """How long `bakery nodes enroll` takes for a file."""
        argv: list[run.Arg] = [BAKERY, "nodes", "enroll", file, "--quiet", *words]
        return measure(argv, env=self.env).seconds

    def contest(self, concurrency: int, pairs: int) -> None:
        """Racks in turn, one node after another and several at a time; printed."""
        seconds: dict[int, list[float]] = {1: [], concurrency: []}
        for _ in range(pairs):
            for at_once, taken in seconds.items():
                words = ("--concurrency", str(at_once))
                taken.append(self.seconds(self.fresh(self.count), *words))
        one, several = seconds.values()
        line("  one after another, seconds", one)
        line(f"  {concurrency} at a time, seconds", several)
        ratios = [ours / theirs for ours, theirs in zip(several, one, strict=True)]
        line("  at a time ÷ one after another", ratios, "  goal ≤ 0.5")


def report(services: Services, work: Path, options: argparse.Namespace) -> None:
    """Print all of it."""
    assert services.ironic
    racks = Racks(services, work, options.nodes)
    racks.seconds(racks.fresh(WARM_UP))
    print(f"{options.nodes} nodes, each with a port, on this machine", flush=True)
    racks.contest(options.concurrency, options.pairs)
    proxy = Proxy(services.ironic.url, AWAY_SECONDS)
    with proxy, proxy.in_front_of(services, "baremetal"):
        print(f"from {AWAY_SECONDS * 1000:g} ms away", flush=True)
        racks.contest(options.concurrency, options.pairs)
    file = racks.fresh(options.nodes)
    racks.seconds(file)
    line("second run of a file, seconds", [racks.seconds(file)], "  goal < 10 for 1000 nodes")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--workers", type=int, default=8, help="processes of the API")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path.home(), help="folder for all it writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        work = Path(folder)
        with Services(work / "services", ironic=Place(workers=options.workers)) as services:
            report(services, work, options)


if __name__ == "__main__":
    main()
