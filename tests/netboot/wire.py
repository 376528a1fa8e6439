"""A small network in namespaces: one for servers, with a bridge, and one for each client."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from bakery.netboot.wire_events import Event
from tests.conftest import REPOSITORY
from tests.netboot.host import Spec

TIMEOUT_SECONDS = 60.0

Kind = TypeVar("Kind", bound=msgspec.Struct)


def mac(number: int) -> str:
    return f"52:54:00:88:00:{number:02x}"


class Place:
    """A network namespace, kept by a process that sleeps until it is closed."""

    def __init__(self, within: "Place | None" = None) -> None:
        words = ["unshare", "--net"]
        if within is None and os.geteuid() != 0:
            words = ["unshare", "--user", "--map-root-user", "--net"]
        enter: list[str] = within.words if within else []
        self._keeper = subprocess.Popen(
            [*enter, *words, "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._keeper.stdout and self._keeper.stdout.readline() == b"ready\n"
        self.pid = self._keeper.pid
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.words: list[str] = ["nsenter", "--target", str(self.pid), *user, "--net"]
        self.run("ip", "link", "set", "lo", "up")

    def run(
        self, *argv: str | Path, check: bool = True, timeout: float = TIMEOUT_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.words, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
        return done

    def close(self) -> None:
        self._keeper.kill()
        self._keeper.wait()
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            assert pipe
            pipe.close()


class Network:
    """The servers' place with the bridge `br0`, 192.168.88.1/24; clients are added to it."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.servers = self._place(None)
        run = self.servers.run
        run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        run("ip", "address", "add", "192.168.88.1/24", "broadcast", "+", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        run("ip", "address", "add", "fe80::1/64", "dev", "br0", "nodad", check=False)

    def client(self, number: int) -> Place:
        """A machine with one card, `eth0`, up and without an address."""
        place = self._place(self.servers)
        end = f"port{number}"
        peer = ("peer", "name", "eth0", "netns", str(place.pid))
        self.servers.run("ip", "link", "add", end, "type", "veth", *peer)
        self.servers.run("ip", "link", "set", end, "master", "br0", "up")
        place.run("ip", "link", "set", "eth0", "address", mac(number), "up")
        return place

    def tap(self, number: int) -> str:
        """The name of a cable for a virtual machine."""
        name = f"tap{number}"
        self.servers.run("ip", "tuntap", "add", "dev", name, "mode", "tap")
        self.servers.run("ip", "link", "set", name, "master", "br0", "up")
        return name

    def close(self) -> None:
        self._stack.close()

    def _place(self, within: Place | None) -> Place:
        place = Place(within)
        self._stack.callback(place.close)
        return place


class Host:
    """Servers in the servers' place (or another), and the events they told so far."""

    def __init__(self, place: Place, spec: Spec, folder: Path) -> None:
        path = folder / f"spec-{time.monotonic_ns()}.json"
        path.write_bytes(msgspec.json.encode(spec))
        self.events: list[Event] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [*place.words, sys.executable, "-m", "tests.netboot.host", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a machine would."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def wait_for(
        self,
        kind: type[Kind],
        wanted: Callable[[Kind], bool] = lambda _event: True,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Kind:
        """The first event of that kind that is `wanted`; the test fails where none comes."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for event in self.events:
                    if isinstance(event, kind) and wanted(event):
                        return event
                left = deadline - time.monotonic()
                assert left > 0, self.events
                assert self._news.wait(left), self.events

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The events of one kind, in order."""
        with self._news:
            return [event for event in self.events if isinstance(event, kind)]

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                event = msgspec.json.decode(line, type=Event)
                with self._news:
                    self.events.append(event)
                    self._news.notify_all()


@contextlib.contextmanager
def a_network() -> Iterator[Network]:
    network = Network()
    try:
        yield network
    finally:
        network.close()
