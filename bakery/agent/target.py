"""The disk on the network: one iSCSI target of tgtd (tgtd(8), tgtadm(8)), LUN 1."""

import contextlib
import os
import time
from collections.abc import Iterator

from .errors import AgentError
from .programs import Process, call, start

TGTD, TGTADM = "/usr/sbin/tgtd", "/usr/sbin/tgtadm"
SOCKETS = "/var/run/tgtd"  # where tgtd opens its control socket; it does not make the folder
START_SECONDS = 30.0
POLL_SECONDS = 0.05
PORT = 3260


@contextlib.contextmanager
def exported(device: str, iqn: str, port: int = PORT) -> Iterator[None]:
    """Export a disk or a file to everyone, as the classic deployment wants it, for the block."""
    with contextlib.suppress(FileExistsError):
        os.makedirs(SOCKETS)
    daemon = start([TGTD, "--foreground", "--iscsi", f"portal=0.0.0.0:{port}"])
    try:
        _wait_until_it_answers(daemon)
        _target("new", "-T", iqn)
        _unit("new", "-b", device)
        # Without it, WRITE SAME and UNMAP are not offered and every zero has to travel.
        _unit("update", "--params", "thin_provisioning=1")
        _target("bind", "-I", "ALL")
        yield
    finally:
        # It takes no SIGTERM while it has a target. What was written is with the kernel by then.
        daemon.kill()
        daemon.wait()


def _wait_until_it_answers(daemon: Process[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        if daemon.poll() is not None:
            raise AgentError(f"tgtd ended at once (exit code {daemon.returncode})")
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


def _tgtadm(operation: str, mode: str, *words: str) -> None:
    call([TGTADM, "--lld", "iscsi", "--op", operation, "--mode", mode, *words])
