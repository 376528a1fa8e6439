"""The disk on the network: one iSCSI target of tgtd (tgtd(8), tgtadm(8)), LUN 1.

It is for one initiator address, and both ends log in by CHAP (RFC 7143, 12.1).
"""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from . import proof
from .errors import AgentError
from .programs import Process, call, start

TGTD, TGTADM = "/usr/sbin/tgtd", "/usr/sbin/tgtadm"
SOCKETS = "/var/run/tgtd"  # where tgtd opens its control socket; it does not make the folder
START_SECONDS = 30.0
POLL_SECONDS = 0.05
PORT = 3260
EVERYBODY = "ALL"


class Access(NamedTuple):
    """Who may log in: from which address (EVERYBODY: any), and by which secrets."""

    address: str
    chap: proof.Chap


@contextlib.contextmanager
def exported(device: str, iqn: str, access: Access | None, port: int = PORT) -> Iterator[None]:
    """Export a disk or a file for the block.

    Without `access` it is for everyone, as the classic deployment wants it on a wire it trusts.
    """
    with contextlib.suppress(FileExistsError):
        os.makedirs(SOCKETS)
    daemon = start([TGTD, "--foreground", "--iscsi", f"portal=0.0.0.0:{port}"])
    try:
        _wait_until_it_answers(daemon)
        _target("new", "-T", iqn)
        _unit("new", "-b", device)
        # Without it, WRITE SAME and UNMAP are not offered and every zero has to travel.
        _unit("update", "--params", "thin_provisioning=1")
        if access:
            # Nobody but the agent runs here to see them among the arguments.
            _account(proof.INITIATOR, access.chap.conductor)
            _account(proof.TARGET, access.chap.node, "--outgoing")
        _target("bind", "-I", access.address if access else EVERYBODY)
        yield
    finally:
        # It takes no SIGTERM while it has a target. What was written is with the kernel by then.
        daemon.kill()
        daemon.wait()


def _wait_until_it_answers(daemon: Process[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if daemon.poll() is not None:
            raise AgentError(f"tgtd exited at once (exit code {daemon.returncode})")
        try:
            _tgtadm("show", "sys")
        except AgentError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def _target(operation: str, *words: str) -> None:
    _tgtadm(operation, "target", "--tid", "1", *words)


def _unit(operation: str, *words: str) -> None:
    _tgtadm(operation, "logicalunit", "--tid", "1", "--lun", "1", *words)


def _account(name: str, secret: str, *outgoing: str) -> None:
    _tgtadm("new", "account", "--user", name, "--password", secret)
    _tgtadm("bind", "account", "--tid", "1", "--user", name, *outgoing)


def _tgtadm(operation: str, mode: str, *words: str) -> None:
    call([TGTADM, "--lld", "iscsi", "--op", operation, "--mode", mode, *words])
