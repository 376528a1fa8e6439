"""What leaves and what stays: every form of name, wherever one stands, in every layout."""

import itertools
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import (
    LogicalVolume,
    Partition,
    PartitionTable,
    Survey,
    Volume,
    VolumeGroup,
)
from bakery.image import left_behind
from bakery.image.boot import esp
from bakery.image.left_behind import POLICY, Leaving, Rule
from bakery.image.mentions import DeviceFile, FileKind
from bakery.manifest.manifest import Done, Layout, LeftBehind
from bakery.system import device_names
from bakery.system.mention import Mention, Use

ESP_TYPE, LINUX, LVM = esp.ESP_TYPES[0], "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "E6D6D379"
TABLE = PartitionTable(
    "gpt",
    "",
    (
        Partition(1, 0, 10, ESP_TYPE, name="esp", uuid="pu-1"),
        Partition(2, 10, 10, LINUX, name="other", uuid="pu-2"),
        Partition(3, 20, 10, LINUX, name="root", uuid="pu-3"),
        Partition(4, 30, 40, LVM, name="pv", uuid="pu-4"),
    ),
)
ESP = Volume("/dev/sda1", 10, (Extent(0, 10),), "vfat", "E5-P0", "ESP")
OTHER = Volume("/dev/sda2", 10, (Extent(10, 10),), "ext4", "uuid-other", "other")
PLAIN = Volume("/dev/sda3", 10, (Extent(20, 10),), "ext4", "uuid-root", "root")
LVROOT = Volume("/dev/vg/root", 10, (Extent(40, 10),), "xfs", "uuid-lvroot", "lvroot")
LVHOME = Volume("/dev/vg/home", 10, (Extent(50, 10),), "xfs", "uuid-lvhome", "lvhome")
GROUP = VolumeGroup(
    "vg",
    "",
    1,
    (4,),
    (
        LogicalVolume("vg", "root", 10),
        LogicalVolume("vg", "home", 10),
        LogicalVolume("vg", "thin", 10, (), "it is thin"),
    ),
)
SURVEY = Survey(80, TABLE, (GROUP,), (ESP, OTHER, PLAIN, LVROOT, LVHOME))

SYSTEMS: dict[str, tuple[Layout, Volume]] = {
    "lv of a partition": ("lv", PLAIN),
    "lv of LVM": ("lv", LVROOT),
    "pv": ("pv", LVROOT),
    "disk": ("disk", PLAIN),
}
CARRIED = {
    "lv of a partition": {PLAIN.device},
    "lv of LVM": {LVROOT.device},
    "pv": {LVROOT.device, LVHOME.device},
    "disk": {v.device for v in SURVEY.volumes},
}
"""Said here by hand, so that the rule is not asked what it is tested by."""
Form = Literal[
    "UUID", "LABEL", "PARTUUID", "PARTLABEL", "by-uuid", "by-label", "by-partuuid", "by-partlabel",
    "by-id", "by-path", "sda", "vda", "nvme", "mmcblk", "partnroff", "mapper", "lvm", "dm-name",
]  # fmt: skip
OF_FILESYSTEM = ("UUID", "LABEL", "by-uuid", "by-label")
OF_HARDWARE = ("sda", "vda", "nvme", "mmcblk", "by-id", "by-path")
OF_LVM = ("mapper", "lvm", "dm-name")


def name(form: str, volume: Volume) -> str:
    """The volume's name in that form; empty where it has none."""
    known = {
        "UUID": f"UUID={volume.uuid}",
        "LABEL": f"LABEL={volume.label}",
        "by-uuid": f"/dev/disk/by-uuid/{volume.uuid}",
        "by-label": f"/dev/disk/by-label/{volume.label}",
    }
    lv = SURVEY.logical_volume(volume.device)
    if lv:
        known |= {"mapper": lv.mapper, "lvm": lv.device}
        known |= {"dm-name": lv.mapper.replace("/mapper/", "/disk/by-id/dm-name-")}
        return known.get(form, "")
    part = next(p for p in TABLE.partitions if p.device == volume.device)
    known |= {
        "PARTUUID": f"PARTUUID={part.uuid}",
        "PARTLABEL": f"PARTLABEL={part.name}",
        "by-partuuid": f"/dev/disk/by-partuuid/{part.uuid}",
        "by-partlabel": f"/dev/disk/by-partlabel/{part.name}",
        "by-id": f"/dev/disk/by-id/ata-X-part{part.number}",
        "by-path": f"/dev/disk/by-path/pci-0-part{part.number}",
        "sda": f"/dev/sda{part.number}",
        "vda": f"/dev/vda{part.number}",
        "nvme": f"/dev/nvme0n1p{part.number}",
        "mmcblk": f"/dev/mmcblk1p{part.number}",
        "partnroff": f"PARTUUID=pu-1/PARTNROFF={part.number - 1}",
    }
    return known.get(form, "")


