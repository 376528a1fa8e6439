"""The one process that is the lab: it owns the network, the BMCs and the nodes, until it ends.

    python3 -P -m bakery.lab.keeper FOLDER SETTINGS

`lab up` starts it inside the lab's namespaces. It says in one JSON object on standard output that
the lab is up, or why not. With it end all nodes, killed or asked to: the kernel sees to that.
"""

import contextlib
import os
import secrets
import signal
import sys
import traceback
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from bakery.bmc.ipmi_sockets import listen_to_itself, repair
from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.kvm import Accel
from bakery.lab import authority, network, state
from bakery.lab.node import Hardware
from bakery.lab.nodes import VirtualNode
from bakery.lab.orders import Orders
from bakery.lab.state import BmcAccess, Firmware, Lab, NicModel

BMC_USER = "admin"
FIRST_BMC_PORT = 6231
PASSWORD_BYTES = 8  # in hexadecimal 16 characters, as many as IPMI 1.5 allows
LOOK_SECONDS = 0.5
COMPLAINTS_LIMIT = 100  # a guest may send its BMC what it likes, and fill no disk with it


class Settings(msgspec.Struct, frozen=True):
    """What a lab is to be; `address` is its own, with the length of the network's prefix."""

    nodes: int
    firmware: Firmware
    nic: NicModel
    disk_bytes: int
    memory_mib: int
    address: str
    acceleration: Accel
    user_namespace: bool = False
    cpus: int = 1


class Answer(msgspec.Struct, frozen=True):
    """What the keeper says when the lab is up; `error` is empty where it is."""

    error: str = ""
    hint: str = ""


class Keeper:
    """Makes a lab in a folder, and serves it; `lock` is the descriptor that holds the folder."""

    def __init__(self, folder: Path, lock: int, settings: Settings) -> None:
        self._lock = lock
        self._folder = folder
        self._settings = settings
        self._nodes: list[VirtualNode] = []
        self._saved: Lab | None = None
        self._orders = Orders()

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """The lab, for the length of the `with` block."""
        from bakery.lab.redfish_bmc import RedfishBmc
        from bakery.lab.redfish_server import Place, serving
        from bakery.lab.virtual_bmc import VirtualBmc

        own = network.address(self._settings.address)
        network.make(own, self._settings.nodes)
        repair()
        listen_to_itself()
        certificates = authority.make(self._folder, [str(own.ip)])
        places: list[Place] = []
        with contextlib.ExitStack() as stack:
            for number in range(1, self._settings.nodes + 1):
                access = BmcAccess(
                    str(own.ip),
                    FIRST_BMC_PORT + number - 1,
                    BMC_USER,
                    secrets.token_hex(PASSWORD_BYTES),
                )
                node = VirtualNode(
                    self._hardware(number), self._folder, self._settings.acceleration, access
                )
                stack.callback(node.close)
                self._nodes.append(node)
                VirtualBmc(node)
                spoken = RedfishBmc(node, self._orders)
                places.append(Place(spoken, access.address, access.port))
            stack.enter_context(serving(places, certificates))
            self.save()
            yield

    def serve(self) -> None:
        """Answer the BMCs, and keep the record true, until this process is asked to end.

        Returns where the lab's folder has been removed: nobody could find the lab any more.
        """
        from bakery.lab.virtual_bmc import serve

        untold = COMPLAINTS_LIMIT
        while os.fstat(self._lock).st_nlink:
            try:
                serve(LOOK_SECONDS)
            except Exception:  # noqa: BLE001 - whatever a packet does to the server, it goes on
                if untold:
                    traceback.print_exc()
                untold = max(0, untold - 1)
            self._orders.carry_out()
            for node in self._nodes:
                node.look()
            with contextlib.suppress(FileNotFoundError):  # the folder is being removed
                self.save()

    def save(self) -> None:
        """Write the lab's record, where it changed."""
        lab = Lab(
            folder=str(self._folder),
            address=self._settings.address,
            interface=network.BRIDGE,
            keeper_pid=os.getpid(),
            user_namespace=self._settings.user_namespace,
            acceleration=self._settings.acceleration,
            nodes=tuple(node.record() for node in self._nodes),
            authority=str(self._folder / authority.CA),
        )
        if lab != self._saved:
            state.save(lab)
            self._saved = lab

    def _hardware(self, number: int) -> Hardware:
        return Hardware(
            number=number,
            uuid=uuid.uuid4(),
            firmware=self._settings.firmware,
            nic=self._settings.nic,
            disk_bytes=self._settings.disk_bytes,
            memory_mib=self._settings.memory_mib,
            cpus=self._settings.cpus,
        )


def keep(folder: Path, settings: Settings) -> None:
    """Be the keeper of a lab in `folder`; leaves nothing of it when asked to end."""
    lock = state.hold(folder)
    if lock is None:
        raise BakeryError(f"a lab is up in {folder} already", "bakery lab status")
    try:
        state.clear(folder)
        keeper = Keeper(folder, lock, settings)
        with os.fdopen(folders.create(folder / state.LOG, 0o600), "wb", buffering=0) as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
        with keeper.up():
            tell(Answer())
            keeper.serve()
    finally:
        with contextlib.suppress(FileNotFoundError):
            state.remove(folder)


def tell(answer: Answer) -> None:
    """Say how it went to whoever started this; nobody listens after that."""
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), msgspec.json.encode(answer))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def main(words: Sequence[str]) -> int:
    """Keep a lab; 0 when it was asked to end."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    os.umask(0o077)  # what the nodes keep is for the lab's owner
    folder, settings = words
    try:
        keep(Path(folder), msgspec.json.decode(settings, type=Settings))
    except BakeryError as error:
        tell(Answer(error.message, error.hint))
        return error.exit_code
    return 0


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
