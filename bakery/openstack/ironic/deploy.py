"""Deploying by an Ironic: it is told what each node gets, and followed until it is done.

Ironic's own conductors do the work, so nothing here needs to go on: who kills bakery and gives the
same command again follows the same deploys. Source: Bare Metal API v1, node provision; Ironic,
"Bare Metal State Machine".
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.openstack.connection import CloudError, plain
from bakery.openstack.glance.find import Published
from bakery.openstack.ironic import changes, config_drive, releases, root_device, validate
from bakery.openstack.ironic.changes import Patch
from bakery.openstack.ironic.client import Ironic
from bakery.openstack.ironic.records import NodeThere
from bakery.openstack.ironic.validate import Method

S = TypeVar("S")
T = TypeVar("T")

AT_ONCE = 8
"""Number of nodes that Ironic is told of at a time."""
NAMED = 5

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 5.0
SETTLE_SECONDS = 120.0
INTERFACES = ("boot", "deploy", "management", "network", "power")
"""What of Ironic's `validate` a deploy depends on."""
TAKEN_BACK = "available"
ON_THE_WAY = frozenset({*validate.UNDER_WAY, "deleting", "cleaning", "clean wait"})
# What Ironic says where it gives up, and what helps.
WAYS_OUT = (
    (
        "Timeout reached while waiting for callback",
        "the deploy ramdisk never called back: see the node's console",
    ),
    (
        "legacy BIOS bootloaders disabled",
        "a partition image cannot boot by BIOS: bakery build --layout disk",
    ),
    ("malformed kernel command line", "bakery params DIR --for node names the bad argument"),
    ("not permitted in file URLs", "[conductor]file_url_allowed_paths of ironic.conf"),
    ("No suitable device was found", "the disk is too small, or root_device hints match none"),
    ("does not match", "the image changed on its way, or has the wrong checksum"),
    (
        "could not be found",
        "it was deleted from Glance meanwhile: bakery upload publishes it again",
    ),
)


class Sent(msgspec.Struct, frozen=True):
    """How a node's deploy ended: `state` is Ironic's provision state, `error` its reason."""

    name: str
    uuid: str
    state: str
    error: str = ""


@dataclass
class Deploys:
    """An image for some nodes of a cloud; a list of nodes is each once."""

    ironic: Ironic
    image: Published
    method: Method
    drive: str = ""
    glimpse: validate.Glimpse = validate.UNKNOWN
    begun: list[NodeThere] = field(default_factory=list)

    @property
    def release(self) -> str:
        """The release of Ironic, by what it speaks."""
        return releases.by_api(self.ironic.minor)

    def problems(self, node: NodeThere) -> list[str]:
        """Why a node cannot take the image; empty where nothing is known against it."""
        found = validate.problems(node, self.image, self.method, self.release)
        found += validate.other_processor(node, self.glimpse.processor)
        if self.drive and self.method == "ramdisk" and validate.boot_of(node) == "pxe":
            boots = node.fields.get("boot_interface") or "the network"
            found.append(f"it boots by {boots}, and would get no config drive with the ramdisk")
        return found + self._disk(node)

    def _disk(self, node: NodeThere) -> list[str]:
        """Whether its root device hints are known to lead to no disk, or to one too small."""
        wanted = validate.root_device(node)
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
                "its ramdisk is packed with zstd: conductors unpack it on the way, unless "
                "[conductor]disable_zstandard_decompression is set"
            )
        unsaid = [n.label for n in nodes if validate.boot_mode_matters(n, self.image, self.method)]
        if unsaid:
            more = ", …" if len(unsaid) > NAMED else ""
            found.append(
                f"{', '.join(unsaid[:NAMED])}{more}: boot_mode is not set, so Ironic's "
                "[deploy]default_boot_mode decides (by default uefi), but the image boots only by "
                "bios: set the capability boot_mode:bios"
            )
        return found

    def runs(self, node: NodeThere) -> bool:
        """Whether a node has the image already, or is on its way to it."""
        return validate.runs(node, self.image, self.method, self.release)

    def start(self, node: NodeThere) -> None:
        """Tell the node what it gets and begin, where that is not under way or done already.

        Adds it to `begun` before anything is changed.

        BakeryError with Ironic's reasons where its own validation fails; the node is as before.
        """
        if node.state != validate.ACTIVE:
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
            self.ironic.provision(node.uuid, "active", self.drive)
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
        return validate.instance_info(self.image, self.method, node, self.release)

    def _patch(self, node: NodeThere) -> Patch:
        """The node's instance_info and deploy interface as this deploy wants them.

        A config drive that is there is another deploy's; one of ours comes with the start.
        """
        has, info = validate.fields_of(node, "instance_info"), self._info(node)
        left = [key for key in validate.OWN_INFO if key in has and key not in info]
        patch: Patch = [{"op": "remove", "path": f"/instance_info/{key}"} for key in left]
        patch += [changes.put(value, "instance_info", key) for key, value in info.items()]
        return [*patch, *config_drive.WITHOUT, *_interface(node, self.method)]

    def _give_back(self, node: NodeThere) -> None:
        """Make the node as it was."""
        patch = _unpatch(node, self.ironic.get(node.uuid))
        if patch:
            self.ironic.patch_node(node.uuid, patch)


