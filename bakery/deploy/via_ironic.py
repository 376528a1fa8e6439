"""Deploying by an Ironic: it is told what each node gets, and followed until it is done.

Ironic's own conductors do the work, so nothing here needs to go on: who kills bakery and gives the
same command again follows the same deploys. Source: Bare Metal API v1, node provision; Ironic,
"Bare Metal State Machine".
"""

import time
from collections.abc import Sequence

import msgspec

from bakery.cloud.connection import CloudError, plain
from bakery.cloud.find import Published
from bakery.cloud.ironic import Ironic
from bakery.deploy import fits
from bakery.deploy.fits import Method
from bakery.errors import BakeryError
from bakery.fleet.plan import Patch
from bakery.fleet.records import NodeThere
from bakery.report import Report

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
        self, ironic: Ironic, image: Published, method: Method, config_drive: str = ""
    ) -> None:
        self.ironic = ironic
        self.image = image
        self.method = method
        self.config_drive = config_drive
        self.started: list[NodeThere] = []
        self.info = fits.instance_info(image, method)

    def check(self, nodes: Sequence[NodeThere]) -> None:
        """BakeryError, with every reason of every node, where one cannot take the image."""
        found = [
            f"{node.label}: {problem}"
            for node in nodes
            for problem in fits.problems(node, self.image, self.method)
        ]
        if found:
            raise BakeryError("; ".join(found), "no node was touched")

    def start(self, node: NodeThere) -> None:
        """Tell the node what it gets and begin, where that is not under way or done already.

        Adds it to `started` before Ironic is asked to begin.

        BakeryError with Ironic's reasons where its own validation fails; the node is as before.
        """
        if fits.runs(node, self.image, self.method):
            self.started.append(node)
            return
        self.ironic.patch_node(node.uuid, self._patch(node))
        faults = self.ironic.faults(node.uuid, INTERFACES)
        if faults:
            self.ironic.patch_node(node.uuid, self._unpatch(node))
            told = "; ".join(f"{name}: {reason}" for name, reason in faults.items())
            raise BakeryError(
                f"{node.label} cannot be deployed: {told}",
                f"openstack baremetal node validate {node.label}",
            )
        self.started.append(node)
        try:
            self.ironic.provision(node.uuid, "active", self.config_drive)
        except CloudError:
            # It may have been taken, and the answer lost: asked again, it is refused.
            if not fits.runs(self.ironic.get(node.uuid), self.image, self.method):
                raise

    def _patch(self, node: NodeThere) -> Patch:
        """The node's instance_info and deploy interface as this deploy wants them."""
        has = fits.fields_of(node, "instance_info")
        patch: Patch = [
            {"op": "remove", "path": f"/instance_info/{key}"}
            for key in fits.OWN_INFO
            if key in has and key not in self.info
        ]
        patch += [
            {"op": "add", "path": f"/instance_info/{key}", "value": value}
            for key, value in self.info.items()
        ]
        return [*patch, *_interface(node, self.method)]

    def _unpatch(self, node: NodeThere) -> Patch:
        """What makes the node as it was."""
        has = fits.fields_of(node, "instance_info")
        patch: Patch = [
            {"op": "add", "path": f"/instance_info/{key}", "value": has[key]}
            if key in has
            else {"op": "remove", "path": f"/instance_info/{key}"}
            for key in fits.OWN_INFO
            if key in has or key in self.info
        ]
        was = node.fields.get("deploy_interface")
        if was and was != self.method:
            patch.append({"op": "add", "path": "/deploy_interface", "value": was})
        return patch


def give_arguments(ironic: Ironic, image: Published, node: NodeThere) -> bool:
    """Give a node the kernel arguments of an image, for whoever deploys it; False if it has them.

    BakeryError where an argument would not arrive as it is.
    """
    key = "kernel_append_params"
    line = fits.instance_info(image, "ramdisk")[key]
    if fits.fields_of(node, "instance_info").get(key) == line:
        return False
    ironic.patch_node(node.uuid, [{"op": "add", "path": f"/instance_info/{key}", "value": line}])
    return True


def _interface(node: NodeThere, method: Method) -> Patch:
    if node.fields.get("deploy_interface") == method:
        return []
    return [{"op": "add", "path": "/deploy_interface", "value": method}]


def deploy(
    deploys: Deploys, nodes: Sequence[NodeThere], report: Report, timeout_seconds: float
) -> list[Sent]:
    """Start all, and follow them; a node that fails keeps no other from its image."""
    sent: dict[str, Sent] = {}
    for node in nodes:
        try:
            deploys.start(node)
        except BakeryError as error:
            sent[node.uuid] = Sent(node.label, node.uuid, _state(node), error.message)
    due = [node for node in nodes if node.uuid not in sent]
    sent |= follow(deploys.ironic, due, fits.ACTIVE, report, timeout_seconds)
    return [sent[node.uuid] for node in nodes]


def undeploy(
    ironic: Ironic, nodes: Sequence[NodeThere], report: Report, timeout_seconds: float
) -> list[Sent]:
    """Take the instances of nodes away, and follow them until they are available."""
    for node in nodes:
        if _settled(ironic, node) != TAKEN_BACK:
            ironic.provision(node.uuid, "deleted")
    return list(follow(ironic, nodes, TAKEN_BACK, report, timeout_seconds).values())


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
