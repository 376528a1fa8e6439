"""What a node finds in the served tree, before and after the switch."""

from uuid import UUID

import pytest

from bakery.deploy.journal import Deployment
from bakery.deploy.offer import NodeOffer
from bakery.serve.tree import Tree
from tests.deploy import builds

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
PXELINUX = "pxelinux.cfg/01-52-54-00-4c-00-01"
TEXTS = (PXELINUX, f"{NODE}/config", "ipxe/52-54-00-4c-00-01.ipxe")


def offered(tmp_path, layout="pv", hints=""):
    build = builds.build(tmp_path / "build", layout)
    folder = tmp_path / "ramdisk"
    folder.mkdir()
    (folder / "deploy-kernel").write_bytes(b"deploy kernel")
    (folder / "deploy-ramdisk").write_bytes(b"deploy ramdisk")
    tree = Tree()
    url = "http://192.0.2.1:6385"
    return tree, NodeOffer(tree, url, NODE, "52:54:00:4c:00:01", build, folder, hints)


def content(tree, name):
    opened = tree.open(name)
    assert opened is not None, name
    with opened.file as file:
        return file.read()


def deployment():
    return Deployment("the-key", "the-token", NODE, "11" * 32)


def test_the_ramdisk_is_told_all_that_the_classic_deploy_tells(tmp_path):
    tree, offer = offered(tmp_path, hints="size=>= 10")
    offer.ramdisk(deployment())
    text = content(tree, PXELINUX).decode()
    assert text.startswith("default deploy\n")
    for word in (
        "disk=cciss/c0d0,sda,hda,vda",
        f"iscsi_target_iqn=iqn.2008-10.org.openstack:{NODE}",
        f"deployment_id={NODE}",
        "deployment_key=the-key",
        "ironic_api_url=http://192.0.2.1:6385",
        "boot_option=netboot",
        'root_device="size=>= 10"',
        "ipappend 3",
    ):
        assert word in text
    assert content(tree, f"token-{NODE}") == b"the-token\n"
    assert content(tree, f"{NODE}/deploy_kernel") == b"deploy kernel"
    assert content(tree, f"{NODE}/deploy_ramdisk") == b"deploy ramdisk"


def test_before_the_switch_the_root_is_a_placeholder(tmp_path):
    tree, offer = offered(tmp_path)
    offer.ramdisk(deployment())
    assert (
        "root={{ ROOT }} ro text root=/dev/mapper/atomicos-root" in content(tree, PXELINUX).decode()
    )


@pytest.mark.parametrize("layout", ["pv", "lv"])
def test_after_the_switch_the_system_is_booted_by_its_root(tmp_path, layout):
    tree, offer = offered(tmp_path, layout)
    offer.ramdisk(deployment())
    offer.system()
    text = content(tree, PXELINUX).decode()
    assert text.startswith("default boot_partition\n")
    assert f"root=UUID={builds.ROOT_UUID} ro text" in text
    assert content(tree, f"{NODE}/kernel") == offer.build.kernel.read_bytes()
    assert content(tree, f"{NODE}/ramdisk") == offer.build.ramdisk.read_bytes()


def test_after_the_switch_a_whole_disk_is_booted(tmp_path):
    tree, offer = offered(tmp_path, "disk")
    offer.ramdisk(deployment())
    offer.system()
    assert content(tree, PXELINUX).decode().startswith("default boot_whole_disk\n")


def test_the_secrets_are_gone_after_the_switch(tmp_path):
    tree, offer = offered(tmp_path)
    offer.ramdisk(deployment())
    offer.system()
    assert tree.open(f"token-{NODE}") is None
    for name in TEXTS:
        assert b"the-key" not in content(tree, name)


def test_offered_nothing_a_node_finds_nothing(tmp_path):
    tree, offer = offered(tmp_path)
    offer.ramdisk(deployment())
    offer.nothing()
    assert tree.names() == []
