"""A name that comes with an image reaches the terminal as text, in a line as in JSON."""

import os
import re
from pathlib import Path

import pytest

from tests.conftest import Bakery

OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
NAMES = [
    b"a\x1b]0;PWN\x07\x1b[31m",
    "b\u202eevil\u009b31m".encode(),
    b"c\xff\xfe",
    b"d\nbakery: no",
]
COMMANDS = [
    ["check"],
    ["inspect"],
    ["params", "--for", "grub"],
    ["upload"],
    ["devstack", "check"],
    ["nodes", "enroll"],
    ["lab", "status", "--lab"],
    ["lab", "down", "--lab"],
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_name_moves_a_cursor(words, name, tmp_path: Path, bakery: Bakery):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(bytes(1 << 20))
    for more in ([], ["--json"]):
        done = bakery(*words, path, *more)
        for said in (done.stdout, done.stderr):
            assert not OBEYED.search(said)
            assert "Traceback" not in said
            assert not any(line.startswith("bakery: no") for line in said.splitlines()[1:])
