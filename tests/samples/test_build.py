"""Every sample image is what its manifest and its name say, as tools other than bakery see it.

The same of real samples, slowly, and of little ones, whose system is a handful of files.
"""

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

from bakery.samples import commits, facts
from bakery.samples.bootloader import BIOS_CORE
from bakery.samples.facts import SampleInfo
from bakery.samples.variants import VARIANTS, Variant
from tests.conftest import BAKERY, user_cache
from tests.samples import little

REAL = (pytest.mark.slow, pytest.mark.xdist_group("samples"))
# Of its own it has the layer alone (tests/samples/test_arm64.py); tests/e2e/test_arm64.py boots it.
FULL = {"arm64": (pytest.mark.full,)}
LITTLE = (
    pytest.mark.xdist_group("little-samples"),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
)

SBIN = Path("/usr/sbin")
EXTENT_BYTES = 4 << 20
CONSOLE = "nofb nomodeset vga=normal console=ttyS0 no_timer_check"


def output_of(*words: str | Path) -> str:
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    return str(done.stdout)


class Disk:
    """A sample laid out as a plain file, and what blkid, sfdisk and GRUB's readers say of it."""

    def __init__(self, variant: Variant, image: Path, info: SampleInfo, raw: Path) -> None:
        self.variant = variant
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
        return self.partition("root")

    @property
    def boot(self) -> str:
        return self.partition("boot")

    def partition(self, role: str) -> str:
        roles = [str(p.role) for p in self.info.partitions]
        number = roles.index(role) + 1
        return f"(loop0,{'gpt' if self.info.table == 'gpt' else 'msdos'}{number})"

    @property
    def stateroot(self) -> str:
        return f"{self.root}/ostree/deploy/{self.info.stateroot}"

    def deployed(self) -> list[str]:
        """Where the deployments lie, the one that is started first."""
        return [f"{self.stateroot}/deploy/{d.checksum}.{d.serial}" for d in self.info.deployments]

    def fstabs(self) -> list[list[str]]:
        tops = self.deployed() if self.info.stateroot else [self.root]
        return [self.grub("cat", f"{top}/etc/fstab").splitlines() for top in tops]


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(variant, id=variant.name, marks=LITTLE) for variant in little.VARIANTS),
        *(
            pytest.param(variant, id=variant.name, marks=(*REAL, *FULL.get(variant.name, ())))
            for variant in VARIANTS
        ),
    ],
)
def disk(request, tmp_path_factory):
    variant, folder = request.param, tmp_path_factory.mktemp("sample")
    if variant in little.VARIANTS:
        image, info = little.make(variant, folder)
    else:
        image = request.getfixturevalue("sample")(variant.name)
        words = ("lab", "image", image, "--variant", variant.name, "--cache", user_cache())
        printed = request.getfixturevalue("bakery")(*words, "--json").stdout
        info = msgspec.json.decode(printed, type=SampleInfo)
    raw = folder / "disk.raw"
    yield Disk(variant, image, info, raw)
    raw.unlink()


def test_the_image_is_whole_and_compressed_as_its_variant_says(disk):
    subprocess.run(["qemu-img", "check", "-q", disk.image], check=True)
    info = json.loads(output_of("qemu-img", "info", "--output=json", disk.image))
    assert (info["format"], info["virtual-size"]) == ("qcow2", disk.info.virtual_size)
    assert info["format-specific"]["data"]["compression-type"] == disk.variant.compression
    assert info["actual-size"] < 400 << 20


def test_the_partitions_are_where_the_manifest_says(disk):
    table = disk.table()
    assert table["label"] == ("gpt" if disk.variant.firmware == "uefi" else "dos")
    assert disk.info.table == table["label"].replace("dos", "mbr")
    roles = ["esp"] if disk.variant.firmware == "uefi" else []
    roles += ["boot"] if disk.variant.stateroot else []
    assert [p.role for p in disk.info.partitions] == [*roles, "pv" if disk.variant.lvm else "root"]
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
    assert found["TYPE"] == disk.variant.root_filesystem


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
        defaults = disk.grub("cat", f"{disk.root}/etc/default/grub")
        assert 'GRUB_CMDLINE_LINUX="console=ttyS0"\n' in defaults
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
    assert len(versions) == disk.variant.deployments
    assert len({d.bootcsum for d in disk.info.deployments}) == len(versions)
    releases = [disk.grub("cat", f"{top}/etc/sample-release") for top in disk.deployed()]
    newest_first = reversed(commits.RELEASES[: disk.variant.deployments])
    assert releases == [f"{release}\n" for release in newest_first]


