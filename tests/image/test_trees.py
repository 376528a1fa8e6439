"""The trees of files in an image, and what they look like."""

from collections.abc import Mapping

import msgspec
import pytest

from bakery.disk.volumes.volumes import Subvolume, Volume
from bakery.image import trees
from bakery.image.reader import Reader
from tests.image.test_boot_entries import BOOT, BTRFS, ROOT, reader
from tests.image.test_inspection import Disk, inspected

NEW, OLD = (BTRFS.at(subvolume) for subvolume in BTRFS.subvolumes)


def looked(files: Mapping[Volume, Mapping[str, str]], *volumes: Volume) -> Reader:
    engine = Disk({volume.name: tree for volume, tree in files.items()})
    engine.volumes = volumes or tuple(files)
    return reader(engine)


@pytest.mark.parametrize(
    ("tree", "is_root"),
    [
        ({"etc/a": "", "usr/b": ""}, True),
        ({"etc/a": "", "bin/b": ""}, True),
        ({"etc/a": ""}, False),
        ({"usr/a": "", "bin/b": ""}, False),
        ({"ostree/deploy/lab/a": ""}, True),
        ({"ostree/repo/a": ""}, False),
        ({"nix/store/a/b": ""}, True),
        ({"nix/a": ""}, False),
        ({"a": ""}, False),
    ],
    ids=str,
)
def test_a_root_looks_like_one(tree: dict[str, str], is_root: bool):
    assert inspected({ROOT: tree}).roots == ((ROOT.device,) if is_root else ())


def test_a_btrfs_is_as_many_trees_as_it_can_be_mounted_as():
    asked = looked({BTRFS: {}}, BOOT, BTRFS)
    assert trees.of(asked, [BOOT, BTRFS]) == [BOOT, OLD, BTRFS, NEW]
    assert asked.notes == []


def test_of_too_many_subvolumes_the_first_are_looked_into_and_that_is_noted():
    limit = trees.SUBVOLUMES_LIMIT
    many = tuple(Subvolume(number, f"c/{number}") for number in range(256, 256 + limit))
    crowded = msgspec.structs.replace(BTRFS, subvolumes=many)
    asked = looked({}, crowded)
    assert trees.of(asked, [crowded]) == [crowded, *map(crowded.at, many[:-1])]
    assert asked.notes == [
        f"/dev/sda3 has {limit} subvolumes, of which no more than {limit} were looked into"
    ]


def test_the_roots_are_told_by_the_names_of_their_subvolumes():
    system = {"etc/a": "", "usr/b": ""}
    asked = looked({NEW: system, ROOT: system, BTRFS: {"@/etc/a": ""}})
    assert trees.roots(asked, [ROOT, BTRFS, NEW, OLD]) == (ROOT.name, NEW.name)


def test_a_volume_whose_subvolumes_cannot_be_told_is_noted_and_not_opened():
    torn = msgspec.structs.replace(BTRFS, subvolumes=(), unreadable="it is torn")
    asked = looked({torn: {"a": ""}}, torn)
    assert trees.opened(asked) == []
    assert asked.notes == ["/dev/sda3 (btrfs) cannot be read: it is torn"]
