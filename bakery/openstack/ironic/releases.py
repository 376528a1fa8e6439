"""What is true of Ironic's kernel arguments, release by release, each fact with its source.

Where a node gets its arguments from depends on the release, on the boot interface, and on whether
the node boots a partition image by the network (`netboot`) or with the `ramdisk` deploy interface.
A source is `path@tag` in openstack/ironic, or a commit there.
"""

from typing import Literal, get_args

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.printable import shown

Form = Literal["conf", "node"]
Boot = Literal["pxe", "redfish-virtual-media", "ilo-virtual-media", "irmc-virtual-media"]
Deploy = Literal["netboot", "ramdisk"]

# OpenStack's releases and the series of Ironic in each (the tags of openstack/ironic).
RELEASES = {
    "juno": "2014.2",
    "kilo": "2015.1",
    "liberty": "4.2",
    "mitaka": "5.1",
    "newton": "6.2",
    "ocata": "7.0",
    "pike": "9.1",
    "queens": "10.1",
    "rocky": "11.1",
    "stein": "12.1",
    "train": "13.0",
    "ussuri": "15.0",
    "victoria": "16.0",
    "wallaby": "17.0",
    "xena": "18.2",
    "yoga": "20.1",
    "zed": "21.1",
    "2023.1": "21.4",
    "2023.2": "23.0",
    "2024.1": "24.1",
    "2024.2": "26.1",
    "2025.1": "29.0",
    "2025.2": "32.0",
    "2026.1": "35.0",
    "2026.2": "39.0",
}
ORDER = tuple(RELEASES)
NEWEST = ORDER[-1]
# The newest version of the API, 1.N, that a release speaks (ironic/common/release_mappings.py).
# Yoga speaks that of Xena; those behind 2025.2 differ in nothing that is told here.
API_MINORS = {
    "queens": 38,
    "rocky": 46,
    "stein": 56,
    "train": 58,
    "ussuri": 65,
    "victoria": 68,
    "wallaby": 72,
    "xena": 78,
    "zed": 80,
    "2023.1": 82,
    "2023.2": 87,
    "2024.1": 90,
    "2024.2": 93,
    "2025.1": 96,
    "2025.2": 101,
}


class Place(msgspec.Struct, frozen=True):
    """Where Ironic takes the arguments of a node's own system from, in releases `since` … `until`.

    For the form `conf`, `section` and `key` are those of ironic.conf; for `node`, `key` is one of
    `instance_info`. `alias` is an older name that is still read. What stands in a `node` place is
    used instead of the configuration, or, where `adds`, behind it.
    """

    form: Form
    boot: Boot
    deploy: Deploy
    since: str
    until: str
    section: str
    key: str
    source: str
    alias: str = ""
    adds: bool = False

    def holds(self, release: str) -> bool:
        """Whether this is so in `release`."""
        return _between(self.since, release, self.until)


_CLEANUP = "2a73f5a84 (18.0.0), releasenotes/notes/pxe-append-params-9cd5831959676371.yaml"
_NETBOOT_GONE = "f0a177876 (21.0.0)"
_RAMDISK = "731af4012 (11.1.0), ironic/drivers/modules/pxe_config.template@rocky-eol"
_NEW, _OLD = "kernel_append_params", "pxe_append_params"
_ADDED = "ramdisk_kernel_arguments"
_VIRTUAL = "ironic/drivers/modules/image_utils.py, _prepare_iso_image"

