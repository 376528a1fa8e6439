"""Every sample image is what its manifest and its name say, as tools other than bakery see it."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bakery.lab.sample_info import SampleInfo
from bakery.lab.variants import BOOT_WORDS, VARIANTS
from tests.conftest import BAKERY, user_cache

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("samples")]

SBIN = Path("/usr/sbin")
EXTENT_BYTES = 4 << 20
CONSOLE = "nofb nomodeset vga=normal console=ttyS0 no_timer_check"


def output_of(*words: str | Path) -> str:
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return str(done.stdout)


class Disk:
    """A sample laid out as a plain file, and what blkid, sfdisk and GRUB's readers say of it."""

    def __init__(self, image: Path, info: SampleInfo, raw: Path) -> None:
        self.image = image
        self.info = info
        self.raw = raw
        subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)

    def place(self, role: str) -> int:
        return next(p.start for p in self.info.partitions if p.role == role)

    def table(self) -> dict[str, Any]:
        printed: dict[str, dict[str, Any]] = json.loads(
            output_of(SBIN / "sfdisk", "--json", self.raw)
        )
        return printed["partitiontable"]

    def probe(self, offset: int) -> dict[str, str]:
        printed = output_of(SBIN / "blkid", "-p", "-O", str(offset), "-o", "export", self.raw)
        return dict(line.split("=", 1) for line in printed.splitlines())

    def grub(self, *words: str) -> str:
        return output_of("grub-fstest", self.raw, *words)

    @property
    def root(self) -> str:
        """The root filesystem in GRUB's words."""
        if self.info.volume:
            vg, lv = self.info.volume.vg, self.info.volume.lv
            return f"(lvm/{vg.replace('-', '--')}-{lv.replace('-', '--')})"
        return f"(loop0,msdos{len(self.info.partitions)})"

    @property
    def boot(self) -> str:
        number = [p.role for p in self.info.partitions].index("boot") + 1
        return f"(loop0,{'gpt' if self.info.table == 'gpt' else 'msdos'}{number})"

    def fstab(self) -> list[str]:
        where = "/etc/fstab"
        if self.info.stateroot:
            newest = self.info.deployments[0]
            deployment = f"{newest.checksum}.{newest.serial}"
            where = f"/ostree/deploy/{self.info.stateroot}/deploy/{deployment}/etc/fstab"
        return self.grub("cat", f"{self.root}{where}").splitlines()


@pytest.fixture(scope="module", params=[variant.name for variant in VARIANTS])
def disk(request, sample, bakery, tmp_path_factory):
    image = sample(request.param)
    words = ("lab", "image", image, "--variant", request.param, "--cache", user_cache(), "--json")
    info = msgspec.json.decode(bakery(*words).stdout, type=SampleInfo)
    raw = tmp_path_factory.mktemp("sample") / "disk.raw"
    yield Disk(image, info, raw)
    raw.unlink()


def test_the_image_is_whole_and_compressed_as_its_variant_says(disk):
    subprocess.run(["qemu-img", "check", "-q", disk.image], check=True)
    info = json.loads(output_of("qemu-img", "info", "--output=json", disk.image))
    assert (info["format"], info["virtual-size"]) == ("qcow2", disk.info.virtual_size)
    expected = "zstd" if disk.info.variant == "othernames" else "zlib"
    assert info["format-specific"]["data"]["compression-type"] == expected
    assert info["actual-size"] < 400 << 20


def test_the_partitions_are_where_the_manifest_says(disk):
    table = disk.table()
    assert table["label"] == ("gpt" if disk.info.table == "gpt" else "dos")
    assert [(p["start"] * 512, p["size"] * 512) for p in table["partitions"]] == [
        (p.start, p.size) for p in disk.info.partitions
    ]
    if disk.info.volume and disk.info.table == "mbr":
        assert table["partitions"][-1]["type"] == "8e"


def test_the_filesystems_have_the_identities_the_manifest_says(disk):
    if disk.info.boot_uuid:
        found = disk.probe(disk.place("boot"))
        assert (found["TYPE"], found["UUID"]) == ("ext4", disk.info.boot_uuid)
    if disk.info.volume:
        pv = disk.place("pv")
        assert disk.probe(pv)["TYPE"] == "LVM2_member"
        root = pv + (1 << 20) + disk.info.volume.segments[0][0] * EXTENT_BYTES
    else:
        root = disk.place("root")
    found = disk.probe(root)
    assert (found["TYPE"], found["UUID"]) == (disk.info.root_filesystem, disk.info.root_uuid)


