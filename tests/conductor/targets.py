"""A real iSCSI target for a test: Debian's tgtd on a loopback port."""

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

IQN = "iqn.2008-10.org.openstack:6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11"


@dataclass(frozen=True)
class Tgtd:
    """A running target: where it listens, and the process."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def admin(self, *words: str) -> str:
        return subprocess.run(
            ["/usr/sbin/tgtadm", "--lld", "iscsi", *words],
            env=environment(self.folder),
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def sessions(self) -> bool:
        """Whether an initiator is logged in."""
        return "I_T nexus:" in self.admin("--op", "show", "--mode", "target")


@contextlib.contextmanager
def exported(disk: Path, *, port: int = 0, thin: bool = True) -> Iterator[Tgtd]:
    """`disk` as LUN 1 of target IQN, as a deploy ramdisk exports it."""
    with running(port or free_port()) as target:
        target.admin("--op", "new", "--mode", "target", "--tid", "1", "-T", IQN)
        lun = ("--mode", "logicalunit", "--tid", "1", "--lun", "1")
        target.admin("--op", "new", *lun, "-b", str(disk))
        if thin:
            target.admin("--op", "update", *lun, "--params", "thin_provisioning=1")
        target.admin("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")
        yield target


@contextlib.contextmanager
def running(port: int) -> Iterator[Tgtd]:
    """tgtd without any target; its control socket is in a folder of its own."""
    words = ["/usr/sbin/tgtd", "-f", "--iscsi", f"portal=127.0.0.1:{port}"]
    with tempfile.TemporaryDirectory(prefix="tgtd-") as folder:
        process = subprocess.Popen(
            words,
            env=environment(Path(folder)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        target = Tgtd(port, Path(folder), process)
        try:
            until(lambda: ready(target))
            yield target
        finally:
            process.kill()
            process.wait()


def environment(folder: Path) -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TGT_IPC_SOCKET": str(folder / "control")}


def until(condition: Callable[[], bool], seconds: float = 60, pause: float = 0.02) -> None:
    """Return when `condition` holds, which is looked at after each pause (seconds)."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for never came"
        time.sleep(pause)


def ready(target: Tgtd) -> bool:
    with contextlib.suppress(subprocess.CalledProcessError):
        target.admin("--op", "show", "--mode", "target")
        return True
    return False


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def blank(path: Path, size_bytes: int, *, old: bytes = b"") -> Path:
    """A disk of that size; `old` is what another system left on it, over and over."""
    with path.open("wb") as file:
        for _ in range(size_bytes // len(old) if old else 0):
            file.write(old)
        file.truncate(size_bytes)
    return path


def stored_bytes(path: Path) -> int:
    return path.stat().st_blocks * 512
