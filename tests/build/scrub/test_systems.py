"""The systems of an image, and where each path of theirs lies."""

from typing import Any

import msgspec
import pytest

from bakery.build.scrub import systems
from bakery.build.scrub.systems import System
from bakery.disk.volumes.volumes import Subvolume
from bakery.host.errors import BakeryError
from bakery.image.engines.base import CannotServe
from bakery.image.reader import Place
from tests.build.scrub.trees import opened, volume

ROOT, HOME, OTHER = volume(1), volume(2, uuid="aaaa-1", label="home"), volume(3, "swap")
ALICE = "alice:x:1000:1000::/home/alice:/bin/bash\n"
DEPLOYED = {
    f"ostree/deploy/lab/deploy/{'a' * 64}.0/etc/fstab": "",
    f"ostree/deploy/lab/deploy/{'b' * 64}.1/etc/passwd": ALICE,
    "ostree/deploy/lab/deploy/not a deployment/etc/fstab": "",
    f"ostree/deploy/lab/deploy/{'c' * 64}.0.origin": "",
    "ostree/deploy/lab/var/home/bob/.profile": "",
}


def system(tree, *more, volumes=(ROOT, HOME)):
    """The only system of an image whose root volume holds that tree."""
    (found,) = systems.find(*opened({"/dev/sda1": tree, **dict(more)}, *volumes))
    return found


def test_a_plain_system_is_its_root_volume():
    found = system({"etc/passwd": ALICE})
    assert found.mounts == {"": Place(ROOT, "")}
    assert found.place("/etc/passwd") == Place(ROOT, "/etc/passwd")
    assert found.place("") == Place(ROOT, "")
    assert not found.is_committed("/usr/bin/a")


def test_each_deployment_is_a_system_with_an_etc_of_its_own_and_a_var_that_is_shared():
    first, second = systems.find(*opened({"/dev/sda1": DEPLOYED}, ROOT))
    top = "/ostree/deploy/lab"
    for found, name in ((first, f"{'a' * 64}.0"), (second, f"{'b' * 64}.1")):
        assert found.mounts == {
            "": Place(ROOT, ""),
            "/etc": Place(ROOT, f"{top}/deploy/{name}/etc"),
            "/var": Place(ROOT, f"{top}/var"),
            "/home": Place(ROOT, f"{top}/var/home"),
            "/root": Place(ROOT, f"{top}/var/roothome"),
            "/srv": Place(ROOT, f"{top}/var/srv"),
        }
        assert found.place("/home/bob/x") == Place(ROOT, f"{top}/var/home/bob/x")
        assert [found.is_committed(path) for path in ("/usr/a", "/etc/a", "/var/a", "/a")] == [
            *(True, False, False, True)
        ]
    assert first.homes == ("/root", "/home/bob")
    assert second.homes == ("/root", "/home/bob", "/home/alice")


def test_what_fstab_mounts_of_a_btrfs_is_the_subvolume_it_names():
    subvolumes = (Subvolume(256, "@"), Subvolume(257, "@home"))
    whole = msgspec.structs.replace(ROOT, type="btrfs", subvolumes=subvolumes)
    root, home = map(whole.at, subvolumes)
    files = {
        root.name: {"etc/fstab": "/dev/sda1 /home btrfs noatime,subvol=@home 0 0\n", "usr/a": ""},
        home.name: {"alice/.profile": ""},
    }
    (found,) = systems.find(*opened(files, whole, roots=(root.name,)))
    assert found.mounts == {"": Place(root, ""), "/home": Place(home, "")}
    assert found.homes == ("/root", "/home/alice")


@pytest.mark.parametrize(
    ("line", "mounted"),
    [
        ("UUID=aaaa-1 /home ext4 defaults 0 2", True),
        ("LABEL=home /home ext4", True),
        ("/dev/sda2 /home ext4 defaults 0 2", True),
        ("/dev/sda2 none ext4", False),
        ("/dev/sda2 / ext4", False),
        ("/dev/sda9 /home ext4", False),
        ("/dev/sda3 /home swap", False),
        ("/dev/sda3 /home ext4", False),  # nothing that can be read
        ("# /dev/sda2 /home ext4", False),
    ],
)
def test_what_fstab_mounts_lies_in_its_own_volume(line, mounted):
    tree = {"etc/fstab": f"/dev/sda1 / ext4\n{line}\n"}
    found = system(tree, ("/dev/sda2", {"carol/x": ""}), volumes=(ROOT, HOME, OTHER))
    assert (found.mounts.get("/home") == Place(HOME, "")) is mounted
    assert ("/home/carol" in found.homes) is mounted
    assert set(found.mounts) == ({"", "/home"} if mounted else {""})


def test_a_label_of_two_volumes_names_none_and_that_is_told():
    twin = volume(3, label="home")
    tree = {"etc/fstab": "LABEL=home /home ext4\n"}
    found = system(tree, volumes=(ROOT, HOME, twin))
    assert set(found.mounts) == {""}
    assert found.unsearched == (
        "LABEL=home, which is mounted at /home, cannot be read here and was not searched",
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("UUID=aaaa-9 /home ext4", True),
        ("/dev/sdb2 /home ext4", True),
        ("/dev/sda3 /home ext4", True),
        ("/dev/sda2 /home ext4", False),
        ("server:/export /home nfs", False),
        ("tmpfs /tmp tmpfs", False),
        ("/srv/home /home none bind", False),
        ("/dev/sda3 none swap", False),
    ],
)
def test_a_mounted_device_that_cannot_be_searched_is_told(line, told):
    tree = {"etc/fstab": f"/dev/sda1 / ext4\n{line}\n"}
    found = system(tree, ("/dev/sda2", {"carol/x": ""}), volumes=(ROOT, HOME, OTHER))
    assert bool(found.unsearched) is told


