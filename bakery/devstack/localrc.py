"""devstack's localrc of 2014, when Ironic was in devstack's own tree (Juno to Liberty).

A localrc is a shell fragment and can hold no post-config sections; stack.sh takes those from a
local.conf beside it, whose own [[local|localrc]] it then leaves alone (devstack: stack.sh and
inc/meta-config or functions, extract_localrc_section). So these are two files.
The settings are those of Ironic's guide (ironic: doc/source/dev/dev-quickstart.rst@juno-eol).
"""

import msgspec

from bakery.devstack import localconf, sources
from bakery.devstack.settings import Settings
from bakery.host.errors import BakeryError
from bakery.manifest.manifest import Manifest
from bakery.openstack.ironic import releases


class Files(msgspec.Struct, frozen=True):
    """The texts of the two files."""

    localrc: str
    local_conf: str


def write(build: Manifest, settings: Settings) -> Files:
    """Both texts; BakeryError where the release has Ironic as a plugin, or the build is a disk."""
    release = settings.release
    if sources.has_plugin(release):
        raise BakeryError(
            f"in {releases.titled(release)} Ironic is a plugin of devstack, which a localrc "
            "of 2014 does not know",
            f"use its own format: bakery devstack local.conf --release {release}",
        )
    if build.layout == "disk":
        raise BakeryError(
            "the driver pxe_ssh boots partition images by the network, and this build is a disk",
            "bakery build --layout pv",
        )
    head = localconf.head(build, settings)
    parts = [
        head,
        [*localconf.credentials(settings), f"SERVICE_TOKEN={settings.password}"],
        ["enable_service ironic ir-api ir-cond"],
        ["disable_service horizon n-net", "enable_service q-svc q-agt q-dhcp q-l3 q-meta neutron"],
        [
            "VIRT_DRIVER=ironic",
            "IRONIC_DEPLOY_DRIVER=pxe_ssh",
            "IRONIC_BAREMETAL_BASIC_OPS=True",
            "IRONIC_VM_SSH_PORT=22",
            *localconf.sizes(settings),
        ],
        [
            "# libvirt's own user writes the consoles, and may not enter a home folder.",
            f"IRONIC_VM_LOG_DIR={settings.log_folder}",
            "LOGFILE=/opt/stack/logs/stack.sh.log",
            "SCREEN_LOGDIR=/opt/stack/logs",
        ],
    ]
    post = [*head, "# It lies beside localrc.", "", *localconf.post_config(build, release)]
    return Files(
        localrc="\n\n".join("\n".join(part) for part in parts) + "\n",
        local_conf="\n".join(post) + "\n",
    )