def _unpatch(was: NodeThere, now: NodeThere) -> Patch:
    """What makes a node as it was, of all that a deploy changes; no config drive comes back."""
    had, has = validate.fields_of(was, "instance_info"), validate.fields_of(now, "instance_info")
    patch: Patch = [
        changes.put(had[key], "instance_info", key)
        if key in had
        else {"op": "remove", "path": f"/instance_info/{key}"}
        for key in validate.OWN_INFO
        if had.get(key) != has.get(key)
    ]
    interface = was.fields.get("deploy_interface")
    if interface and interface != now.fields.get("deploy_interface"):
        patch.append(changes.put(interface, "deploy_interface"))
    return patch


def give_arguments(ironic: Ironic, image: Published, node: NodeThere) -> bool:
    """Give a node the kernel arguments of an image, for whoever deploys it; False if it has them.

    BakeryError where an argument would not arrive as it is, and where none would.
    """
    given = validate.arguments(image, node, releases.by_api(ironic.minor))
    has = validate.fields_of(node, "instance_info")
    if given.items() <= has.items():
        return False
    patch = [changes.put(line, "instance_info", key) for key, line in given.items()]
    ironic.patch_node(node.uuid, patch)
    return True


def _interface(node: NodeThere, method: Method) -> Patch:
    if node.fields.get("deploy_interface") == method:
        return []
    return [changes.put(method, "deploy_interface")]


def deploy(
    deploys: Deploys, nodes: Sequence[NodeThere], report: Report, timeout_seconds: float
) -> list[Sent]:
    """Start all, and follow them; a node that fails keeps no other from its image, and no drive."""
    return _sent(deploys.ironic, nodes, deploys.start, validate.ACTIVE, report, timeout_seconds)


def undeploy(
    ironic: Ironic, nodes: Sequence[NodeThere], report: Report, timeout_seconds: float
) -> list[Sent]:
    """Take the instances of nodes away, and follow them until they are available.

    No config drive stays on a node that is free then, whoever left it there.
    """

    def end(node: NodeThere) -> None:
        if _settled(ironic, node) != TAKEN_BACK:
            ironic.provision(node.uuid, "deleted")

    return _sent(ironic, nodes, end, TAKEN_BACK, report, timeout_seconds)


def _sent(
    ironic: Ironic,
    nodes: Sequence[NodeThere],
    send: Callable[[NodeThere], None],
    goal: str,
    report: Report,
    timeout_seconds: float,
) -> list[Sent]:
    """Send each node to `goal`, and follow those that went; in their order, how each ended."""

    def failure(node: NodeThere) -> Sent | None:
        try:
            send(node)
        except BakeryError as error:
            return Sent(node.label, node.uuid, node.state, error.message)
        return None

    failed = {sent.uuid: sent for sent in _of_each(ironic, nodes, failure) if sent}
    due = [node for node in nodes if node.uuid not in failed]
    sent = failed | follow(ironic, due, goal, report, timeout_seconds)
    return _without_drives(ironic, [sent[node.uuid] for node in nodes])


def _without_drives(ironic: Ironic, ended: Sequence[Sent]) -> list[Sent]:
    """How each ended, once those that are free have no config drive that the next would get."""

    def clear(sent: Sent) -> Sent:
        if sent.state == validate.ACTIVE and not sent.error:
            return sent
        try:
            node = ironic.find(sent.uuid)
            if node and node.state in validate.FREE and config_drive.is_on(node):
                ironic.patch_node(node.uuid, config_drive.WITHOUT)
        except CloudError as error:
            left = f"its config drive may still be on it: {error.message}"
            told = "; ".join(filter(None, (sent.error, left)))
            return msgspec.structs.replace(sent, error=told)
        return sent

    return _of_each(ironic, ended, clear)


def _of_each(ironic: Ironic, things: Sequence[S], do: Callable[[S], T]) -> list[T]:
    """What `do` says of each, several at a time, in their order."""
    with ironic.at_once(AT_ONCE) as pool:
        waiting = [pool.submit(do, thing) for thing in things]
        for done in as_completed(waiting):
            done.result()
    return [done.result() for done in waiting]


def _settled(ironic: Ironic, node: NodeThere) -> str:
    """Its state, once its conductor is not at work on it: a deploy can be ended only then."""
    end = time.monotonic() + SETTLE_SECONDS
    while (state := ironic.get(node.uuid).state) == "deploying" and time.monotonic() < end:
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
                state = now.state if now else "gone"
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
    state = now.state if now else "gone"
    if state == goal:
        return Sent(node.label, node.uuid, state)
    if state in ON_THE_WAY:
        return Sent(node.label, node.uuid, state, f"still {state} when time was up")
    told = str(now.fields.get("last_error") or "") if now else ""
    return Sent(node.label, node.uuid, state, _explained(told) or f"it ended in {state}")


def _explained(last_error: str) -> str:
    """Ironic's words on one line, and what helps where that is known."""
    words = plain(last_error)
    ways = [way for sign, way in WAYS_OUT if sign in words]
    return f"{words} ({ways[0]})" if ways else words
