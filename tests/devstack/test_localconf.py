"""The whole text of a local.conf, and from which release to which each of its lines is there."""

import pytest

from bakery.devstack import localconf, sources
from bakery.openstack.ironic import releases
from tests.devstack.builds import a_build, a_setting
from tests.openstack.ironic.test_params import BLUEPRINT

WHOLE = f"""\
# devstack for fedora-atomic, layout pv: 2026.1 (Ironic 35.0)
# git clone -b stable/2026.1 https://opendev.org/openstack/devstack

[[local|localrc]]
ADMIN_PASSWORD=secret1
DATABASE_PASSWORD=secret1
RABBIT_PASSWORD=secret1
SERVICE_PASSWORD=secret1
HOST_IP=192.0.2.7

enable_plugin ironic https://opendev.org/openstack/ironic stable/2026.1
VIRT_DRIVER=ironic
disable_service horizon n-novnc
disable_service cinder c-sch c-api c-vol
# Swift's temporary URLs, for the direct deploy interface.
enable_service s-proxy s-object s-container s-account
SWIFT_HASH=secret1
SWIFT_TEMPURL_KEY=secret1
SWIFT_ENABLE_TEMPURLS=True
disable_service ovn-controller ovn-northd q-ovn-metadata-agent
enable_service q-svc q-agt q-dhcp q-l3 q-meta
Q_AGENT=openvswitch
Q_ML2_PLUGIN_MECHANISM_DRIVERS=openvswitch
Q_ML2_TENANT_NETWORK_TYPE=vxlan
Q_USE_SECGROUP=False
disable_service q-ovn-agent neutron-ovn-agent
enable_service neutron-api neutron-agent neutron-dhcp neutron-l3
enable_service neutron-metadata-agent

IRONIC_BAREMETAL_BASIC_OPS=True
IRONIC_VM_COUNT=3
IRONIC_VM_SPECS_CPU=2
IRONIC_VM_SPECS_RAM=3072
IRONIC_VM_SPECS_DISK=10
IRONIC_VM_EPHEMERAL_DISK=0
DEFAULT_INSTANCE_TYPE=baremetal
IRONIC_BOOT_MODE=uefi
IRONIC_DEFAULT_DEPLOY_INTERFACE=ramdisk
GLANCE_LIMIT_IMAGE_SIZE_TOTAL=8145

LOGFILE=/opt/stack/logs/stack.sh.log
IRONIC_VM_LOG_DIR=/var/consoles

# In place of what devstack sets itself: every node boots with these.
[[post-config|$IRONIC_CONF_FILE]]
[pxe]
kernel_append_params = {BLUEPRINT}
"""

# A line (or its beginning), and the first and the last release that has it.
LINES = [
    ("disable_service n-net", "mitaka", "mitaka"),
    ("enable_service q-svc q-agt q-dhcp q-l3 q-meta neutron", "mitaka", "mitaka"),
    ("IRONIC_BOOT_MODE=bios", "ocata", "xena"),
    ("IRONIC_BOOT_MODE=uefi", "yoga", releases.NEWEST),
    ("IRONIC_DEFAULT_BOOT_OPTION=netboot", "pike", "yoga"),
    ("IRONIC_DEFAULT_DEPLOY_INTERFACE=direct", "queens", "yoga"),
    ("IRONIC_DEFAULT_DEPLOY_INTERFACE=ramdisk", "zed", releases.NEWEST),
    ("disable_service ovn-controller", "xena", releases.NEWEST),
    ("GLANCE_LIMIT_IMAGE_SIZE_TOTAL=8145", "xena", releases.NEWEST),
    ("enable_service neutron-api", "2025.1", releases.NEWEST),
    ("IRONIC_VM_SPECS_RAM=1024", "mitaka", "mitaka"),
    ("IRONIC_VM_SPECS_RAM=1280", "newton", "ussuri"),
    ("IRONIC_VM_SPECS_RAM=3072", "victoria", releases.NEWEST),
]


def written(release, layout="pv", **fields):
    build = a_build(layout)
    return localconf.write(build, a_setting(build, release, **fields))


def test_the_whole_text():
    fields = {"nodes": 3, "cpus": 2, "host_ip": "192.0.2.7", "log_folder": "/var/consoles"}
    assert written("2026.1", **fields) == WHOLE


@pytest.mark.parametrize(("line", "first", "last"), LINES)
def test_a_line_is_there_from_one_release_to_another(line, first, last):
    plugins = [one for one in releases.ORDER if sources.has_plugin(one)]
    has = [one for one in plugins if f"\n{line}" in written(one)]
    order = list(releases.ORDER)
    assert has == order[order.index(first) : order.index(last) + 1]


def test_a_whole_disk_boots_by_itself():
    lines = written("yoga", "disk").splitlines()
    assert "IRONIC_DEFAULT_BOOT_OPTION=local" in lines
    assert lines[-1] == "# A whole disk boots with the arguments of its own boot loader."


def test_glance_holds_the_build_beside_devstacks_own_images():
    mib = 1 << 20
    assert localconf.image_limit_mib(a_build("disk", base_bytes=5 * mib)) == 2000 + 6
    assert localconf.image_limit_mib(a_build("disk", base_bytes=5 * mib + 1)) == 2000 + 6


def test_what_writes_nothing_is_told_before():
    (caution,) = localconf.cautions(a_build(), "zed")
    assert "the base must be on the node's disk already" in caution
    assert localconf.cautions(a_build(), "yoga") == []
    assert not any("ramdisk interface" in one for one in localconf.cautions(a_build("disk"), "zed"))
