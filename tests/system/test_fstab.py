import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import fstab

ATOMIC = (
    b"#\n# /etc/fstab\n# Created by anaconda; the /boot line is on sda1\n#\n"
    b"/dev/mapper/atomicos-root /                       xfs     defaults        0 0\n"
    b"UUID=4b2c1ab2-33a5-4b5e-8a6b-0d2b6a9a5b11 /boot                   ext4    defaults 1 2\n"
    b"LABEL=boot\t/srv/boot-images ext4 noauto 0 0\n"
    b"tmpfs /var/lib/tftpboot tmpfs size=1m 0 0\n"
)
BOOT_LINE = ATOMIC.split(b"\n")[5]

FIELD = st.sampled_from(
    b"/boot /boot/ //boot /boot/efi /bootstrap / UUID=1 # none LABEL=boot ext4".split()
    + rb"\057boot x\040y 0 /boot\040x \ ".split()
    + [b"\xff\xfe"]
)
LINE = st.builds(
    lambda lead, fields, gap, end: lead + gap.join(fields) + end,
    st.sampled_from([b"", b" ", b"\t"]),
    st.lists(FIELD, max_size=7),
    st.sampled_from([b" ", b"\t", b"  \t "]),
    st.sampled_from([b"", b"\r", b" "]),
)
TEXT = st.lists(LINE, max_size=8).map(b"\n".join) | st.binary(max_size=200)


def without(text: bytes, points: tuple[str, ...] = ("/boot", "/boot/efi")) -> bytes:
    gone = {e.line: None for e in fstab.entries(text) if e.mount_point in points}
    return fstab.changed(text, gone) if gone else text


def test_an_entry_becomes_a_comment_and_every_other_byte_stays():
    new = without(ATOMIC)
    assert len(new) == len(ATOMIC)
    start = ATOMIC.index(BOOT_LINE)
    assert new[:start] == ATOMIC[:start]
    assert new[start + len(BOOT_LINE) :] == ATOMIC[start + len(BOOT_LINE) :]
    assert new[start : start + 1] == b"#"