PLACES: tuple[Place, ...] = (
    # The boot interfaces pxe and ipxe (before Ocata: drivers named pxe_…).
    Place("conf", "pxe", "netboot", "juno", "wallaby", "pxe", _OLD, "pxe.py@juno-eol, wallaby-eol"),
    Place("conf", "pxe", "netboot", "xena", "yoga", "pxe", _NEW, _CLEANUP, alias=_OLD),
    Place("conf", "pxe", "ramdisk", "rocky", "wallaby", "pxe", _OLD, _RAMDISK),
    Place("conf", "pxe", "ramdisk", "xena", NEWEST, "pxe", _NEW, _CLEANUP, alias=_OLD),
    Place("node", "pxe", "netboot", "xena", "yoga", "", _NEW, _CLEANUP),
    Place("node", "pxe", "ramdisk", "rocky", "wallaby", "", _ADDED, _RAMDISK, adds=True),
    Place("node", "pxe", "ramdisk", "xena", NEWEST, "", _NEW, _CLEANUP),
    # Virtual media: the ramdisk deploy never reads the configuration's arguments.
    Place(
        *("conf", "redfish-virtual-media", "netboot", "train", "yoga", "redfish", _NEW),
        "9fab96fc3 (13.0.0), ironic/conf/redfish.py@train-eol",
    ),
    Place("node", "redfish-virtual-media", "netboot", "ussuri", "yoga", "", _NEW, "605f74457"),
    Place("node", "redfish-virtual-media", "ramdisk", "train", NEWEST, "", _ADDED, _VIRTUAL),
    Place(
        *("conf", "ilo-virtual-media", "netboot", "juno", "victoria", "pxe", _OLD),
        "ironic/drivers/modules/ilo/deploy.py@juno-eol, image_utils.py@victoria-eol",
    ),
    Place(
        *("conf", "ilo-virtual-media", "netboot", "wallaby", "yoga", "ilo", _NEW),
        "755918343 (17.0.0)",
    ),
    Place("node", "ilo-virtual-media", "netboot", "victoria", "yoga", "", _NEW, _VIRTUAL),
    Place(
        *("node", "ilo-virtual-media", "ramdisk", "stein", "2026.1", "", _ADDED),
        "ironic/drivers/modules/ilo/boot.py@stein-eol; hardware type removed: afb64cf26 (36.0.0)",
    ),
    Place(
        *("conf", "irmc-virtual-media", "netboot", "liberty", "wallaby", "pxe", _OLD),
        "ironic/drivers/modules/irmc/deploy.py@liberty-eol, irmc/boot.py@wallaby-eol",
    ),
    Place(
        *("conf", "irmc-virtual-media", "netboot", "xena", "yoga", "irmc", _NEW),
        "722326f67 (18.0.0)",
    ),
    Place("node", "irmc-virtual-media", "netboot", "xena", "yoga", "", _NEW, "722326f67 (18.0.0)"),
)

BOOTS: tuple[Boot, ...] = get_args(Boot)
DEPLOYS: tuple[Deploy, ...] = get_args(Deploy)


class Fact(msgspec.Struct, frozen=True):
    """Something that holds from one release on (to another, where `until` is set)."""

    says: str
    since: str
    source: str
    until: str = NEWEST

    def holds(self, release: str) -> bool:
        """Whether this is so in `release`."""
        return _between(self.since, release, self.until)


ORDER_OF_PLACES = Fact(
    "instance_info goes before driver_info, and both before the configuration; the first that is "
    "set replaces the others",
    "xena",
    _CLEANUP,
)
DEFAULT_TOKEN = Fact(
    "%default% in a node's arguments stands for the configured ones", "zed", "5feb39844 (20.2.0)"
)
NODE_GRAMMAR = Fact(
    "a node's arguments are checked against a grammar when it is deployed (CVE-2026-46447)",
    "2025.1",
    "ironic/drivers/utils.py@stable/2025.1; first in c6c91d649 (37.0.0)",
)
CONF_GRAMMAR = Fact(
    "the configured arguments are checked against the same grammar when a service starts",
    "2026.2",
    "55d898c6e, ironic/conf/types.py@39.0.0",
)
NETBOOT = Fact(
    "partition images boot by the network", "juno", _NETBOOT_GONE + " removed it", until="yoga"
)
RAMDISK_DEPLOY = Fact("there is a ramdisk deploy interface", "rocky", "731af4012 (11.1.0)")
AGENT_OPTION = Fact(
    "[agent] agent_pxe_append_params: the deploy ramdisk of agent_* drivers alone, never the "
    "node's own system",
    "juno",
    "ironic/drivers/modules/agent.py@juno-eol; removed: e9bf49168 (newton)",
    until="mitaka",
)
FACTS = (
    *(ORDER_OF_PLACES, DEFAULT_TOKEN, NODE_GRAMMAR, CONF_GRAMMAR),
    *(NETBOOT, RAMDISK_DEPLOY, AGENT_OPTION),
)

