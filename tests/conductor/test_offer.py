"""What a node finds in the served tree, before and after the switch."""

import dataclasses
from uuid import UUID

import msgspec
import pytest

from bakery.conductor.journal import Deployment
from bakery.conductor.offer import NodeOffer
from bakery.conductor.peer import Peer
from bakery.netboot.tree import Asker, Forbidden, Tree
from tests.conductor import builds

HERE = "192.0.2.7"
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
    return tree, NodeOffer(
        tree,
        url,
        NODE,
        "52:54:00:4c:00:01",
        Peer(lambda asked: asked == HERE),
        build,
        folder,
        hints,
    )


def content(tree, name):
    opened = tree.open(name, Asker(HERE))
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


def test_nothing_of_a_node_is_for_another_address(tmp_path):
    tree, offer = offered(tmp_path)
    for put in (lambda: offer.ramdisk(deployment()), offer.system):
        put()
        for name in tree.names():
            with pytest.raises(Forbidden):
                tree.open(name, Asker("192.0.2.9"))
            assert content(tree, name)


def test_the_public_key_is_for_nodes_that_write_their_disk_themselves(tmp_path):
    tree, offer = offered(tmp_path)
    offer.ramdisk(deployment())
    assert b"bakery_key" not in content(tree, PXELINUX)
    assert b"root_device" not in content(tree, PXELINUX)
    direct = dataclasses.replace(offer, direct=True)
    direct.ramdisk(deployment())
    assert f"bakery_key={deployment().public_key}".encode() in content(tree, PXELINUX)
    direct.system()
    assert b"bakery_key" not in content(tree, PXELINUX)


def test_each_boot_loader_finds_the_same(tmp_path):
    tree, offer = offered(tmp_path)
    assert offer.script_url == "http://192.0.2.1:6385/ipxe/52-54-00-4c-00-01.ipxe"
    offer.ramdisk(deployment())
    names = {name for name in tree.names() if not name.startswith(str(NODE))}
    grub = names - {PXELINUX, TEXTS[2], f"token-{NODE}"}
    assert len(grub) == 1
    for name in (*TEXTS, *grub):
        assert b"deployment_key=the-key" in content(tree, name)
    assert f"http://192.0.2.1:6385/{NODE}/deploy_kernel".encode() in content(tree, TEXTS[2])


@pytest.mark.parametrize("layout", ["pv", "disk"])
def test_a_kernel_is_served_where_the_node_boots_one(tmp_path, layout):
    tree, offer = offered(tmp_path, layout)
    offer.system()
    assert (f"{NODE}/kernel" in tree.names()) == (layout == "pv")


def test_a_root_without_a_filesystem_of_its_own_has_no_place(tmp_path):
    tree, offer = offered(tmp_path)
    manifest = msgspec.structs.replace(offer.build.manifest, root_filesystem=None)
    bare = dataclasses.replace(offer, build=type(offer.build)(offer.build.directory, manifest))
    bare.system()
    assert b"root=UUID" not in content(tree, PXELINUX)


def test_who_is_offered_nothing_leaves_the_others_what_they_have(tmp_path):
    tree, offer = offered(tmp_path)
    tree.put("other", b"x")
    offer.ramdisk(deployment())
    offer.nothing()
    assert list(tree.names()) == ["other"]


def test_the_sectors_that_a_whole_disk_is_made_for_are_told(tmp_path):
    tree, offer = offered(tmp_path, "disk")
    offer.ramdisk(deployment())
    assert b"bakery_sectors=512" in content(tree, PXELINUX)


def test_how_large_a_disk_has_to_be_is_told(tmp_path):
    tree, offer = offered(tmp_path)
    offer.ramdisk(deployment())
    size = offer.build.manifest.artifacts["base"].size_bytes
    assert size and f"bakery_bytes={size}".encode() in content(tree, PXELINUX)


def test_a_partition_is_for_disks_of_any_sectors(tmp_path):
    tree, offer = offered(tmp_path)
    offer.ramdisk(deployment())
    assert b"bakery_sectors" not in content(tree, PXELINUX)
