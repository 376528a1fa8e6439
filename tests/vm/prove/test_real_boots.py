"""Real systems that fail as users' images do. Those that arrive: tests/e2e/test_build.py."""

import json
from pathlib import Path
from typing import Any

import pytest

from bakery.host.run import run
from bakery.manifest import manifest
from bakery.manifest.manifest import Build

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("real-boots")]

QUICKLY_WITHOUT_ROOT = "rd.retry=3"  # dracut.cmdline(7): seconds to wait for the root device


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
            (tmp_path / file.name).hardlink_to(file)
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


UNIT = "[Service]\nExecStart=/usr/sbin/dropbear -F -E -s -r /etc/dropbear.key\n"
WANTED = "[Unit]\nWants=dropbear.service\n"


@pytest.mark.full  # tests/vm/prove/test_ssh.py has the same commands answered by the same sshd
def test_a_command_is_run_over_ssh_by_a_key_that_the_image_trusts(bakery, sample, tmp_path):
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"])
    run(["dropbearkey", "-t", "ed25519", "-f", tmp_path / "host"])
    (tmp_path / "unit").write_text(UNIT)
    (tmp_path / "wanted").write_text(WANTED)
    files = {
        "host": ("/etc/dropbear.key", "0600"),
        "key.pub": ("/root/.ssh/authorized_keys", "0600"),
        "unit": ("/etc/systemd/system/dropbear.service", "0644"),
        "wanted": ("/etc/systemd/system/multi-user.target.d/dropbear.conf", "0644"),
        "/usr/sbin/dropbear": ("/usr/sbin/dropbear", "0755"),
    }
    for word in run(["ldd", "/usr/sbin/dropbear"]).text.split():
        if word.startswith("/lib/"):
            files[word] = (f"/usr{word}", "0644")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'layout = "disk"\n[source]\nimage = "{sample("plain")}"\n'
        + "".join(
            f'[[files]]\nsource = "{source}"\npath = "{path}"\nmode = "{mode}"\n'
            for source, (path, mode) in files.items()
        )
    )
    words = ("--allow-outside", "-o", tmp_path / "build", "--quiet")
    done = bakery("build", recipe, *words, timeout=1000)
    assert done.returncode == 0, done.stderr
    verdict = proved(bakery, tmp_path / "build", "--key", tmp_path / "key", "--run", "id -un")
    assert (verdict["reached"], verdict["command"]["output"]) == ("login", "root\n"), verdict
