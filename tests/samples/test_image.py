import contextlib
import errno
import os
import shutil

import pytest

from bakery.host import tools
from bakery.host.errors import BakeryError, UsageError
from bakery.host.report import Report, silent
from bakery.samples import arm64, commits, debian, facts, image, initramfs, settings
from bakery.samples.cache import Cache
from bakery.samples.image import IMAGE_BYTES, LAYERS_BYTES, hand_out, make_image
from bakery.samples.variants import GIB, find
from tests.samples.test_facts import example


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
    with pytest.raises(BakeryError, match="1024 MiB are available"):
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())


def test_a_disk_that_fills_up_is_named(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "root.fs")

    monkeypatch.setattr(image, "_require_means", full)
    with pytest.raises(BakeryError, match=r"cannot write root\.fs: No space left"):
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())


def test_an_error_that_is_no_disks_is_a_defect(tmp_path, monkeypatch):
    def broken(*_args):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr(image, "_require_means", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        make_image(tmp_path / "out.qcow2", "default", tmp_path / "cache", silent())


@pytest.fixture
def works(monkeypatch, no_sudo):
    """The slow work is noted, not done: what fills a layer, and what an image is made of."""
    done = []

    def noted(name):
        return lambda *_args: done.append(name)

    def made(variant, layer, _scratch, path, _report):
        done.append(f"{variant.name} of {layer.name.partition('-')[0]}")
        path.write_bytes(b"image")
        return example()

    def layered(path, scratch, fill, *, base=None):
        assert base is None or base.exists()
        (scratch / "root").mkdir()
        fill(scratch / "root")
        shutil.rmtree(scratch / "root")
        path.write_text(base.name if base else "")

    for module, name in (
        *((debian, "fetch"), (debian, "unpack"), (settings, "apply")),
        *((initramfs, "make_initramfs"), (commits, "commit_releases")),
    ):
        monkeypatch.setattr(module, name, noted(name))
    monkeypatch.setattr(image, "_require_means", lambda: None)
    monkeypatch.setattr(image, "private_mounts", contextlib.nullcontext)
    monkeypatch.setattr(image, "build", made)
    monkeypatch.setattr(image, "make_layer", layered)
    return done


def test_layers_are_made_once_and_each_image_of_its_own(tmp_path, works):
    steps = []
    report = Report(lambda event: steps.append(event.step) if event.kind == "started" else None)
    told = make_image(tmp_path / "out", "default", tmp_path / "cache", report)
    assert told == example()
    assert (tmp_path / "out").read_bytes() == b"image"
    layers = ["fetch", "unpack", "apply", "make_initramfs"]
    assert works == [*layers, "commit_releases", "default of commits"]
    assert steps == ["packages", "tree", "initramfs", "commits"]
    make_image(tmp_path / "out", "default", tmp_path / "cache", report)
    make_image(tmp_path / "plain", "plain", tmp_path / "cache", report)
    make_image(tmp_path / "split", "split-lv", tmp_path / "cache", report)
    assert works[6:] == ["plain of system", "split-lv of commits"]


def test_a_system_alone_is_not_committed(tmp_path, works):
    make_image(tmp_path / "out", "plain", tmp_path / "cache", silent())
    assert "commit_releases" not in works
    works.clear()
    make_image(tmp_path / "two", "default", tmp_path / "cache", silent())
    assert works == ["commit_releases", "default of commits"]


def test_the_system_for_arm64_is_a_layer_of_its_own(tmp_path, works, monkeypatch):
    monkeypatch.setattr(arm64, "fetch", lambda *_: works.append("fetch for arm64"))
    monkeypatch.setattr(arm64, "unpack", lambda *_: works.append("unpack for arm64"))
    make_image(tmp_path / "out", "arm64", tmp_path / "cache", silent())
    assert works == ["fetch for arm64", "unpack for arm64", "arm64 of arm64"]


def test_the_cache_holds_the_image_its_facts_and_nothing_older(tmp_path, works):
    cache, variant = Cache(tmp_path / "cache/lab"), find("default")
    cache.directory.mkdir(parents=True)
    old = [f"{name}-{'0' * 16}" for name in ("default", "commits", "debian")]
    old = [f"{old[0]}.qcow2", f"{old[0]}.json", f"{old[1]}.ext4", f"{old[2]}.ext4"]
    for name in old:
        (cache.directory / name).write_text("")
    make_image(tmp_path / "out", "default", tmp_path / "cache", silent())
    layers = [cache.layer(name) for name in ("debian", "system", "commits")]
    kept = {cache.image(variant), cache.manifest(variant), *layers}
    locks = {cache.directory / "lock", cache.directory / "hand-out.lock"}
    assert set(cache.directory.iterdir()) == kept | locks
    assert cache.image(variant).stat().st_mode & 0o777 == 0o444
    assert cache.layer("commits").read_text() == cache.layer("system").name
    assert cache.layer("system").read_text() == cache.layer("debian").name
    assert facts.load(cache.manifest(variant)) == example()


def test_what_is_made_under_sudo_belongs_to_the_caller(tmp_path, works, monkeypatch):
    given = []
    for name, value in (("USER", "someone"), ("UID", "1000"), ("GID", "100")):
        monkeypatch.setenv(f"SUDO_{name}", value)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda file, *_ids: given.append(getattr(file, "name", "out")))
    make_image(tmp_path / "out", "default", tmp_path / "cache", silent())
    made = ["image.qcow2", "manifest.json"]
    assert given == ["cache", "lab", "lock", "work", *made, "hand-out.lock", "out"]


