"""How a node is worked on: what its deploy needs of power, network and disk, and its bounds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from bakery.bmc.bmc import Identity
from bakery.conductor.expected import ANY_MACHINE, Expected
from bakery.conductor.journal import AgentInfo, Deployment
from bakery.conductor.peer import Peer
from bakery.conductor.pulling import Pulling
from bakery.node.agent.writing import Tell


class Power(Protocol):
    """A node's power and what it boots next; BakeryError where its BMC does not do it."""

    def power(self) -> Literal["on", "off"]:
        """What it is now."""

    def power_on(self) -> None:
        """Returns when it is on."""

    def power_off(self) -> None:
        """Returns when it is off."""

    def boot_from(self, device: Literal["network", "disk"], *, persistent: bool = False) -> None:
        """What the next start tries first."""

    def identity(self) -> Identity:
        """Which machine it is, as far as its BMC can tell."""


class BootOffer(Protocol):
    """What a node meets when it boots over the network. Each call replaces what was offered."""

    def ramdisk(self, deployment: Deployment) -> None:
        """Offer the deploy ramdisk, with this deployment's secrets."""

    def system(self) -> None:
        """Offer the node's own system."""

    def nothing(self) -> None:
        """Offer nothing."""


class Sign(NamedTuple):
    """What was seen of a node's own system: the kind of it, and in words."""

    kind: Literal["login", "ssh", "ping", "written"]
    words: str


class Signs(Protocol):
    """What tells how far the node's own system has come.

    `silence` is the way out where there is no sign though the system may run; empty where silence
    means that it does not.
    """

    silence: str

    def mark(self) -> int:
        """A number for now: what comes later is the system's."""

    def up(self, mark: int, seconds: float) -> Sign | None:
        """Wait for a sign that it runs, at most so long; what was seen since `mark`, or None.

        BakeryError where the system was seen to fail.
        """


Writer = Callable[[AgentInfo, Deployment, Tell], None]
Release = Callable[[str, str], None]


@dataclass(frozen=True)
class Means:
    """How a node is worked on.

    `write` raises DiskFailed and Mismatch for what another attempt may mend, BakeryError for what
    none will. `release` says to an address the word that lets its ramdisk go on. `peer` tells who
    is believed. `local` is True where the node's system is booted from its disk instead of the
    network.
    """

    power: Power
    boot: BootOffer
    write: Writer
    release: Release
    signs: Signs
    peer: Peer
    local: bool = False
    machine: Expected = ANY_MACHINE
    """Which machine the node is, as far as that is known."""
    pull: Pulling | None = None
    """Where the node writes its disk itself."""


@dataclass(frozen=True)
class Bounds:
    """The number of attempts per node, and how long each may take, in seconds."""

    attempts: int = 3
    ramdisk_seconds: float = 300.0
    running_seconds: float = 900.0
    restart_seconds: float = 300.0
    """Until the firmware of a node that was let go asks for an address; some take minutes."""
    next_attempt_seconds: float = 2.0
    """Between two attempts."""