FORMS: tuple[str, ...] = Form.__args__  # type: ignore[attr-defined]
NAMES = [(f, v, name(f, v)) for f in FORMS for v in SURVEY.volumes if name(f, v)]


def file(kind: FileKind, path: str, *mentions: Mention) -> DeviceFile:
    return DeviceFile(path=path, kind=kind, mentions=mentions, size_bytes=200, spare_bytes=100)


def at(device: str, use: Use = "mount", point: str = "", **more: Any) -> Mention:
    return Mention(device=device, use=use, point=point, line=1, line_bytes=60, **more)


def leaving(system: str, *files: DeviceFile, args: str = "", **more: Any) -> Leaving:
    layout, root = SYSTEMS[system]
    words = tuple(args.split()) or (f"root=UUID={root.uuid}", "ro")
    return Rule(SURVEY, layout, root, files, words, **more).leaving()


def expected(system: str, form: str, volume: Volume, group: str) -> str:
    """What becomes of a name, by the words of the rule and not by its code."""
    if system == "disk":
        return "noted" if form in OF_HARDWARE else ""
    if group == "baked" and volume.device not in CARRIED[system]:
        return "noted"
    if volume.device in CARRIED[system]:
        lives = form in OF_FILESYSTEM or (form in OF_LVM and system == "pv")
        return "" if lives else "noted" if group == "baked" else "rewritten"
    if volume is ESP and group in ("needed", "optional"):
        return "taken out"
    return {
        "needed": "refused", "optional": "noted", "boot": "taken out", "swap": "taken out",
        "initramfs": "taken out", "asked": "taken out", "root": "rewritten",
    }[group]  # fmt: skip