_FORM_WORDS: dict[Form, str] = {"conf": "ironic.conf", "node": "a node's instance_info"}
_FORM_OPTIONS: dict[Form, str] = {"conf": "--for ironic-conf", "node": "--for node"}


def known(name: str) -> str:
    """The release `name` as the tables have it (any case; empty: the newest), or BakeryError."""
    found = name.lower() or NEWEST
    if found not in RELEASES:
        raise BakeryError(
            f"there is no OpenStack release {shown(name)} with Ironic that bakery knows",
            f"the names juno to zed, then the numbers 2023.1 to {NEWEST}",
        )
    return found


def by_api(minor: int) -> str:
    """The release that an API whose newest version is 1.`minor` belongs to, or the one before."""
    there = [name for name, newest in API_MINORS.items() if newest <= minor]
    return there[-1] if there else next(iter(API_MINORS))


def titled(release: str) -> str:
    """A release in words: `Wallaby (Ironic 17.0)`."""
    return f"{release.capitalize()} (Ironic {RELEASES[release]})"


def default_deploy(release: str) -> Deploy:
    """How a node boots a build by the network where nobody says: `netboot` as long as it is."""
    return "netboot" if NETBOOT.holds(release) else "ramdisk"


def place(form: Form, release: str, boot: Boot = "pxe", deploy: Deploy | None = None) -> Place:
    """Where the arguments go in `release`, a key of RELEASES.

    BakeryError where this release has no such place: it says why, and what there is instead.
    """
    chosen = deploy or default_deploy(release)
    for one in PLACES:
        if (one.form, one.boot, one.deploy) == (form, boot, chosen) and one.holds(release):
            return one
    raise BakeryError(
        f"in {titled(release)} kernel arguments in {_FORM_WORDS[form]} do not reach a node that "
        f"boots by {boot} with {chosen}: {_why(form, release, boot, chosen)}",
        _way_out(release, boot),
    )


def _why(form: Form, release: str, boot: Boot, deploy: Deploy) -> str:
    if deploy == "netboot" and not NETBOOT.holds(release):
        return f"network boot of partition images ended with {titled(NETBOOT.until)}"
    if deploy == "ramdisk" and not RAMDISK_DEPLOY.holds(release):
        return f"the ramdisk deploy interface came with {titled(RAMDISK_DEPLOY.since)}"
    there = [one for one in PLACES if (one.form, one.boot, one.deploy) == (form, boot, deploy)]
    later = [one.since for one in there if _between(release, one.since, NEWEST)]
    if later:
        return f"they do since {titled(min(later, key=ORDER.index))}"
    if there:
        return f"they did until {titled(there[-1].until)}"
    return "no release has that"


def _way_out(release: str, boot: Boot) -> str:
    """The other places of a release, for the same boot interface or else for pxe."""
    here = [one for one in PLACES if one.holds(release)]
    found = [one for one in here if one.boot == boot] or [one for one in here if one.boot == "pxe"]
    ways = [
        f"{_FORM_OPTIONS[one.form]} --release {release} --boot {one.boot} --deploy {one.deploy}"
        + (" (all nodes of the conductor)" if one.form == "conf" else "")
        for one in found
    ]
    return "use " + ", or ".join(ways)


def _between(first: str, release: str, last: str) -> bool:
    return ORDER.index(first) <= ORDER.index(release) <= ORDER.index(last)
