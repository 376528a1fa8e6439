"""The steps from an image to a login on a node of devstack.

Every command is today's `openstack` client's, against the clouds that devstack writes into
clouds.yaml (devstack: functions-common, write_clouds_yaml); node names, flavor and network are
those that devstack and Ironic's plugin give (ironic: devstack/lib/ironic, enroll_nodes).
"""

import hashlib
import shlex
from pathlib import Path

import msgspec

from bakery import params, releases
from bakery.devstack import judges, sources
from bakery.devstack.steps import Command, Step
from bakery.errors import BakeryError
from bakery.manifest import Build

CLOUD = "devstack-admin"
SYSTEM_CLOUD = "devstack-system-admin"
FIRST_WITH_SCOPE = "2024.1"
"""IRONIC_ENFORCE_SCOPE is on from here: the project's admin does not see all nodes."""
FIRST_RELEASE = "train"
"""The client has the words used here; those of earlier releases differ."""
FLAVOR, NETWORK = "baremetal", "private"
HOUR = 3600.0


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run where: `bakery` is this program, `folder` devstack's (absolute), `key` a
    public key."""

    bakery: str
    folder: Path
    release: str
    nodes: int
    key: Path
    server: str = ""
    user: str = ""


def building(bakery: str, image: Path, output: Path, layout: str = "") -> Step:
    """The step that makes the build, before the others can be told."""
    chosen = ("--layout", layout) if layout else ()
    return Step(
        name="build",
        title=f"kernel, ramdisk and base of {image.name}",
        look=(Command((bakery, "params", str(output), "--for", "json")),),
        judge=judges.ended_well,
        act=(Command((bakery, "build", str(image), "-o", str(output), *chosen), seconds=HOUR),),
    )


def steps(build: Build, wish: Wish) -> tuple[Step, ...]:
    """All further steps; BakeryError where devstack of the release cannot deploy the build."""
    _possible(build, wish)
    return (
        _configure(build, wish),
        _stack(wish),
        _upload(build, wish),
        _arguments(build, wish),
        _keypair(wish),
        _boot(build, wish),
        _login(build, wish),
    )


def _possible(build: Build, wish: Wish) -> None:
    if not sources.at_least(wish.release, FIRST_RELEASE):
        raise BakeryError(
            f"the runbook goes back to {releases.titled(FIRST_RELEASE)}: earlier clients have "
            "other words",
            "write the configuration alone: bakery devstack local.conf, or localrc",
        )
    if build.manifest.layout != "disk" and not releases.NETBOOT.holds(wish.release):
        raise BakeryError(
            f"in {releases.titled(wish.release)} nothing of devstack's writes a base of layout "
            f"{build.manifest.layout} to a node: {releases.NETBOOT.says} up to "
            f"{releases.titled(releases.NETBOOT.until)}",
            "bakery build --layout disk, or --release yoga",
        )


def _configure(build: Build, wish: Wish) -> Step:
    path = str(wish.folder / "local.conf")
    told = (str(build.directory), "--release", wish.release)
    check = (wish.bakery, "devstack", "check", path, "--image", *told)
    write = (wish.bakery, "devstack", "local.conf", *told, "--nodes", str(wish.nodes), "-o", path)
    return Step(
        name="configure",
        title="devstack's local.conf",
        look=(Command(check),),
        judge=judges.ended_well,
        act=(Command(write),),
    )


def _stack(wish: Wish) -> Step:
    folder = str(wish.folder)
    return Step(
        name="stack",
        title=f"OpenStack, and Ironic's nodes: {wish.nodes}",
        look=(_baremetal(wish, "node", "list", "-f", "json"),),
        judge=judges.nodes_listed(wish.nodes),
        act=(Command((f"{folder}/stack.sh",), folder, 3 * HOUR),),
        undo=(Command((f"{folder}/unstack.sh",), folder, HOUR),),
        wait_seconds=300,
    )


def _upload(build: Build, wish: Wish) -> Step:
    name = build.manifest.name
    return Step(
        name="upload",
        title="the build into Glance",
        look=(_openstack("image", "show", name, "-f", "json"),),
        judge=judges.image_active(build.manifest.key),
        act=(
            Command(
                (wish.bakery, "upload", str(build.directory), "--cloud", CLOUD, "--replace"),
                seconds=HOUR,
            ),
        ),
    )


def _arguments(build: Build, wish: Wish) -> Step:
    title = "the build's kernel arguments for every node"
    if build.manifest.layout == "disk":
        skip = "a whole disk boots with the arguments of its own boot loader"
        return Step(name="arguments", title=title, judge=judges.ended_well, skip=skip)
    try:
        place = releases.place("node", wish.release)
    except BakeryError as error:
        skip = f"local.conf has them; {error.message}"
        return Step(name="arguments", title=title, judge=judges.ended_well, skip=skip)
    names = [f"node-{number}" for number in range(wish.nodes)]
    requests = [params.Request(build.manifest, wish.release, node=name) for name in names]
    return Step(
        name="arguments",
        title=title,
        look=tuple(
            _baremetal(wish, "node", "show", name, "--fields", "instance_info", "-f", "json")
            for name in names
        ),
        judge=judges.arguments_set(place.key, requests[0].line),
        act=tuple(_baremetal(wish, *shlex.split(params.node(request))[2:]) for request in requests),
    )


def _keypair(wish: Wish) -> Step:
    name = key_name(wish.key)
    create = ("keypair", "create", "--public-key", str(wish.key), name)
    return Step(
        name="keypair",
        title="the key to log in with",
        look=(_openstack("keypair", "show", name),),
        judge=judges.ended_well,
        act=(_openstack(*create),),
    )


def _boot(build: Build, wish: Wish) -> Step:
    server = wish.server or build.manifest.name
    create = (
        *("server", "create", "--flavor", FLAVOR, "--image", build.manifest.name),
        *("--network", NETWORK, "--key-name", key_name(wish.key), server),
    )
    return Step(
        name="boot",
        title=f"the server {server} on a node",
        look=(_openstack("server", "show", server, "-f", "json"),),
        judge=judges.server_active,
        act=(_openstack(*create),),
        wait_seconds=HOUR,
    )


def _login(build: Build, wish: Wish) -> Step:
    user = wish.user or build.manifest.distro or "root"
    options = (
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
        # A node deployed anew at the same address has another host key.
        *("-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=/dev/null"),
        *("-i", str(wish.key).removesuffix(".pub")),
    )
    return Step(
        name="login",
        title=f"ssh as {user}",
        look=(Command(("ssh", *options, f"{user}@{{address}}", "true"), needs=("address",)),),
        judge=judges.ended_well,
        wait_seconds=1800,
    )


def key_name(public: Path) -> str:
    """A name that tells the key: another one of the same name would lock out."""
    try:
        content = public.read_bytes()
    except OSError as error:
        raise BakeryError(
            f"the public key {public} cannot be read: {error.strerror}", "ssh-keygen makes one"
        ) from error
    return f"bakery-{hashlib.sha256(content).hexdigest()[:12]}"


def _openstack(*words: str) -> Command:
    return Command(("openstack", "--os-cloud", CLOUD, *words))


def _baremetal(wish: Wish, *words: str) -> Command:
    scoped = sources.at_least(wish.release, FIRST_WITH_SCOPE)
    cloud = SYSTEM_CLOUD if scoped else CLOUD
    return Command(("openstack", "--os-cloud", cloud, "baremetal", *words))
