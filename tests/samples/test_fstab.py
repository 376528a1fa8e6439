from bakery.samples.fstab import Mount, render


def test_each_mount_is_a_line_of_six_fields():
    text = render(
        [
            Mount("/dev/mapper/atomicos-root", "/", "xfs"),
            Mount("UUID=1-2", "/boot", "ext4", fsck_order=2),
        ]
    )
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[:2] == [
        ["/dev/mapper/atomicos-root", "/", "xfs", "defaults", "0", "0"],
        ["UUID=1-2", "/boot", "ext4", "defaults", "0", "2"],
    ]
    assert all(len(fields) == 6 for fields in lines)


def test_extra_lines_stand_as_given_at_the_end():
    extra = ("# the boot partition", "tmpfs /var/lib/tftpboot tmpfs size=16m 0 0")
    assert render([], extra).endswith("".join(f"{line}\n" for line in extra))


def test_there_are_comments_before_the_first_mount():
    assert "# Created by anaconda" in render([])
