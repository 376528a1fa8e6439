"""From firmware down: whose entry counts, and menus at every place behind every kind of stub."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.volumes.volumes import Volume
from bakery.image.boot.entry import ImageFile
from tests.image.boot.machines import (
    BOOT,
    ESP,
    KERNELS,
    PROGRAM,
    ROOT,
    Tree,
    entry,
    grub,
    grub_of_bios,
    loader_entry,
    machine,
    read,
)
from tests.system import programs

Files = Mapping[Volume, Tree]
BIOS = "(hd0,gpt2)/grub"
BY_BIOS: Tree = {**KERNELS, "grub/grub.cfg": entry("bios")}
BY_UEFI: Tree = {PROGRAM: grub(), "EFI/test/grub.cfg": entry("uefi"), **KERNELS}


def test_where_both_are_there_uefis_entry_counts_and_that_is_said():
    reader = machine({ESP: BY_UEFI, BOOT: BY_BIOS}, disk=grub_of_bios(BIOS))
    chain = read(reader)
    assert [(e.title, e.firmware) for e in chain.entries] == [
        ("uefi", ("uefi",)),
        ("bios", ("bios",)),
    ]
    assert reader.notes == [
        (
            "UEFI would start uefi (/dev/sda1:/EFI/test/grub.cfg), BIOS bios "
            "(/dev/sda2:/grub/grub.cfg): UEFI's is taken"
        )
    ]


def test_where_both_come_to_the_same_it_is_one_entry_and_nothing_is_said():
    stub = "search --label boot --set\nset prefix=($root)/grub\nconfigfile $prefix/grub.cfg\n"
    files: Files = {ESP: {PROGRAM: grub(), "EFI/test/grub.cfg": stub}, BOOT: BY_BIOS}
    reader = machine(files, disk=grub_of_bios(BIOS))
    (found,) = read(reader).entries
    assert found.firmware == ("uefi", "bios")
    assert reader.notes == []


def test_what_a_loader_passes_over_is_said_once():
    menu = "no-such-command\n" + entry("a")
    files: Files = {ESP: {PROGRAM: grub(), "EFI/test/grub.cfg": menu}, BOOT: KERNELS}
    reader = machine({**files, BOOT: {**KERNELS, "grub/grub.cfg": menu}}, disk=grub_of_bios(BIOS))
    read(reader)
    assert [note for note in reader.notes if "no-such-command" in note] == [
        "GRUB's script runs 'no-such-command', which is no command known here"
    ]


def test_what_only_a_bios_comes_to_counts_where_there_is_nothing_for_uefi():
    reader = machine({ESP: {"EFI/a": ""}, BOOT: BY_BIOS}, disk=grub_of_bios(BIOS))
    assert [(e.title, e.firmware) for e in read(reader).entries] == [("bios", ("bios",))]


def test_what_no_firmware_comes_to_is_kept_and_that_is_said():
    reader = machine({BOOT: BY_BIOS})
    (found,) = read(reader).entries
    assert (found.title, found.firmware) == ("bios", ())
    assert "no firmware comes to bios" in reader.notes[0]


def test_two_menus_that_start_the_same_have_the_places_of_both():
    uefi: Tree = {PROGRAM: grub(), "EFI/test/grub.cfg": "set root=hd0,gpt2\n" + entry("bios")}
    (found,) = read(machine({ESP: uefi, BOOT: BY_BIOS})).entries
    assert [place.file for place in found.places] == [
        ImageFile(ESP.name, "/EFI/test/grub.cfg"),
        ImageFile(BOOT.name, "/grub/grub.cfg"),
    ]


# Each is how a stub comes to the volume and folder of a menu, with what it is told.
SEARCHES = {
    "by uuid": "search --no-floppy --fs-uuid --set=root {uuid}\n",
    "by uuid in capitals": "search --fs-uuid {upper} --set root\n",
    "by a hint and a uuid": "search --fs-uuid --set=dev --hint hd0,gpt9 {uuid}\nset root=$dev\n",
    "by the single module": "search.fs_uuid {uuid} root hd0,gpt9\n",
    "by label": "search --label '{label}' --set\n",
    "by file": "search --file --set=root {folder}/marker\n",
    "by name": "root='{device}'\n",
    "by a condition": "if [ -e ({device}){folder}/marker ]; then set root={device}; fi\n",
}
FORMS = {
    "configfile": "configfile ($root){folder}/grub.cfg\n",
    "configfile by prefix": "set prefix=($root){folder}\nconfigfile $prefix/grub.cfg\n",
    "source": "source {folder}/grub.cfg\n",
    "dot": ". ($root){folder}/grub.cfg\n",
    "normal": "normal ($root){folder}/grub.cfg\n",
    "a function": "function go {{\n  configfile $1/grub.cfg\n}}\ngo ($root){folder}\n",
    "a loop": 'for d in /nowhere {folder}; do\n if [ -s "$d/grub.cfg" ]; then source $d/grub.cfg\n'
    " fi\ndone\n",
}
MENUS = {
    "entries": "{right}",
    "blscfg": "insmod blscfg\nblscfg\n",
    "a default by title": "set default='right'\n{wrong}{right}",
    "a default by number": "set default=1\n{wrong}{right}",
    "a saved default": "load_env -f {folder}/grubenv\nset default=$saved_entry\n{wrong}{right}",
    "a submenu": "set default='more>right'\n{wrong}submenu more {{\n{right}}}\n",
    "an if": "if [ -f {folder}/none ]; then\n{wrong}else\n{right}fi\n",
}
FOLDERS = ("/grub", "/grub2", "/boot/grub", "/boot/grub2", "/elsewhere/deep")
ENVIRONMENT = "# GRUB Environment Block\nsaved_entry=right\n"


class Case(NamedTuple):
    """A stub on the ESP, and where the menu lies that it leads to."""

    search: str
    form: str
    menu: str
    home: Volume
    folder: str

    def files(self) -> Files:
        """The image; decoys stand in all other places of menus."""
        known = {
            "uuid": self.home.uuid,
            "upper": self.home.uuid.upper(),
            "label": self.home.label,
            "device": {ESP: "hd0,gpt1", BOOT: "hd0,gpt2", ROOT: "hd0,gpt3"}[self.home],
            "folder": self.folder,
        }
        stub = (SEARCHES[self.search] + FORMS[self.form]).format(**known)
        marks = {"right": entry("right"), "wrong": entry("wrong", 2)}
        top = self.folder[1:]
        menus = {f"{top}/grub.cfg": MENUS[self.menu].format(**known, **marks)}
        menus |= {f"{top}/marker": "", f"{top}/grubenv": ENVIRONMENT}
        menus["loader/entries/m-6.1-1.conf"] = loader_entry("right")
        decoys = {f"{folder[1:]}/grub.cfg": entry("decoy", 3) for folder in FOLDERS}
        found = {volume: {**KERNELS, **decoys} for volume in (ESP, BOOT, ROOT)}
        found[self.home] |= menus
        program: Tree = {
            PROGRAM: grub(),
            "EFI/test/grub.cfg": stub,
            "EFI/BOOT/grub.cfg": entry("decoy"),
        }
        return {**found, ESP: {**found[ESP], **program}}


CASES = st.builds(
    Case,
    st.sampled_from(sorted(SEARCHES)),
    st.sampled_from(sorted(FORMS)),
    st.sampled_from(sorted(MENUS)),
    st.sampled_from((ESP, BOOT, ROOT)),
    st.sampled_from(FOLDERS),
)


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_a_menu_is_come_to_wherever_it_lies_and_however_a_stub_leads_there(case: Case):
    found = read(machine(case.files())).entries
    assert (found[0].title, found[0].firmware) == ("right", ("uefi",))
    assert found[0].kernel == ImageFile(case.home.name, "/vmlinuz-1")
    assert found[0].args == ("root=/dev/sda3", "right")
    assert not found[0].problem
    assert all(e.firmware == () for e in found if e.title == "decoy")
    kinds = {place.kind for place in found[0].places}
    assert kinds >= ({"bls"} if case.menu == "blscfg" else {"script"})


@pytest.mark.parametrize(
    "loader", ["grub", "systemd-boot", "nothing known"], ids=lambda name: name.replace(" ", "-")
)
def test_each_loader_reads_its_own_files_alone(loader: str):
    program = {
        "grub": grub(),
        "systemd-boot": programs.SYSTEMD_BOOT.read_bytes(),
        "nothing known": b"x",
    }[loader]
    esp: Tree = {
        PROGRAM: program,
        "EFI/test/grub.cfg": entry("grub"),
        "loader/entries/a.conf": loader_entry("systemd-boot", 2),
        **KERNELS,
    }
    found = read(machine({ESP: esp})).entries
    right = "systemd-boot" if loader == "systemd-boot" else "grub"
    assert [(e.title, e.firmware) for e in found[:1]] == [(right, ("uefi",))]
    assert [e.firmware for e in found[1:]] == [()]
