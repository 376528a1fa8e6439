"""How fast a build is published, beside the real client sending the same file.

    .venv/bin/python -m tests.bench.upload [--pairs 5] [--image FILE] [--work FOLDER]

Both run in turn against one Glance on this machine, each time into a new project, and what they
sent is deleted. On a tmpfs (`--work /dev/shm`) the disk has no say in it. Throughput is bytes of
image data by wall seconds of the whole command, interpreter and login included; what counts is the
ratio.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

from bakery.host import run
from bakery.manifest import manifest
from bakery.manifest.manifest import Build
from tests.bench.build import BAKERY, line, sample
from tests.bench.meter import Reading, measure
from tests.services import venvs
from tests.services.api import Glance
from tests.services.openstack import Services
from tests.services.proxy import Proxy

MIB = 1 << 20
UPLOAD_TIMEOUT_SECONDS = 3600


class Run(NamedTuple):
    """One upload: its data's bytes, and what it cost."""

    sent_bytes: int
    reading: Reading

    @property
    def rate(self) -> float:
        """Bytes per second."""
        return self.sent_bytes / self.reading.seconds


class Contest:
    """A build, and the two ways to bring it into one Glance."""

    def __init__(self, build: Build, services: Services) -> None:
        self.build = build
        self.services = services
        self.base = build.base
        self.argv: list[run.Arg] = [BAKERY, "upload", build.directory, "--as", "ami", "--quiet"]
        self.openstack = venvs.venv("client") / "bin/openstack"

    def bakery(self, *, memory: bool = False) -> Run:
        """`bakery upload`: kernel, ramdisk and base."""
        project = self.services.fresh_project()
        reading = measure(self.argv, memory=memory, env=project.env())
        Glance(project, self.services.image_url).clear()  # each base is as large as a disk
        sizes = (artifact.size_bytes for artifact in self.build.manifest.artifacts.values())
        return Run(sum(sizes), reading)

    def client(self) -> Run:
        """`openstack image create` with the base alone."""
        project = self.services.fresh_project()
        create: list[run.Arg] = [self.openstack, "image", "create", "--file", self.base, "base"]
        formats = ["--disk-format", "ami", "--container-format", "ami"]
        reading = measure([*create, *formats], env=project.env())
        Glance(project, self.services.image_url).clear()  # each base is as large as a disk
        return Run(self.base.stat().st_size, reading)

    def again(self, times: int) -> tuple[list[float], int, int]:
        """Uploads of what is there: seconds, and for one the bytes told and the bytes seen."""
        project = self.services.fresh_project()
        measure(self.argv, env=project.env())
        seconds = [measure(self.argv, env=project.env()).seconds for _ in range(times)]
        with Proxy(self.services.image_url) as proxy, proxy.in_front_of(self.services):
            answer = run.run(
                [*self.argv, "--json"], env=project.env(), timeout=UPLOAD_TIMEOUT_SECONDS
            )
        Glance(project, self.services.image_url).clear()  # each base is as large as a disk
        return seconds, int(json.loads(answer.stdout)["sent_bytes"]), proxy.sent_bytes


def report(contest: Contest, pairs: int) -> None:
    """Run everything once through and print it."""
    contest.bakery(), contest.client()  # these do not count
    runs = [(contest.bakery(), contest.client()) for _ in range(pairs)]
    ratios = [ours.rate / theirs.rate for ours, theirs in runs]
    line("upload ÷ openstack image create, throughput", ratios, "  goal ≥ 1.0")
    line("bakery upload, MB/s", [ours.rate / 1e6 for ours, _ in runs])
    line("openstack image create, MB/s", [theirs.rate / 1e6 for _, theirs in runs])
    peak = contest.bakery(memory=True).reading.memory_bytes
    line("peak memory, MiB", [peak / MIB], "  goal ≤ 150")
    seconds, told, seen = contest.again(pairs)
    line("second upload, seconds", seconds, "  goal < 2")
    line("second upload, image bytes sent", [max(told, seen)], "  goal 0")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path.home(), help="folder for all it writes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        work = Path(folder)
        image = options.image or sample(work)
        measure([BAKERY, "build", image, "-o", work / "build", "--quiet"])
        with Services(work / "services") as services:
            report(Contest(manifest.load(work / "build"), services), options.pairs)


if __name__ == "__main__":
    main()
