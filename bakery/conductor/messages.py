"""What a conductor is asked to do, and what it tells: records that pass between two processes."""

from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from bakery.bmc.access import Access
from bakery.bmc.bmc import Firmware
from bakery.conductor.journal import State, Visit
from bakery.conductor.partition import Extras
from bakery.host.report import Event

Until = Literal["any", "login", "ssh", "ping", "written"]
"""`any` is the best that can be seen of a node; `written` ends with the switch to its disk."""


class Card(msgspec.Struct, frozen=True):
    """A network card of a node; `boots` is False where the node is not meant to boot by it."""

    mac: str
    boots: bool = True


class StaticNetwork(msgspec.Struct, frozen=True):
    """What a node's deploy ramdisk is told of its network, where it boots from media.

    `mac` is its card's; `address` has the length of its prefix. Without one, it asks DHCP.
    """

    mac: str
    address: str = ""
    gateway: str = ""
    dns: tuple[str, ...] = ()
    vlan: int = 0


class NodeSpec(msgspec.Struct, frozen=True):
    """A node: its names, a card it boots by, its BMC, and the file its console is kept in.

    `console` is empty where no file keeps it. `replaces` names the deployment whose system may be
    overwritten, by its disk's identity: a node that runs any other is refused. `processor` is as
    uname(1) names it; empty: not known. `firmware` is what its BMC is told that it boots by.
    `others` are its further cards, `serial` is the machine's own number; empty: not known.
    `root_device` are the hints for its disk, as the ramdisk takes them; `network` is for nodes
    that boot from media.
    """

    name: str
    uuid: UUID
    mac: str
    bmc: Access
    console: str = ""
    replaces: UUID | None = None
    processor: str = ""
    firmware: Firmware = "uefi"
    others: tuple[Card, ...] = ()
    serial: str = ""
    root_device: str = ""
    network: StaticNetwork | None = None

    @property
    def macs(self) -> tuple[str, ...]:
        """Those of all its cards, in front the one it boots by."""
        return (self.mac, *(card.mac for card in self.others))


class Media(msgspec.Struct, frozen=True):
    """How nodes' media are served: by HTTPS with a certificate in PEM and its key, or by HTTP.

    They are paths of files; `key` is empty where it stands in the certificate's.
    """

    certificate: str = ""
    key: str = ""


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
    of journals. The sizes are in MiB, `config_drive` is a file; empty ones are left out.
    `multicast` is for several nodes of the direct method. `unconfined` permits what speaks iSCSI
    with the nodes to run without a cage. `until` is the sign of their own systems that is waited
    for. `neighbours` are cards of nodes that stay as they are, with the nodes' names. With
    `media` the nodes boot from their virtual drives, and nothing of ours answers DHCP or TFTP.
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
    media: Media | None = None
    ephemeral_mib: int = 0
    swap_mib: int = 0
    config_drive: str = ""
    attempts: int = 3
    unconfined: bool = False
    until: Until = "any"
    neighbours: dict[str, str] = {}
    ramdisk_seconds: float = 300.0
    running_seconds: float = 900.0

    @property
    def extras(self) -> Extras:
        """What the disks get besides the root."""
        drive = Path(self.config_drive).resolve() if self.config_drive else None
        return Extras(self.ephemeral_mib, self.swap_mib, drive)


class Result(msgspec.Struct, frozen=True):
    """How a node ended: `running` or `failed`, why, after how many tries, and when it was where.

    `sign` is what was seen of its own system, `left_alone` true where it ran what was asked
    before, and nothing was done.
    """

    name: str
    uuid: UUID
    state: State
    reason: str
    attempts: int
    visits: tuple[Visit, ...]
    left_alone: bool = False
    sign: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a conductor: an event, or the results, or why it cannot work at all."""

    event: Event | None = None
    results: tuple[Result, ...] | None = None
    error: str = ""
    hint: str = ""
