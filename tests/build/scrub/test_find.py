"""What a rule finds, in images that are a few names."""

import msgspec
import pytest

from bakery.build.scrub import find as finding
from bakery.build.scrub.find import GPT_COPY_BYTES, Found, find
from bakery.build.scrub.rules import Rule
from bakery.disk.volumes.volumes import Partition, PartitionTable, Subvolume, Survey
from bakery.host.errors import BakeryError
from tests.build.scrub.trees import MIB, Files, opened, volume

ROOT, HOME, SWAP = volume(1), volume(2), volume(3, "swap")
TREE = {
    "etc/passwd": "a:x:1:1::/home/a:/bin/sh\n",
    "etc/key": "123",
    "etc/app/key": "12345",
    "etc/app/deep/er/key": "1",
    "etc/app/empty": "",
    "home/a/.ssh/id": "12",
    "home/a/.ssh/config": "1",
    "root/.ssh/id": "1234",
}


def rule(*paths, action="remove", keep=(), name="keys"):
    return Rule(name, "why", paths, action, keep)


def found(*rules, tree=TREE, more=None, volumes=(ROOT,)):
    files = find(*opened({"/dev/sda1": tree, **(more or {})}, *volumes), rules).files
    return [(one.path, one.size_bytes) for one in files]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["/etc/key"], [("/etc/key", 3)]),
        (["/etc/k?y"], [("/etc/key", 3)]),
        (["/etc/*/key"], [("/etc/app/key", 5)]),
        (["/etc/**/key"], [("/etc/key", 3), ("/etc/app/key", 5), ("/etc/app/deep/er/key", 1)]),
        (["/etc/app"], [("/etc/app", 6)]),
        (["/etc/app/**"], [("/etc/app/deep", 1), ("/etc/app/empty", 0), ("/etc/app/key", 5)]),
        (["/etc/app/deep", "/etc/app"], [("/etc/app/deep", 1), ("/etc/app", 6)]),
        (["/etc/key/x"], []),
        (["/none/*"], []),
        (["~/.ssh/id"], [("/root/.ssh/id", 4), ("/home/a/.ssh/id", 2)]),
    ],
)
def test_a_path_is_a_pattern_name_by_name(paths, expected):
    assert found(rule(*paths)) == expected


def test_a_folder_is_taken_whole_and_only_where_it_is_removed():
    assert found(rule("/etc/app", action="empty")) == []
    assert found(rule("/etc/app/*", action="empty")) == [("/etc/app/key", 5)]
    both = found(rule("/etc/app"), rule("/etc/app/key", "/etc/key", action="empty"))
    assert both == [("/etc/app", 6), ("/etc/key", 3)]


def test_of_two_rules_the_first_takes_a_path():
    (file,) = find(
        *opened({"/dev/sda1": TREE}, ROOT),
        [rule("/etc/key", name="one"), rule("/etc/key", name="two", action="empty")],
    ).files
    assert file == Found("one", "/dev/sda1", "/etc/key", 3, "why", "remove")


def test_what_a_rule_keeps_another_may_take():
    keep = rule("~/.ssh/*", keep=("/home/*/.ssh/config",))
    assert ("/home/a/.ssh/config", 1) not in found(keep)
    assert ("/home/a/.ssh/config", 1) in found(keep, rule("/home/a/.ssh/config"))


def test_a_swap_file_is_blanked_and_not_kept_whatever_its_name_is():
    tree = TREE | {"etc/fstab": "/my[swap] none swap sw 0 0\n", "my[swap]": "1234", "mys": "1"}
    told = find(*opened({"/dev/sda1": tree}, ROOT), [rule("/etc/key")])
    assert [(one.path, one.action) for one in told.files] == [
        ("/etc/key", "remove"),
        ("/my[swap]", "blank"),
    ]
    assert [one.path for one in told.kept] == ["/etc/key"]


