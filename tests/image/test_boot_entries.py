"""Boot entries out of a boot volume: their order, their files, their root, their deployment."""

from collections.abc import Mapping
from typing import Any

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import (
    LUKS,
    LogicalVolume,
    Partition,
    PartitionTable,
    Subvolume,
    Survey,
    Volume,
    VolumeGroup,
)
from bakery.host.errors import BakeryError
from bakery.image import trees
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.boot.reading import ENTRIES_LIMIT
from bakery.image.boot_entries import find
from bakery.image.engines.base import DirectoryEntry, FileMissing, Item
from bakery.image.reader import Reader

PARTITION = Partition(2, 1 << 20, 1 << 20, "83", uuid="5eed-02")
BOOT = Volume("/dev/sda1", 1, (Extent(0, 1),), "ext4", "b007-01", "boot")
ROOT = Volume("/dev/sda2", 1, (Extent(1, 1),), "ext4", "2007-02", "the root")
BTRFS = Volume(
    "/dev/sda3",
    1,
    (Extent(3, 1),),
    "btrfs",
    "b7f5",
    subvolumes=(Subvolume(256, "@"), Subvolume(257, "@old", is_default=True)),
)
LV = Volume("/dev/vg-a/root", 1, (Extent(2, 1),), "xfs", "1111-03")
GROUP = VolumeGroup("vg-a", "", 1, (3,), (LogicalVolume("vg-a", "root", 1),))
VOLUMES = (BOOT, ROOT, LV)
FILES = {"vmlinuz-1": "k", "initrd-1": "i", "vmlinuz-2": "k", "initrd-2": "i"}
SUM = "a" * 64
LINK = f"/ostree/boot.1/lab/{SUM}/0"


class Files:
    """An engine on volumes whose files are a mapping; `same` are the paths that are one file."""

    def __init__(
        self, trees: Mapping[str, Mapping[str, str | bytes]], *, same: tuple[str, ...] = ()
    ) -> None:
        self.trees, self.same = trees, same
        self.volumes: tuple[Volume, ...] = VOLUMES
        self.obstacle = ""
        self.disk = b""

    def survey(self) -> Survey:
        return Survey(9, PartitionTable("gpt", "", (PARTITION,)), (GROUP,), self.volumes)

    def list_directory(self, volume: Volume, path: str) -> list[DirectoryEntry]:
        top = path.strip("/") + "/" if path.strip("/") else ""
        below = [name.removeprefix(top) for name in self._tree(volume) if name.startswith(top)]
        if not below:
            raise FileMissing(path)
        return sorted({DirectoryEntry(n.partition("/")[0], "/" in n) for n in below})

    def items(self, volume: Volume, path: str) -> list[Item]:
        return [Item(e.name, e.is_directory, 0) for e in self.list_directory(volume, path)]

    def read_file(self, volume: Volume, path: str) -> bytes:
        try:
            content = self._tree(volume)[path.strip("/")]
        except KeyError:
            raise FileMissing(path) from None
        return content if isinstance(content, bytes) else content.encode()

    def piece(self, volume: Volume, path: str, offset: int, length: int) -> bytes:
        return self.read_file(volume, path)[offset : offset + length]

    def read_disk(self, offset: int, length: int) -> bytes:
        return self.disk[offset : offset + length]

    def same_file(self, volume: Volume, first: str, second: str) -> bool:
        return {first, second} <= set(self.same)

    def cannot_edit(self, volume: Volume, path: str) -> str | None:
        self.read_file(volume, path)
        return self.obstacle or None

    def _tree(self, volume: Volume) -> Mapping[str, str | bytes]:
        return self.trees.get(volume.name, {})


def reader(engine: Files) -> Reader:
    any_engine: Any = engine
    return Reader(any_engine)


def bls(number: int, root: str = "UUID=2007-02", **more: str) -> dict[str, str]:
    fields = {
        "title": f"Number {number}",
        "version": str(number),
        "linux": f"/vmlinuz-{number}",
        "initrd": f"/initrd-{number}",
        "options": f"root={root} ro",
    } | more
    text = "".join(f"{key} {value}\n" for key, value in fields.items() if value)
    return {f"loader/entries/n{number}.conf": text}


def at(path: str, volume: Volume = BOOT) -> ImageFile:
    return ImageFile(volume.name, path)


def entries(asked: Reader, roots: tuple[str, ...]) -> tuple[BootEntry, ...]:
    opened = trees.opened(asked)
    return find(asked, opened, trees.of(asked, opened), roots).entries


def found(
    boot: Mapping[str, str], root: Mapping[str, str] | None = None, **more: Any
) -> tuple[BootEntry, ...]:
    engine = Files({BOOT.device: FILES | dict(boot), ROOT.device: root or {}}, **more)
    return entries(reader(engine), (ROOT.device,))


def menu(*lines: str) -> dict[str, str]:
    return {"grub2/grub.cfg": "".join(f"{line}\n" for line in lines)}


def listed(title: str, number: int, args: str = "root=UUID=2007-02 ro") -> str:
    linux, initrd = f"linux /vmlinuz-{number} {args}", f"initrd /initrd-{number}"
    return f"menuentry '{title}' {{\n {linux}\n {initrd}\n}}"


