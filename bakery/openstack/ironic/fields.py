"""The fields that a node and a port of Ironic can be given, and the API version each came with.

Source: Ironic's own schemas and versions (ironic/api/controllers/v1/node.py `node_schema`,
port.py `PORT_SCHEMA`, utils.py `VERSIONED_FIELDS`, versions.py). What is a state of a node rather
than a description of it (maintenance, instance_uuid, boot_mode …) is not among them.
"""

from typing import Literal, NamedTuple

Kind = Literal["text", "flag", "mapping", "uuid"]

INTERFACES = (
    "bios", "boot", "console", "deploy", "firmware", "inspect", "management", "network", "power",
    "raid", "rescue", "storage", "vendor",
)  # fmt: skip
SUFFIX = "_interface"


class Field(NamedTuple):
    """What a field holds, from which version 1.`since` of the API, and at most how many letters."""

    kind: Kind
    since: int = 1
    limit: int = 255


_INTERFACE_SINCE = {"bios": 40, "firmware": 86, "network": 20, "rescue": 38, "storage": 33}

NODE: dict[str, Field] = {
    "automated_clean": Field("flag", 47),
    "chassis_uuid": Field("uuid"),
    "conductor_group": Field("text", 46),
    "description": Field("text", 51, 4096),
    "disable_power_off": Field("flag", 95),
    "driver": Field("text"),
    "driver_info": Field("mapping"),
    "extra": Field("mapping"),
    "instance_info": Field("mapping"),
    "lessee": Field("text", 65),
    "name": Field("text", 5),
    "network_data": Field("mapping", 66),
    "owner": Field("text", 50),
    "parent_node": Field("text", 83, 36),
    "properties": Field("mapping"),
    "resource_class": Field("text", 21, 80),
    "retired": Field("flag", 61),
    "retired_reason": Field("text", 61),
    "shard": Field("text", 82),
    "uuid": Field("uuid"),
    **{f"{kind}{SUFFIX}": Field("text", _INTERFACE_SINCE.get(kind, 31)) for kind in INTERFACES},
}
MERGED = ("driver_info", "extra", "instance_info", "properties")
"""Mappings of which a file gives some keys; the cloud may have others, which stay."""

PORT: dict[str, Field] = {
    "address": Field("text"),
    "category": Field("text", 101, 80),
    "description": Field("text", 97),
    "extra": Field("mapping"),
    "is_smartnic": Field("flag", 53),
    "local_link_connection": Field("mapping", 19),
    "name": Field("text", 88),
    "physical_network": Field("text", 34, 64),
    "portgroup_uuid": Field("uuid", 24),
    "pxe_enabled": Field("flag", 19),
    "uuid": Field("uuid"),
    "vendor": Field("text", 100, 32),
}
LOCAL_LINK = (
    "hostname", "network_type", "port_id", "switch_id", "switch_info",
    "vtep-logical-switch", "vtep-physical-switch",
)  # fmt: skip

TRAITS_SINCE = 37
"""Ironic sets traits by a call of their own; in a file they stand with the node all the same."""

# The names of the paths below /v1/nodes (node.py, NodesController and its subcontrollers).
RESERVED_NAMES = frozenset(
    {
        "allocation", "bios", "detail", "firmware", "history", "inventory", "maintenance",
        "management", "portgroups", "ports", "states", "traits", "validate", "vendor_passthru",
        "vifs", "vmedia", "volume", "children",
    }
)  # fmt: skip
