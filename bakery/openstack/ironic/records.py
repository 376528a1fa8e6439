"""Nodes as they are wanted, and as a cloud has them."""

from collections.abc import Mapping

import msgspec


class Port(msgspec.Struct, frozen=True):
    """A network card: its MAC in lower case, and its other fields by Ironic's names."""

    address: str
    fields: dict[str, object] = {}


class PasswordSource(msgspec.Struct, frozen=True):
    """Where the password is that `key` of driver_info is to hold: a file's name, or a command."""

    key: str
    file: str = ""
    command: tuple[str, ...] = ()


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as a file describes it; all of it checked.

    `label` is what it is called in messages. `fields` are the plain ones and `mappings` those that
    hold keys (fields.py has both); `capabilities` is taken out of `properties`.
    `traits` is None where the file says nothing of them. Either a name, a uuid or a port is there.
    `password` is there where the file tells where that is (passwords.py).
    """

    label: str
    name: str = ""
    uuid: str = ""
    fields: dict[str, object] = {}
    mappings: dict[str, dict[str, object]] = {}
    capabilities: dict[str, str] = {}
    traits: tuple[str, ...] | None = None
    ports: tuple[Port, ...] = ()
    password: PasswordSource | None = None

    @property
    def driver(self) -> str:
        """The driver's name."""
        return str(self.fields["driver"])


class PortThere(msgspec.Struct, frozen=True, kw_only=True):
    """A port that a cloud has, as its API tells it."""

    uuid: str
    address: str
    node_uuid: str
    fields: dict[str, object] = {}


class NodeThere(msgspec.Struct, frozen=True, kw_only=True):
    """A node that a cloud has. `fields` is all that its API tells; passwords are masked in it."""

    uuid: str
    name: str = ""
    fields: Mapping[str, object] = {}
    traits: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.name or self.uuid

    @property
    def state(self) -> str:
        """Its provision state; empty where none is told."""
        return str(self.fields.get("provision_state") or "")


class Driver(msgspec.Struct, frozen=True):
    """A driver that a cloud has.

    `interfaces` are those enabled, by kind (`boot`, `power` …); `info` the keys of driver_info
    that it knows.
    """

    name: str
    interfaces: dict[str, tuple[str, ...]] = {}
    info: frozenset[str] = frozenset()


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a node: `state` is `allocating`, `active` with a node, or `error`."""

    name: str
    state: str
    node_uuid: str = ""
    last_error: str = ""
