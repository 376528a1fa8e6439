"""devstack's local.conf for a build: Ironic as a plugin, from Mitaka to today.

The settings are those of Ironic's own guide (ironic: doc/source/contributor/devstack-guide.rst;
dev-quickstart.rst up to 2025.1), the variables those of devstack/lib/ironic in each release.
"""

from bakery.devstack import sources
from bakery.devstack.settings import Settings
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Manifest
from bakery.openstack.ironic import params, releases

Lines = list[str]


def write(build: Manifest, settings: Settings) -> str:
    """The text of local.conf; BakeryError where the release or the arguments do not allow it."""
    release = settings.release
    if not sources.has_plugin(release):
        raise BakeryError(
            f"in {releases.titled(release)} Ironic is not a plugin of devstack yet",
            f"use its own format: bakery devstack localrc --release {release}",
        )
    parts = [
        head(build, settings),
        ["[[local|localrc]]", *credentials(settings)],
        _services(settings),
        _nodes(build, settings),
        ["LOGFILE=/opt/stack/logs/stack.sh.log", f"IRONIC_VM_LOG_DIR={settings.log_folder}"],
        post_config(build, release),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def credentials(settings: Settings) -> Lines:
    """The passwords devstack would ask for, and the host's address where it is known."""
    names = ("ADMIN", "DATABASE", "RABBIT", "SERVICE")
    lines = [f"{name}_PASSWORD={settings.password}" for name in names]
    return lines + ([f"HOST_IP={settings.host_ip}"] if settings.host_ip else [])


def post_config(build: Manifest, release: str) -> Lines:
    """The section that puts the build's arguments into ironic.conf."""
    if build.layout == "disk":
        return ["# A whole disk boots with the arguments of its own boot loader."]
    lines = params.devstack(params.Request(build, release)).splitlines()
    return ["# In place of what devstack sets itself: every node boots with these.", *lines]


def cautions(build: Manifest, release: str) -> list[str]:
    """What to know before stacking, a sentence each."""
    found = params.cautions("devstack", params.Request(build, release))
    if deploy_interface(build, release) == "ramdisk":
        found.append(
            f"in {releases.titled(release)} a partition image boots by the ramdisk interface, "
            "which writes nothing: the base must be on the node's disk already; a whole disk "
            "(bakery build --layout disk) is written"
        )
    return found


def head(build: Manifest, settings: Settings) -> Lines:
    """What the file is for, and where its devstack comes from."""
    ref = sources.git_ref(settings.release)
    return [
        f"# devstack for {build.name}, layout {build.layout}: {releases.titled(settings.release)}",
        f"# git clone -b {ref} {sources.DEVSTACK_URL}",
    ]


def _services(settings: Settings) -> Lines:
    release = settings.release
    lines = [
        f"enable_plugin ironic {sources.PLUGIN_URL} {sources.git_ref(release)}",
        "VIRT_DRIVER=ironic",
        "disable_service horizon n-novnc",
        "disable_service cinder c-sch c-api c-vol",
        "# Swift's temporary URLs, for the direct deploy interface.",
        "enable_service s-proxy s-object s-container s-account",
        f"SWIFT_HASH={settings.password}",
        f"SWIFT_TEMPURL_KEY={settings.password}",
        "SWIFT_ENABLE_TEMPURLS=True",
    ]
    if not sources.at_least(release, "newton"):
        lines += ["disable_service n-net", "enable_service q-svc q-agt q-dhcp q-l3 q-meta neutron"]
    if sources.at_least(release, sources.FIRST_WITH_OVN):
        lines += _without_ovn(release)
    return lines


def _without_ovn(release: str) -> Lines:
    lines = [
        "disable_service ovn-controller ovn-northd q-ovn-metadata-agent",
        "enable_service q-svc q-agt q-dhcp q-l3 q-meta",
        "Q_AGENT=openvswitch",
        "Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch",
        "Q_ML2_TENANT_NETWORK_TYPE=vxlan",
        "Q_USE_SECGROUP=False",
    ]
    if sources.at_least(release, "2025.1"):
        lines += [
            "disable_service q-ovn-agent neutron-ovn-agent",
            "enable_service neutron-api neutron-agent neutron-dhcp neutron-l3",
            "enable_service neutron-metadata-agent",
        ]
    return lines


def _nodes(build: Manifest, settings: Settings) -> Lines:
    release = settings.release
    lines = [
        "IRONIC_BAREMETAL_BASIC_OPS=True",
        *sizes(settings),
        "DEFAULT_INSTANCE_TYPE=baremetal",
    ]
    if settings.boot_mode:
        lines += [f"IRONIC_BOOT_MODE={settings.boot_mode}"]
    if sources.at_least(release, "queens"):
        lines += [f"IRONIC_DEFAULT_DEPLOY_INTERFACE={deploy_interface(build, release)}"]
    if sources.at_least(release, "pike") and releases.NETBOOT.holds(release):
        option = "local" if build.layout == "disk" else "netboot"
        lines += [f"IRONIC_DEFAULT_BOOT_OPTION={option}"]
    if sources.at_least(release, "xena"):
        lines += [f"GLANCE_LIMIT_IMAGE_SIZE_TOTAL={image_limit_mib(build)}"]
    return lines


def sizes(settings: Settings) -> Lines:
    """How many nodes, and how large."""
    return [
        f"IRONIC_VM_COUNT={settings.nodes}",
        f"IRONIC_VM_SPECS_CPU={settings.node_cpus}",
        f"IRONIC_VM_SPECS_RAM={settings.node_memory_mib}",
        f"IRONIC_VM_SPECS_DISK={settings.node_disk_gib}",
        "IRONIC_VM_EPHEMERAL_DISK=0",
    ]


def deploy_interface(build: Manifest, release: str) -> str:
    """`direct`, or `ramdisk` where a partition image is no longer booted by the network."""
    by_network = releases.NETBOOT.holds(release)
    return "direct" if build.layout == "disk" or by_network else "ramdisk"


def image_limit_mib(build: Manifest) -> int:
    """Glance's limit for a project: the build, raw, beside devstack's own images (2000 MiB)."""
    total = sum(artifact.size_bytes for artifact in build.artifacts.values())
    return 2000 + -(-total // (1 << 20))
