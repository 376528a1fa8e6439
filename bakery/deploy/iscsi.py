"""A node's disk over iSCSI, without the kernel's initiator: libiscsi, by way of qemu-nbd.

qemu-nbd(8) logs in (RFC 7143), turns requests to zero into WRITE SAME with UNMAP where the target
offers it, and logs out when its client takes leave. Where the connection breaks, libiscsi makes
another and sends again what was not answered; what never comes back ends at the stall bound.
"""

import contextlib
import ipaddress
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bakery.deploy.nbd import DiskFailed, Nbd
from bakery.errors import BakeryError
from bakery.run import PIPE, Process, TimeoutExpired, ending, spawn, tail

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


@dataclass(frozen=True)
class Target:
    """Where a node exports its disk: an IP address, a target name, a port and a LUN."""

    address: str
    iqn: str
    port: int = PORT
    lun: int = LUN

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            raise BakeryError(f"{self.address!r} is no IP address of an iSCSI target") from None
        if not IQN.fullmatch(self.iqn):
            raise BakeryError(f"{self.iqn!r} is no name of an iSCSI target")
        if not (0 < self.port < 1 << 16 and 0 <= self.lun < 1 << 8):
            raise BakeryError(f"port {self.port}, LUN {self.lun} is no place of an iSCSI disk")

    @property
    def portal(self) -> str:
        """`ADDRESS:PORT`, an IPv6 address in brackets."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"

    def options(self) -> str:
        """The disk as qemu's block layer takes it (qemu(1), `-blockdev driver=iscsi`)."""
        words = {
            "driver": "raw",
            "file.driver": "iscsi",
            "file.transport": "tcp",
            "file.portal": self.portal,
            "file.target": self.iqn,
            "file.lun": str(self.lun),
            "file.initiator-name": INITIATOR,
        }
        return ",".join(f"{key}={value}" for key, value in words.items())


@contextlib.contextmanager
def attached(
    target: Target, *, login_seconds: float = LOGIN_SECONDS, stall_seconds: float = STALL_SECONDS
) -> Iterator[Nbd]:
    """The disk of `target` for the length of the `with` block; logged out when it ends well.

    Raises DiskFailed where the login fails or the disk is silent for `stall_seconds`.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bakery-iscsi-")))
        server = folder / "disk"
        process = stack.enter_context(spawn(_argv(server, target), stderr=PIPE))
        link = stack.enter_context(_connected(server, process, target))
        link.settimeout(login_seconds)
        disk = _logged_in(link, process, target)
        link.settimeout(stall_seconds)
        yield disk
        disk.disconnect()
        link.close()
        with contextlib.suppress(TimeoutExpired):
            process.wait(LOGOUT_SECONDS)


def _argv(server: Path, target: Target) -> list[str | Path]:
    return [
        *("qemu-nbd", "--socket", server, "--shared=1", "--cache=none", "--aio=threads"),
        *("--discard=unmap", "--detect-zeroes=off", "--image-opts", target.options()),
    ]


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
    return DiskFailed(f"no login to the disk at {target.portal}: {reason}")


def _last_words(process: Process) -> str:
    """Why qemu-nbd has ended; empty where it has not."""
    with contextlib.suppress(TimeoutExpired):
        process.wait(END_SECONDS)
    if process.returncode is None:
        return ""
    assert process.stderr is not None
    words = tail(process.stderr.read(64 << 10), 2).rpartition("': ")[2]  # without our own options
    return words or f"qemu-nbd {ending(process.returncode)}"