def test_entries_stand_in_the_boot_loaders_order():
    one, two = found(bls(2) | bls(1))[::-1]
    assert (one.id, one.title, one.kernel, one.initrds) == (
        "n1",
        "Number 1",
        at("/vmlinuz-1"),
        (at("/initrd-1"),),
    )
    assert (one.args, one.kernel_version) == (("root=UUID=2007-02", "ro"), "1")
    assert (one.root, one.problem) == (ROOT.device, "")
    assert (one.config, one.loader) == (at("/loader/entries/n1.conf"), "boot loader entries")
    assert two.id == "n2"


def test_the_menu_comes_before_entries_that_it_does_not_call_for():
    first, other = found(bls(1) | menu(listed("In the menu", 2)))
    assert (first.title, first.loader, first.config) == (
        "In the menu",
        "GRUB",
        at("/grub2/grub.cfg"),
    )
    assert (other.id, other.loader) == ("n1", "boot loader entries")
    assert [e.title for e in found(bls(1) | menu("blscfg", listed("In the menu", 2)))] == [
        "Number 1",
        "In the menu",
    ]


def test_what_two_loaders_start_alike_is_one_entry():
    (entry,) = found(bls(1) | menu(listed("In the menu", 1)))
    assert (entry.title, entry.id) == ("In the menu", "n1")
    assert [place.kind for place in entry.places] == ["script", "bls"]


def test_nothing_is_found_where_there_is_no_menu():
    assert found({}) == ()


def test_an_entry_that_cannot_be_read_is_passed_over_with_a_note():
    engine = Files({BOOT.device: FILES | bls(1) | {"loader/entries/odd.conf": "no kernel\n"}})
    asked = reader(engine)
    assert [entry.id for entry in entries(asked, ())] == ["n1"]
    assert [note for note in asked.notes if "odd" in note]


def test_as_many_entries_are_read_as_a_boot_loader_would_show():
    many = {
        f"loader/entries/n{n}.conf": bls(1, options=f"root=UUID=2007-02 n={n}")[
            "loader/entries/n1.conf"
        ]
        for n in range(ENTRIES_LIMIT)
    }
    assert len(found(many)) == ENTRIES_LIMIT
    with pytest.raises(BakeryError, match="more than 64 entries"):
        found(many | {"loader/entries/one-more.conf": "x"})


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"initrd": ""}, "names no initrd"),
        ({"linux": "/vmlinuz-9"}, "names /vmlinuz-9, which is not on /dev/sda1"),
        ({"initrd": "/initrd-9"}, "names /initrd-9, which is not on /dev/sda1"),
    ],
)
def test_an_entry_without_its_files_is_told_with_its_problem(more: dict[str, str], problem: str):
    (entry,) = found(bls(1, **more))
    assert problem in entry.problem


@pytest.mark.parametrize("path", ["/a/../vmlinuz-9", "vmlinuz-1"])
def test_a_menu_that_leads_elsewhere_is_told_with_its_problem(path: str):
    text = f"menuentry 'One' {{\n linux {path} root=UUID=2007-02\n initrd /initrd-1\n}}"
    (entry,) = found(menu(text))
    assert entry.problem == f"the boot entry One does not start: its kernel, '{path}', is not there"


def test_a_path_may_be_told_from_boot_or_from_its_volume():
    (entry,) = found(bls(1, linux="/boot/vmlinuz-1"))
    assert (entry.kernel, entry.problem) == (at("/vmlinuz-1"), "")
    inside = {f"boot/{name}": text for name, text in (FILES | bls(1)).items()}
    (entry,) = entries(reader(Files({ROOT.device: inside})), (ROOT.device,))
    assert entry.kernel == at("/boot/vmlinuz-1", ROOT)
    assert entry.initrds == (at("/boot/initrd-1", ROOT),)


@pytest.mark.parametrize("top", ["", "/@"])
def test_a_path_may_be_told_from_the_top_level_of_a_btrfs(top: str):
    view = BTRFS.at(BTRFS.subvolumes[0])
    entry = bls(1, linux=f"{top}/boot/vmlinuz-1", initrd=f"{top}/boot/initrd-1", root="UUID=b7f5")
    engine = Files({view.name: {f"boot/{name}": text for name, text in (FILES | entry).items()}})
    engine.volumes = (BTRFS,)
    (one,) = entries(reader(engine), (view.name,))
    assert (one.kernel, one.initrds) == (at("/boot/vmlinuz-1", view), (at("/boot/initrd-1", view),))


@pytest.mark.parametrize(
    ("options", "root"),
    [
        ("root=UUID=b7f5 rootflags=subvol=@", "/dev/sda3[/@]"),
        ("rootflags=compress=zstd,subvolid=256", "/dev/sda3[/@]"),
        ("root=UUID=b7f5 rootflags=subvol=/", "/dev/sda3"),
        ("root=UUID=b7f5", "/dev/sda3[/@old]"),
        ("ro", "/dev/sda3[/@old]"),
    ],
)
def test_the_root_is_the_subvolume_that_the_arguments_lead_to(options: str, root: str):
    engine = Files({BOOT.device: FILES | bls(1, options=options)})
    engine.volumes = (BOOT, BTRFS)
    (entry,) = entries(reader(engine), ("/dev/sda3[/@]", "/dev/sda3[/@old]"))
    assert (entry.root, entry.problem) == (root, "")