def test_a_mount_is_a_folder_whatever_lies_under_it():
    tree = {"etc/fstab": "/dev/sda2 /home ext4\n", "home": "a file", "etc/x": "1"}
    more = {"/dev/sda2": {"b/.ssh/id": "12", "key": "1"}}
    assert found(rule("/home/key"), tree=tree, more=more, volumes=(ROOT, HOME)) == [("/key", 1)]
    assert found(rule("/*/key"), tree=tree, more=more, volumes=(ROOT, HOME)) == [("/key", 1)]
    assert found(rule("/none*/key"), tree=tree, more=more, volumes=(ROOT, HOME)) == []
    assert found(rule("/**/id"), tree=tree, more=more, volumes=(ROOT, HOME)) == [("/b/.ssh/id", 2)]


def test_what_a_mount_hides_is_found_and_the_mount_point_stays():
    tree = {
        "etc/fstab": "/dev/sda2 /home ext4\n/dev/sda3 /home/a/.ssh/deep xfs\n",
        "home/a/.ssh/id": "hidden",
        "root/x": "",
    }
    more = {"/dev/sda2": {"a/.ssh/id": "12"}, "/dev/sda3": {"b/id": "1"}}
    told = find(
        *opened({"/dev/sda1": tree, **more}, ROOT, HOME, volume(3, "xfs")), [rule("~/.ssh")]
    )
    assert [(one.device, one.path) for one in told.files] == [
        ("/dev/sda2", "/a/.ssh"),
        ("/dev/sda1", "/home/a/.ssh"),
        ("/dev/sda3", "/b"),
    ]
    mounted = {"etc/fstab": "/dev/sda2 /home/a/.ssh ext4\n", "home/a/.ssh/id": "hidden"}
    more = {"/dev/sda2": {"id": "12", "more/id": "1"}}
    assert found(rule("~/.ssh"), tree=mounted, more=more, volumes=(ROOT, HOME)) == [
        *(("/id", 2), ("/home/a/.ssh/id", 6), ("/more", 1))
    ]


def test_of_a_volume_the_folder_for_what_a_check_finds_stays():
    tree = {"etc/fstab": "/dev/sda2 /var/tmp ext4\n", "var/tmp/lost+found/a": "1"}
    more = {"/dev/sda2": {"lost+found/#12": "12", "lost+found/#13/x": "1", "b/lost+found/c": ""}}
    told = found(rule("/var/tmp/*"), tree=tree, more=more, volumes=(ROOT, HOME))
    assert told == [
        *(("/b", 0), ("/var/tmp/lost+found", 1), ("/lost+found/#12", 2), ("/lost+found/#13", 1))
    ]


def test_folders_that_a_mount_hides_are_asked_for_where_they_are_alone(monkeypatch):
    """Each question may start a program."""
    asked = []
    listed = Files.items

    def items(self, where, path):
        asked.append((where.name, path))
        return listed(self, where, path)

    monkeypatch.setattr(Files, "items", items)
    tree = {"etc/fstab": "/dev/sda2 /var ext4\n", "var/log/x": "1"}
    more = {"/dev/sda2": {"log/deep/y": "1", "lib/z": "1"}}
    assert found(rule("/var/**/y"), tree=tree, more=more, volumes=(ROOT, HOME)) == [
        ("/log/deep/y", 1)
    ]
    assert ("/dev/sda1", "/var/log") in asked
    assert ("/dev/sda1", "/var/log/deep") not in asked and ("/dev/sda1", "/var/lib") not in asked


def test_a_file_that_two_ways_lead_to_is_found_once():
    """Else it would be emptied twice, and what is kept of it with that."""
    subvolumes = (Subvolume(256, "@"), Subvolume(257, "@/home"))
    whole = msgspec.structs.replace(ROOT, type="btrfs", subvolumes=subvolumes)
    root, home = map(whole.at, subvolumes)
    tree = {"etc/fstab": "/dev/sda1 /home btrfs subvol=@/home\n", "home/a/log": "1", "usr/a": ""}
    trees = {root.name: tree, home.name: {"a/log": "1"}}
    told = find(
        *opened(trees, whole, roots=(root.name,)), [rule("/home/a/log", "~/log", action="empty")]
    )
    assert [(one.device, one.path) for one in told.files] == [(home.name, "/a/log")]


