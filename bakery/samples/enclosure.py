"""Run a program so that all it starts ends with it: on this machine, or inside a tree.

Both are a PID namespace made by bubblewrap: shell programs such as debootstrap leave children
behind when they are killed, and those would keep mounts and loop devices busy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bakery.host.run import Arg, Completed, run

# fmt: off
MOUNTS = (
    "--dev", "/dev", "--proc", "/proc",
    "--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var/tmp",  # noqa: S108 - the tree's own
)
# fmt: on
# It stays root with every capability: packages own files, make device nodes and mount /proc.
ENCLOSED = ("--unshare-pid", "--die-with-parent", "--cap-add", "ALL")
APART = ("--unshare-net", "--unshare-ipc", "--unshare-uts", "--clearenv")
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def run_enclosed(
    argv: Sequence[Arg], *, env: Mapping[str, str] | None = None, timeout: float = 600
) -> Completed:
    """Run `argv` on this machine as it is."""
    enclosed: list[Arg] = ["bwrap", "--dev-bind", "/", "/", "--proc", "/proc", *ENCLOSED, "--"]
    return run([*enclosed, *argv], env=env, timeout=timeout)


def run_inside(
    tree: Path, argv: Sequence[Arg], *, stdin: bytes = b"", timeout: float = 600
) -> Completed:
    """Run `argv` with `tree` as its root, without network."""
    settings = [word for pair in ENVIRONMENT.items() for word in ("--setenv", *pair)]
    enclosed: list[Arg] = ["bwrap", "--dev-bind", tree, "/", *MOUNTS, *ENCLOSED, *APART, *settings]
    return run([*enclosed, "--", *argv], stdin=stdin, timeout=timeout)