def test_lvms_own_metadata_names_the_segments_in_order(disk):
    if disk.info.volume is None:
        pytest.skip("no LVM")
    with disk.raw.open("rb") as file:
        file.seek(disk.place("pv"))
        text = file.read(1 << 20).decode("latin-1")
    start = text.rindex(f"{disk.info.volume.vg} {{\nid = ")
    found = re.findall(
        r'start_extent = (\d+)\nextent_count = (\d+)\n.*?"pv0", (\d+)',
        text[start:].replace("\t", ""),
        re.DOTALL,
    )
    assert [(int(first), int(count)) for _, count, first in found] == list(
        disk.info.volume.segments
    )


def test_loader_entries_menu_and_manifest_agree_on_kernel_arguments(disk):
    if disk.info.stateroot is None:
        menu = disk.grub("cat", f"{disk.root}/boot/grub/grub.cfg")
        linux = next(line.split() for line in menu.splitlines() if line.startswith("\tlinux\t"))
        assert linux[2:] == list(disk.info.kernel_args)
        return
    menu = disk.grub("cat", f"{disk.boot}/grub2/grub.cfg")
    for deployment in disk.info.deployments:
        entry = disk.grub("cat", f"{disk.boot}/loader/entries/{deployment.bls_id}.conf")
        options = re.search(r"^options (.*)$", entry, re.MULTILINE)
        assert options
        assert options[1].split() == list(deployment.kernel_args)
        assert f"{options[1]}\n" in menu
        assert re.fullmatch(
            rf"{CONSOLE} root={re.escape(disk.info.root_device)} "
            rf"ostree=/ostree/boot\.[01]/{disk.info.stateroot}/{deployment.bootcsum}/0",
            options[1],
        )


def test_the_default_deployment_comes_first_and_has_the_highest_version(disk):
    if disk.info.stateroot is None:
        pytest.skip("no OSTree")
    versions = [int(d.bls_id.split("-")[1]) for d in disk.info.deployments]
    assert versions == sorted(versions, reverse=True)
    assert len(versions) == (2 if disk.info.variant == "two-deployments" else 1)
    assert len({d.bootcsum for d in disk.info.deployments}) == len(versions)


def test_the_fstab_mounts_boot_unless_the_variant_is_about_that(disk):
    lines = disk.fstab()
    mounts = [line.split()[1] for line in lines if line and not line.startswith("#")]
    assert mounts[0] == "/"
    expected = disk.info.boot_uuid is not None and disk.info.variant != "no-boot-line"
    assert ("/boot" in mounts) == expected
    assert ("/boot/efi" in mounts) == (disk.info.variant == "uefi-gpt")
    if disk.info.variant == "boot-words":
        assert lines[-len(BOOT_WORDS) :] == list(BOOT_WORDS)


def test_the_firmware_finds_a_boot_loader(disk):
    if disk.info.firmware == "bios":
        with disk.raw.open("rb") as file:
            sector = file.read(512)
        assert b"GRUB" in sector[:440]
        assert sector[510:] == b"\x55\xaa"
    else:
        assert disk.grub("ls", "(loop0,gpt1)/EFI/BOOT/").split() == ["bootx64.efi"]


@pytest.mark.skipif(os.geteuid() != 0, reason="making an image needs root")
def test_killed_runs_leave_no_mount_and_no_loop_device_and_the_next_run_succeeds(sample, tmp_path):
    sample("plain")
    cache, out = tmp_path / "cache", tmp_path / "out.qcow2"
    (cache / "lab").mkdir(parents=True)
    for layer in (user_cache() / "lab").glob("*.ext4"):
        (cache / "lab" / layer.name).hardlink_to(layer)
    words = [BAKERY, "lab", "image", out, "--variant", "plain", "--cache", cache]
    for after_seconds in (0.3, 1.5, 4.0, 8.0):
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as process:
            time.sleep(after_seconds)
            process.send_signal(signal.SIGKILL)
        assert not out.exists()
        wait_until(lambda: str(cache) not in Path("/proc/self/mountinfo").read_text())
        wait_until(lambda: str(cache) not in loop_devices())
    subprocess.run(words, check=True)
    subprocess.run(["qemu-img", "check", "-q", out], check=True)
    assert not (cache / "lab/work").exists()


def loop_devices() -> str:
    return output_of(SBIN / "losetup", "-a")


def wait_until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
