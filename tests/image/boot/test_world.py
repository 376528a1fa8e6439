"""An image as GRUB sees a machine."""

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Subvolume, Volume
from bakery.image.boot import grub
from bakery.image.boot.world import FOLDERS_LIMIT, ImageWorld
from bakery.image.reader import Place, Reader
from tests.image.boot.machines import BOOT, ESP, ROOT, machine
from tests.image.test_boot_entries import LV, Files

TOP = Volume(
    "/dev/sda3",
    1,
    (Extent(3, 1),),
    "btrfs",
    "b7f5",
    subvolumes=(Subvolume(256, "@"), Subvolume(257, "@/snap", is_default=True)),
)
OUTER, INNER = (TOP.at(subvolume) for subvolume in TOP.subvolumes)


def world(reader: Reader, *volumes: Volume) -> ImageWorld:
    return ImageWorld(reader, volumes or reader.survey.volumes, "efi")


def test_partitions_go_by_the_kind_of_their_table():
    files = {ESP: {"a": "1"}, BOOT: {"a": "2"}}
    gpt, mbr = world(machine(files)), world(machine(files, label="dos"))
    assert (gpt.device(BOOT), mbr.device(BOOT)) == ("hd0,gpt2", "hd0,msdos2")
    assert gpt.read("hd0,gpt2", "/a") == b"2"
    assert gpt.read("hd0,2", "/a") == b"2"
    for other in ("hd1,gpt2", "hd0,gpt3", "hd0", "fd0", "", "hd0,gpt2,gpt1"):
        assert gpt.read(other, "/a") is None
        assert not gpt.is_directory(other, "/")


def test_logical_volumes_and_a_bare_disk_have_names_of_their_own():
    engine = Files({LV.name: {"a": "1"}})
    found = world(Reader(engine))  # type: ignore[arg-type]
    assert found.device(LV) == "lvm/vg--a-root"
    assert found.read("lvm/vg--a-root", "/a") == b"1"
    assert found.device(Volume("/dev/sda", 1, (), "ext4")) == "hd0"


def test_a_device_is_found_by_uuid_label_and_file():
    found = world(machine({ESP: {"EFI/a": ""}, BOOT: {"grub/x": "", "b": ""}, ROOT: {"b": ""}}))
    assert found.find("fs-uuid", "7b77-95e7") == "hd0,gpt1"
    assert found.find("label", "boot") == "hd0,gpt2"
    assert found.find("label", "BOOT") is None
    assert found.find("file", "/b") == "hd0,gpt2"
    assert found.find("file", "/grub") is None
    assert found.find("fs-uuid", "") is None


def test_on_a_fat_any_case_of_letters_will_do():
    found = world(machine({ESP: {"EFI/BOOT/grub.cfg": "x"}, BOOT: {"Efi/a": "y"}}))
    assert found.read("hd0,gpt1", "/efi/boot/GRUB.CFG") == b"x"
    assert found.is_file("hd0,gpt1", "/efi/Boot/grub.cfg")
    assert found.is_directory("hd0,gpt1", "/efi/boot")
    assert found.names("hd0,gpt1", "/efi/boot") == ("grub.cfg",)
    assert found.read("hd0,gpt2", "/efi/a") is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/@/snap/boot/x", Place(INNER, "/boot/x")),
        ("/@/only", Place(OUTER, "/only")),
        ("/top", Place(TOP, "/top")),
        ("/boot/x", Place(INNER, "/boot/x")),
        ("/@/none", Place(OUTER, "/none")),
    ],
)
def test_of_a_btrfs_a_path_goes_from_the_top_level_or_the_default(path: str, place: Place):
    trees = {TOP: {"top": ""}, OUTER: {"only": ""}, INNER: {"boot/x": ""}}
    assert world(machine(trees), TOP).place("hd0,gpt3", path) == place


@pytest.mark.parametrize("path", ["/a\n", "/" + "a" * 5000])
def test_what_can_be_no_path_is_nowhere(path: str):
    found = world(machine({BOOT: {"a": ""}}))
    assert found.place("hd0,gpt2", path) is None
    assert found.read("hd0,gpt2", path) is None


class Memory:
    """A disk inside a GRUB."""

    def is_file(self, path: str) -> bool:
        return path == "/m"

    def is_directory(self, path: str) -> bool:
        return path == "/"

    def names(self, path: str) -> tuple[str, ...]:
        return ("m",)

    def read(self, path: str) -> bytes | None:
        return b"x" if path == "/m" else None


def test_grub_may_bring_a_disk_along():
    reader = machine({BOOT: {"a": ""}})
    with_it = ImageWorld(reader, (BOOT,), "pc", Memory())
    assert (with_it.platform, with_it.read("memdisk", "/m")) == ("pc", b"x")
    assert with_it.is_file("memdisk", "/m")
    assert with_it.is_directory("memdisk", "/")
    assert with_it.names("memdisk", "/") == ("m",)
    assert world(reader).read("memdisk", "/m") is None
    assert not world(reader).is_file("memdisk", "/m")


def test_a_script_that_looks_everywhere_is_stopped():
    script = "for i in {}; do if [ -f /d$i/x ]; then true; fi; done\n"
    words = " ".join(map(str, range(FOLDERS_LIMIT + 1)))
    reader = machine({BOOT: {"grub/grub.cfg": script.format(words)}})
    found = grub.in_folder(world(reader), BOOT, "/grub")
    assert "look into more than" in found.problem
