"""A node's disk over iSCSI, without the kernel's initiator: libiscsi, by way of qemu-nbd.

qemu-nbd(8) logs in (RFC 7143), turns requests to zero into WRITE SAME with UNMAP where the target
offers it, and logs out when its client takes leave. Where the connection breaks, libiscsi makes
another and sends again what was not answered; what never comes back ends at the stall bound.
"""

import contextlib
import ipaddress
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bakery.conductor import qemu_nbd
from bakery.conductor.chap import check as check_node
from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.nbd import Nbd
from bakery.disk import blockdevs
from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.host.run import PIPE, Process, TimeoutExpired, ending, spawn, tail
from bakery.node.agent import proof

PORT = 3260
LUN = 1
LOGIN_SECONDS = 30.0
STALL_SECONDS = 60.0
LOGOUT_SECONDS = 10.0
START_SECONDS = 10.0
END_SECONDS = 1.0
POLL_SECONDS = 0.02
# RFC 7143, 4.2.7.1: at most 223 bytes. Ironic's early form `iqn-UUID` is none of that RFC's.
IQN = re.compile(r"iqn[-.][A-Za-z0-9][A-Za-z0-9.:_-]{0,218}")
INITIATOR = "iqn.2008-10.org.openstack:bakery"

Address = IPv4Address | IPv6Address


def plain_address(text: str) -> Address:
    """The IP address that `text` is; BakeryError where it is none, or has a scope id.

    A scope id (RFC 4007, section 11) means something on the machine that says it alone, and
    Python takes any text for one.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BakeryError(f"{shown(text)} is not an IP address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise BakeryError(f"{shown(text)} has a scope id, which means nothing to other machines")
    return address


@dataclass(frozen=True)
class Target:
    """Where a node exports its disk: an IP address, a target name, a port and a LUN."""

    address: str
    iqn: str
    port: int = PORT
    lun: int = LUN

    def __post_init__(self) -> None:
        plain_address(self.address)
        if not IQN.fullmatch(self.iqn):
            raise BakeryError(f"{self.iqn!r} is not an iSCSI target name")
        if not (0 < self.port < 1 << 16 and 0 <= self.lun < 1 << 8):
            raise BakeryError(f"port {self.port} or LUN {self.lun} is out of range")

    @property
    def portal(self) -> str:
        """`ADDRESS:PORT`, an IPv6 address in brackets."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    def node(self, *, secret: bool = False) -> blockdevs.BlockDevice:
        """The disk as a node of qemu's block layer (QAPI, BlockdevOptionsIscsi).

        With `secret`, it logs in with the secret that qemu_nbd.py hands in.
        """
        disk = {
            "driver": "iscsi",
            "transport": "tcp",
            "portal": self.portal,
            "target": self.iqn,
            "lun": self.lun,
            "initiator-name": INITIATOR,
        }
        login = {"user": proof.INITIATOR, "password-secret": qemu_nbd.CHAP_OBJECT} if secret else {}
        return {"driver": "raw", "file": disk | login}


@contextlib.contextmanager
def attached(
    target: Target,
    chap: proof.Chap | None = None,
    *,
    login_seconds: float = LOGIN_SECONDS,
    stall_seconds: float = STALL_SECONDS,
    command: qemu_nbd.Command = qemu_nbd.command,
) -> Iterator[Nbd]:
    """The disk of `target` for the length of the `with` block; logged out when it ends well.

    With `chap`, both ends prove who they are. Raises DiskFailed where the login fails or the disk
    is silent for `stall_seconds`. `command` tells how qemu-nbd is started.
    """
    if chap:
        portal = (target.address, target.port)
        check_node(portal, target.iqn, INITIATOR, chap, login_seconds)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(qemu_nbd.place(chap.conductor if chap else ""))
        words = command(place, target.node(secret=chap is not None))
        process = stack.enter_context(spawn(words, stderr=PIPE))
        link = stack.enter_context(_connected(place.server, process, target))
        link.settimeout(login_seconds)
        disk = _logged_in(link, process, target)
        link.settimeout(stall_seconds)
        yield disk
        disk.disconnect()
        link.close()
        with contextlib.suppress(TimeoutExpired):
            process.wait(LOGOUT_SECONDS)


def _connected(server: Path, process: Process, target: Target) -> socket.socket:
    """Our end of the disk; qemu-nbd listens first, and greets when it has logged in."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(server))
        except OSError:
            link.close()
        else:
            return link
        with contextlib.suppress(TimeoutExpired):
            process.wait(POLL_SECONDS)
    raise _no_login(target, process, f"qemu-nbd did not start within {START_SECONDS:g} s")


def _logged_in(link: socket.socket, process: Process, target: Target) -> Nbd:
    try:
        return Nbd(link)
    except DiskFailed as error:
        raise _no_login(target, process, error.message) from error


def _no_login(target: Target, process: Process, otherwise: str) -> DiskFailed:
    reason = _last_words(process) or otherwise
    return DiskFailed(f"cannot log in to the disk at {target.portal}: {reason}")


def _last_words(process: Process) -> str:
    """Why qemu-nbd has ended; empty where it has not."""
    with contextlib.suppress(TimeoutExpired):
        process.wait(END_SECONDS)
    if process.returncode is None:
        return ""
    assert process.stderr is not None
    words = tail(process.stderr.read(64 << 10), 2).rpartition("': ")[2]  # without our own options
    return words or f"qemu-nbd {ending(process.returncode)}"
