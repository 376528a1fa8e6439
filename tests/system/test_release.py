import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakery.errors import BakeryError
from bakery.system import release

FEDORA = b"""NAME=Fedora
VERSION="21 (Twenty One)"
ID=fedora
VERSION_ID=21
PRETTY_NAME="Fedora 21 (Twenty One)"
VARIANT_ID='atomic'
"""


def test_what_fedora_says():
    assert release.parse(FEDORA) == release.Release(
        "fedora", "21", "Fedora 21 (Twenty One)", "atomic"
    )


def test_an_empty_file_is_linux_as_the_manual_page_has_it():
    assert release.parse(b"") == release.Release("linux", "", "Linux")


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
    assert list(release.assignments(file.read_bytes()).values()) == by_shell


@pytest.mark.parametrize(
    "line", ['A="open', "A='open", "A=two words", "1A=x", "# A=x", "A", "A=\\"]
)
def test_a_line_that_is_no_assignment_is_passed_over(line):
    assert release.assignments(f"{line}\nB=1\n".encode()) == {"B": "1"}


def test_control_characters_do_not_reach_a_terminal():
    assert release.parse(b'NAME="a\x1b[31mb"\n').name == "a[31mb"


@pytest.mark.parametrize("text", [b"A=1\n" * 2000, b"A" * (1 << 20)])
def test_a_file_out_of_all_proportion_is_refused(text):
    with pytest.raises(BakeryError, match="more than"):
        release.parse(text)


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(text):
    assert release.parse(text).id
