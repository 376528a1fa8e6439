import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.disk.changes import differing
from bakery.disk.extents import Extent
from bakery.errors import BakeryError
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


def test_the_boot_entry_becomes_a_comment_and_every_other_byte_stays():
    new = fstab.without(ATOMIC)
    assert len(new) == len(ATOMIC)
    start = ATOMIC.index(BOOT_LINE)
    assert new[:start] == ATOMIC[:start]
    assert new[start + len(BOOT_LINE) :] == ATOMIC[start + len(BOOT_LINE) :]
    assert new[start : start + 1] == b"#"


def test_what_changed_lies_inside_the_entrys_line():
    line = Extent(ATOMIC.index(BOOT_LINE), len(BOOT_LINE))
    ranges = differing(ATOMIC, fstab.without(ATOMIC))
    assert ranges
    assert all(line.offset <= r.offset and r.end <= line.end for r in ranges)


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
    new = fstab.without(b"x / xfs\n" + line + end)
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
    assert fstab.without(text) == text


def test_an_entry_that_comes_twice_goes_twice():
    text = b"a /boot ext4\nb /home xfs\nc /boot ext4"
    new = fstab.without(text)
    assert [entry.device for entry in fstab.entries(new)] == ["b"]


def test_only_the_mount_points_asked_for_go():
    text = b"a /boot ext4\nb /boot/efi vfat\n"
    assert fstab.entries(fstab.without(text, ("/boot/efi/",)))[0].mount_point == "/boot"


def test_fields_are_decoded_as_getmntent_does():
    (entry,) = fstab.entries(b"LABEL=my\\040disk /mnt/a\\011b\\134c ext4 defaults 0 0\n")
    assert (entry.device, entry.mount_point) == ("LABEL=my disk", "/mnt/a\tb\\c")


def test_findmnt_reads_the_same_entries(tmp_path):
    path = tmp_path / "fstab"
    path.write_bytes(fstab.without(ATOMIC + b"  LABEL=x\t/mnt/a\\040b ext4\n#c /d ext4\n"))
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
def test_whatever_the_file_holds_only_boot_lines_change_and_they_become_comments(text):
    new = fstab.without(text)
    assert len(new) == len(text)
    gone = [e for e in fstab.entries(text) if e.mount_point in fstab.BOOT_MOUNT_POINTS]
    left = [e for e in fstab.entries(text) if e not in gone]
    assert list(fstab.entries(new)) == left
    places = [e.place for e in gone]
    for part in differing(text, new):
        assert any(p.offset <= part.offset and part.end <= p.end for p in places)
    for place in places:
        line = new[place.offset : place.end]
        assert line.startswith(b"#")
        assert b"\n" not in line
    assert fstab.without(new) == new
