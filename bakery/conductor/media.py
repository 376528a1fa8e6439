"""A node that boots its deploy ramdisk from its BMC's virtual drive, instead of over the network.

It needs nothing of the network but a way to the conductor: no DHCP, no TFTP, no common wire. Its
medium holds its arguments and the secrets of the try, and is for its BMC alone: by the BMC's
address, by a name that nobody can guess, and until the agent has reported.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface
from urllib.parse import urlsplit
from uuid import UUID

from bakery.bmc.access import Access, RedfishAccess
from bakery.bmc.bmc import Bmc, Device, Identity, Power
from bakery.conductor.journal import Deployment
from bakery.conductor.messages import NodeSpec, StaticNetwork
from bakery.conductor.peer import Peer
from bakery.host.errors import BakeryError
from bakery.host.printable import shown
from bakery.netboot.http_message import GUARDED
from bakery.netboot.media import Medium
from bakery.netboot.node_network import NodeNetwork
from bakery.netboot.tree import Asker, Tree
from bakery.node.agent import proof

NOT_ITS_BMC = "this is for another BMC"
ANY_PORT = 9  # discard (RFC 863); nothing is sent there


Arguments = Callable[[Deployment], Sequence[str]]
"""The kernel arguments of a try's deploy ramdisk, but for its network and its secrets."""


def refuse_layout(layout: str) -> None:
    """BakeryError for a system that does not start from its own disk."""
    if layout != "disk":
        raise BakeryError(
            f"a node of layout {layout} boots over the network at every start, "
            "and virtual media boot it only once",
            "build the image with --layout disk, or deploy without --boot media",
        )


def network_of(spec: NodeSpec) -> NodeNetwork:
    """The network of a node's ramdisk: by default, DHCP on the card that it boots by elsewhere."""
    return node_network(spec.network or StaticNetwork(spec.mac))


def node_network(told: StaticNetwork) -> NodeNetwork:
    """The same, checked; BakeryError where it cannot be a node's."""
    try:
        return NodeNetwork(
            told.mac,
            IPv4Interface(told.address) if told.address else None,
            IPv4Address(told.gateway) if told.gateway else None,
            tuple(map(IPv4Address, told.dns)),
            told.vlan,
        )
    except ValueError as error:
        raise BakeryError(str(error)) from None


@dataclass(frozen=True)
class Reader:
    """Who reads a node's medium: its BMC's addresses, and this machine's own on the way there."""

    addresses: frozenset[str]
    own: IPv4Address

    def refusal(self, asker: Asker) -> str:
        """Why `asker` may not have it; empty where it is the BMC."""
        return "" if asker.address in self.addresses else NOT_ITS_BMC


def reader(name: str, access: Access) -> Reader:
    """Who will read the medium of the node called `name`; BakeryError where its BMC cannot."""
    if not isinstance(access, RedfishAccess):
        raise BakeryError(
            f"the BMC of {name} is accessed over IPMI, which has no virtual media",
            "give its Redfish address in the nodes file, or boot it over the network",
        )
    text = access.address
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)
        addresses = frozenset(str(place[4][0]) for place in found)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((min(addresses), ANY_PORT))
            own = IPv4Address(way.getsockname()[0])
    except (OSError, ValueError, UnicodeError) as error:
        raise BakeryError(
            f"the BMC of {name}, {shown(text)}, cannot be reached over IPv4: {error}",
            "it reads the medium from this machine: see ip route",
        ) from None
    return Reader(addresses, own)


class MediaOffer:
    """A node's medium in `tree`, which its BMC reaches at `url` (bakery.conductor.means.BootOffer).

    `place` is the URL of what is offered now, empty where nothing is. A conductor that follows a
    killed one offers a try's medium under the name that it had before, so that a BMC that reads it
    goes on.
    """

    def __init__(
        self,
        tree: Tree,
        url: str,
        node: UUID,
        medium: Medium,
        reader: Reader,
        peer: Peer,
        network: NodeNetwork,
        arguments: Arguments,
    ) -> None:
        self._tree, self._url, self._node = tree, url, node
        self._medium, self._reader, self._peer = medium, reader, peer
        self._network, self._arguments = network, arguments
        self._name = ""

    @property
    def place(self) -> str:
        """Where the medium is: who sees it learns nothing else of the try."""
        return f"{self._url}/{self._name}" if self._name else ""

    def ramdisk(self, deployment: Deployment) -> None:
        """Offer the medium of this try, and no other."""
        args = (*self._arguments(deployment), *self._network.args())
        secrets = (f"deployment_key={deployment.key}", f"bakery_token={deployment.token}")
        content = self._medium.of_node(args, secrets)
        self.nothing()
        self._name = f"{GUARDED}/{proof.medium(deployment.key)}/{self._node}.iso"
        self._tree.put(self._name, content, self._guard)

    def system(self) -> None:
        """Offer nothing: the node's system starts from its disk."""
        self.nothing()

    def nothing(self) -> None:
        """Withdraw the medium."""
        if self._name:
            self._tree.remove(self._name)
        self._name = ""

    def _guard(self, asker: Asker) -> str:
        return self._reader.refusal(asker) or self._peer.spent()


class ByMedia:
    """A node's BMC, where what others boot over the network is booted from its virtual drive."""

    def __init__(self, bmc: Bmc, offer: MediaOffer) -> None:
        self._bmc, self._offer = bmc, offer

    @property
    def name(self) -> str:
        """As messages call it."""
        return self._bmc.name

    def power(self) -> Power:
        """Whether the node is on."""
        return self._bmc.power()

    def power_on(self) -> None:
        """Switch it on."""
        self._bmc.power_on()

    def power_off(self) -> None:
        """Take its power away, and the medium of a try out of its drive."""
        self._bmc.power_off()
        self._bmc.eject_media()

    def identity(self) -> Identity:
        """Which machine it is."""
        return self._bmc.identity()

    def boot_from(self, device: Device, *, persistent: bool = False) -> None:
        """For the network, the medium is put in first; for the disk, it is taken out."""
        if device == "network":
            self._bmc.insert_media(self._offer.place)
            self._bmc.boot_from("cd", persistent=persistent)
        else:
            self._bmc.eject_media()
            self._bmc.boot_from(device, persistent=persistent)
