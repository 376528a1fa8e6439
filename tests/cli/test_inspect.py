"""What `bakery inspect` prints for a person: every part of an image that was found."""

import click
import msgspec
import pytest
from click.testing import CliRunner

from bakery.cli.inspect import _check, _print, command
from bakery.cli.options import output
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import (
    LogicalVolume,
    PartitionTable,
    Segment,
    Survey,
    Volume,
    VolumeGroup,
)
from bakery.image.boot.entry import BootEntry, ImageFile, Way
from bakery.image.inspection import Inspection
from tests import tiny
from tests.cli.inside import ask, document


def test_a_person_is_told_volumes_system_boot_entries_and_layouts(tmp_path):
    image = tiny.make(tmp_path)
    done = CliRunner().invoke(command, [str(image), "-q"], standalone_mode=False)
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        f"{image}: qcow2, {tiny.DISK_SIZE} bytes as a disk",
        "partition table: MBR",
    ]
    boot, root = (line.split() for line in lines[2:4])
    assert boot[:6] == ["/dev/sda1", "ext4", "start", f"{tiny.BOOT_START}", "size", "16777216"]
    assert root[:6] == ["/dev/sda2", "ext4", "start", f"{tiny.ROOT_START}", "size", "25165824"]
    assert root[6] == tiny.ROOT_UUID
    for line in (
        "system: Tiny Linux 1",
        "deployment 0: Tiny (tiny)",
        "  boot loader entries, /dev/sda1:/loader/entries/tiny.conf; no firmware reaches this",
        "  kernel /dev/sda1:/vmlinuz-6.1",
        "  initrd /dev/sda1:/initrd-6.1",
        "  root /dev/sda2",
        f"  args root=UUID={tiny.ROOT_UUID} ro console=ttyS0",
        "layout lv: yes",
        "layout disk: yes",
    ):
        assert line in lines
    assert [line for line in lines if line.startswith("layout pv: no, ")]


ENTRY = BootEntry(
    id="a",
    title="A",
    kernel=ImageFile("/dev/sda1", "/k"),
    initrds=(ImageFile("/dev/sda1", "/i"), ImageFile("/dev/sda2", "/u", 512, 9)),
    args=("ro", "quiet"),
    config=ImageFile("/dev/sda1", "/c"),
    root="/dev/vg/root",
    stateroot="fedora",
    checksum="abc",
    serial=0,
    problem="it has no kernel",
)
REACHED = msgspec.structs.replace(
    ENTRY, root="", stateroot="", problem="", firmware=("uefi", "bios"), default_for=("uefi",)
)
WAY = Way(
    firmware="uefi",
    program="/dev/sda1:/p",
    loader="GRUB",
    menus=("/dev/sda1:/c", "/dev/sda2:/d"),
    note="it is taken for one",
)


def lv(name, count, unusable=""):
    return LogicalVolume("vg", name, 7, (Segment(0, 0, 1),) * count, unusable)


def printed(**fields):
    survey = Survey(
        size_bytes=1,
        table=PartitionTable("gpt", "id", ()),
        groups=(VolumeGroup("vg", "u", 4, (1,), (lv("a", 1), lv("b", 2), lv("c", 2, "gone"))),),
        volumes=(Volume("/dev/sda1", 9, (), label="data"), Volume("/dev/sda2", 8, (Extent(5, 8),))),
    )

    @click.command()
    @output
    def show(out):
        _print(out, msgspec.structs.replace(Inspection(survey=survey), **fields))

    return CliRunner().invoke(show, []).stdout.splitlines()


def test_volumes_are_told_with_where_they_begin_and_what_keeps_them_from_use():
    lines = printed()
    assert lines[0] == "partition table: GPT"
    assert [" ".join(line.split()) for line in lines[1:3]] == [
        "/dev/sda1 nothing recognised start 0 size 9 label data",
        "/dev/sda2 nothing recognised start 5 size 8",
    ]
    assert lines[3:6] == [
        "  VG vg LV a: 7 bytes, 1 segment",
        "  VG vg LV b: 7 bytes, 2 segments",
        "  VG vg LV c: 7 bytes, cannot be used: gone",
    ]
    assert lines[6] == "architecture: not told"
    assert lines[7:] == ["layout pv: yes", "layout lv: yes", "layout disk: yes"]


def test_what_was_not_found_is_not_told_and_what_was_is():
    lines = printed(
        os_name="Fedora",
        architecture="aarch64",
        ways=(WAY, Way(firmware="bios", program="the code", problem="it is none")),
        entries=(ENTRY, REACHED),
        refusals={"lv": "it has two roots"},
        firmware=("bios", "uefi"),
        notes=("it is old",),
    )
    assert lines[6:] == [
        "system: Fedora", "architecture: aarch64",
        "UEFI starts /dev/sda1:/p, GRUB: /dev/sda1:/c, /dev/sda2:/d", "  it is taken for one",
        "BIOS starts the code", "  it is none",
        "deployment 0: A (a)", "  GRUB, /dev/sda1:/c; no firmware reaches this",
        "  cannot be built: it has no kernel", "  kernel /dev/sda1:/k",
        "  initrd /dev/sda1:/i /dev/sda2:/u, 9 bytes from byte 512 on",
        "  ostree fedora abc.0", "  root /dev/vg/root", "  args ro quiet",
        "deployment 1: A (a)", "  GRUB, /dev/sda1:/c", "  reached by UEFI (by itself), BIOS",
        "  kernel /dev/sda1:/k", "  initrd /dev/sda1:/i /dev/sda2:/u, 9 bytes from byte 512 on",
        "  root ?", "  args ro quiet",
        "layout pv: yes", "layout lv: no, it has two roots", "layout disk: yes",
        "boots as a whole disk by: bios, uefi", "note: it is old",
    ]  # fmt: skip


@pytest.mark.parametrize(("label", "said"), [("dos", "MBR"), ("gpt", "GPT"), ("sun", "sun")])
def test_a_partition_table_has_its_usual_name(label, said):
    survey = Survey(1, PartitionTable(label, "id", ()), (), ())
    assert printed(survey=survey)[0] == f"partition table: {said}"
    assert printed(survey=Survey(1, None, (), ()))[0] == "partition table: none"


def test_a_program_gets_all_and_only_an_appliance_is_announced(tmp_path, monkeypatch):
    image = tiny.make(tmp_path)
    done = ask("inspect", image, "--engine", "direct", "-v")
    assert "appliance" not in done.stderr
    answer = document("inspect", image)
    assert (answer["format"], answer["engine"]) == ("qcow2", "direct")
    assert answer["virtual_size_bytes"] == tiny.DISK_SIZE
    assert answer["entries"][0]["title"] == "Tiny" and answer["survey"]["table"]["label"] == "dos"
    monkeypatch.setattr("bakery.image.engines.choose.can", lambda *_: False)
    assert "starting an appliance, which takes a while (" in ask("inspect", image).stderr


def test_what_the_survey_looks_at_is_not_checked_twice(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "bakery.disk.formats.safety.check", lambda image, **how: asked.append((image, how))
    )
    assert _check(tmp_path)[1] is None
    assert asked == [(tmp_path, {"with_partitions": False, "with_openstack": False})]
