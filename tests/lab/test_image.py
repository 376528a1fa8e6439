import errno
import os
import shutil

import pytest

from bakery.errors import BakeryError, UsageError
from bakery.lab import image
from bakery.lab.image import hand_out, make_image
from bakery.lab.variants import GIB
from bakery.report import silent


@pytest.fixture
def no_sudo(monkeypatch):
    for name in ("SUDO_USER", "SUDO_UID", "SUDO_GID", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_the_image_is_copied_out_whole_and_only_when_it_differs(tmp_path, no_sudo):
    cached, out = tmp_path / "cached.qcow2", tmp_path / "out.qcow2"
    cached.write_bytes(b"image")
    out.write_bytes(b"something else")
    hand_out(cached, out)
    assert out.read_bytes() == b"image"
    first = out.stat()
    hand_out(cached, out)
    assert out.stat().st_ino == first.st_ino
    assert first.st_ino != cached.stat().st_ino
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cached.qcow2", "out.qcow2"]


def test_a_missing_directory_is_refused_by_name(tmp_path):
    with pytest.raises(BakeryError, match="absent"):
        make_image(tmp_path / "absent/out.qcow2", "default", tmp_path / "cache", silent())


def test_making_without_root_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BakeryError, match="needs root") as refusal:
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())
    assert "sudo" in refusal.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variant_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError):
        make_image(tmp_path / "out.qcow2", "other", tmp_path / "cache", silent())


def test_a_disk_too_small_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(image, "_require_means", lambda: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": GIB})())
    with pytest.raises(BakeryError, match="1024 MiB are free"):
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())


def test_a_disk_that_fills_up_is_named(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "root.fs")

    monkeypatch.setattr(image, "_require_means", full)
    with pytest.raises(BakeryError, match=r"cannot write root\.fs: No space left"):
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())
