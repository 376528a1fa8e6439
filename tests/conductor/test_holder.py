"""What a lock's file says of its holder, whoever wrote it."""

import os
import platform

import pytest

from bakery.conductor import holder


@pytest.fixture
def lock(tmp_path):
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_it_names_process_machine_and_time(lock):
    os.pwrite(lock, b"x" * 500, 0)
    holder.sign(lock)
    said = holder.of(lock)
    assert said.startswith(f"process {os.getpid()} on {platform.node()}, since 20")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[" * 4000, b'{"pid":1,"host":"h","since":1e300}',
     b'{"pid":"a","host":"h","since":1}'],
)  # fmt: skip
def test_what_cannot_be_read_is_told_vaguely(lock, content):
    os.pwrite(lock, content, 0)
    assert holder.of(lock) == "it has just begun"


def test_a_name_that_moves_a_cursor_is_printed_harmlessly(lock):
    os.pwrite(lock, b'{"pid":1,"host":"a\\u001b[2J","since":1}', 0)
    assert holder.of(lock).isprintable()