def test_who_waited_for_another_makes_nothing_again(tmp_path, works, monkeypatch):
    @contextlib.contextmanager
    def after_another(path):
        if not works:
            works.append("another")
            make_image(tmp_path / "first", "plain", tmp_path / "cache", silent())
        yield

    monkeypatch.setattr(image, "locked", after_another)
    make_image(tmp_path / "second", "plain", tmp_path / "cache", silent())
    assert works.count("plain of system") == 1
    assert (tmp_path / "second").read_bytes() == b"image"


def test_an_image_that_could_not_be_made_leaves_neither_itself_nor_its_facts(
    tmp_path, works, monkeypatch
):
    def fail(*_args):
        raise BakeryError("no")

    monkeypatch.setattr(image, "build", fail)
    with pytest.raises(BakeryError):
        make_image(tmp_path / "out", "plain", tmp_path / "cache", silent())
    left = {path.name.partition("-")[0] for path in (tmp_path / "cache/lab").iterdir()}
    assert left == {"lock", "debian", "system"}
    assert not (tmp_path / "out").exists()


def test_a_copy_that_was_cut_short_is_not_there(tmp_path, no_sudo, monkeypatch):
    def cut(_source, target, *_length):
        target.write(b"ima")
        raise OSError(errno.ENOSPC, "full")

    (tmp_path / "cached").write_bytes(b"image")
    monkeypatch.setattr(shutil, "copyfileobj", cut)
    with pytest.raises(OSError, match="full"):
        hand_out(tmp_path / "cached", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["cached"]


def test_the_copy_that_is_handed_out_has_the_caches_time(tmp_path, no_sudo, on_disk):
    (tmp_path / "cached").write_bytes(b"image")
    os.utime(tmp_path / "cached", ns=(5, 10**18 + 1))
    hand_out(tmp_path / "cached", tmp_path / "out")
    assert (tmp_path / "out").stat().st_mtime_ns == 10**18 + 1
    on_disk.assert_durable(tmp_path / "out")
    (tmp_path / "out").write_bytes(b"wrong")  # as long, at another time
    hand_out(tmp_path / "cached", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"image"


@pytest.mark.parametrize("there", [False, True])
def test_the_room_that_is_needed_is_told(tmp_path, works, monkeypatch, there):
    needed = IMAGE_BYTES + (0 if there else LAYERS_BYTES)
    cache = Cache(tmp_path / "cache/lab")
    if there:
        cache.directory.mkdir(parents=True)
        cache.layer("system").write_text("")
    free = [needed - 1, needed]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("U", (), {"free": free.pop(0)})())
    told = rf"needs {3072 if there else 6144} MiB in .*lab, and {(needed - 1) >> 20} MiB"
    with pytest.raises(BakeryError, match=told) as refused:
        make_image(tmp_path / "out", "plain", tmp_path / "cache", silent())
    assert "--cache" in refused.value.hint
    make_image(tmp_path / "out", "plain", tmp_path / "cache", silent())


def test_programs_and_modules_that_are_not_there_are_named(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def missing(names):
        asked.append(names)
        return ["ostree"]

    monkeypatch.setattr(tools, "missing", missing)
    with pytest.raises(BakeryError, match="not installed: ostree") as refused:
        image._require_means()
    assert asked == [image.PROGRAMS]
    assert "apt-get install ostree" in refused.value.hint
    monkeypatch.setattr(tools, "missing", lambda _names: [])
    monkeypatch.setattr(image, "GRUB_PACKAGES", {"here": tmp_path, "grub-x": tmp_path / "x"})
    with pytest.raises(BakeryError, match=f"not in {tmp_path}/x") as refused:
        image._require_means()
    assert refused.value.hint == "sudo apt-get install grub-x"
    monkeypatch.setattr(image, "GRUB_PACKAGES", {"here": tmp_path})
    image._require_means()
