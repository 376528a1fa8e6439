"""The steps from an image to a login on a node of devstack.

Every command is today's `openstack` client's, against the clouds that devstack writes into
clouds.yaml (devstack: functions-common, write_clouds_yaml); node names, flavor and network are
those that devstack and Ironic's plugin give (ironic: devstack/lib/ironic, enroll_nodes).
"""

import hashlib
import shlex
from pathlib import Path

import msgspec

from bakery.devstack import sources, verdicts
from bakery.devstack.steps import Command, Step
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Build
from bakery.openstack.ironic import params, releases

CLOUD = "devstack-admin"
SYSTEM_CLOUD = "devstack-system-admin"
FIRST_WITH_SCOPE = "2024.1"
"""IRONIC_ENFORCE_SCOPE is on from here: the project's admin does not see all nodes."""
FIRST_RELEASE = "train"
"""The client has the words used here; those of earlier releases differ."""
FLAVOR, NETWORK = "baremetal", "private"
HOUR = 3600.0


class RunbookOptions(msgspec.Struct, frozen=True, kw_only=True):
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
        judge=verdicts.ended_well,
        act=(Command((bakery, "build", str(image), "-o", str(output), *chosen), seconds=HOUR),),
    )


def steps(build: Build, options: RunbookOptions) -> tuple[Step, ...]:
    """All further steps; BakeryError where devstack of the release cannot deploy the build."""
    _possible(build, options)
    return (
        _configure(build, options),
        _stack(options),
        _upload(build, options),
        _arguments(build, options),
        _keypair(options),
        _boot(build, options),
        _login(build, options),
    )


def _possible(build: Build, options: RunbookOptions) -> None:
    if not sources.at_least(options.release, FIRST_RELEASE):
        raise BakeryError(
            f"the runbook goes back to {releases.titled(FIRST_RELEASE)}: earlier clients have "
            "other commands",
            "only write the configuration: bakery devstack local.conf, or localrc",
        )
    if build.manifest.layout != "disk" and not releases.NETBOOT.holds(options.release):
        raise BakeryError(
            f"in {releases.titled(options.release)} nothing of devstack's writes a base of layout "
            f"{build.manifest.layout} to a node: {releases.NETBOOT.says} up to "
            f"{releases.titled(releases.NETBOOT.until)}",
            "bakery build --layout disk, or --release yoga",
        )


def _configure(build: Build, options: RunbookOptions) -> Step:
    path = str(options.folder / "local.conf")
    told = (str(build.directory), "--release", options.release)
    check = (options.bakery, "devstack", "check", path, "--image", *told)
    write = (
        *(options.bakery, "devstack", "local.conf", *told),
        *("--nodes", str(options.nodes), "-o", path),
    )
    return Step(
        name="configure",
        title="devstack's local.conf",
        look=(Command(check),),
        judge=verdicts.ended_well,
        act=(Command(write),),
    )


def _stack(options: RunbookOptions) -> Step:
    folder = str(options.folder)
    return Step(
        name="stack",
        title=f"OpenStack, and Ironic's nodes: {options.nodes}",
        look=(_baremetal(options, "node", "list", "-f", "json"),),
        judge=verdicts.nodes_listed(options.nodes),
        act=(Command((f"{folder}/stack.sh",), folder, 3 * HOUR),),
        undo=(Command((f"{folder}/unstack.sh",), folder, HOUR),),
        wait_seconds=300,
    )


def _upload(build: Build, options: RunbookOptions) -> Step:
    name = build.manifest.name
    return Step(
        name="upload",
        title="the build into Glance",
        look=(_openstack("image", "show", name, "-f", "json"),),
        judge=verdicts.image_active(build.manifest.key),
        act=(
            Command(
                (options.bakery, "upload", str(build.directory), "--cloud", CLOUD, "--replace"),
                seconds=HOUR,
            ),
        ),
    )


def _arguments(build: Build, options: RunbookOptions) -> Step:
    title = "the build's kernel arguments for every node"
    if build.manifest.layout == "disk":
        skip = "a whole disk boots with the arguments of its own boot loader"
        return Step(name="arguments", title=title, judge=verdicts.ended_well, skip=skip)
    try:
        place = releases.place("node", options.release)
    except BakeryError as error:
        skip = f"local.conf has them; {error.message}"
        return Step(name="arguments", title=title, judge=verdicts.ended_well, skip=skip)
    names = [f"node-{number}" for number in range(options.nodes)]
    requests = [params.Request(build.manifest, options.release, node=name) for name in names]
    return Step(
        name="arguments",
        title=title,
        look=tuple(
            _baremetal(options, "node", "show", name, "--fields", "instance_info", "-f", "json")
            for name in names
        ),
        judge=verdicts.arguments_set(place.key, requests[0].line),
        act=tuple(
            _baremetal(options, *shlex.split(params.node(request))[2:]) for request in requests
        ),
    )


def _keypair(options: RunbookOptions) -> Step:
    name = key_name(options.key)
    return Step(
        name="keypair",
        title="the key to log in with",
        look=(_openstack("keypair", "show", name),),
        judge=verdicts.ended_well,
        act=(_openstack("keypair", "create", "--public-key", str(options.key), name),),
    )


def _boot(build: Build, options: RunbookOptions) -> Step:
    server = options.server or build.manifest.name
    create = (
        *("server", "create", "--flavor", FLAVOR, "--image", build.manifest.name),
        *("--network", NETWORK, "--key-name", key_name(options.key), server),
    )
    return Step(
        name="boot",
        title=f"the server {server} on a node",
        look=(_openstack("server", "show", server, "-f", "json"),),
        judge=verdicts.server_active,
        act=(_openstack(*create),),
        wait_seconds=HOUR,
    )


def _login(build: Build, options: RunbookOptions) -> Step:
    user = options.user or build.manifest.distro or "root"
    ssh_options = (
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
        # A node deployed anew at the same address has another host key.
        *("-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=/dev/null"),
        *("-i", str(options.key).removesuffix(".pub")),
    )
    return Step(
        name="login",
        title=f"ssh as {user}",
        look=(Command(("ssh", *ssh_options, f"{user}@{{address}}", "true"), needs=("address",)),),
        judge=verdicts.ended_well,
        wait_seconds=1800,
    )


def key_name(public: Path) -> str:
    """A name that tells the key: another one of the same name would lock out."""
    try:
        content = public.read_bytes()
    except OSError as error:
        raise BakeryError(
            f"the public key {public} cannot be read: {error.strerror}",
            "create one with ssh-keygen",
        ) from error
    return f"bakery-{hashlib.sha256(content).hexdigest()[:12]}"


def _openstack(*words: str) -> Command:
    return Command(("openstack", "--os-cloud", CLOUD, *words))


def _baremetal(options: RunbookOptions, *words: str) -> Command:
    scoped = sources.at_least(options.release, FIRST_WITH_SCOPE)
    cloud = SYSTEM_CLOUD if scoped else CLOUD
    return Command(("openstack", "--os-cloud", cloud, "baremetal", *words))
