"""A cage for programs that parse strangers' bytes: bubblewrap, and bounds on memory, time, output.

Inside there is no network (but for what speaks with a node), no other process, a private /tmp, the
system's programs read-only, and of the caller's files only those named. The cage dies with bakery
(PR_SET_PDEATHSIG), and with it every process and every mount made inside.
"""

import functools
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.run import Arg, Completed, Limits, run

DEFAULT_LIMITS = Limits(memory_bytes=1 << 30, cpu_seconds=60, file_bytes=1 << 40)
# Each kind of namespace by name: `--unshare-all` only tries for the user namespace, and root
# without one would keep its power over the machine.
NETWORK = "net"
NAMESPACES = ("user", "ipc", "pid", NETWORK, "uts")
# Users that no file belongs to: those of systemd's DynamicUser= (systemd.exec(5)).
NOBODYS = range(61184, 65520)
ALL_USERS = Path(__file__).with_name("all_users.py")
USR_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Programs, their libraries and data, and nothing that is somebody's: no /opt, no /etc/ssl.
SYSTEM_FOLDERS = (
    *(f"/usr/{name}" for name in (*USR_LINKS, "libexec", "share")),
    *(f"/usr/local/{name}" for name in ("bin", "sbin", "lib")),
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
)


class NoCage(BakeryError):
    """An image was to be parsed where bubblewrap does not work, and nobody allowed that."""


class _Decision:
    """What was decided for this process, once, by who started it."""

    unconfined = False


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
    that nobody outside can see. With `network` it has the caller's. `user` is who it runs as, one
    of `nobody`'s; None for the caller.
    """

    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()
    mounts: tuple[Mount, ...] = ()
    fuse: bool = False
    network: bool = False
    user: int | None = None
    limits: Limits = field(default=DEFAULT_LIMITS)

    def argv(self, argv: Sequence[Arg]) -> list[Arg]:
        """The command that runs `argv` inside; `argv` itself where that was permitted."""
        words = [*self.limits.argv(), *argv]
        return [*_becoming(self.user), *(self.entry() if confined() else ()), *words]

    def entry(self) -> list[Arg]:
        """The bwrap(1) command up to the program's own words.

        There is no /proc inside: nothing that runs there needs it, and where the caller's own
        is partly hidden (most containers) the kernel forbids to mount another.
        """
        shown = [Mount(path, path) for path in self.read]
        shown += [Mount(path, path, writable=True) for path in self.write]
        shown += self.mounts
        words = entrance(shown, network=self.network, user=self.user)
        words += ["--dev", "/dev", "--tmpfs", "/tmp"]
        words += _system_view()
        if self.fuse:
            # The program is the first process there: whatever way it ends, all else inside ends
            # with it, and so do its mounts.
            words += ["--as-pid-1"]
            words += ["--uid", "0", "--gid", "0"] if "--unshare-user" in words else []
            words += ["--cap-add", "CAP_SYS_ADMIN", "--dev-bind", "/dev/fuse", "/dev/fuse"]
        for mount in shown:
            words += mount.argv()
        return [*words, "--"]


def permit_unconfined() -> None:
    """From here on images may be parsed where there is no cage."""
    _Decision.unconfined = True


def confined() -> bool:
    """Whether what parses images runs in a cage: False where that is not so and was permitted.

    NoCage where there is none and it was not; root has the most to lose by it.
    """
    if available():
        return True
    if _Decision.unconfined:
        return False
    missing = tools.install_hint(tools.missing(["bwrap"]))
    raise NoCage(
        "bubblewrap does not work here, so that what reads strangers' bytes could not be confined",
        f"{missing or 'allow user namespaces (bakery doctor)'}; or, for an image or nodes that you "
        "trust: --unconfined",
    )


def run_confined(
    argv: Sequence[Arg], cage: Cage, *, name: str = "", **options: object
) -> Completed:
    """`run` inside `cage`; `name` and `options` are those of `run`."""
    return run(cage.argv(argv), name=name or Path(argv[0]).name, **options)  # type: ignore[arg-type]


def interpreter() -> tuple[list[Arg], tuple[Mount, ...]]:
    """The words that run a Python program inside a cage by itself, and what that needs to see."""
    base = Path(sys.base_prefix)
    seen = () if base.is_relative_to("/usr") else (Mount(base, base),)
    return [os.path.realpath(sys.executable), "-I", "-S"], seen


@functools.cache
def available() -> bool:
    """Whether bubblewrap works here: seen to, not assumed (user namespaces may be forbidden)."""
    if tools.find("bwrap") is None:
        return False
    try:
        run([*Cage().entry(), "true"], timeout=10)
    except BakeryError:
        return False
    return True


def nobody() -> int | None:
    """A user whom no file belongs to, to run a program in a cage as; None where root alone, or no
    root, could enter one.
    """
    return secrets.choice(NOBODYS) if _nobody_may() else None


@functools.cache
def _nobody_may() -> bool:
    """Whether such a user can enter a cage: tried, not assumed."""
    if os.geteuid() != 0:
        return False
    user = NOBODYS[0]
    try:
        run([*_becoming(user), *Cage(user=user).entry(), "true"], timeout=10)
    except BakeryError:
        return False
    return True


def _becoming(user: int | None) -> list[Arg]:
    """The setpriv(1) words that make root that user, for good."""
    if user is None:
        return []
    who = (f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs")
    return ["setpriv", *who, "--"]


def entrance(
    shown: Sequence[Mount], *, network: bool = False, user: int | None = None
) -> list[Arg]:
    """The beginning of the bwrap(1) command of a cage that will show `shown`, and no mount yet.

    Namespaces of its own, no power, an end with its parent. Where root could not use what it is
    shown, the user namespace is made beforehand; in that bubblewrap is root. The cage stays in
    the session `run` gave it, which has no terminal: all of it ends with its process group.
    """
    root = os.geteuid() == 0 and user is None
    every_user = root and not all(map(_root_may, shown))
    words: list[Arg] = ["bwrap"]
    kinds = [kind for kind in NAMESPACES if not (network and kind == NETWORK)]
    if every_user:
        words = [os.path.realpath(sys.executable), "-I", "-S", ALL_USERS, "bwrap"]
        kinds.remove("user")
    words += [f"--unshare-{kind}" for kind in kinds]
    words += ["--die-with-parent", "--cap-drop", "ALL"]
    return words + (["--cap-add", "CAP_DAC_OVERRIDE"] if every_user else [])


def _root_may(mount: Mount) -> bool:
    """Whether root may use a file even where it has no power over the files of others."""
    path = mount.source.absolute()
    try:
        wanted = 0o5 if path.is_dir() else 0o4
        wanted |= 0o2 if mount.writable else 0
        return _grants(path, wanted) and all(_grants(parent, 0o1) for parent in path.parents)
    except OSError:
        return True  # let bubblewrap say what is wrong with it


def _grants(path: Path, wanted: int) -> bool:
    """Whether a file's mode grants root, as user 0 of group 0, the `wanted` of rwx."""
    status = path.stat()
    mode = status.st_mode
    if status.st_uid == 0:
        mode >>= 6
    elif status.st_gid == 0:
        mode >>= 3
    return mode & wanted == wanted


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
