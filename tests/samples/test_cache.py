import os
from pathlib import Path

import pytest

from bakery.samples import debian, initramfs
from bakery.samples.cache import Cache, default_cache, forget_older, make_directory, scratch_in
from bakery.samples.variants import VARIANTS, find


@pytest.fixture
def no_sudo(monkeypatch):
    for name in ("SUDO_USER", "SUDO_UID", "SUDO_GID", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_variants_share_their_layers_and_nothing_else(tmp_path):
    cache = Cache(tmp_path)
    layers = {cache.base_layer(variant) for variant in VARIANTS}
    assert layers == {cache.layer("commits"), cache.layer("system"), cache.layer("arm64")}
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


def test_under_sudo_what_is_made_belongs_to_the_one_who_called(tmp_path, monkeypatch, no_sudo):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    for name, value in (("USER", "someone"), ("UID", "1000"), ("GID", "100")):
        monkeypatch.setenv(f"SUDO_{name}", value)
    make_directory(tmp_path / "cache/lab")
    assert given == [(tmp_path / "cache", 1000, 100), (tmp_path / "cache/lab", 1000, 100)]


def test_what_a_killed_run_left_is_cleared_away_first(tmp_path, no_sudo):
    (tmp_path / "work").mkdir()
    (tmp_path / "work/root.fs").write_text("half a filesystem")
    with scratch_in(tmp_path) as scratch:
        assert list(scratch.iterdir()) == []
    assert not scratch.exists()


def test_only_older_makings_of_the_same_thing_are_forgotten(tmp_path):
    key, old = "0" * 16, "1" * 16
    names = [f"{name}-{k}.qcow2" for name in ("default", "no-default") for k in (key, old)]
    for name in (*names, f"default-{old}.json"):
        (tmp_path / name).write_text("")
    forget_older(tmp_path / f"default-{key}.qcow2")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names, f"default-{old}.json"} - {f"default-{old}.qcow2"}
