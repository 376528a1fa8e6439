"""A cage for programs that parse image bytes: bubblewrap, and bounds on memory, time and output.

Inside there is no network, no other process, a private /tmp, the system's programs read-only,
and of the caller's files only those named. The cage dies with bakery (PR_SET_PDEATHSIG), and
with it every process and every mount made inside.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bakery import tools
from bakery.errors import BakeryError
from bakery.run import Arg, Completed, Limits, run

DEFAULT_LIMITS = Limits(memory_bytes=1 << 30, cpu_seconds=60, file_bytes=1 << 40)
# Each kind of namespace by name: `--unshare-all` only tries for the user namespace, and root
# without one would keep its power over the machine.
NAMESPACES = ("user", "ipc", "pid", "net", "uts")
SYSTEM_FOLDERS = (
    "/usr",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl",
    "/opt",
    "/nix",
)
USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True)
class Mount:
    """A file or folder of the caller's that the cage shows under another name."""

    source: Path
    target: Path
    writable: bool = False

    def argv(self) -> list[Arg]:
        """The bwrap(1) words for it."""
        return ["--bind" if self.writable else "--ro-bind", self.source, self.target]


@dataclass(frozen=True)
class Cage:
    """What a confined program may touch: files and folders to read, and to write.

    `mounts` are shown under names of their own. `fuse` lets the program mount a FUSE filesystem
    that nobody outside can see.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    mounts: tuple[Mount, ...] = ()
    fuse: bool = False
    limits: Limits = field(default=DEFAULT_LIMITS)

    def argv(self, argv: Sequence[Arg]) -> list[Arg]:
        """The command that runs `argv` inside; `argv` itself where there is no working bwrap."""
        words = [*self.limits.argv(), *argv]
        return [*self._bwrap(), *words] if available() else words

    def _bwrap(self) -> list[Arg]:
        words: list[Arg] = [
            "bwrap",
            *_namespaces(),
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
        ]
        words += _system_view()
        if self.fuse:
            words += ["--uid", "0", "--gid", "0", "--cap-add", "CAP_SYS_ADMIN"]
            words += ["--dev-bind", "/dev/fuse", "/dev/fuse"]
        shown = [Mount(path, path) for path in self.read]
        shown += [Mount(path, path, writable=True) for path in self.write]
        for mount in (*shown, *self.mounts):
            words += mount.argv()
        return [*words, "--"]


def run_confined(argv: Sequence[Arg], cage: Cage, **options: object) -> Completed:
    """`run` inside `cage`; `options` are those of `run`."""
    return run(cage.argv(argv), **options)  # type: ignore[arg-type]


@functools.cache
def available() -> bool:
    """Whether bubblewrap works here: seen to, not assumed (user namespaces may be forbidden)."""
    if tools.find("bwrap") is None:
        return False
    try:
        run(["bwrap", *_namespaces(), *_system_view(), "--", "true"], timeout=10)
    except BakeryError:
        return False
    return True


def _namespaces() -> list[Arg]:
    return [f"--unshare-{kind}" for kind in NAMESPACES]


def _system_view() -> list[Arg]:
    words: list[Arg] = []
    for folder in SYSTEM_FOLDERS:
        if os.path.exists(folder):  # noqa: PTH110 - a plain question, asked often
            words += ["--ro-bind", folder, folder]
    for name in USR_LINKS:
        path = Path("/") / name
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), path]
        elif path.is_dir():
            words += ["--ro-bind", path, path]
    return words
