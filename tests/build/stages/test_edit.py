"""What is edited where, by an engine that keeps the files in memory; and what a patch says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bakery.build.stages import edit
from bakery.build.stages.edit import PATCH, EditGiven, Edits, patches
from bakery.disk.copy import changes
from bakery.disk.copy.changes import Change
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Survey
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report
from bakery.image.boot.entry import BootEntry, ImageFile
from bakery.image.engines.base import FileMissing
from bakery.image.inspection import inspect
from bakery.image.left_behind import FileChange
from bakery.image.reader import Reader
from bakery.manifest.manifest import Edit
from bakery.system import loader
from tests.image.boot.machines import (
    BOOT,
    ESP,
    KERNELS,
    PROGRAM,
    ROOT,
    Machine,
    entry,
    grub,
    loader_entry,
    unified,
)

ENTRY = BootEntry(
    id="one",
    title="",
    kernel=ImageFile(BOOT.device, "/vmlinuz"),
    initrds=(ImageFile(BOOT.device, "/initrd"),),
    args=("root=/dev/sda3", "ro"),
    root=ROOT.device,
    config=ImageFile(BOOT.device, "/loader/entries/one.conf"),
    etc="/etc",
)
FSTAB = b"/dev/sda3 / ext4 defaults 0 1\n/dev/sda1 /boot ext4 defaults 0 2\n"
NO_BOOT = FileChange(path="/etc/fstab", kind="fstab", devices={2: None})
CHANGES = [Change(Extent(10, 2), b"ab"), Change(Extent(90, 3), b"cde")]


class Engine:
    """Keeps the files; what was replaced is there to be read."""

    name, overlay, mounts_to_edit = "guestfs", Path("/overlay"), True

    def __init__(self, files):
        self.files = dict(files)

    def read_file(self, volume, path):
        if (volume.device, path) not in self.files:
            raise FileMissing(path)
        return self.files[volume.device, path]

    def replace(self, volume, path, old, new):
        assert self.files[volume.device, path] == old
        self.files[volume.device, path] = new

    def copy_volume(self, volume, destination):
        with destination.open("xb") as file:
            file.write(bytes(5000) + b"".join(self.files.values()))


class Run:
    """The stage on an image of these files, and what became of it."""

    def __init__(self, folder, monkeypatch, files, **given):
        self.engine = Engine(files)
        self.ended: list[str] = []
        self.measured: list[Any] = []
        fields: dict[str, Any] = {
            "edit": "names",
            "engine": "guestfs",
            "entry": ENTRY,
            "root": ROOT,
            "mapped": False,
        }
        fields |= {
            "mapped": False,
            "changes": (NO_BOOT,),
            "delete": (),
            "append": (),
            "kernel_args": (),
        }
        opened = SimpleNamespace(
            session={"guestfs": self.engine}.__getitem__,
            end=self.ended.append,
            image=SimpleNamespace(blockdev={"driver": "x"}, path=Path("/image")),
        )
        inputs: Any = SimpleNamespace(
            given=EditGiven(**fields | given),
            opened=opened,
            inspection=SimpleNamespace(survey=Survey(1, None, (), (ROOT,))),
            scratch=folder / "scratch",
        )
        monkeypatch.setattr(changes, "changed", self.changed)
        (folder / "out").mkdir()
        said: list[Event] = []
        with Report(said.append).step("edit") as step:
            edit.run(inputs, folder / "out", step)
        self.said = said[-1].text
        self.edits = msgspec.json.decode((folder / "out/edits.json").read_bytes(), type=Edits)
        patch = folder / "out" / PATCH
        self.patch = patch.read_bytes() if patch.exists() else None

    def changed(self, *told):
        assert self.ended == ["guestfs"]  # the overlay is whole when the session has ended
        self.measured.append(told)
        return CHANGES


def test_the_line_for_boot_goes_and_what_changed_is_measured(tmp_path, monkeypatch):
    ran = Run(tmp_path, monkeypatch, {("/dev/sda3", "/etc/fstab"): FSTAB})
    assert b" /boot " not in ran.engine.files["/dev/sda3", "/etc/fstab"]
    assert ran.measured == [
        ({"driver": "x"}, [Path("/image")], Path("/overlay"), tmp_path / "scratch")
    ]
    why = "edited by the guestfs engine: /dev/sda3:/etc/fstab"
    edits = (Edit(10, 2, why), Edit(90, 3, why))
    assert ran.edits == Edits(edits, ("/dev/sda3:/etc/fstab",), mounted=True)
    assert ran.patch == b"abcde"
    assert ran.said == "/dev/sda3:/etc/fstab: 5 bytes changed"


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (FileChange(path="/f", kind="fstab", devices={1: "UUID=7"}), b"UUID=7 b\nc d   \n"),
        (FileChange(path="/f", kind="crypttab", devices={1: "U=7"}), b"/dev/sda5 U=7\nc d\n"),
        (
            FileChange(path="/f", kind="lvm", devices={2: None}),
            b"/dev/sda5 b\n\tuse_devicesfile=0\n",
        ),
        (
            FileChange(path="/f", kind="unit", devices={2: None}),
            b"[Unit]\nConditionPathExists=!/\n[Swap]\n",
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_kind_of_file_is_changed_in_its_own_way(tmp_path, monkeypatch, change, after):
    before = b"/dev/sda5 b\nc d\n"
    ran = Run(tmp_path, monkeypatch, {("/dev/sda3", "/f"): before}, changes=(change,))
    assert ran.engine.files["/dev/sda3", "/f"].split() == after.split()
    assert ran.edits.files == ("/dev/sda3:/f",)


def test_nothing_to_edit_opens_no_session(tmp_path, monkeypatch):
    ran = Run(tmp_path, monkeypatch, {}, edit="none", engine="direct")
    assert (ran.edits, ran.ended, ran.said) == (Edits(), [], "nothing to edit")


class Written(Machine):
    """A machine whose files can be changed."""

    def replace(self, volume, path, old, new):
        assert self.read_file(volume, path) == old
        self.trees = {**self.trees, volume.name: {**self.trees[volume.name], path.strip("/"): new}}


SYSTEM = {"etc/os-release": "ID=lab", "usr/bin/a": ""}
STUB = "search --label boot --set=root\nconfigfile ($root)/grub/grub.cfg\n"
REACHED = {PROGRAM: grub(), "EFI/test/grub.cfg": STUB}


def edited(files, *, delete=(), append=("quiet",)):
    """The files of an image by place after its arguments were changed, and what was said."""
    engine: Any = Written({volume.name: tree for volume, tree in files.items()})
    engine.volumes = tuple(files)
    reader = Reader(engine)
    found = inspect(reader)
    entry = found.entries[0]
    args = loader.change(delete, append)(entry.args)
    given = EditGiven(
        edit="kargs",
        engine="guestfs",
        entry=entry,
        root=ROOT,
        mapped=False,
        changes=(),
        delete=delete,
        append=append,
        kernel_args=args,
    )
    opened = SimpleNamespace(reader=reader)
    inputs: Any = SimpleNamespace(given=given, inspection=found, opened=opened)
    said: list[Event] = []
    with Report(said.append).step("edit") as step:
        names = edit._edit_args(inputs, engine, step)
    after = {
        f"{name}:/{path}": content if isinstance(content, bytes) else content.encode()
        for name, tree in engine.trees.items()
        for path, content in tree.items()
    }
    return after, names, [event.text for event in said if event.kind == "note"]


def test_arguments_change_wherever_a_boot_loader_is_told_them():
    files = {
        ESP: REACHED,
        BOOT: {**KERNELS, "grub/grub.cfg": entry("a"), "loader/entries/a.conf": loader_entry("a")},
        ROOT: {**SYSTEM, "etc/default/grub": 'GRUB_CMDLINE_LINUX="a"\n'},
    }
    after, names, said = edited(files, delete=("a",))
    assert b"root=/dev/sda3 quiet\n" in after["/dev/sda2:/grub/grub.cfg"]
    assert b"options root=/dev/sda3 quiet\n" in after["/dev/sda2:/loader/entries/a.conf"]
    assert after["/dev/sda3:/etc/default/grub"] == b'GRUB_CMDLINE_LINUX="quiet"\n'
    assert names == [
        "/dev/sda2:/grub/grub.cfg",
        "/dev/sda2:/loader/entries/a.conf",
        "/dev/sda3:/etc/default/grub",
    ]
    assert said == []


def test_what_cannot_be_changed_is_said_and_the_rest_changes():
    files = {
        ESP: REACHED,
        BOOT: {**KERNELS, "grub/grub.cfg": entry("a")},
        ROOT: {**SYSTEM, "etc/default/grub": 'GRUB_CMDLINE_LINUX="$(a)"\n'},
    }
    _, names, said = edited(files)
    assert names == ["/dev/sda2:/grub/grub.cfg"]
    assert len(said) == 1
    assert "/dev/sda3:/etc/default/grub is not changed: " in said[0]


@pytest.mark.parametrize("path", ["kernel/uki.conf", "update-extlinux.conf", "cmdline.d/a.conf"])
def test_what_others_write_the_next_arguments_from_is_said_to_stay(path: str):
    files = {
        ESP: REACHED,
        BOOT: {**KERNELS, "grub/grub.cfg": entry("a")},
        ROOT: {**SYSTEM, f"etc/{path}": "a"},
    }
    after, names, said = edited(files)
    assert names == ["/dev/sda2:/grub/grub.cfg"]
    assert after[f"/dev/sda3:/etc/{path}"] == b"a"
    assert len(said) == 1
    assert said[0].startswith(f"/dev/sda3:/etc/{path.removesuffix('/a.conf')} is not changed: ")


def test_arguments_that_are_sealed_cannot_be_edited():
    files = {ESP: {PROGRAM: unified("root=/dev/sda3 a")}, ROOT: SYSTEM}
    with pytest.raises(BakeryError, match="cannot be changed: /dev/sda1:"):
        edited(files)


def test_a_patch_is_its_bytes_range_by_range(tmp_path):
    (tmp_path / PATCH).write_bytes(b"abcde")
    edits = Edits((Edit(10, 2, ""), Edit(90, 3, "")))
    assert patches(edits, tmp_path / PATCH) == CHANGES
    assert patches(Edits(), tmp_path / "none") == []


@pytest.mark.parametrize(("kind", "kept"), [("kargs", True), ("names", False), ("none", False)])
def test_arguments_are_given_where_they_are_edited_and_nowhere_else(kind, kept):
    spec = SimpleNamespace(
        edit=kind,
        edit_engine="direct",
        entry=ENTRY,
        root=ROOT,
        kernel_args=("a",),
        changes=(NO_BOOT,),
        place=(Extent(0, 1),),
    )
    options = SimpleNamespace(karg_delete=("b",), karg_append=("c",))
    job: Any = SimpleNamespace(spec=spec, options=options)
    given = edit.STAGE.given(job)
    told = (given.delete, given.append, given.kernel_args)
    assert told == ((("b",), ("c",), ("a",)) if kept else ((), (), ()))
    assert (given.edit, given.engine, given.root) == (kind, "direct", ROOT)


def test_a_volume_without_a_place_is_copied_by_the_engine_with_the_edits_in_it(
    tmp_path, monkeypatch
):
    ran = Run(tmp_path, monkeypatch, {("/dev/sda3", "/etc/fstab"): FSTAB}, mapped=True)
    made = (tmp_path / "out/base").read_bytes()
    assert made[5000:] == ran.engine.files["/dev/sda3", "/etc/fstab"]
    assert b" /boot " not in made
    assert ran.measured == [], "its bytes are not those of the disk"
    (one,) = ran.edits.edits
    assert 5000 + FSTAB.index(b"/dev/sda1") <= one.offset < len(made)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "base",
        "edits.json",
        PATCH,
    ]


def test_a_volume_without_a_place_is_copied_where_nothing_is_edited_too(tmp_path, monkeypatch):
    files = {("/dev/sda3", "/etc/fstab"): FSTAB}
    ran = Run(tmp_path, monkeypatch, files, mapped=True, edit="none", changes=())
    assert (tmp_path / "out/base").read_bytes() == bytes(5000) + FSTAB
    assert ran.edits == Edits()
    assert ran.ended == ["guestfs"]