PLACES: dict[str, tuple[str, FileKind, Mention]] = {
    "fstab /data": ("needed", "fstab", at("", point="/data")),
    "fstab nofail": ("optional", "fstab", at("", point="/data", optional=True)),
    "fstab /boot": ("boot", "fstab", at("", point="/boot")),
    "fstab /boot/efi": ("boot", "fstab", at("", point="/boot/efi")),
    "fstab /efi": ("boot", "fstab", at("", point="/efi")),
    "fstab swap": ("swap", "fstab", at("", "swap")),
    "fstab /": ("root", "fstab", at("", "root", "/")),
    "crypttab": ("initramfs", "crypttab", at("", "unlock", makes="x")),
    "unit": ("needed", "unit", at("", point="/srv/x")),
    "initramfs settings": ("baked", "initramfs", at("", "initramfs", optional=True)),
    "wanted unit": ("optional", "unit", at("", point="/srv/x", optional=True)),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("place", PLACES)
def test_every_form_of_name_in_every_file_meets_its_fate(system: str, place: str):
    group, kind, mention = PLACES[place]
    for form, volume, device in NAMES:
        if group == "root" and volume.device != SYSTEMS[system][1].device:
            continue
        fields = {f: getattr(mention, f) for f in ("use", "point", "optional", "makes")}
        found = leaving(system, file(kind, "/f", at(device, **fields)))
        wanted = expected(system, form, volume, group)
        assert [i.done for i in found.items] == ([wanted] if wanted else []), (form, device)
        changed = {"rewritten": {1: f"UUID={volume.uuid}"}, "taken out": {1: None}}.get(wanted)
        assert [c.devices for c in found.changes] == ([changed] if changed else []), (form, device)
        assert bool(left_behind.refusal(found.items)) == (wanted == "refused")


def line_with_log(system: str, own: str, log: str, point: str, **more: Any) -> Leaving:
    use: Use = "root" if point == "/" else "mount"
    mentions = at(own, use, point), at(log, "log", point)
    return leaving(system, file("fstab", "/f", *mentions), **more)


@pytest.mark.parametrize("system", ["lv of a partition", "lv of LVM", "pv"])
def test_a_mount_whose_log_is_left_behind_is_as_good_as_left_itself(system: str):
    root = SYSTEMS[system][1]
    own, log = f"UUID={root.uuid}", "/dev/disk/by-uuid/uuid-other"
    found = line_with_log(system, own, log, "/data")
    assert [(i.device, i.done) for i in found.items] == [(log, "refused")]
    accepted = line_with_log(system, own, log, "/data", without=("/data",))
    assert [c.devices for c in accepted.changes] == [{1: None}]
    root_with = line_with_log(system, own, log, "/")
    assert left_behind.refusal(root_with.items) and not left_behind.ways_out(root_with.items)


def test_a_log_that_travels_keeps_its_name_or_the_layout_is_refused():
    kept = line_with_log("pv", "UUID=uuid-lvroot", "/dev/vg/home", "/")
    assert kept.items == () and kept.changes == ()
    dying = line_with_log("lv of LVM", "UUID=uuid-lvroot", "/dev/mapper/vg-root", "/")
    assert left_behind.refusal(dying.items) == f"/dev/mapper/vg-root {left_behind.IN_AN_OPTION}"
    assert dying.changes == ()


def test_a_line_that_is_rewritten_beside_its_log_grows_by_its_own_device():
    mentions = at("/dev/vg/root", "root", "/"), at("/dev/disk/by-label/lvroot-and-more", "log", "/")
    short = DeviceFile(path="/f", kind="fstab", mentions=mentions, size_bytes=9, spare_bytes=3)
    assert leaving("lv of LVM", short).grows == "/f"


KERNEL = {
    "resume={}": "swap",
    "systemd.swap-extra={}": "swap",
    "cryptdevice={}:x": "initramfs",
    "systemd.mount-extra={}:/data:ext4:rw": "needed",
    "systemd.mount-extra={}:/data:ext4:nofail": "optional",
    "mount.usr={}": "needed",
    "fips=1 boot={}": "needed",
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("argument", KERNEL)
def test_every_form_of_name_in_every_kernel_argument_meets_its_fate(system: str, argument: str):
    root = SYSTEMS[system][1]
    for form, volume, device in NAMES:
        given = argument.format(device)
        found = leaving(system, args=f"root=UUID={root.uuid} {given} ro")
        group = "fips" if "fips" in argument else KERNEL[argument]
        wanted = expected(system, form, volume, "needed" if group == "fips" else group)
        if group == "fips" and volume is ESP and system != "disk":
            wanted = "refused"
        assert [i.done for i in found.items] == ([wanted] if wanted else []), given
        own = found.args[1:-1]
        if wanted == "taken out":
            assert own == ()
        elif wanted == "rewritten":
            assert own == tuple(argument.format(f"UUID={volume.uuid}").split())
        else:
            assert own == tuple(given.split())


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_form_of_root_still_means_the_root(system: str):
    layout, root = SYSTEMS[system]
    for form, volume, device in NAMES:
        if volume is not root:
            continue
        found = leaving(system, args=f"root=/dev/x ro root={device} rootflags=subvol=@ -- root=z")
        kept = expected(system, form, volume, "root") != "rewritten"
        named = device if kept else f"UUID={root.uuid}"
        head = ("root=/dev/x", "ro") if kept else ("ro",)
        assert found.args == (*head, f"root={named}", "rootflags=subvol=@", "--", "root=z")
        survives = device_names.named(named, Survey(10, None, (), (root,)))
        assert layout != "lv" or survives == (root,)


@pytest.mark.parametrize("system", ["lv of a partition", "lv of LVM", "pv"])
@pytest.mark.parametrize(
    ("args", "after"),
    [
        ("quiet", "quiet root=UUID={} rw"),
        ("ro quiet", "ro quiet root=UUID={}"),
        ("root=gpt-auto rw", "rw root=UUID={}"),
        ("a -- b", "a root=UUID={} rw -- b"),
    ],
)
def test_a_root_that_nothing_names_is_named(system: str, args: str, after: str):
    found = leaving(system, args=args)
    assert " ".join(found.args) == after.format(SYSTEMS[system][1].uuid)
    assert [(i.use, i.done) for i in found.items] == [("root", "rewritten")]
    assert " ".join(leaving("disk", args=args).args) == args


@pytest.mark.parametrize(
    ("argument", "stays_in"),
    [
        ("rd.lvm.lv=vg/root", ("pv", "disk")),
        ("rd.lvm.lv=vg/home", ("pv", "disk")),
        ("rd.lvm.vg=vg", ("pv", "disk")),
        ("rd_LVM_LV=vg/root", ("pv", "disk")),
        ("rd.lvm.lv=other/root", tuple(SYSTEMS)),
        ("rd.luks.uuid=luks-uuid-other", ("disk",)),
        ("rd.luks.name=uuid-lvhome=h", ("pv", "disk")),
        ("rd.md.uuid=3749f528:5d5a2d2b:f0ee4da9:b6a4c1d2", tuple(SYSTEMS)),
        ("boot=live", tuple(SYSTEMS)),
        ("resume=UUID=uuid-lvhome", ("pv", "disk")),
        ("resume=/dev/mapper/vg-thin", ("pv", "disk")),
        ("resume=/dev/sdb9", ("disk",)),
        ("noresume", tuple(SYSTEMS)),
    ],
)
def test_what_the_initramfs_would_wait_for_goes_where_its_device_does_not(
    argument: str, stays_in: tuple[str, ...]
):
    for system, (_, root) in SYSTEMS.items():
        found = leaving(system, args=f"root=UUID={root.uuid} {argument}")
        assert (argument in found.args) == (system in stays_in), system


def test_what_belongs_to_an_argument_goes_with_it():
    args = "root=UUID=uuid-root resume=/dev/sda2 resume_offset=7 resumeflags=a quiet"
    assert leaving("lv of a partition", args=args).args == ("root=UUID=uuid-root", "quiet")
    own = "root=UUID=uuid-root resume=/dev/sda3 resume_offset=7"
    found = leaving("lv of a partition", args=own)
    assert found.args == ("root=UUID=uuid-root", "resume=UUID=uuid-root", "resume_offset=7")


@pytest.mark.parametrize(
    ("device", "done"),
    [
        ("/dev/mapper/crypt", "refused"),
        ("/dev/mapper/travels", None),
        ("/dev/mapper/nobody", "noted"),
        ("/dev/mapper/circle", "noted"),
        ("/dev/dm-7", "noted"),
        ("/boot/image", "refused"),
        ("/data/file", "noted"),
        ("/var/file", None),
        ("UUID=elsewhere", "noted"),
        ("server:/x", None),
    ],
)
def test_a_name_leads_through_what_is_opened_and_what_is_mounted(device: str, done: str | None):
    opened = file(
        "crypttab", "/etc/crypttab",
        at("UUID=uuid-other", "unlock", makes="crypt"), at("LABEL=root", "unlock", makes="travels"),
        at("/dev/mapper/circle", "unlock", makes="circle"),
    )  # fmt: skip
    mounts = file(
        "fstab", "/etc/fstab",
        at(device, point="/srv"), at("LABEL=other", point="/boot"), at("UUID=no", point="/data"),
    )  # fmt: skip
    found = leaving("lv of a partition", opened, mounts)
    assert [i.done for i in found.items if i.use == "/srv"] == ([done] if done else [])


def test_a_swap_file_goes_where_its_filesystem_goes():
    swaps = [at("/swapfile", "swap"), at("/data/swapfile", "swap")]
    found = leaving("pv", file("fstab", "/f", *swaps, at("/dev/sda2", point="/data")))
    assert [(i.device, i.done) for i in found.items] == [
        ("/data/swapfile", "taken out"), ("/dev/sda2", "refused"),
    ]  # fmt: skip


def test_the_disk_that_the_root_is_named_on_is_this_one_for_every_name():
    entries = file("fstab", "/f", at("/dev/sdb2", point="/a"), at("/dev/sda2", point="/b"))
    found = leaving("lv of a partition", entries, args="root=/dev/sdb3")
    assert [(i.use, i.done) for i in found.items] == [
        ("/a", "refused"), ("/b", "noted"), ("root", "rewritten"),
    ]  # fmt: skip


def test_what_the_user_can_do_without_is_taken_out_and_nothing_else_is_accepted():
    entries = file("fstab", "/f", at("/dev/sda2", point="/var"))
    refused = leaving("pv", entries)
    assert left_behind.refusal(refused.items) == "it would leave behind /var (/dev/sda2 in /f:1)"
    assert left_behind.ways_out(refused.items) == "--without /var"
    accepted = leaving("pv", entries, without=("/var",))
    assert (left_behind.refusal(accepted.items), left_behind.ways_out(accepted.items)) == ("", "")
    assert [c.devices for c in accepted.changes] == [{1: None}]
    usr = leaving("pv", file("fstab", "/f", at("/dev/sda2", point="/usr")))
    assert left_behind.ways_out(usr.items) == ""


def test_what_the_table_says_counts_where_nothing_else_does():
    by_type = file(
        "table", "the partition table", Mention(device="PARTUUID=pu-2", use="mount", point="/home")
    )
    found = leaving("lv of a partition", by_type)
    assert [(i.named_in, i.done) for i in found.items] == [("the partition table", "refused")]
    assert leaving("lv of a partition", by_type, without=("/home",)).changes == ()
    told = file("fstab", "/f", at("LABEL=root", point="/home"))
    assert leaving("lv of a partition", told, by_type).items == ()


def test_a_root_without_a_uuid_can_go_nowhere_under_another_name():
    bare = Volume(PLAIN.device, 10, PLAIN.place, "ext4")
    survey = Survey(80, TABLE, (), (bare,))
    for args in (("root=/dev/sda3",), ("quiet",)):
        found = Rule(survey, "lv", bare, (), args).leaving()
        assert "/dev/sda3 has no UUID to name it by" in left_behind.refusal(found.items)
        assert left_behind.ways_out(found.items) == ""


def test_a_swap_unit_bears_its_devices_name_and_goes_where_that_dies():
    unit = file("unit", "/u.swap", at("/dev/mapper/vg-root", "swap"))
    found = leaving("lv of LVM", unit)
    assert [i.done for i in found.items] == ["taken out"]
    assert [c.devices for c in found.changes] == [{1: None}]


def test_a_devices_file_is_told_of_where_a_group_travels():
    bare = DeviceFile(path="/etc/lvm/lvm.conf", kind="lvm", mentions=())
    (told,) = leaving("pv", bare).items
    assert (told.done, told.named_in) == ("noted", "/etc/lvm/devices/system.devices")
    assert leaving("lv of LVM", bare).items == ()
    assert [i.done for i in leaving("disk", bare).items] == ["noted"]
    switch = msgspec.structs.replace(bare, mentions=(at("/etc/lvm/devices", "lvm"),))
    found = leaving("pv", switch)
    assert [i.done for i in found.items] == ["taken out"]
    assert [(c.path, c.kind, c.devices) for c in found.changes] == [(bare.path, "lvm", {1: None})]


def test_whether_a_file_keeps_its_length_is_foreseen():
    tight = DeviceFile(
        path="/f", kind="fstab", mentions=(at("/dev/sda3", "root", "/"),), obstacle="a shared block"
    )
    found = leaving("lv of a partition", tight)
    assert (found.grows, found.obstacle) == ("/f", "a shared block")
    gone = [
        at("/dev/sda3", "root", "/"),
        Mention(device="/dev/sda2", use="swap", line=2, line_bytes=40),
    ]
    assert (
        leaving(
            "lv of a partition", DeviceFile(path="/f", kind="fstab", mentions=tuple(gone))
        ).grows
        == ""
    )
    small = DeviceFile(
        path="/u", kind="unit", mentions=(at("/dev/sda2", point="/boot"),), size_bytes=30
    )
    assert leaving("pv", small).grows == "/u"


@pytest.mark.parametrize(
    ("device", "why"),
    [
        ("UUID=none", left_behind.ANOTHER_DISK),
        ("/dev/sdb2", left_behind.ANOTHER_DISK),
        ("/dev/mapper/opened", left_behind.ANOTHER_DISK),
        ("/dev/mapper/mpatha2", left_behind.OF_ANY_DISK),
        ("/dev/md0", left_behind.OF_ANY_DISK),
    ],
)
def test_a_name_that_nothing_here_has_is_of_another_disk_or_nobody_can_tell(device: str, why: str):
    crypttab = file("crypttab", "/c", at("UUID=none", "unlock", makes="opened"))
    found = leaving("pv", file("fstab", "/f", at(device, point="/data")), crypttab)
    assert [(i.done, i.now) for i in found.items if i.use == "/data"] == [("noted", why)]


@pytest.mark.parametrize(
    ("done", "now", "words"),
    [
        ("rewritten", "UUID=1", "is named UUID=1 from here on"),
        ("taken out", "", "stays behind and is taken out"),
        ("noted", "", "stays behind, and the system comes up without"),
        ("noted", "is of another disk", "is of another disk"),
        ("refused", "", "stays behind, and the system needs it"),
    ],
)
def test_a_person_is_told_in_words(done: Done, now: str, words: str):
    one = LeftBehind(device="/dev/x", use="/a", named_in="/f:1", done=done, now=now)
    assert left_behind.told(one) == f"/a: /dev/x (/f:1) {words}"


def test_the_order_of_files_does_not_matter():
    files = [
        file("fstab", "/f", at("/dev/mapper/x", point="/a"), at("/dev/sda2", point="/b")),
        file("crypttab", "/c", at("/dev/sda2", "unlock", makes="x")),
        file("unit", "/u", at("/b/z", point="/z")),
    ]
    told = [
        sorted((i.use, i.done) for i in leaving("pv", *order).items)
        for order in itertools.permutations(files)
    ]
    assert all(one == told[0] for one in told)


def test_the_page_shows_the_policy():
    page = (Path(__file__).resolve().parents[2] / "docs/left-behind.md").read_text()
    rows = [[c.strip() for c in row.strip("|").split("|")] for row in page.splitlines()]
    shown = {row[0]: (row[2], row[3]) for row in rows if len(row) == 4 and row[0] in POLICY}
    wanted = {
        group: (done.get("left", "nothing"), done.get("elsewhere", "nothing"))
        for group, done in POLICY.items()
    }
    assert shown == wanted


def test_what_only_a_kernel_puts_together_is_carried_as_what_is_in_it():
    members = Volume("/dev/sda2", 10, (Extent(10, 10),), "linux_raid_member", "a-u")
    locked = Volume("/dev/sda3", 10, (Extent(20, 10),), "crypto_LUKS", "l-u")
    for device, others in (
        ("/dev/md127", "/dev/md127"),
        ("/dev/mapper/luks-l-u", "/dev/mapper/crypt"),
    ):
        root = Volume(device, 10, (), "ext4", "r-u")
        survey = Survey(80, TABLE, (), (members, locked, root))
        files = (
            file("crypttab", "/c", at("UUID=l-u", "unlock", makes="crypt")),
            file("fstab", "/f", at(others, "root", "/")),
        )
        args = (f"root={device}", "rd.luks.uuid=luks-l-u", "rd.luks.name=l-u=crypt", "ro")
        found = Rule(survey, "lv", root, files, args).leaving()
        assert found.args == ("root=UUID=r-u", "ro")
        assert [c.devices for c in found.changes] == [{1: None}, {1: "UUID=r-u"}]


def test_a_way_without_end_is_not_followed():
    binds = [at(f"/m{n + 1}", point=f"/m{n}") for n in range(900)]
    found = leaving("pv", file("fstab", "/f", *binds, at("LABEL=other", point="/m900")))
    dones = [i.done for i in found.items]
    assert dones[-1] == "refused"
    assert set(dones) == {"noted", "refused"}
