"""How long a deploy takes, part by part, and what it sends, beside dd through the same target.

    .venv/bin/python -m tests.bench.deploy [--image FILE] [--no-dd] [--bios ipxe]

One node of a lab boots the deploy ramdisk and exports its disk. Then dd writes all bytes of the
base to it, and after that bakery goes on: it writes, reads back, and lets the node go to its login
prompt. Bytes on the wire are what the node's own cable counts, both directions.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bakery.lab import network, state
from bakery.manifest import manifest
from bakery.netboot.wire_events import Http, TftpSent, read_log
from tests.bench.build import BAKERY, sample

NODE = "node-1"
STEPS = ("writing", "verifying", "switched", "rebooted", "end")


class Count(NamedTuple):
    """A moment: seconds, and bytes that have passed on the node's cable."""

    seconds: float
    wire_bytes: int


class Bench:
    """A lab with one node, and a build for it."""

    def __init__(self, work: Path, build: Path, bios: str) -> None:
        self.folder = work / "lab"
        self.words: list[str | Path] = [
            BAKERY,
            "deploy",
            NODE,
            "--image",
            build,
            "--lab",
            self.folder,
            "--json",
        ]
        self.words += ["--bios", bios]
        self.wire_log = work / "lab-deploys" / "wire.jsonl"
        self.counts: dict[str, Count] = {}
        self.offered_seconds = 0.0

    def lab(self, *words: str) -> None:
        """`bakery lab …`."""
        argv: list[str | Path] = [BAKERY, "lab", *words, "--lab", self.folder, "-q"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)

    def count(self) -> Count:
        """Now."""
        words = ["ip", "-stats", "-json", "link", "show", network.tap(1)]
        enter = state.load(self.folder).enter
        told = subprocess.run(enter(words), check=True, capture_output=True).stdout
        counters = json.loads(told)[0]["stats64"]
        return Count(time.monotonic(), counters["rx"]["bytes"] + counters["tx"]["bytes"])

    def until_the_disk_is_offered(self) -> str:
        """The URL of the node's disk; whoever deployed is killed then, and the node waits on."""
        with subprocess.Popen(self.words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            for step, kind, text in _events(run):
                if (step, kind) == (f"{NODE} power-on", "started"):
                    started = time.monotonic()
                elif (step, kind) == (f"{NODE} ramdisk", "finished"):
                    run.kill()
                    self.offered_seconds = time.monotonic() - started
                    _, iqn, _, address = text.split()
                    return f"iscsi://{address}:3260/{iqn}/1"
        raise RuntimeError("the node did not offer its disk")

    def dd(self, base: Path, disk: str) -> Count:
        """All bytes of the base, through the target that bakery will use."""
        words = ["qemu-img", "dd", "-f", "raw", "-O", "raw", "bs=1M", f"if={base}", f"of={disk}"]
        before = self.count()
        subprocess.run(state.load(self.folder).enter(words), check=True)
        return _passed(before, self.count())

    def deploy(self) -> None:
        """To the end; `counts` are those of the beginnings of its steps."""
        with subprocess.Popen(self.words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            for step, kind, _ in _events(run):
                if kind == "started":
                    self.counts[step.removeprefix(f"{NODE} ")] = self.count()
            assert run.stdout is not None
            (outcome,) = json.loads(run.stdout.read())
        self.counts["end"] = self.count()
        if outcome["state"] != "running":
            raise RuntimeError(outcome["reason"])


def _events(run: "subprocess.Popen[bytes]") -> Iterator[tuple[str, str, str]]:
    """The events a command tells: step, kind, text."""
    assert run.stderr is not None
    for line in run.stderr:
        event = json.loads(line)
        yield event["step"], event["kind"], event.get("text", "")


def _passed(before: Count, after: Count) -> Count:
    return Count(after.seconds - before.seconds, after.wire_bytes - before.wire_bytes)


def boot_files(log: Path) -> Iterator[tuple[str, int, float]]:
    """How each kernel and ramdisk went to the node: by what, bytes, seconds."""
    for entry in read_log(log):
        event = entry.event
        if isinstance(event, TftpSent) and event.path.endswith(("kernel", "ramdisk")):
            yield "TFTP", event.size_bytes, event.seconds
        elif isinstance(event, Http) and event.path.endswith(("kernel", "ramdisk")):
            yield "HTTP", event.sent_bytes, event.seconds


def report(bench: Bench, build: Path, *, with_dd: bool) -> None:
    """Run everything once, and print it."""
    base = manifest.load(build).manifest.artifacts["base"]
    data = sum(extent.length for extent in base.extents)
    disk = bench.until_the_disk_is_offered()
    plain = bench.dd(manifest.load(build).base, disk) if with_dd else None
    bench.deploy()
    counts = bench.counts
    parts = {step: _passed(counts[step], counts[following]) for step, following in pairwise(STEPS)}
    written, read = parts["writing"], parts["verifying"]
    seconds("power-on → POST", bench.offered_seconds)
    seconds("write", written.seconds)
    seconds("verify, and the first MiB", read.seconds)
    seconds("switch", parts["switched"].seconds)
    seconds("login", parts["rebooted"].seconds)
    ratio("wire bytes ÷ data bytes, write", written.wire_bytes / data, "  goal ≤ 1.05")
    ratio("wire bytes ÷ data bytes, verify", read.wire_bytes / data)
    sent = list(boot_files(bench.wire_log))
    size, taken = sum(size for _, size, _ in sent), sum(taken for _, _, taken in sent)
    print(
        f"{'kernels and ramdisks by ' + sent[0][0]:<40} {size / taken / 1e6:8.1f} MB/s", flush=True
    )
    if plain:
        seconds("dd of all bytes", plain.seconds)
        ratio("dd ÷ write, seconds", plain.seconds / written.seconds)
        ratio("dd ÷ write, wire bytes", plain.wire_bytes / written.wire_bytes)


def seconds(name: str, value: float) -> None:
    """A line of the result."""
    print(f"{name:<40} {value:8.1f} s", flush=True)


def ratio(name: str, value: float, goal: str = "") -> None:
    """A line of the result."""
    print(f"{name:<40} {value:8.3f}{goal}", flush=True)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--no-dd", action="store_true", help="leave out dd, which takes minutes")
    parser.add_argument("--bios", choices=("pxelinux", "ipxe"), default="pxelinux")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bakery-bench-", dir=Path.home()) as folder:
        work = Path(folder)
        build = work / "build"
        image = options.image or sample(work)
        argv = [BAKERY, "build", image, "-o", build, "-q"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        bench = Bench(work, build, options.bios)
        bench.lab("up")
        try:
            report(bench, build, with_dd=not options.no_dd)
        finally:
            bench.lab("down")


if __name__ == "__main__":
    main()
