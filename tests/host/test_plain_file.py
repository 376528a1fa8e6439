"""A file in a stranger's folder: plain, and the one that was looked at."""

import os
import socket
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened, seal


def link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def hanging_link(path: Path) -> None:
    path.symlink_to("/nowhere")


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(path))


@pytest.mark.parametrize("make", [link, hanging_link, os.mkfifo, Path.mkdir, bound_socket])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "x")
    for look in (opened, seal):
        with pytest.raises(BakeryError, match=r"a link, to|not a regular file"):
            look(tmp_path / "x")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BakeryError, match="x cannot be read: No such file"):
        opened(tmp_path / "x")


def replaced(path: Path) -> None:
    path.rename(path.with_name("old"))
    path.write_bytes(b"one")


def rewritten(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def linked(path: Path) -> None:
    path.rename(path.with_name("old"))
    path.symlink_to("old")


@pytest.mark.parametrize("change", [replaced, rewritten, linked])
def test_a_sealed_file_is_opened_as_it_was_or_not_at_all(tmp_path, change):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    sealed = seal(path)
    with sealed.open() as file:
        assert file.read() == b"one"
    change(path)
    with pytest.raises(BakeryError):
        sealed.open()
