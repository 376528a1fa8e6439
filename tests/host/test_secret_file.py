import os
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.secret_file import LIMIT_BYTES, check, first_line


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"a b \r\nsecond line\n")
    path.chmod(0o600)
    return path


def test_the_secret_is_the_first_line(secret):
    assert first_line(secret) == "a b "
    secret.write_bytes(b"x" * (LIMIT_BYTES + 1))
    assert first_line(secret) == "x" * LIMIT_BYTES


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_secret_that_others_may_touch_is_refused_with_the_way_out(secret, mode):
    secret.chmod(mode)
    for read in (first_line, check):
        with pytest.raises(BakeryError, match="other users can read") as refused:
            read(secret)
        assert refused.value.hint == f"chmod 600 {secret}"


def test_what_a_command_writes_into_a_pipe_is_nobody_elses(tmp_path):
    ours, theirs = os.pipe()
    os.write(theirs, b"secret\n")
    os.close(theirs)
    assert first_line(Path(f"/dev/fd/{ours}")) == "secret"
    os.close(ours)


def test_bytes_that_are_no_text_are_refused(secret):
    secret.write_bytes(b"\xff\n")
    with pytest.raises(BakeryError, match="not UTF-8"):
        first_line(secret)
