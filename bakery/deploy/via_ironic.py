"""Deploying by an Ironic: it is told what each node gets, and followed until it is done.

Ironic's own conductors do the work, so nothing here needs to go on: who kills bakery and gives the
same command again follows the same deploys. Source: Bare Metal API v1, node provision; Ironic,
"Bare Metal State Machine".
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from typing import TypeVar

import msgspec

from bakery import releases
from bakery.cloud.connection import CloudError, plain
from bakery.cloud.find import Published
from bakery.cloud.ironic import Ironic
from bakery.deploy import fits, root_device
from bakery.deploy.fits import Method
from bakery.errors import BakeryError
from bakery.fleet.plan import Patch
from bakery.fleet.records import NodeThere
from bakery.report import Report

T = TypeVar("T")

AT_ONCE = 8
"""So many nodes are spoken of to Ironic at a time."""
NAMED = 5

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
SETTLE_SECONDS = 120.0
INTERFACES = ("boot", "deploy", "management", "network", "power")
"""What of Ironic's `validate` a deploy depends on."""
TAKEN_BACK = "available"
ON_THE_WAY = frozenset({*fits.UNDER_WAY, "deleting", "cleaning", "clean wait"})
# What Ironic says where it gives up, and what helps.
WAYS_OUT = (
    (
        "Timeout reached while waiting for callback",
        "the deploy ramdisk did not call: the node's console shows how far it came",
    ),
    (
        "legacy BIOS bootloaders disabled",
        "a partition image cannot boot by BIOS; bakery build --layout disk",
    ),
    ("malformed kernel command line", "bakery params DIR --for node names the argument"),
    ("not permitted in file URLs", "[conductor]file_url_allowed_paths of ironic.conf"),
    ("No suitable device was found", "the disk is too small, or root_device hints match none"),
    ("does not match", "the image changed on its way, or its checksum is another's"),
    ("could not be found", "it was deleted from Glance meanwhile; bakery upload brings it back"),
)


class Sent(msgspec.Struct, frozen=True):
    """How a node's deploy ended: `state` is Ironic's provision state, `error` its reason."""

    name: str
    uuid: str
    state: str
    error: str = ""


