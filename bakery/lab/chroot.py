"""Run a program inside a tree as if it were the whole machine."""

from collections.abc import Sequence
from pathlib import Path

from bakery.run import Arg, Completed, run

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run_inside(
    tree: Path, argv: Sequence[Arg], *, stdin: bytes = b"", timeout: float = 600
) -> Completed:
    """Run `argv` with `tree` as its root, without network, in a PID namespace of its own.

    All it starts ends with it. It stays root with every capability, because package scripts own
    files, make device nodes and mount /proc.
    """
    confined: list[Arg] = [
        "bwrap", "--dev-bind", tree, "/", "--dev", "/dev", "--proc", "/proc",
        "--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp",  # noqa: S108 - the tree's own
        "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent",
        "--cap-add", "ALL", "--clearenv", "--setenv", "PATH", PATH, "--setenv", "HOME", "/root",
        "--setenv", "LC_ALL", "C.UTF-8", "--setenv", "DEBIAN_FRONTEND", "noninteractive", "--",
    ]
    return run([*confined, *argv], stdin=stdin, timeout=timeout)
