"""The pair of 2014, in full."""

from bakery.devstack import localrc
from tests.devstack.builds import a_build, a_setting
from tests.openstack.ironic.test_params import BLUEPRINT

HEAD = """\
# devstack for fedora-atomic, layout pv: Juno (Ironic 2014.2)
# git clone -b juno-eol https://opendev.org/openstack/devstack
"""
LOCALRC = f"""\
{HEAD}
ADMIN_PASSWORD=secret1
DATABASE_PASSWORD=secret1
RABBIT_PASSWORD=secret1
SERVICE_PASSWORD=secret1
SERVICE_TOKEN=secret1

enable_service ironic ir-api ir-cond

disable_service horizon n-net
enable_service q-svc q-agt q-dhcp q-l3 q-meta neutron

VIRT_DRIVER=ironic
IRONIC_DEPLOY_DRIVER=pxe_ssh
IRONIC_BAREMETAL_BASIC_OPS=True
IRONIC_VM_SSH_PORT=22
IRONIC_VM_COUNT=1
IRONIC_VM_SPECS_CPU=1
IRONIC_VM_SPECS_RAM=1024
IRONIC_VM_SPECS_DISK=10
IRONIC_VM_EPHEMERAL_DISK=0

# libvirt's own user writes the consoles, and may not enter a home folder.
IRONIC_VM_LOG_DIR=/opt/stack/ironic-bm-logs
LOGFILE=/opt/stack/logs/stack.sh.log
SCREEN_LOGDIR=/opt/stack/logs
"""
LOCAL_CONF = f"""\
{HEAD}# It lies beside localrc.

# In place of what devstack sets itself: every node boots with these.
[[post-config|$IRONIC_CONF_FILE]]
[pxe]
pxe_append_params = {BLUEPRINT}
"""


def test_both_files_in_full():
    made = localrc.write(a_build(), a_setting(a_build(), "juno"))
    assert made == localrc.Files(localrc=LOCALRC, local_conf=LOCAL_CONF)
