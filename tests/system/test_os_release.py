import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import os_release

FEDORA = b"""NAME=Fedora
VERSION="21 (Twenty One)"
ID=fedora
VERSION_ID=21
PRETTY_NAME="Fedora 21 (Twenty One)"
VARIANT_ID='atomic'
"""


def test_what_fedora_says():
    assert os_release.parse(FEDORA) == os_release.Release("fedora", "21", "Fedora 21 (Twenty One)")


def test_an_empty_file_is_linux_as_the_manual_page_has_it():
    assert os_release.parse(b"") == os_release.Release("linux", "", "Linux")


def test_quotes_and_escapes_are_the_shells(tmp_path):
    lines = [
        r"A=plain",
        r"""B="a \"b\" \$c \`d\` \\ e" """,
        r"""C='it is "so" \n'""",
        r"""D="a"'b'c\ d""",
        "E=",
        "F=''",
    ]
    file = tmp_path / "os-release"
    file.write_text("\n".join(lines))
    script = '. "$0"; for n in A B C D E F; do eval "printf \'%s\\n\' \\"\\$$n\\""; done'
    by_shell = subprocess.run(
        ["sh", "-c", script, file], check=True, capture_output=True, text=True
    ).stdout.split("\n")[:-1]
    assert list(os_release.assignments(file.read_bytes()).values()) == by_shell


@pytest.mark.parametrize(
    "line", ['A="open', "A='open", "A=two words", "1A=x", "# A=x", "A", "A=\\"]
)
def test_a_line_that_is_no_assignment_is_passed_over(line):
    assert os_release.assignments(f"{line}\nB=1\n".encode()) == {"B": "1"}


def test_control_characters_do_not_reach_a_terminal():
    assert os_release.parse(b'NAME="a\x1b[31mb"\n').name == r"a\x1b[31mb"


@pytest.mark.parametrize("text", [b"A=1\n" * 2000, b"A" * (1 << 20)])
def test_a_file_out_of_all_proportion_is_refused(text):
    with pytest.raises(BakeryError, match="more than"):
        os_release.parse(text)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(text):
    assert os_release.parse(text).id


def test_a_file_is_as_long_as_the_bounds_allow():
    line = b"ID=x\n"
    text = line + b"#" * (os_release.SIZE_LIMIT_BYTES - len(line))
    assert os_release.parse(text).id == "x"
    with pytest.raises(BakeryError, match="bytes, more than"):
        os_release.parse(text + b"#")
    assert os_release.parse(b"\n" * (os_release.LINE_LIMIT - 2) + line).id == "x"
    with pytest.raises(BakeryError, match="lines, more than"):
        os_release.parse(b"\n" * (os_release.LINE_LIMIT - 1) + line)
