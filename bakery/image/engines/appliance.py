"""Where the libguestfs appliance runs: its environment, and the cage around it.

guestfish(1), ENVIRONMENT VARIABLES, tells of every variable set here. The appliance itself (a
kernel and a root filesystem made from this machine's own packages) is cached between sessions;
everything else a session makes lies in its scratch folder or in the cage's memory.
"""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

from bakery.host import folders, sandbox
from bakery.host.errors import BakeryError
from bakery.host.kvm import Accel, cache_folder
from bakery.host.run import Arg, run
from bakery.host.sandbox import Mount

# What the host keeps there is none of the guest's business; /tmp takes libguestfs' sockets.
HIDDEN_FOLDERS = (
    *("/tmp", "/var/tmp", "/run", "/home", "/root", "/opt", "/nix", "/srv", "/mnt"),  # noqa: S108
    *("/media", "/etc/ssl/private", "/etc/ssh", "/var/log", "/var/mail", "/var/spool"),
    "/var/backups",
)
HIDDEN_FILES = ("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-")
# sun_path holds 108 bytes (unix(7)); libguestfs adds a folder and a name of 40.
SOCKET_FOLDER_LIMIT = 60


@dataclass(frozen=True)
class Place:
    """The folders and files of one session, all absolute and free of symlinks.

    `work` is written to (the overlay, and `scratch` inside it), `source` is only read, `cache`
    outlives the session.
    """

    source: Path
    work: Path
    scratch: Path
    cache: Path


def environment(accel: Accel, place: Place, *, caged: bool) -> dict[str, str]:
    """The variables guestfish is started with.

    With `tcg` the appliance never touches /dev/kvm: that it exists proves nothing. Without a
    cage the sockets go to a folder of the session where the name is short enough for one.
    """
    private = Path("/tmp") if caged else place.scratch  # noqa: S108 - the cage has its own
    variables = {
        "HOME": str(private),
        "TMPDIR": str(private),
        "LIBGUESTFS_TMPDIR": str(private),
        "LIBGUESTFS_CACHEDIR": str(place.cache),
        "LIBGUESTFS_BACKEND": "direct",
        # supermin unpacks parts of the appliance with tar, which as root gives files to the
        # owners they had where the package was built: users that the cage does not have.
        "TAR_OPTIONS": "--no-same-owner",
    }
    if accel == "tcg":
        variables["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    if not caged and len(os.fsencode(private)) <= SOCKET_FOLDER_LIMIT:
        variables["XDG_RUNTIME_DIR"] = str(private)
    return variables


def cage(place: Place) -> list[Arg]:
    """The words that put a command into bubblewrap; none where that was permitted.

    Inside there is no network, the host is read-only and its private folders are gone; of the
    caller's files only those of `place` are there. Every process inside ends with the first
    one, and that one with bakery: no appliance outlives it.
    """
    if not sandbox.confined():
        return []
    shown = [Mount(place.source, place.source)]
    shown += [Mount(path, path, writable=True) for path in (place.work, place.cache)]
    words = [*sandbox.entrance(shown), "--ro-bind", "/", "/", *_proc()]
    words += ["--dev", "/dev", "--dev-bind-try", "/dev/kvm", "/dev/kvm"]
    for folder in _hidden():
        words += ["--tmpfs", folder]
    for file in HIDDEN_FILES:
        words += ["--ro-bind", "/dev/null", file] if Path(file).is_file() else []
    for mount in shown:
        words += mount.argv()
    return [*words, "--"]


def appliance_cache(scratch: Path) -> Path:
    """The folder the appliance is kept in: the user's own, or inside `scratch` without one."""
    folder = cache_folder() / "appliance"
    try:
        folders.make(folder, mode=0o700)
    except (OSError, folders.Untrusted):
        folder = scratch / "cache"
        folder.mkdir()
    return folder.resolve()


@functools.cache
def _proc() -> tuple[Arg, ...]:
    """The words for a /proc of the cage's own; none where only the caller's can be had.

    Where that is partly hidden (most containers) the kernel forbids to mount another.
    """
    try:
        run([*sandbox.entrance([]), "--ro-bind", "/", "/", "--proc", "/proc", "true"], timeout=10)
    except BakeryError:
        return ()
    return ("--proc", "/proc")


def _hidden() -> list[str]:
    """The folders to hide that exist, symlinks followed: bubblewrap cannot mount on a link."""
    real = (os.path.realpath(folder) for folder in HIDDEN_FOLDERS)
    return [folder for folder in dict.fromkeys(real) if Path(folder).is_dir()]