def test_a_bind_leads_to_what_a_rule_names():
    tree = {
        "etc/fstab": "/data/keys /root/.ssh none bind\n/data/seed /etc/key none rw,bind\n",
        "data/keys/id": "12",
        "data/keys/deep/id": "1",
        "data/seed": "1234",
        "root/x": "",
    }
    assert sorted(found(rule("~/.ssh", "/etc/key"), tree=tree)) == [
        *(("/data/keys/deep", 1), ("/data/keys/id", 2), ("/data/seed", 4))
    ]


def test_subvolumes_that_nothing_mounts_are_told():
    names = ["@", "@home", "@snap/1", "@snap/2", "@snap/3", "@snap/4"]
    subvolumes = tuple(Subvolume(256 + number, name) for number, name in enumerate(names))
    whole = msgspec.structs.replace(ROOT, type="btrfs", subvolumes=subvolumes)
    trees = {f"{whole.device}[/@]": {"etc/fstab": "/dev/sda1 /home btrfs subvol=@home\n"}}
    (note,) = find(*opened(trees, whole, roots=("/dev/sda1[/@]",)), []).notes
    assert note == (
        "/dev/sda1 has 4 subvolumes that nothing mounts, which no rule looks for homes in: "
        "@snap/1, @snap/2, @snap/3, …"
    )


def test_what_is_found_is_bounded(monkeypatch):
    monkeypatch.setattr(finding, "FOUND_LIMIT", 2)
    assert len(found(rule("/etc/key", "/etc/app/key"))) == 2
    with pytest.raises(BakeryError, match="more than 2 paths are to be taken"):
        found(rule("/etc/key", "/etc/app/key", "/etc/app/empty"))


def test_folders_are_looked_into_to_a_depth(monkeypatch):
    monkeypatch.setattr(finding, "DEPTH_LIMIT", 1)
    assert found(rule("/etc/**/key")) == [("/etc/key", 3), ("/etc/app/key", 5)]


def test_volumes_are_told_by_what_is_in_them():
    other = volume(4, "swsuspend"), volume(5, "LVM2_member"), volume(6, "xfs"), volume(7, "vfat")
    told = find(*opened({}, ROOT, SWAP, *other, notes=("a note",)), [])
    assert told.swaps == (SWAP, other[0])
    assert [one.type for one in told.filesystems] == ["ext4", "xfs", "vfat"]
    assert told.notes == (
        "a note",
        "/dev/sda6 (xfs) is mounted by no system of the image, and was not searched",
        "/dev/sda7 (vfat) is mounted by no system of the image, and was not searched",
    )


def gaps(*places, label="dos", size=100):
    partitions = tuple(Partition(n, s * MIB, z * MIB, "83") for n, (s, z) in enumerate(places, 1))
    table = PartitionTable(label, "", partitions)
    found = finding._gaps(Survey(size * MIB, table, (), ()))
    return [(gap.offset / MIB, gap.length / MIB) for gap in found]


def test_gaps_lie_behind_the_first_partition_and_in_none():
    assert gaps((1, 9), (10, 90)) == []
    assert gaps((1, 9), (20, 80)) == [(10, 10)]
    assert gaps((20, 10), (1, 9)) == [(10, 10), (30, 70)]
    assert gaps((1, 50), (10, 5), (60, 40)) == [(51, 9)]  # logical ones lie within an extended
    assert gaps((1, 9)) == [(10, 90)]


def test_of_a_gpt_the_second_copy_stays():
    assert GPT_COPY_BYTES == MIB
    assert gaps((1, 98), label="gpt") == []
    assert gaps((1, 97), label="gpt") == [(98, 1)]
    assert gaps((1, 97)) == [(98, 2)]


def test_without_a_partition_there_is_no_gap():
    assert finding._gaps(Survey(100, None, (), ())) == ()
    assert gaps() == []
