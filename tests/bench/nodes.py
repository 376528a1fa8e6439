"""How long a rack takes to be enrolled, several nodes at a time and one after another.

    .venv/bin/python -m tests.bench.nodes [--nodes 100] [--concurrency 8] [--pairs 1] [--workers 8]

Both send the same calls to one Ironic: a conductor, eight processes of its API and a MariaDB, as a
fleet has it, or with `--workers 0` one process on sqlite. It is asked on this machine, whose
processors it shares with everything else here, and then as from 20 ms away. Last the second run of
a file, which only looks. What counts are the ratios, and how many processors were busy: where one
call after another keeps one of two busy all the time, no client can be done in less than half.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bakery.host import run
from tests.bench.build import BAKERY, line
from tests.bench.meter import measure
from tests.e2e.nodes import entry, written
from tests.services.ironic import Place
from tests.services.openstack import SYSTEM, Services
from tests.services.proxy import Proxy

WARM_UP = 16
AWAY_SECONDS = 0.02  # there and back, for each request


class Taken(NamedTuple):
    """Wall seconds of an enrolment, and how many processors of this machine were busy in them."""

    seconds: float
    busy: float


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

    def enrolled(self, file: Path, *words: str) -> Taken:
        """What `bakery nodes enroll` takes for a file."""
        argv: list[run.Arg] = [BAKERY, "nodes", "enroll", file, "--quiet", *words]
        before, started = _processor_seconds(), time.monotonic()
        seconds = measure(argv, env=self.env).seconds
        spent = _processor_seconds() - before
        return Taken(seconds, spent / (time.monotonic() - started))

    def contest(self, concurrency: int, pairs: int) -> None:
        """Racks in turn, one node after another and several at a time; printed."""
        taken: dict[int, list[Taken]] = {1: [], concurrency: []}
        for _ in range(pairs):
            for at_once, runs in taken.items():
                words = ("--concurrency", str(at_once))
                runs.append(self.enrolled(self.fresh(self.count), *words))
        for at_once, name in ((1, "one after another"), (concurrency, f"{concurrency} at a time")):
            line(f"  {name}, seconds", [one.seconds for one in taken[at_once]])
            busy = [one.busy for one in taken[at_once]]
            line(f"  {name}, processors busy", busy, f"  of {os.cpu_count()}")
        pairs_taken = zip(taken[concurrency], taken[1], strict=True)
        ratios = [ours.seconds / theirs.seconds for ours, theirs in pairs_taken]
        line("  at a time ÷ one after another", ratios, "  goal ≤ 0.5")


def _processor_seconds() -> float:
    """What all processors of this machine have worked since it started (proc_stat(5))."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[:7])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def report(services: Services, work: Path, options: argparse.Namespace) -> None:
    """Print all of it."""
    assert services.ironic
    racks = Racks(services, work, options.nodes)
    racks.enrolled(racks.fresh(WARM_UP))
    print(f"{options.nodes} nodes, each with a port, on this machine", flush=True)
    racks.contest(options.concurrency, options.pairs)
    proxy = Proxy(services.ironic.url, AWAY_SECONDS)
    with proxy, proxy.in_front_of(services, "baremetal"):
        print(f"from {AWAY_SECONDS * 1000:g} ms away", flush=True)
        racks.contest(options.concurrency, options.pairs)
    file = racks.fresh(options.nodes)
    racks.enrolled(file)
    again = racks.enrolled(file).seconds
    line("second run of a file, seconds", [again], "  goal < 10 for 1000 nodes")


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