def test_what_the_manifest_says_of_the_kernel_is_that_of_the_first_deployment(disk):
    info = disk.info
    if info.stateroot is None:
        kernel = f"{disk.root}/boot/vmlinuz-{info.kernel_version}"
        assert info.bootcsum is None
    else:
        first = info.deployments[0]
        assert (info.bootcsum, info.kernel_args) == (first.bootcsum, first.kernel_args)
        folder = f"{disk.boot}/ostree/{info.stateroot}-{first.bootcsum}"
        kernel = f"{folder}/vmlinuz-{info.kernel_version}"
    assert disk.grub("ls", kernel).split() == [kernel.rpartition("/")[2]]


def test_the_manifest_tells_what_the_variant_is(disk):
    info, variant = disk.info, disk.variant
    assert (info.variant, info.about, info.firmware) == (
        variant.name,
        variant.about,
        variant.firmware,
    )
    assert (info.stateroot, info.volume) == (variant.stateroot, variant.lvm)
    assert (info.boot_uuid is None) == (variant.stateroot is None)
    assert (info.virtual_size, info.password) == (variant.disk_bytes, "bakery")
    assert msgspec.json.decode(facts.encode(info), type=SampleInfo) == info


def test_what_a_system_keeps_outside_its_commit_is_in_var(disk):
    if disk.info.stateroot is None:
        pytest.skip("no OSTree")
    for name in disk.variant.var_directories:
        parent, _, last = f"{disk.stateroot}/var/{name}".rpartition("/")
        assert f"{last}/" in disk.grub("ls", f"{parent}/").split()
    refs = disk.grub("ls", f"{disk.root}/ostree/repo/refs/heads/").split()
    assert set(refs) == {"ostree/", "sample/"}  # none of a release


def test_the_fstab_mounts_boot_unless_the_variant_is_about_that(disk):
    for lines in disk.fstabs():
        rows = [line.split() for line in lines if line and not line.startswith("#")]
        mounts = [row[1] for row in rows]
        kind = disk.info.root_filesystem
        assert rows[0][:3] == [disk.info.root_device, "/", kind]
        assert rows[0][5] == ("1" if kind == "ext4" else "0")  # xfs and btrfs have no fsck
        expected = disk.info.boot_uuid is not None and disk.variant.fstab_boot
        assert ("/boot" in mounts) == expected
        if expected:
            boot = rows[mounts.index("/boot")]
            assert boot == [f"UUID={disk.info.boot_uuid}", "/boot", "ext4", "defaults", "0", "2"]
        assert ("/boot/efi" in mounts) == (disk.info.firmware == "uefi")
        extra = disk.variant.fstab_extra
        assert lines[len(lines) - len(extra) :] == list(extra)


def test_the_firmware_finds_a_boot_loader(disk, tmp_path):
    if disk.info.firmware == "bios":
        with disk.raw.open("rb") as file:
            sector = file.read(512)
        assert b"GRUB" in sector[:440]
        assert sector[510:] == b"\x55\xaa"
        home = disk.boot if disk.info.stateroot else disk.root
        folder = f"{home}/grub2" if disk.info.stateroot else f"{home}/boot/grub"
        assert "normal.mod" in disk.grub("ls", f"{folder}/i386-pc/").split()
        core = core_image(folder.replace("(loop0,", "(hd0,"), tmp_path / "core")
        with disk.raw.open("rb") as file:
            file.seek(512)
            assert file.read(len(core)) == core
    elif disk.info.architecture == "aarch64":
        assert disk.grub("ls", "(loop0,gpt1)/EFI/BOOT/").split() == ["bootaa64.efi"]
        assert disk.info.root_uuid in disk.grub("cat", "(loop0,gpt1)/EFI/debian/grub.cfg")
    else:
        assert disk.grub("ls", "(loop0,gpt1)/EFI/BOOT/").split() == ["bootx64.efi"]
        assert "efi/" in disk.grub("ls", f"{disk.boot}/").split()
        menu = disk.grub("cat", "(loop0,gpt1)/EFI/fedora/grub.cfg")
        assert disk.info.boot_uuid in menu


def core_image(prefix: str, path: Path) -> bytes:
    """GRUB's first program for a BIOS, which goes on with what lies at `prefix`."""
    output_of("grub-mkimage", "-O", "i386-pc", "-p", prefix, "-o", path, *BIOS_CORE)
    return path.read_bytes()


@pytest.mark.slow
@pytest.mark.xdist_group("samples")
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
