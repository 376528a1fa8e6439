"""TripleO's `instackenv.json`, put into the words of Ironic's own file.

Source: tripleo_common/utils/nodes.py of openstack/tripleo-common (DRIVER_INFO,
register_ironic_node, validate_nodes). One of its defaults is the undercloud's alone: a port
without `physical_network` gets none here, where TripleO wrote `ctlplane`.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from bakery.host.printable import shown
from bakery.openstack.ironic import checks
from bakery.openstack.ironic.fields import INTERFACES, SUFFIX
from bakery.openstack.ironic.problems import Spot, meant

MARK = "pm_type"
RESOURCE_CLASS = "baremetal"
PROPERTIES = {"cpu": "cpus", "memory": "memory_mb", "disk": "local_gb", "arch": "cpu_arch"}
SAME = (
    "conductor_group", "name", "resource_class", "uuid", *(f"{kind}{SUFFIX}" for kind in INTERFACES)
)  # fmt: skip
IMAGES = {
    "kernel_id": ("deploy_kernel", "rescue_kernel"),
    "ramdisk_id": ("deploy_ramdisk", "rescue_ramdisk"),
}
SPECIAL = ("capabilities", "mac", "platform", "ports", "profile", "root_device")
COMMENT = "_comment"
PLAIN = frozenset({MARK, COMMENT, *PROPERTIES, *SAME, *IMAGES, *SPECIAL})


class Kind(NamedTuple):
    """A kind of management: its driver's name, the prefix of its details, and what pm_… are.

    `more` are those beside address, user name and password.
    """

    pattern: str
    driver: str
    prefix: str
    more: tuple[str, ...] = ()
    needed: tuple[str, ...] = ("pm_addr", "pm_user", "pm_password")

    def names(self) -> dict[str, str]:
        """pm_… → the key of driver_info."""
        words = {"addr": "address", "user": "username", "password": "password"}
        words |= {word: word for word in self.more}
        return {f"pm_{key}": f"{self.prefix}_{word}" for key, word in words.items()}


KINDS = (
    Kind("ipmi|.*_ipmitool", "ipmi", "ipmi", ("port",), needed=("pm_addr",)),
    Kind("idrac|.*_drac", "idrac", "drac", ("port",)),
    Kind("ilo|.*_ilo", "ilo", "ilo", ("port",)),
    Kind("irmc|.*_irmc", "irmc", "irmc", ("port",)),
    Kind("redfish", "redfish", "redfish", ("system_id",), needed=("pm_addr", "pm_system_id")),
    Kind("xclarity", "xclarity", "xclarity", ("port",)),
    Kind("manual-management|fake_pxe|fake_agent", "manual-management", "fake", needed=()),
    Kind("fake|fake-hardware", "fake-hardware", "fake", needed=()),
)


def translated(spot: Spot, entry: Mapping[str, object]) -> dict[str, object]:
    """An entry of the file as one of Ironic's; what is wrong with its own words is said here."""
    word = entry[MARK]
    kind = next((k for k in KINDS if re.fullmatch(k.pattern, f"{word}")), None)
    if kind is None:
        known = [k.pattern.partition("|")[0] for k in KINDS]
        spot.at(MARK).wrong(f"{shown(word)} is unknown; {meant(word, known)}")
        return {}
    for key in kind.needed:
        if not entry.get(key):
            spot.at(key).wrong("is missing")
    found: dict[str, object] = {"driver": kind.driver, "resource_class": RESOURCE_CLASS}
    found |= {key: entry[key] for key in SAME if key in entry}
    properties = _properties(spot, entry)
    details = _driver_info(spot, entry, kind)
    found |= {"properties": properties} if properties else {}
    found |= {"driver_info": details} if details else {}
    if entry.get("platform"):
        found["extra"] = {"tripleo_platform": entry["platform"]}
        if not entry.get("arch"):
            spot.at("platform").wrong("needs arch beside it")
    ports = _ports(spot, entry)
    return found | ({"ports": ports} if ports is not None else {})


def _properties(spot: Spot, entry: Mapping[str, object]) -> dict[str, object]:
    found = {ours: entry[theirs] for theirs, ours in PROPERTIES.items() if theirs in entry}
    if entry.get("root_device") is not None:
        found["root_device"] = entry["root_device"]
    capabilities: dict[str, object] = {}
    if entry.get("capabilities"):
        capabilities |= checks.capabilities(spot.at("capabilities"), entry["capabilities"])
    if "profile" in entry:
        capabilities["profile"] = checks.text(spot.at("profile"), entry["profile"]) or "?"
    return found | ({"capabilities": capabilities} if capabilities else {})


def _driver_info(spot: Spot, entry: Mapping[str, object], kind: Kind) -> dict[str, object]:
    names = kind.names()
    found: dict[str, object] = {}
    for key, value in entry.items():
        if key in IMAGES:
            found |= dict.fromkeys(IMAGES[key], value)
        elif key in names:
            found[names[key]] = value
        elif key.startswith(kind.prefix):
            found[key] = value
        elif key not in PLAIN:
            spot.at(key).wrong(f"is unknown; {meant(key, (*PLAIN, *names))}")
    return found


def _ports(spot: Spot, entry: Mapping[str, object]) -> list[object] | None:
    """`ports` as they are, and the older `mac`: a list of addresses."""
    if "ports" not in entry and "mac" not in entry:
        return None
    ports = checks.sequence(spot.at("ports"), entry.get("ports", []))
    addresses = checks.sequence(spot.at("mac"), entry.get("mac", []))
    return [*ports, *({"address": address} for address in addresses)]
