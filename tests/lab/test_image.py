import os
from pathlib import Path

import pytest

from bakery.errors import BakeryError, UsageError
from bakery.lab import debian, initramfs
from bakery.lab.image import Cache, default_cache, hand_out, make_image, manifest_path
from bakery.lab.variants import VARIANTS, find
from bakery.report import silent


@pytest.fixture
def no_sudo(monkeypatch):
    for name in ("SUDO_USER", "SUDO_UID", "SUDO_GID", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_variants_share_their_layers_and_nothing_else(tmp_path):
    cache = Cache(tmp_path)
    layers = {cache.base_layer(variant) for variant in VARIANTS}
    assert layers == {cache.layer("commits"), cache.layer("system")}
    assert len({cache.image(variant) for variant in VARIANTS}) == len(VARIANTS)


def test_a_change_of_the_package_list_changes_every_key(tmp_path, monkeypatch):
    before = Cache(tmp_path)
    monkeypatch.setattr(debian, "INCLUDED", (*debian.INCLUDED, "nano"))
    after = Cache(tmp_path)
    for name in ("debian", "system", "commits"):
        assert before.layer(name) != after.layer(name)
    assert before.image(find("default")) != after.image(find("default"))


def test_a_change_of_the_initramfs_keeps_the_packages(tmp_path, monkeypatch):
    before = Cache(tmp_path)
    monkeypatch.setattr(initramfs, "DRIVERS", "virtio_blk")
    after = Cache(tmp_path)
    assert before.layer("debian") == after.layer("debian")
    assert before.layer("system") != after.layer("system")


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


def test_a_missing_directory_is_refused_by_name(tmp_path, no_sudo):
    cached = tmp_path / "cached.qcow2"
    cached.write_bytes(b"image")
    with pytest.raises(BakeryError, match="absent"):
        hand_out(cached, tmp_path / "absent/out.qcow2")


def test_making_without_root_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BakeryError, match="needs root") as refusal:
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())
    assert "sudo" in refusal.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variant_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError):
        make_image(tmp_path / "out.qcow2", "other", tmp_path / "cache", silent())


def test_the_cache_is_where_the_environment_says(monkeypatch, no_sudo):
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache() == Path("/home/someone/.cache/bakery")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert default_cache() == Path("/elsewhere/bakery")


def test_under_sudo_it_is_the_cache_of_the_one_who_called(monkeypatch, no_sudo):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "root")
    monkeypatch.setenv("HOME", "/nowhere")
    assert default_cache() == Path("/root/.cache/bakery")


def test_the_manifest_lies_beside_the_image():
    assert manifest_path(Path("/c/plain-0123.qcow2")) == Path("/c/plain-0123.json")
