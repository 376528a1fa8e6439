"""The systems of an image, and where each path of theirs lies."""

import msgspec
import pytest

from bakery.build.scrub import systems
from bakery.disk.volumes.volumes import Subvolume
from bakery.host.errors import BakeryError
from bakery.image.reader import Place
from tests.build.scrub.trees import opened, volume

ROOT, HOME = volume(1), volume(2, uuid="aaaa-1", label="home")
ALICE = "alice:x:1000:1000::/home/alice:/bin/bash\n"
DEPLOYMENT = f"ostree/deploy/lab/deploy/{'a' * 64}.0"
DEPLOYED = {
    f"{DEPLOYMENT}/etc/fstab": "",
    f"ostree/deploy/lab/deploy/{'b' * 64}.1/etc/passwd": ALICE,
    "ostree/deploy/lab/deploy/not a deployment/etc/fstab": "",
    f"ostree/deploy/lab/deploy/{'c' * 64}.0.origin": "",
    "ostree/deploy/lab/var/home/bob/.profile": "",
}
VAR = "/ostree/deploy/lab/var"


def system(tree, *more, volumes=(ROOT, HOME)):
    """The only system of an image whose root volume holds that tree."""
    (found,) = systems.find(*opened({"/dev/sda1": tree, **dict(more)}, *volumes))
    return found


def test_a_plain_system_is_its_root_volume():
    found = system({"etc/passwd": ALICE})
    assert found.tree.mounts == {"": (Place(ROOT, ""),)}
    assert found.place("/etc/passwd") == Place(ROOT, "/etc/passwd")
    assert not found.is_committed("/usr/bin/a")
    assert (found.homes, found.unsearched, found.notes) == (("/root", "/home/alice"), (), ())


def test_each_deployment_is_a_system_with_an_etc_of_its_own_and_a_var_that_is_shared():
    first, second = systems.find(*opened({"/dev/sda1": DEPLOYED}, ROOT))
    top = "/ostree/deploy/lab"
    for found, name in ((first, f"{'a' * 64}.0"), (second, f"{'b' * 64}.1")):
        assert found.tree.mounts == {
            "": (Place(ROOT, ""),),
            "/etc": (Place(ROOT, f"{top}/deploy/{name}/etc"),),
            "/var": (Place(ROOT, VAR),),
            "/home": (Place(ROOT, f"{VAR}/home"),),
            "/root": (Place(ROOT, f"{VAR}/roothome"),),
            "/srv": (Place(ROOT, f"{VAR}/srv"),),
        }
        assert found.place("/home/bob/x") == Place(ROOT, f"{VAR}/home/bob/x")
        assert [found.is_committed(path) for path in ("/usr/a", "/etc/a", "/var/a", "/a")] == [
            *(True, False, False, True)
        ]
    assert first.homes == ("/root", "/home/bob")
    assert second.homes == ("/root", "/home/bob", "/home/alice")


@pytest.mark.parametrize("point", ["/var/home", "/home"])
def test_in_a_deployment_a_mount_has_every_name_that_leads_to_it(point):
    fstab = {f"{DEPLOYMENT}/etc/fstab": f"/dev/sda2 {point} ext4\n"}
    (found,) = systems.find(*opened({"/dev/sda1": fstab}, ROOT, HOME))
    assert found.tree.mounts["/home"] == (Place(HOME, ""), Place(ROOT, f"{VAR}/home"))
    assert found.place("/home/x") == found.place("/var/home/x") == Place(HOME, "/x")
    assert "/var/srv" not in found.tree.mounts


def test_a_plain_system_may_have_another_home_below_var():
    found = system({"etc/fstab": "/dev/sda2 /var/home ext4\n"})
    assert found.place("/home/x") == Place(ROOT, "/home/x")


def test_what_fstab_mounts_of_a_btrfs_is_the_subvolume_it_names():
    subvolumes = (Subvolume(256, "@"), Subvolume(257, "@home"))
    whole = msgspec.structs.replace(ROOT, type="btrfs", subvolumes=subvolumes)
    root, home = map(whole.at, subvolumes)
    files = {
        root.name: {"etc/fstab": "/dev/sda1 /home btrfs noatime,subvol=@home 0 0\n", "usr/a": ""},
        home.name: {"alice/.profile": ""},
    }
    (found,) = systems.find(*opened(files, whole, roots=(root.name,)))
    assert found.tree.mounts == {"": (Place(root, ""),), "/home": (Place(home, ""),)}
    assert found.homes == ("/root", "/home/alice")


def test_without_a_system_the_notes_tell_why():
    with pytest.raises(BakeryError, match=r"^no root filesystem was found in it$") as refused:
        systems.find(*opened({}, ROOT, roots=()))
    assert refused.value.hint == "bakery inspect shows all that was found"
    with pytest.raises(BakeryError, match=r"was found in it: one; two$"):
        systems.find(*opened({}, ROOT, roots=(), notes=("one", "two")))


def test_two_roots_are_two_systems():
    reader, inspected = opened({}, ROOT, HOME, roots=("/dev/sda1", "/dev/sda2"))
    assert [found.place("").volume for found in systems.find(reader, inspected)] == [ROOT, HOME]
