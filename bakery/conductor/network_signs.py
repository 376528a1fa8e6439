"""Signs of a node's own system that are seen over the network: an ssh banner, or answers to ping.

The addresses are those that the node was given. What the deploy ramdisk or firmware answers
there is no sign: after the switch, the node has to have asked for an address again, and for a ping
something else than its firmware has (iPXE answers one). Where that is not heard, by a conductor
that followed a killed one or on a network that is not ours, the banner counts, for whose server the
ramdisk has no room, and a ping that was silent for a while and then stays.

Source: RFC 4253, 4.2 (what an ssh server says first), RFC 792 (echo).
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Literal

from bakery.conductor.means import Sign
from bakery.host.printable import printable
from bakery.netboot import ping

SSH_PORT = 22
BANNERS = (b"SSH-2.0-", b"SSH-1.99-")
BANNER_LIMIT_BYTES = 4096
"""A server may say other lines before."""
BANNER_CHARACTERS = 100
PROBE_SECONDS = 2.0
PAUSE_SECONDS = 0.5
PING_STAYS_SECONDS = 60.0
"""Answers to ping are taken for the best sign after so long without a banner."""
UNHEARD_SECONDS = 180.0
"""The same where nobody heard the node ask for its address: longer than firmware loads a system."""

Until = Literal["any", "ssh", "ping"]


class NetworkSigns:
    """Looks for the sign that `until` asks for.

    `holds` tells whether an address is the node's, `agent` the one that its ramdisk had or has;
    empty where it did not report. Where nobody `hears` the node ask for an address, as with one
    that boots from a medium, it is watched as by a conductor that followed a killed one.
    """

    silence = (
        "look at the node's console; if its system cannot be seen on this network, use "
        "--until written"
    )

    def __init__(
        self,
        holds: Callable[[str], bool],
        agent: Callable[[], str],
        until: Until = "any",
        *,
        hears: bool = True,
        port: int = SSH_PORT,
    ) -> None:
        self._holds, self._agent, self._until, self._port = holds, agent, until, port
        self._hears = hears
        self._lock = threading.Lock()
        self._marked = False
        self._was_silent = False
        self._asked: set[Literal["firmware", "system"]] = set()
        self._given: set[str] = set()
        self._answers_since: dict[str, float] = {}

    def asked(self, address: str, *, firmware: bool) -> None:
        """The node's firmware or its system asked for an address, and was given this one, if any.

        Called by other threads.
        """
        with self._lock:
            self._asked.add("firmware" if firmware else "system")
            self._given |= {address} - {""}

    def mark(self) -> int:
        """The node is let go to its system; the number means nothing."""
        with self._lock:
            self._marked = True
            self._asked.clear()
        self._was_silent = False
        self._answers_since.clear()
        return 0

    def up(self, mark: int, seconds: float) -> Sign | None:
        """Look at least once, and again for that long."""
        deadline = time.monotonic() + seconds
        while True:
            for address in self._addresses():
                if sign := self._at(address):
                    return sign
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            time.sleep(min(left, PAUSE_SECONDS))

    def _addresses(self) -> list[str]:
        """Where the node may be: what it was given, or its ramdisk had, and nobody else has."""
        with self._lock:
            known = self._given | {self._agent()} - {""}
        return sorted(address for address in known if self._holds(address))

    def _at(self, address: str) -> Sign | None:
        restarted, by_system = self._restarted()
        if not restarted:
            return None
        if self._until != "ping" and (banner := self._banner(address)):
            return Sign("ssh", f"ssh answers at {address}: {banner}")
        if self._until != "ssh" and self._stays(address, by_system):
            return Sign("ping", f"{address} answers ping, but not ssh")
        return None

    def _restarted(self) -> tuple[bool, bool]:
        """Whether the node may have started anew since the mark, and whether its system asked."""
        with self._lock:
            unheard = not self._marked or not self._hears
            return bool(self._asked) or unheard, "system" in self._asked

    def _stays(self, address: str, by_system: bool) -> bool:  # noqa: FBT001 - two kinds of answer
        """Whether the address has answered to each ping for long enough."""
        # What answers without a pause since the mark may be the ramdisk, which did not go.
        left = by_system or not self._marked or (not self._hears and self._was_silent)
        answers = ping.answers(IPv4Address(address), PROBE_SECONDS)
        self._was_silent |= not answers
        if not left or not answers:
            self._answers_since.pop(address, None)
            return False
        since = self._answers_since.setdefault(address, time.monotonic())
        if by_system and self._until == "ping":
            return True
        needed = PING_STAYS_SECONDS if by_system else UNHEARD_SECONDS
        return time.monotonic() - since >= needed

    def _banner(self, address: str) -> str:
        """What an ssh server there calls itself; empty where none answers."""
        read = b""
        with contextlib.suppress(OSError):
            where = (address, self._port)
            deadline = time.monotonic() + PROBE_SECONDS
            with socket.create_connection(where, timeout=PROBE_SECONDS) as link:
                while len(read) < BANNER_LIMIT_BYTES and (left := deadline - time.monotonic()) > 0:
                    link.settimeout(left)
                    piece = link.recv(BANNER_LIMIT_BYTES)
                    read += piece
                    *whole, _ = read.split(b"\n")
                    for line in whole:
                        if line.startswith(BANNERS):
                            return printable(line.rstrip(b"\r"), BANNER_CHARACTERS)
                    if not piece:
                        break
        return ""


class WrittenSigns:
    """For who will look at the node himself: nothing of its system is waited for."""

    silence = ""

    def mark(self) -> int:
        """Any number."""
        return 0

    def up(self, mark: int, seconds: float) -> Sign:
        """The disk is written, and that is all."""
        return Sign("written", "its start is not watched")
