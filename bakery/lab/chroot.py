"""Run a program inside a tree as if it were the whole machine."""

from collections.abc import Sequence
from pathlib import Path

from bakery.run import Arg, Completed, run

# fmt: off
MOUNTS = (
    "--dev", "/dev", "--proc", "/proc",
    "--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp",  # noqa: S108 - the tree's own
)
# fmt: on
LIMITS = (
    *(f"--unshare-{namespace}" for namespace in ("pid", "net", "ipc", "uts")),
    *("--die-with-parent", "--cap-add", "ALL", "--clearenv"),
)
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def run_inside(
    tree: Path, argv: Sequence[Arg], *, stdin: bytes = b"", timeout: float = 600
) -> Completed:
    """Run `argv` with `tree` as its root, without network, in a PID namespace of its own.

    All it starts ends with it. It stays root with every capability, because package scripts own
    files, make device nodes and mount /proc.
    """
    settings = [word for pair in ENVIRONMENT.items() for word in ("--setenv", *pair)]
    confined: list[Arg] = ["bwrap", "--dev-bind", tree, "/", *MOUNTS, *LIMITS, *settings, "--"]
    return run([*confined, *argv], stdin=stdin, timeout=timeout)