@pytest.mark.parametrize(
    "line",
    [
        b"a /boot ext4",
        b"a /boot",
        b"  a\t/boot/\text4\tdefaults\t0 0",
        b"a //boot// ext4",
        b"a /./boot ext4",
        b"a \\057boot ext4",
        b"UUID=AB-CD /boot/efi vfat umask=0077 0 2",
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_every_way_to_write_the_mount_point_is_found(line, end):
    new = without(b"x / xfs\n" + line + end)
    assert new.startswith(b"x / xfs\n#")
    assert new.endswith(end)
    assert len(new) == len(line) + len(end) + 8
    assert [entry.mount_point for entry in fstab.entries(new)] == ["/"]


@pytest.mark.parametrize(
    "line",
    [
        b"# a /boot ext4",
        b"  #a /boot ext4",
        b"#a /boot",
        b"/boot",
        b"/boot /srv/x none bind 0 0",
        b"LABEL=boot / xfs",
        b"a /bootstrap ext4",
        b"a /boot2 ext4",
        b"a /boot\\040two ext4",
        b"a /srv/boot ext4",
        b"a /boot/../srv ext4",
        b"a boot ext4",
        b"a /BOOT ext4",
        b"a /boot/loader ext4",
    ],
)
def test_the_word_boot_anywhere_else_means_nothing(line):
    text = b"x / xfs\n" + line + b"\n"
    assert without(text) == text


def test_a_device_is_renamed_where_it_stands():
    text = b"# old\nPARTUUID=11111111-01  /  ext4  defaults  0 1\nb /home xfs\n"
    new = fstab.changed(text, {2: "UUID=7"})
    assert new.splitlines() == [
        b"# old", b"UUID=7  /  ext4  defaults  0 1".ljust(44), b"b /home xfs",
    ]  # fmt: skip
    assert len(new) == len(text)


def test_a_longer_name_takes_the_bytes_that_nobody_needs():
    text = b"# a long comment that says nothing of use\n/dev/sda1   /     ext4  rw 0 1\n"
    new = fstab.changed(text, {2: "UUID=2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11"})
    assert len(new) == len(text)
    assert new.splitlines()[1] == b"UUID=2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11 / ext4 rw 0 1"
    assert new.startswith(b"# a long ")


def test_a_file_without_a_byte_to_spare_grows():
    text = b"/dev/sda1 / ext4 rw 0 1\n"
    assert fstab.changed(text, {1: "UUID=2f6e1f4a"}) == b"UUID=2f6e1f4a / ext4 rw 0 1\n"


def test_a_crypttab_has_its_device_in_the_second_field():
    text = b"# name device\nhome /dev/sda5 none luks,nofail\nswap UUID=7 /dev/urandom swap\n"
    home, swap = fstab.crypttab_mentions(text)
    assert (home.device, home.makes, home.use, home.optional) == (
        "/dev/sda5",
        "home",
        "unlock",
        True,
    )
    assert (swap.device, swap.line, swap.optional) == ("UUID=7", 3, False)
    new = fstab.changed(text, {2: "UUID=9", 3: None}, fstab.CRYPTTAB_DEVICE_FIELD)
    assert [m.device for m in fstab.crypttab_mentions(new)] == ["UUID=9"]
    assert len(new) == len(text)


def test_what_a_device_is_for_is_told_by_type_and_mount_point():
    text = (
        b"UUID=1 / ext4\nUUID=2 none swap sw\nUUID=3 /a ext4 rw,nofail\nUUID=4 /b/ ext4 noauto\n"
        b"UUID=5 /c ext4 x-systemd.automount\nUUID=6 /d ext4 defaults\nUUID=7 none ext4\n"
    )
    assert [(m.use, m.point, m.optional) for m in fstab.mentions(text)] == [
        ("root", "/", False), ("swap", "", False), ("mount", "/a", True), ("mount", "/b", True),
        ("mount", "/c", True), ("mount", "/d", False),
    ]  # fmt: skip


def test_a_mount_may_need_more_devices_than_its_own():
    text = (
        b"/dev/sda1 /a xfs noatime,logdev=/dev/sda2,rtdev=/dev/sda3\n"
        b"/dev/sda4 /b ext4 nofail,journal_path=/dev/sda5,x-systemd.requires=UUID=7\n"
        b"/dev/sda6 /c btrfs device=/dev/sda7,subvol=@,x-systemd.requires=a.service\n"
        b"/dev/sda8 none swap device=/dev/sda9\n"
    )
    found = [(m.device, m.use, m.point, m.optional, m.line) for m in fstab.mentions(text)]
    assert found == [
        ("/dev/sda1", "mount", "/a", False, 1),
        ("/dev/sda2", "log", "/a", False, 1),
        ("/dev/sda3", "log", "/a", False, 1),
        ("/dev/sda4", "mount", "/b", True, 2),
        ("/dev/sda5", "log", "/b", True, 2),
        ("UUID=7", "log", "/b", True, 2),
        ("/dev/sda6", "mount", "/c", False, 3),
        ("/dev/sda7", "log", "/c", False, 3),
        ("/dev/sda8", "swap", "", False, 4),
    ]


def test_fields_are_decoded_as_getmntent_does():
    (entry,) = fstab.entries(b"LABEL=my\\040disk /mnt/a\\011b\\134c ext4 defaults 0 0\n")
    assert (entry.device, entry.mount_point) == ("LABEL=my disk", "/mnt/a\tb\\c")


def test_findmnt_reads_the_same_entries(tmp_path):
    path = tmp_path / "fstab"
    path.write_bytes(without(ATOMIC + b"  LABEL=x\t/mnt/a\\040b ext4\n#c /d ext4\n"))
    listed = subprocess.run(
        ["findmnt", "--tab-file", path, "--json", "--list", "--output", "SOURCE,TARGET,FSTYPE"],
        check=True,
        capture_output=True,
    ).stdout
    theirs = [
        (row["source"], row["target"], row["fstype"]) for row in json.loads(listed)["filesystems"]
    ]
    ours = [(e.device, e.mount_point, e.type) for e in fstab.entries(path.read_bytes())]
    assert ours == theirs
    assert len(ours) == 4


@pytest.mark.parametrize("text", [b"\n" * 20_000, b"a" * (2 << 20)])
def test_a_file_out_of_all_proportion_is_refused(text):
    with pytest.raises(BakeryError, match="more than"):
        fstab.entries(text)


@given(TEXT)
def test_whatever_the_file_holds_only_the_lines_that_go_change_and_they_become_comments(text):
    new = without(text)
    assert len(new) == len(text)
    found = fstab.entries(text)
    gone = {e.line for e in found if e.mount_point in ("/boot", "/boot/efi")}
    assert list(fstab.entries(new)) == [e for e in found if e.line not in gone]
    for number, (old, now) in enumerate(zip(text.split(b"\n"), new.split(b"\n"), strict=True), 1):
        assert now.startswith(b"#") if number in gone else now == old
    assert without(new) == new


@given(TEXT, st.sampled_from(["U=1", "UUID=2f6e1f4a-93a5-4f0a-8d43-0d2f4d5c0a11"]))
def test_whatever_the_file_holds_a_renamed_device_is_all_that_is_read_anew(text, name):
    found = fstab.entries(text)
    chosen = [e.line for e in found][::2]
    new = fstab.changed(text, dict.fromkeys(chosen, name)) if chosen else text
    after = fstab.entries(new)
    assert len(new) >= len(text)
    assert [e.device for e in after] == [name if e.line in chosen else e.device for e in found]
    assert [(e.mount_point, e.type, e.options) for e in after] == [
        (e.mount_point, e.type, e.options) for e in found
    ]


def test_a_file_is_as_long_as_the_bounds_allow():
    line = b"/dev/a /boot ext4\n"
    assert len(fstab.entries(line + b"#" * (fstab.SIZE_LIMIT_BYTES - len(line)))) == 1
    with pytest.raises(BakeryError, match="bytes, more than"):
        fstab.entries(line + b"#" * (fstab.SIZE_LIMIT_BYTES - len(line) + 1))
    assert len(fstab.entries(b"\n" * (fstab.LINE_LIMIT - 2) + line)) == 1
    with pytest.raises(BakeryError, match="lines, more than"):
        fstab.entries(b"\n" * (fstab.LINE_LIMIT - 1) + line)
