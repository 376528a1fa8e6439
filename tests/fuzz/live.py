"""Sends running servers mutated messages: they answer on, say nothing odd, and hold no more.

    .venv/bin/python -m tests.fuzz.live [--messages 500000] [--seed N]

DHCP, TFTP, HTTP with the conductor's API, port 10000 of a node, and a node's iSCSI target, in
network namespaces of their own. The suite runs a short form (test_live.py). It tells how many
messages each got and what its process held before and after; exit code 1 where one was found
wanting.
"""

import argparse
import contextlib
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bakery.node.agent import proof
from tests.conductor.targets import blank, exported
from tests.conftest import REPOSITORY
from tests.fuzz.held import Held, held
from tests.fuzz.servers import CLIENT, LET_GO, Ready
from tests.netboot.wire import Network, a_network

WORD, TARGET = "word", "iscsi"
SHARES = {"dhcp": 0.3, "tftp": 0.25, "http": 0.15, "api": 0.2, WORD: 0.07, TARGET: 0.03}
"""Of all messages: what of each takes longest gets fewest."""
WARM = 0.05
"""Part of its messages after which what a process holds is compared."""
END_SECONDS = 60.0
PROGRESS = 64
"""Right questions between two words about how far it is."""


class Told(NamedTuple):
    """One server's messages, the seconds they took, and what its process held."""

    kind: str
    messages: int
    questions: int
    """Right ones, in between; all were answered."""
    seconds: float
    before: Held
    after: Held

    @property
    def wrong(self) -> str:
        """How it grew; empty where it did not."""
        grown = self.before.grown(self.after)
        return f"{self.kind} grew: {grown}" if grown else ""


class Servers:
    """The servers' process, and what it said that it should not have."""

    def __init__(self, network: Network, folder: Path) -> None:
        words = [*network.servers.words, sys.executable, "-m", "tests.fuzz.servers", str(folder)]
        self._errors = folder / "stderr"
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self._errors.read_text()
        self.ready = msgspec.json.decode(line, type=Ready)
        self._events: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def close(self) -> None:
        """End it, as a conductor ends."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(END_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()

    def wrong(self, asked: int) -> list[str]:
        """What it told or wrote on standard error, once it is closed.

        Port 10000 was asked rightly so many times, and let nobody else go.
        """
        told = [msgspec.json.decode(line) for line in self._events]
        odd = [str(one) for one in told if one != LET_GO]
        errors = self._errors.read_text()
        let_go = told.count(LET_GO)
        return [
            *odd,
            *([errors] if errors else []),
            *([f"{let_go} were let go, {asked} had the word"] if let_go != asked else []),
        ]

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            self._events.extend(lines)


def run(messages: int, seed: int) -> tuple[list[Told], list[str]]:
    """Send so many in all; what came of it, and what is wrong."""
    told: list[Told] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        network = stack.enter_context(a_network())
        client = network.client(1)
        client.run("ip", "address", "add", f"{CLIENT}/24", "dev", "eth0")
        servers = Servers(network, folder)
        with contextlib.closing(servers):
            secrets = (servers.ready.key, servers.ready.token)
            for kind, share in SHARES.items():
                sending = Sending(kind, max(1, round(messages * share)), seed, secrets)
                if kind == TARGET:
                    with _target(folder, servers.ready.key) as (port, process):
                        told.append(sending.go([], process, str(port)))
                else:
                    told.append(sending.go(client.words, servers.process.pid))
        asked = sum(one.questions for one in told if one.kind == WORD)
        return told, [*(one.wrong for one in told if one.wrong), *servers.wrong(asked)]


class Sending(NamedTuple):
    """So many messages of one kind, for the try with these secrets."""

    kind: str
    messages: int
    seed: int
    secrets: tuple[str, str]

    def go(self, place: Sequence[str], process: int, *port: str) -> Told:
        """Send them from a place; `process` is the server's."""
        idle, started = held(process), time.monotonic()
        warm = math.ceil(self.messages * WARM)
        counts = [count for count in (warm, self.messages - warm) if count]
        before = idle
        questions = 0
        for number, count in enumerate(counts):
            questions += self._some(place, count, self.seed + number, port)
            after = _settled(process, idle)
            before = after if number == 0 else before
        seconds = time.monotonic() - started
        return Told(self.kind, self.messages, questions, seconds, before, after)

    def _some(self, place: Sequence[str], count: int, seed: int, port: Sequence[str]) -> int:
        """The number of right questions in between; all were answered."""
        words = [*place, sys.executable, "-m", "tests.fuzz.senders"]
        words += [self.kind, str(count), str(seed), *self.secrets, *port]
        questions = 1
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=REPOSITORY) as sender:
            assert sender.stdout
            try:
                for line in sender.stdout:
                    questions += 1
                    if questions % PROGRESS == 0:
                        print(f"{self.kind}: {int(line)} of {count}", file=sys.stderr, flush=True)
            except BaseException:
                sender.kill()
                raise
        assert sender.returncode == 0, f"{self.kind}: the server did not answer"
        return questions


def _settled(process: int, idle: Held) -> Held:
    """What a server holds once nothing is under way: a transfer that nobody takes has an end."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        now = held(process)
        over = now.descriptors <= idle.descriptors and now.threads <= idle.threads
        if over or time.monotonic() > deadline:
            return now
        time.sleep(0.1)


@contextlib.contextmanager
def _target(folder: Path, key: str) -> Iterator[tuple[int, int]]:
    """A node's disk as its ramdisk exports it: the port, and the process."""
    secrets = proof.chap(key)
    with exported(blank(folder / "disk", 1 << 20)) as target:
        for name, secret, way in (
            (proof.INITIATOR, secrets.conductor, ()),
            (proof.TARGET, secrets.node, ("--outgoing",)),
        ):
            account = ("--mode", "account", "--user", name)
            target.admin("--op", "new", *account, "--password", secret)
            target.admin("--op", "bind", *account, "--tid", "1", *way)
        yield target.port, target.process.pid


def main() -> int:
    """Send; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    told, wrong = run(options.messages, options.seed)
    for one in told:
        print(f"{one.messages:>8} {one.kind:<6} {one.seconds:>6.0f} s  {one.before} -> {one.after}")
    for words in wrong:
        print(words)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
