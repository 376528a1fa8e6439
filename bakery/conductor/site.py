"""Where nodes are, and how they are reached: all that a deploy has to know of a lab or a rack.

A lab's comes of its record (lab_site.py), a rack's of a nodes file and an interface (rack_site.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from bakery.bmc.access import open_bmc
from bakery.bmc.bmc import Power
from bakery.conductor.launch import Enter
from bakery.conductor.messages import NodeSpec
from bakery.host.run import Arg


def here(argv: Sequence[Arg]) -> list[Arg]:
    """The command itself: this machine is on the nodes' network."""
    return list(argv)


@dataclass(frozen=True)
class Site:
    """The nodes that a command names, and the network they boot over.

    `address` is the conductor's own on `interface`, with the prefix's length; `journals` is the
    folder of what is known of deploys there. `enter` makes a command one that runs on that
    network. `neighbours` are the cards of the site's other nodes, with these nodes' names.
    `is_real` tells racks from labs.
    """

    nodes: tuple[NodeSpec, ...]
    interface: str
    address: str
    journals: Path
    enter: Enter = here
    neighbours: dict[str, str] = field(default_factory=dict)
    is_real: bool = False

    def power_of(self, spec: NodeSpec) -> Power:
        """Whether a node is on, by its BMC; BakeryError where that cannot be told."""
        return open_bmc(spec.bmc, enter=self.enter).power()

    def hinted(self, root_device: str) -> "Site":
        """The same with these hints for all nodes' disks, where there are any."""
        if not root_device:
            return self
        nodes = tuple(msgspec.structs.replace(one, root_device=root_device) for one in self.nodes)
        return replace(self, nodes=nodes)
