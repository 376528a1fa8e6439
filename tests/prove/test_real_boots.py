"""Real systems that fail as users' images do. Those that arrive: tests/e2e/test_build.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from bakery import manifest
from bakery.manifest import Build
from bakery.run import run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real-boots")]

QUICKLY_WITHOUT_ROOT = "rd.retry=10"  # dracut.cmdline(7): seconds to wait for the root device


@pytest.fixture(scope="module")
def built(bakery, sample, tmp_path_factory) -> Build:
    """The default sample in layout pv."""
    folder = tmp_path_factory.mktemp("built")
    done = bakery("build", sample("default"), "-o", folder, "--name", "atomic", "--quiet")
    assert done.returncode == 0, done.stderr
    return manifest.load(folder)


@pytest.fixture
def altered(built, tmp_path):
    """A copy of the build, its big files linked: `altered(kernel_args=…)`."""

    def make(**fields) -> Build:
        for file in (built.kernel, built.ramdisk, built.base):
            (tmp_path / file.name).symlink_to(file)
        document = json.loads(manifest.encode(built.manifest)) | fields
        (tmp_path / "atomic.manifest.json").write_text(json.dumps(document))
        return manifest.load(tmp_path)

    return make


def proved(bakery, folder: Path, *words: str) -> dict[str, Any]:
    done = bakery("prove", folder, "--json", *words, timeout=1000)
    document: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if document["reached"] == "login" else 1)
    return document


def test_a_root_device_that_never_comes_is_named(bakery, altered):
    args = ["console=ttyS0", "root=/dev/mapper/nosuch-root", QUICKLY_WITHOUT_ROOT]
    build = altered(kernel_args=args)
    verdict = proved(bakery, build.directory)
    assert verdict["reached"] == "no-root"
    assert "/dev/mapper/nosuch-root" in verdict["reason"]


def test_a_kernel_without_its_ramdisk_panics(bakery, altered):
    build = altered()
    build.ramdisk.unlink()
    build.ramdisk.write_bytes(b"")
    verdict = proved(bakery, build.directory)
    assert verdict["reached"] == "panic"
    assert "Unable to mount root fs" in verdict["reason"]


def test_a_boot_line_left_in_fstab_ends_in_emergency_mode(bakery, altered, sample, tmp_path):
    build = altered()
    build.base.unlink()
    whole = tmp_path / "whole.raw"
    run(["qemu-img", "convert", "-O", "raw", sample("default"), whole], timeout=600)
    place = build.manifest.partition
    assert place is not None
    cut = {"driver": "raw", "offset": place.start_bytes, "size": place.size_bytes}
    source = cut | {"file": {"driver": "file", "filename": str(whole)}}
    run(["qemu-img", "convert", "-O", "raw", f"json:{json.dumps(source)}", build.base], timeout=600)
    whole.unlink()
    verdict = proved(bakery, build.directory)
    assert verdict["reached"] == "emergency"
    assert "Timed out waiting for device" in verdict["reason"]
    assert "/boot" in verdict["reason"]
