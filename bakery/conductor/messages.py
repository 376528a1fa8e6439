"""What a conductor is asked to do, and what it tells: records that pass between two processes."""

from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from bakery.bmc.ipmi_worker import Firmware
from bakery.conductor.journal import State, Visit
from bakery.conductor.partition import Extras
from bakery.host.report import Event


class BmcAccess(msgspec.Struct, frozen=True):
    """Where a node's BMC answers IPMI, and as whom to log in."""

    address: str
    port: int
    username: str
    password: str


class NodeSpec(msgspec.Struct, frozen=True):
    """A node: its names, the card it boots by, its BMC, and the file its console is kept in.

    `replaces` names the deployment whose system may be overwritten, by its disk's identity: a
    node that runs any other is refused. `processor` is as uname(1) names it; empty: not known.
    `firmware` is what its BMC is told that it boots by.
    """

    name: str
    uuid: UUID
    mac: str
    bmc: BmcAccess
    console: str
    replaces: UUID | None = None
    processor: str = ""
    firmware: Firmware = "uefi"


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """Who gives the nodes their addresses, and what they are told besides.

    `own`: the conductor does, out of `ranges` (as bakery.netboot.subnet reads them; none: half of
    the interface's network), with the way out of the wire, name and time servers, all IPv4.
    `proxy`: the site's server does, and the conductor says what to boot. `off`: the site's server
    says that as well. Before `own` and `proxy` begin, other servers are looked for that long.
    """

    dhcp: Literal["own", "proxy", "off"] = "own"
    ranges: tuple[str, ...] = ()
    gateway: str = ""
    dns: tuple[str, ...] = ()
    ntp: tuple[str, ...] = ()
    look_seconds: float = 0.0


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes, the folder of a build, the folder of a deploy ramdisk, and the wire to do it on.

    `address` is the conductor's own on `interface`, with the prefix's length; `state` the folder
    of journals. `root_device` are Ironic's hints, as the ramdisk takes them. The sizes are in
    MiB, `config_drive` is a file; empty ones are left out. `multicast` is for several nodes of
    the direct method. `unconfined` permits what speaks iSCSI with the nodes to run without a cage.
    """

    nodes: tuple[NodeSpec, ...]
    build: str
    ramdisk: str
    interface: str
    address: str
    state: str
    network: Network = Network()
    method: Literal["iscsi", "direct"] = "iscsi"
    multicast: bool = True
    bios: Literal["pxelinux", "ipxe"] = "pxelinux"
    uefi: Literal["ipxe", "grub"] = "ipxe"
    root_device: str = ""
    ephemeral_mib: int = 0
    swap_mib: int = 0
    config_drive: str = ""
    attempts: int = 3
    unconfined: bool = False
    ramdisk_seconds: float = 300.0
    running_seconds: float = 900.0

    @property
    def extras(self) -> Extras:
        """What the disks get besides the root."""
        drive = Path(self.config_drive).resolve() if self.config_drive else None
        return Extras(self.ephemeral_mib, self.swap_mib, drive)


class Result(msgspec.Struct, frozen=True):
    """How a node ended: `running` or `failed`, why, after how many tries, and when it was where.

    `left_alone` is true where it ran what was asked before, and nothing was done.
    """

    name: str
    uuid: UUID
    state: State
    reason: str
    attempts: int
    visits: tuple[Visit, ...]
    left_alone: bool = False


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a conductor: an event, or the results, or why it cannot work at all."""

    event: Event | None = None
    results: tuple[Result, ...] | None = None
    error: str = ""
    hint: str = ""
