import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import grub_defaults

DEBIAN = b"""# If you change this file, run 'update-grub' afterwards.
# GRUB_CMDLINE_LINUX="commented"
GRUB_DEFAULT=0
GRUB_DISTRIBUTOR=`lsb_release -i -s 2> /dev/null || echo Debian`
GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"
GRUB_CMDLINE_LINUX="console=tty0"  # mine
#GRUB_TERMINAL=console
"""


def by_shell(text, tmp_path):
    file = tmp_path / "grub"
    file.write_bytes(text)
    script = '. "$0"; printf "%s|%s" "$GRUB_CMDLINE_LINUX_DEFAULT" "$GRUB_CMDLINE_LINUX"'
    done = subprocess.run(["sh", "-c", script, file], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_shell_reads_the_changed_values_and_every_other_byte_stays(tmp_path):
    new = grub_defaults.change(DEBIAN, {"quiet"}, ("console=ttyS0,115200",))
    assert by_shell(new, tmp_path) == "splash|console=tty0 console=ttyS0,115200"
    assert new == DEBIAN.replace(b'"quiet splash"', b'"splash"').replace(
        b'"console=tty0"', b'"console=tty0 console=ttyS0,115200"'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "|new"),
        (b"GRUB_TIMEOUT=1", "|new"),
        (b"GRUB_CMDLINE_LINUX=", "|new"),
        (b"GRUB_CMDLINE_LINUX=old\n", "|old new"),
        (b"export GRUB_CMDLINE_LINUX='old'\n", "|old new"),
        (b"GRUB_CMDLINE_LINUX=a\nGRUB_CMDLINE_LINUX=b\n", "|b new"),
        (b'GRUB_CMDLINE_LINUX_DEFAULT="new"\n', "new|"),
    ],
)
def test_every_plain_way_to_write_the_variable_is_taken(text, expected, tmp_path):
    assert by_shell(grub_defaults.change(text, (), ("new",)), tmp_path) == expected


def test_nothing_to_change_changes_nothing():
    assert grub_defaults.change(DEBIAN, {"absent"}, ("console=tty0",)) == DEBIAN


@pytest.mark.parametrize(
    "value",
    [
        b'"$(cmd)"',
        b'"`cmd`"',
        b'"$OTHER quiet"',
        b'"a\\"b"',
        b'"open',
        b"a$b",
        b"two words",
        b'"\xff"',
    ],
)
def test_a_value_only_a_shell_can_take_apart_is_refused(value):
    with pytest.raises(BakeryError, match="/etc/default/grub"):
        grub_defaults.change(b"GRUB_CMDLINE_LINUX=" + value + b"\n", (), ("new",))


def test_an_appending_assignment_is_refused():
    with pytest.raises(BakeryError):
        grub_defaults.change(b'GRUB_CMDLINE_LINUX+=" a"\n', (), ("new",))


@pytest.mark.parametrize("arg", ['a="b c"', "a$b", "a'b", "a;b", "a\nb", "a`b`"])
def test_an_argument_that_needs_quoting_is_refused(arg):
    with pytest.raises(BakeryError, match="needs quoting"):
        grub_defaults.change(DEBIAN, (), (arg,))


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda b: b"GRUB_CMDLINE_LINUX=" + b))
def test_any_bytes_are_changed_or_refused(text):
    try:
        new = grub_defaults.change(text, {"quiet"}, ("fresh=1",))
    except BakeryError:
        return
    assert b"fresh=1" in new
    assert grub_defaults.change(new, {"quiet"}, ("fresh=1",)) == new


def test_a_file_out_of_all_proportion_is_refused():
    with pytest.raises(BakeryError, match="bytes long"):
        grub_defaults.change(b"#" * (1 << 20), (), ("a",))


def test_a_file_is_as_long_as_the_bound_allows():
    text = b"#" * (grub_defaults.SIZE_LIMIT_BYTES - 1) + b"\n"
    assert grub_defaults.change(text, (), ()) == text
    with pytest.raises(BakeryError, match="is over"):
        grub_defaults.change(text + b"#", (), ())