class Deploys:
    """An image for some nodes of a cloud; a list of nodes is each once."""

    def __init__(
        self,
        ironic: Ironic,
        image: Published,
        method: Method,
        config_drive: str = "",
        glimpse: fits.Glimpse = fits.UNKNOWN,
    ) -> None:
        self.ironic = ironic
        self.image = image
        self.method = method
        self.config_drive = config_drive
        self.glimpse = glimpse
        self.release = releases.by_api(ironic.minor)
        self.begun: list[NodeThere] = []

    def problems(self, node: NodeThere) -> list[str]:
        """Why a node cannot take the image; empty where nothing is known against it."""
        found = fits.problems(node, self.image, self.method, self.release)
        found += fits.other_processor(node, self.glimpse.processor)
        if self.config_drive and self.method == "ramdisk" and fits.boot_of(node) == "pxe":
            boots = node.fields.get("boot_interface") or "the network"
            found.append(f"it boots by {boots}, and would get no config drive with the ramdisk")
        return found + self._disk(node)

    def _disk(self, node: NodeThere) -> list[str]:
        """Whether its root device hints are known to lead to no disk, or to one too small."""
        wanted = fits.root_device(node)
        if self.method != "direct" or not wanted or self.runs(node):
            return []
        disks = self.ironic.disks(node.uuid) or []
        size = self.image.manifest.artifacts["base"].size_bytes
        found = root_device.problem(wanted, disks, size)
        return [found] if found else []

    def check(self, nodes: Sequence[NodeThere]) -> None:
        """BakeryError, with every reason of every node, where one cannot take the image."""
        found = [
            f"{node.label}: {problem}"
            for node, problems in zip(
                nodes, _of_each(self.ironic, nodes, self.problems), strict=True
            )
            for problem in problems
        ]
        if found:
            raise BakeryError("; ".join(found), "no node was touched")

    def cautions(self, nodes: Sequence[NodeThere]) -> list[str]:
        """What to know before these get the image, though nothing speaks against it."""
        found = []
        if self.method == "ramdisk":
            found.append(
                f"the deploy interface ramdisk writes nothing: {self.image.base.name} has to be on "
                "each node's disk already"
            )
        if self.method == "ramdisk" and self.glimpse.zstd:
            found.append(
                "its ramdisk is packed with zstd: conductors unpack it on its way, unless "
                "[conductor]disable_zstandard_decompression is set"
            )
        unsaid = [n.label for n in nodes if fits.boot_mode_matters(n, self.image, self.method)]
        if unsaid:
            more = ", …" if len(unsaid) > NAMED else ""
            found.append(
                f"{', '.join(unsaid[:NAMED])}{more}: no boot_mode is said, so that Ironic's "
                "[deploy]default_boot_mode decides (uefi, where nobody set it), and the image "
                "boots by bios alone; the capability boot_mode:bios says it"
            )
        return found

    def runs(self, node: NodeThere) -> bool:
        """Whether a node has the image already, or is on its way to it."""
        return fits.runs(node, self.image, self.method, self.release)

    def start(self, node: NodeThere) -> None:
        """Tell the node what it gets and begin, where that is not under way or done already.

        Adds it to `begun` before anything is changed.

        BakeryError with Ironic's reasons where its own validation fails; the node is as before.
        """
        if _state(node) != fits.ACTIVE:
            self.begun.append(node)
        if self.runs(node):
            return
        self.ironic.patch_node(node.uuid, self._patch(node))
        faults = self.ironic.faults(node.uuid, INTERFACES)
        if faults:
            self._give_back(node)
            told = "; ".join(f"{name}: {reason}" for name, reason in faults.items())
            raise BakeryError(
                f"{node.label} cannot be deployed: {told}",
                f"openstack baremetal node validate {node.label}",
            )
        try:
            self.ironic.provision(node.uuid, "active", self.config_drive)
        except CloudError:
            # It may have been taken, and the answer lost: asked again, it is refused.
            if not self.runs(self.ironic.get(node.uuid)):
                raise

    def take_back(self, report: Report, timeout_seconds: float) -> list[Sent]:
        """End what was begun, and make its nodes as they were; how each ended."""
        ended = undeploy(self.ironic, self.begun, report, timeout_seconds)
        for node, sent in zip(self.begun, ended, strict=True):
            if sent.state == TAKEN_BACK and not self.runs(node):
                self._give_back(node)
        return ended

    def _info(self, node: NodeThere) -> dict[str, str]:
        return fits.instance_info(self.image, self.method, node, self.release)

    def _patch(self, node: NodeThere) -> Patch:
        """The node's instance_info and deploy interface as this deploy wants them."""
        has, info = fits.fields_of(node, "instance_info"), self._info(node)
        patch: Patch = [
            {"op": "remove", "path": f"/instance_info/{key}"}
            for key in fits.OWN_INFO
            if key in has and key not in info
        ]
        patch += [
            {"op": "add", "path": f"/instance_info/{key}", "value": value}
            for key, value in info.items()
        ]
        return [*patch, *_interface(node, self.method)]

    def _give_back(self, node: NodeThere) -> None:
        """Make the node as it was."""
        patch = _unpatch(node, self.ironic.get(node.uuid))
        if patch:
            self.ironic.patch_node(node.uuid, patch)


def _unpatch(was: NodeThere, now: NodeThere) -> Patch:
    """What makes a node as it was, of all that a deploy changes."""
    had, has = fits.fields_of(was, "instance_info"), fits.fields_of(now, "instance_info")
    patch: Patch = [
        {"op": "add", "path": f"/instance_info/{key}", "value": had[key]}
        if key in had
        else {"op": "remove", "path": f"/instance_info/{key}"}
        for key in fits.OWN_INFO
        if had.get(key) != has.get(key)
    ]
    interface = was.fields.get("deploy_interface")
    if interface and interface != now.fields.get("deploy_interface"):
        patch.append({"op": "add", "path": "/deploy_interface", "value": interface})
    return patch


def give_arguments(ironic: Ironic, image: Published, node: NodeThere) -> bool:
    """Give a node the kernel arguments of an image, for whoever deploys it; False if it has them.

    BakeryError where an argument would not arrive as it is, and where none would.
    """
    given = fits.arguments(image, node, releases.by_api(ironic.minor))
    has = fits.fields_of(node, "instance_info")
    if given.items() <= has.items():
        return False
    patch: Patch = [
        {"op": "add", "path": f"/instance_info/{key}", "value": line} for key, line in given.items()
    ]
    ironic.patch_node(node.uuid, patch)
    return True