def test_in_a_deployment_a_mount_has_every_name_that_leads_to_it():
    tree = {f"ostree/deploy/lab/deploy/{'a' * 64}.0/etc/fstab": "/dev/sda2 /var/home ext4\n"}
    (found,) = systems.find(*opened({"/dev/sda1": tree}, ROOT, HOME))
    assert found.mounts["/home"] == found.mounts["/var/home"] == Place(HOME, "")
    assert found.mounts["/var"].volume == ROOT


def test_swap_files_are_those_that_are_no_device():
    text = "/swapfile none swap\n/dev/sda3 none swap\nUUID=1 none swap\n/b swap swap\n"
    assert system({"etc/fstab": text}).swap_files == ("/swapfile", "/b")


@pytest.mark.parametrize(
    ("line", "home"),
    [
        ("a:x:1:1::/home/a:/bin/sh", "/home/a"),
        ("a:x:1:1::/var/lib/a/:/bin/sh", "/var/lib/a"),
        ("a:x:1:1::/srv/a:", "/srv/a"),
        ("a:x:1:1::/opt/a:/usr/sbin/nologin", "/opt/a"),
        ("a:x:1:1::/home/a:/bin/false", "/home/a"),
        ("a:x:1:1::/:/bin/sh", ""),
        ("a:x:1:1::/home/a:/bin/sh:more", None),
        ("a:x:1:1::/home/a", None),
        ("a:x:b:1::/home/a:/bin/sh", None),
        ("a:x:1:1::home/a:/bin/sh", None),
        ("a:x:1:1::/run/sshd:/bin/sh", None),
        ("a:x:1:1::/dev:/bin/sh", None),
        ("a:x:1:1::/home/../etc:/bin/sh", None),
        ("a:x:1:1::/home/\x1b:/bin/sh", None),
    ],
)
def test_each_user_has_a_home_also_who_cannot_log_in(line, home):
    found = system({"etc/passwd": f"root:x:0:0::/root:/bin/sh\n{line}\n"}).homes
    assert found == (("/root", home) if home is not None else ("/root",))


def test_every_folder_of_home_is_one_and_none_is_told_twice():
    tree = {"home/alice/x": "", "home/bob/x": "", "home/file": "", "etc/passwd": ALICE}
    assert system(tree).homes == ("/root", "/home/alice", "/home/bob")


def test_homes_may_lie_in_a_folder_of_their_domain():
    tree = {"home/example.org/carol/x": "", "home/example.org/.hidden/x": ""}
    assert system(tree).homes == ("/root", "/home/example.org", "/home/example.org/carol")


def test_where_one_person_has_a_home_others_have():
    users = "dora:x:1000:1000::/data/people/dora:/bin/sh\nweb:x:33:33::/srv/web:/bin/sh\n"
    tree = {"data/people/emil/x": "", "srv/other/x": "", "etc/passwd": users}
    assert system(tree).homes == ("/root", "/data/people/emil", "/data/people/dora", "/srv/web")


def test_homes_without_end_are_refused():
    tree = {f"home/a/{number}/x": "" for number in range(systems.HOMES_LIMIT)}
    with pytest.raises(BakeryError, match="/home holds more than 10000 folders of users"):
        system(tree)


def test_a_file_that_no_system_could_use_tells_of_no_mounts():
    assert set(system({"etc/fstab": "a b c\n" * 20_000}).mounts) == {""}
    reader, inspected = opened({"/dev/sda1": {"etc/fstab": ""}}, ROOT)
    engine: Any = reader.engine
    engine.unreadable.add("/etc/fstab")
    with pytest.raises(CannotServe):
        systems.find(reader, inspected)


def test_without_a_system_the_notes_tell_why():
    with pytest.raises(BakeryError, match=r"^no root filesystem was found in it$") as refused:
        systems.find(*opened({}, ROOT, roots=()))
    assert refused.value.hint == "bakery inspect shows all that was found"
    with pytest.raises(BakeryError, match=r"was found in it: one; two$"):
        systems.find(*opened({}, ROOT, roots=(), notes=("one", "two")))


def test_two_roots_are_two_systems():
    reader, inspected = opened({}, ROOT, HOME, roots=("/dev/sda1", "/dev/sda2"))
    assert [found.place("").volume for found in systems.find(reader, inspected)] == [ROOT, HOME]


def test_names_under_which_another_place_is_seen():
    found = System({"": Place(ROOT, ""), "/home": Place(HOME, ""), "/var/lib": Place(HOME, "")})
    assert found.mounts_in("") == {"home"}
    assert found.mounts_in("/var") == {"lib"}
    assert found.mounts_in("/home") == set()
    assert found.place("/var/lib/a/b") == Place(HOME, "/a/b")
