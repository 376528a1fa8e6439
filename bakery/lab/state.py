"""The record of a running lab, `lab.json` in its folder: written by its keeper, read by everyone.

The keeper holds a lock on the file `lab.lock` (fcntl(2), F_SETLK) as long as it lives; who asks
for the lock learns the keeper's process number from the kernel, so a record can be told from what
a killed keeper left.
"""

import fcntl
import os
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.run import Arg
from bakery.lab import authority

if TYPE_CHECKING:
    from bakery.bmc.access import RedfishAccess

RECORD = "lab.json"
LOCK = "lab.lock"
LOG = "keeper.log"
NODE_PREFIX = "node-"
FOLDER_VARIABLE = "BAKERY_LAB"
RECORD_LIMIT_BYTES = 1 << 20
MASK = "******"
START_HINT = "bakery lab up"
# struct flock of fcntl(2) on 64-bit Linux: type, whence, start, length, process.
FLOCK = "hhqqi4x"

Firmware = Literal["bios", "uefi"]
NicModel = Literal["virtio", "e1000"]
Power = Literal["on", "off"]
BootDevice = Literal["disk", "network", "cd"]


class BmcAccess(msgspec.Struct, frozen=True):
    """Where a node's BMC answers, inside the lab, and as whom to log in.

    At its port it speaks IPMI over UDP, and Redfish over TLS.
    """

    address: str
    port: int
    username: str
    password: str


class Node(msgspec.Struct, frozen=True):
    """A machine of the lab.

    `state` is its power, `boot` what it will try first when it starts the next time, `console`
    the file that keeps what its serial console printed, `fault` why it stopped by itself, if it
    did and that was not the guest's wish. `processor` is as uname(1) names it.
    """

    name: str
    uuid: str
    mac: str
    firmware: Firmware
    nic: NicModel
    disk: str
    disk_bytes: int
    bmc: BmcAccess
    console: str
    state: Power = "off"
    boot: BootDevice = "disk"
    fault: str = ""
    processor: str = "x86_64"

    @property
    def terminal(self) -> Path:
        """The unix socket at which the console can be attached to."""
        return terminal(Path(self.console).parent)


class Lab(msgspec.Struct, frozen=True):
    """A running lab.

    `address` is its own in the lab, with the length of the network's prefix; `interface` is the
    bridge that has it. `user_namespace` tells whether the lab has one of its own, as it does
    where root did not start it. `authority` is the file of the certificate that those of the BMCs
    are held against.
    """

    folder: str
    address: str
    interface: str
    keeper_pid: int
    user_namespace: bool
    acceleration: str
    nodes: tuple[Node, ...]
    authority: str = ""

    def node(self, name: str) -> Node:
        """The node of that name or number; BakeryError where there is none."""
        for node in self.nodes:
            if name in (node.name, node.name.removeprefix(NODE_PREFIX)):
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise BakeryError(f"the lab has no node '{name}'", f"it has {names}")

    def masked(self) -> "Lab":
        """The same with no password in it, to be shown."""
        bmcs = [msgspec.structs.replace(node.bmc, password=MASK) for node in self.nodes]
        pairs = zip(self.nodes, bmcs, strict=True)
        nodes = tuple(msgspec.structs.replace(node, bmc=bmc) for node, bmc in pairs)
        return msgspec.structs.replace(self, nodes=nodes)

    def redfish(self, node: Node) -> "RedfishAccess":
        """How a node's BMC is reached over Redfish, inside the lab."""
        from bakery.bmc.access import RedfishAccess

        return RedfishAccess(
            address=f"https://{node.bmc.address}:{node.bmc.port}",
            username=node.bmc.username,
            password=node.bmc.password,
            verify_ca=self.authority,
        )

    def enter(self, argv: Sequence[Arg]) -> list[Arg]:
        """The command that runs `argv` on the lab's network, with power over that network alone.

        Files and processes are the caller's own. Where the lab has a user namespace the program
        is root in it; outside it is still the user who started the lab, and nobody else may enter.
        """
        words: list[Arg] = ["nsenter", "--target", str(self.keeper_pid)]
        words += ["--user", "--preserve-credentials"] if self.user_namespace else []
        return [*words, "--net", "--", *argv]


def default_folder() -> Path:
    """Where a lab is kept that was given no folder (XDG Base Directory Specification)."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "bakery/lab"


def terminal(node_folder: Path) -> Path:
    """The console's socket in the folder of a node."""
    return node_folder / "console.socket"


def load(folder: Path) -> Lab:
    """The lab that runs in `folder`; BakeryError where none does."""
    lab = find(folder)
    if lab is None:
        raise BakeryError(f"no lab is up in {folder}", START_HINT)
    return lab


def find(folder: Path) -> Lab | None:
    """The lab that runs in `folder`, or None; one that is not yet, or no more, whole is None."""
    pid = keeper_pid(folder)
    if pid is None:
        return None
    try:
        with (folder / RECORD).open("rb") as file:
            lab = msgspec.json.decode(file.read(RECORD_LIMIT_BYTES), type=Lab)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise BakeryError(f"{folder / RECORD} cannot be read: {error}", "bakery lab down") from None
    return lab if lab.keeper_pid == pid else None


def save(lab: Lab) -> None:
    """Write the record, whole: a reader sees the old one or the new one."""
    path = Path(lab.folder) / RECORD
    folders.write_whole(path, msgspec.json.encode(lab), mode=0o600)


def keeper_pid(folder: Path) -> int | None:
    """The process that holds the folder's lock, or None."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BakeryError(f"{folder} cannot be read: {error.strerror}") from None
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    finally:
        os.close(descriptor)
    return None if answer[0] == fcntl.F_UNLCK else answer[4]


def hold(folder: Path) -> int | None:
    """Take the folder's lock, for as long as this process lives or the descriptor is open.

    Makes the folder, for its owner alone. None where another process has the lock; BakeryError
    where the folder cannot be used, or holds files that are no lab's.
    """
    while True:
        descriptor = _open_lock(folder)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # another lab took its folder away between the two calls


def _open_lock(folder: Path) -> int:
    while True:
        try:
            folders.check(folder)
            if folder.exists() and not (folder / LOCK).exists() and any(folder.iterdir()):
                raise BakeryError(
                    f"{folder} holds files that are not a lab of bakery",
                    "choose an empty or new folder with --lab",
                )
            folders.make(folder, mode=0o700)
            return folders.open_lock(folder / LOCK)
        except FileNotFoundError:
            continue  # another lab removed the folder between the calls
        except OSError as error:
            raise BakeryError(
                f"a lab cannot be kept in {folder}: {error.strerror}",
                "choose another folder with --lab",
            ) from None


def clear(folder: Path) -> None:
    """Remove what a lab keeps, all but its lock; the caller holds that."""
    for path in folder.iterdir():
        if path.name.startswith(NODE_PREFIX) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    for name in (RECORD, f".{RECORD}", LOG, *authority.FILES):
        (folder / name).unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a lab, and its folder where nothing else is in it; the caller holds the lock."""
    clear(folder)
    (folder / LOCK).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        return  # somebody else's files are there
