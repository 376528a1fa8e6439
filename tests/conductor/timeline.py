"""The table of docs/protocol.md: when each step of a deploy was first and last on the wire.

    .venv/bin/python -m tests.conductor.timeline CAPTURE

The capture is of one node's deploy, as tests/e2e/test_deploy.py leaves it (wire.pcap).
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conductor.capture import Packet, packets, steps

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAC = re.compile(r"01(-[0-9a-f]{2}){6}")
HEAD = "| first, s | last, s | times | from | what |\n|---|---|---|---|---|"


class Line(NamedTuple):
    """A step of one boot: seconds since the deploy's first packet, how often, who, what."""

    first: float
    last: float
    times: int
    source: str
    what: str


def lines(seen: Sequence[Packet]) -> Iterator[Line]:
    """The steps in order of their first packet; a DHCPDISCOVER begins the next boot."""
    boot: dict[str, Line] = {}
    start = None
    for name, packet in steps(seen):
        start = start or packet.at
        what = MAC.sub("01-MAC", UUID.sub("UUID", name))
        if what == "DHCPDISCOVER" and boot.keys() - {what}:
            yield from boot.values()
            boot = {}
        at = packet.at - start
        old = boot.get(what, Line(at, at, 0, _who(packet), what))
        boot[what] = old._replace(last=at, times=old.times + 1)
    yield from boot.values()


def table(seen: Sequence[Packet]) -> str:
    """The lines as Markdown."""
    rows = [
        f"| {line.first:.2f} | {line.last:.2f} | {line.times} | {line.source} | {line.what} |"
        for line in lines(seen)
    ]
    return "\n".join([HEAD, *rows])


def _who(packet: Packet) -> str:
    """C for the conductor, whose address is the network's first; N for a node."""
    return "C" if packet.source[0].endswith(".1") else "N"


if __name__ == "__main__":
    print(table(list(packets(Path(sys.argv[1])))))
