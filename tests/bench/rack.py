"""How long a rack of nodes takes to pull one image over one uplink, by multicast and by HTTP alone.

    .venv/bin/python -m tests.bench.rack [--nodes 1,5,10,20,40,80] [--http 1,5,10,20]

As root. Each node is the agent's puller in a network namespace of its own, writing to a file; the
server's namespace holds nginx and udpcast's sender, and its only cable carries `--mbit`. What
counts are the time until the last node is done, as a ratio to that of one node, and the bytes that
leave the server, as a ratio to the packed image. Processor seconds are those of all nodes and
servers: on a machine of few cores a rack of many nodes is bound by them, not by the wire.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from bakery.conductor.journal import Deployment
from bakery.conductor.multicast import PORT, argv
from tests import nginx
from tests.node.agent.served import MIB, Served

RACK = f"rack-{os.getpid()}"
SERVER, SWITCH = f"{RACK}-server", f"{RACK}-switch"
ADDRESS = "10.77.0.1"
CABLE = "cable"


class Result(NamedTuple):
    """A rack's run: wall seconds, bytes that left the server, processor seconds of everything."""

    seconds: float
    server_bytes: int
    processor_seconds: float


def ip(*words: str) -> bytes:
    """`ip WORDS`; its output."""
    return subprocess.run(["ip", *words], check=True, capture_output=True).stdout


def inside(namespace: str) -> list[str]:
    """What runs a command in a namespace."""
    return ["ip", "netns", "exec", namespace]


class Rack:
    """A switch, a server behind a cable of so many Mbit/s, and nodes."""

    def __init__(self, count: int, mbit: float) -> None:
        self.nodes = [f"{RACK}-node-{number}" for number in range(1, count + 1)]
        for name in (SWITCH, SERVER, *self.nodes):
            ip("netns", "add", name)
        switch = ("-n", SWITCH, "link")
        ip(*switch, "add", "bridge", "type", "bridge", "mcast_snooping", "0")
        ip(*switch, "set", "bridge", "up")
        for number, name in enumerate((SERVER, *self.nodes)):
            self._plug(name, number)
        shape = ["tc", "qdisc", "add", "dev", CABLE, "root", "tbf", "rate", f"{mbit}mbit"]
        shape += ["burst", "64kb", "latency", "200ms"]
        subprocess.run([*inside(SERVER), *shape], check=True)

    def _plug(self, name: str, number: int) -> None:
        port, own = f"port{number}", ("-n", name)
        words = ("type", "veth", "peer", "name", CABLE, "netns", name)
        ip("-n", SWITCH, "link", "add", port, *words)
        ip("-n", SWITCH, "link", "set", port, "master", "bridge", "up")
        address = ADDRESS if name == SERVER else f"10.77.{1 + number // 250}.{1 + number % 250}"
        ip(*own, "addr", "add", f"{address}/16", "brd", "+", "dev", CABLE)
        ip(*own, "link", "set", CABLE, "up")
        ip(*own, "link", "set", "lo", "up")
        ip(*own, "route", "add", "224.0.0.0/4", "dev", CABLE)

    def sent_bytes(self) -> int:
        """What has left the server."""
        (told,) = json.loads(ip("-n", SERVER, "-stats", "-json", "link", "show", CABLE))
        return int(told["stats64"]["tx"]["bytes"])

    def remove(self) -> None:
        """Take all of it away."""
        for name in (*self.nodes, SERVER, SWITCH):
            subprocess.run(["ip", "netns", "delete", name], check=False, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def rack(count: int, mbit: float) -> Iterator[Rack]:
    """A rack that is gone after the block."""
    made = Rack(count, mbit)
    try:
        yield made
    finally:
        made.remove()


class Bench:
    """An image, packed, and the rack's runs with it."""

    def __init__(self, work: Path, mib: int, mbit: float) -> None:
        self.work, self.mbit = work, mbit
        self.served = Served(work, mib * MIB, range(0, mib * MIB, MIB))
        self.root = work / "root"
        self.root.mkdir()
        (self.root / "base.zst").write_bytes(self.served.frames)
        (self.root / "encrypted").write_bytes(self.served.encrypted_frames)
        (self.root / "table.zst").write_bytes(self.served.table_frames)
        self.disk_bytes = (mib + 4) * MIB

    def run(self, count: int, *, cast: bool) -> Result:
        """All nodes at once; RuntimeError where one does not end well."""
        with rack(count, self.mbit) as made, tempfile.TemporaryDirectory(dir=self.work) as folder:
            place = Path(folder)
            with nginx.serving(self.root, place / "nginx", ADDRESS, inside(SERVER)) as url:
                return self._run(made, place, url, cast)

    def _run(self, made: Rack, place: Path, url: str, cast: bool) -> Result:
        deployment, before = Deployment.fresh(), made.sent_bytes()
        port = PORT if cast else 0
        content = self.served.signed(deployment, url=url, cast=port)
        (place / "write-list").write_bytes(content)
        used, started = _used(), time.monotonic()
        running = [self._sender(len(made.nodes))] if cast else []
        running += [self._node(name, place, deployment.public_key) for name in made.nodes]
        ends = [process.wait() for process in running]
        seconds = time.monotonic() - started
        if any(ends):
            raise RuntimeError(f"{len([end for end in ends if end])} of {len(ends)} failed")
        return Result(seconds, made.sent_bytes() - before, _used() - used)

    def _sender(self, count: int) -> "subprocess.Popen[bytes]":
        with (self.root / "encrypted").open("rb") as encrypted:
            return _quiet([*inside(SERVER), *map(str, argv(CABLE, PORT, count))], encrypted)

    def _node(self, name: str, place: Path, key: str) -> "subprocess.Popen[bytes]":
        disk = place / name
        with disk.open("wb") as file:
            file.truncate(self.disk_bytes)
        words = [
            sys.executable,
            "-m",
            "tests.node.agent.puller",
            str(place / "write-list"),
            key,
            str(disk),
        ]
        return _quiet([*inside(name), *words, CABLE])


def _quiet(words: Sequence[str], stdin: IO[bytes] | None = None) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def report(bench: Bench, ways: dict[str, list[int]]) -> None:
    """Run all racks and print a line for each."""
    packed = len(bench.served.frames)
    print(f"{packed / 1e6:.1f} MB packed, {bench.mbit} Mbit/s, {os.cpu_count()} cores")
    print("| way | nodes | seconds | ÷ one node | server bytes ÷ image | processor seconds |")
    print("|---|---|---|---|---|---|")
    for way, counts in ways.items():
        one = 0.0
        for count in counts:
            result = bench.run(count, cast=way == "multicast")
            one = one or result.seconds
            print(
                f"| {way} | {count} | {result.seconds:.1f} | {result.seconds / one:.2f} "
                f"| {result.server_bytes / packed:.2f} | {result.processor_seconds:.1f} |",
                flush=True,
            )


def numbers(text: str) -> list[int]:
    """A list of numbers from the command line."""
    return [int(word) for word in text.split(",") if word]


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=numbers, default=[1, 5, 10, 20, 40, 80])
    parser.add_argument("--http", type=numbers, default=[1, 5, 10, 20])
    parser.add_argument("--mib", type=int, default=12, help="data of the image")
    parser.add_argument("--mbit", type=float, default=4.0, help="the server's cable")
    parser.add_argument("--work", type=Path, default=Path("/dev/shm"), help="folder for all files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=options.work) as folder:
        bench = Bench(Path(folder), options.mib, options.mbit)
        report(bench, {"multicast": options.nodes, "HTTP": options.http})


if __name__ == "__main__":
    main()