def test_a_root_in_a_subvolume_that_is_not_there_is_told():
    engine = Files({BOOT.device: FILES | bls(1, options="root=UUID=b7f5 rootflags=subvol=root")})
    engine.volumes = (BOOT, BTRFS)
    (entry,) = entries(reader(engine), ("/dev/sda3[/@]",))
    assert entry.problem == "subvol=root names no subvolume of /dev/sda3"


def test_a_root_that_is_not_named_is_the_only_one_there_is():
    entry = bls(1, options="ro")
    assert found(entry)[0].root == ROOT.device
    engine = Files({BOOT.device: FILES | entry})
    (none,) = entries(reader(engine), ())
    assert "the image holds no root" in none.problem
    (two,) = entries(reader(engine), (ROOT.device, LV.device))
    assert "2 root filesystems (/dev/sda2, /dev/vg-a/root)" in two.problem


@pytest.mark.parametrize("options", ["", "$kernelopts"])
def test_arguments_that_come_out_empty_are_a_reading_error(options: str):
    (entry,) = found(bls(1, options=options))
    assert entry.args == ()
    assert entry.problem == "the kernel arguments of the boot entry n1 come out empty"


def test_a_root_that_names_no_volume_is_told_with_what_is_encrypted():
    engine = Files({BOOT.device: FILES | bls(1, "UUID=other")})
    engine.volumes = (*VOLUMES, Volume("/dev/sda9", 1, (), LUKS))
    (entry,) = entries(reader(engine), (ROOT.device,))
    assert entry.root == ""
    assert "root=UUID=other in n1 matches no volume of this image" in entry.problem
    assert "/dev/sda9 is encrypted (LUKS)" in entry.problem


def deployed(*names: str) -> dict[str, str]:
    tree = {f"ostree/deploy/lab/deploy/{name}/etc/fstab": "x" for name in names}
    return tree | {f"{LINK[1:]}/etc/fstab": "x"}


def of_ostree(**more: str) -> dict[str, str]:
    return bls(1, options=f"root=UUID=2007-02 ostree={LINK}", **more)


def test_an_ostree_entry_has_its_deployment_and_its_own_etc():
    (entry,) = found(of_ostree(), deployed(f"{SUM}.3"))
    assert (entry.stateroot, entry.checksum, entry.serial) == ("lab", SUM, 3)
    assert entry.etc == f"/ostree/deploy/lab/deploy/{SUM}.3/etc"


def test_of_several_deployments_it_is_the_one_behind_the_link():
    path = f"/ostree/deploy/lab/deploy/{SUM}.1/etc/fstab"
    same = (f"{LINK}/etc/fstab", path)
    (entry,) = found(of_ostree(), deployed(f"{SUM}.0", f"{SUM}.1"), same=same)
    assert entry.serial == 1
    (unknown,) = found(of_ostree(), deployed(f"{SUM}.0", f"{SUM}.1"))
    assert "which of 2 deployments" in unknown.problem


def test_a_link_that_leads_nowhere_is_a_problem():
    (entry,) = found(of_ostree(), {"etc/fstab": "x"})
    assert f"ostree={LINK} does not lead to a deployment on /dev/sda2" in entry.problem


@pytest.mark.parametrize("folder", ["grub2", "grub"])
def test_what_grub_has_saved_is_asked_wherever_it_lies(folder: str):
    saved = {f"{folder}/grubenv": "# GRUB Environment Block\nsaved_entry=n1\nkernelopts=a b\n"}
    first, *_ = found(bls(2) | bls(1, options="root=UUID=2007-02 $kernelopts") | saved)
    assert (first.id, first.args) == ("n1", ("root=UUID=2007-02", "a", "b"))


def test_an_entry_of_no_deployment_has_none():
    (entry,) = found(bls(1), {"etc/fstab": "x"})
    assert (entry.stateroot, entry.checksum, entry.serial, entry.etc) == ("", "", 0, "/etc")


@pytest.mark.parametrize(
    "tree",
    [
        {f"ostree/deploy/lab/deploy/{SUM}.0/etc/fstab": "x"},
        {f"{LINK.strip('/')}/etc/fstab": "x"},
        {f"ostree/deploy/lab/deploy/{SUM}.0/etc/fstab": "x", f"{LINK.strip('/')}/etc/other": "x"},
    ],
    ids=["no link", "no deployment", "a link to something else"],
)
def test_a_deployment_is_one_with_files_behind_its_link(tree: dict[str, str]):
    (entry,) = found(bls(1, options=f"root=UUID=2007-02 ostree={LINK}"), tree)
    assert f"ostree={LINK} does not lead to a deployment on /dev/sda2" in entry.problem