def _interface(node: NodeThere, method: Method) -> Patch:
    if node.fields.get("deploy_interface") == method:
        return []
    return [{"op": "add", "path": "/deploy_interface", "value": method}]


def deploy(
    deploys: Deploys, nodes: Sequence[NodeThere], report: Report, timeout_seconds: float
) -> list[Sent]:
    """Start all, and follow them; a node that fails keeps no other from its image."""

    def start(node: NodeThere) -> Sent | None:
        try:
            deploys.start(node)
        except BakeryError as error:
            return Sent(node.label, node.uuid, _state(node), error.message)
        return None

    failed = {sent.uuid: sent for sent in _of_each(deploys.ironic, nodes, start) if sent}
    due = [node for node in nodes if node.uuid not in failed]
    sent = failed | follow(deploys.ironic, due, fits.ACTIVE, report, timeout_seconds)
    return [sent[node.uuid] for node in nodes]


def undeploy(
    ironic: Ironic, nodes: Sequence[NodeThere], report: Report, timeout_seconds: float
) -> list[Sent]:
    """Take the instances of nodes away, and follow them until they are available."""

    def end(node: NodeThere) -> Sent | None:
        try:
            if _settled(ironic, node) != TAKEN_BACK:
                ironic.provision(node.uuid, "deleted")
        except BakeryError as error:
            return Sent(node.label, node.uuid, _state(node), error.message)
        return None

    failed = {sent.uuid: sent for sent in _of_each(ironic, nodes, end) if sent}
    due = [node for node in nodes if node.uuid not in failed]
    sent = failed | follow(ironic, due, TAKEN_BACK, report, timeout_seconds)
    return [sent[node.uuid] for node in nodes]


def _of_each(ironic: Ironic, nodes: Sequence[NodeThere], do: Callable[[NodeThere], T]) -> list[T]:
    """What `do` says of each node, several at a time, in their order."""
    with ironic.at_once(AT_ONCE) as pool:
        waiting = [pool.submit(do, node) for node in nodes]
        for done in as_completed(waiting):
            done.result()
    return [done.result() for done in waiting]


def _settled(ironic: Ironic, node: NodeThere) -> str:
    """Its state, once its conductor is not at work on it: a deploy can be ended only then."""
    end = time.monotonic() + SETTLE_SECONDS
    while (state := _state(ironic.get(node.uuid))) == "deploying" and time.monotonic() < end:
        time.sleep(FIRST_PAUSE_SECONDS)
    return state


def follow(
    ironic: Ironic, nodes: Sequence[NodeThere], goal: str, report: Report, timeout_seconds: float
) -> dict[str, Sent]:
    """Look at nodes until each is at `goal`, or will not get there; by uuid, where each ended."""
    ended: dict[str, Sent] = {}
    states = {node.uuid: "" for node in nodes}
    pause, end = FIRST_PAUSE_SECONDS, time.monotonic() + timeout_seconds
    if not nodes:
        return ended
    with report.step(goal, f"{len(nodes)} nodes") as step:
        while True:
            late = time.monotonic() >= end
            there = {node.uuid: node for node in ironic.states()}
            for node in nodes:
                now = there.get(node.uuid)
                state = _state(now) if now else "gone"
                if state != states[node.uuid]:
                    states[node.uuid], pause = state, FIRST_PAUSE_SECONDS
                    step.note(f"{node.label}: {state}")
                if state not in ON_THE_WAY or late:
                    ended[node.uuid] = _ended(node, now, goal)
            step.emit("progress", f"{len(ended)} of {len(nodes)} nodes")
            if len(ended) == len(nodes):
                return ended
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)


def _ended(node: NodeThere, now: NodeThere | None, goal: str) -> Sent:
    state = _state(now) if now else "gone"
    if state == goal:
        return Sent(node.label, node.uuid, state)
    if state in ON_THE_WAY:
        return Sent(node.label, node.uuid, state, f"still {state} when time was up")
    told = str(now.fields.get("last_error") or "") if now else ""
    return Sent(node.label, node.uuid, state, _explained(told) or f"it went to {state}")


def _explained(last_error: str) -> str:
    """Ironic's words on one line, and what helps where that is known."""
    words = plain(last_error)
    ways = [way for sign, way in WAYS_OUT if sign in words]
    return f"{words} ({ways[0]})" if ways else words


def _state(node: NodeThere) -> str:
    return str(node.fields.get("provision_state") or "")
