"""Firmware that starts a medium as few machines do: with Secure Boot, and on arm64.

That SeaBIOS and OVMF start one, tests/lab/test_media.py shows in the default run.
"""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from bakery.host.report import silent
from bakery.manifest import manifest
from bakery.netboot.media_image import medium
from bakery.netboot.media_programs import UEFI
from bakery.vm.board import AARCH64, TCG_CPU
from bakery.vm.firmware import need_uefi
from tests.netboot.firmware_node import ARGS, SPOKEN, kernel, ramdisk
from tests.netboot.media import written

pytestmark = [pytest.mark.slow, pytest.mark.full]

BOOT_SECONDS = 1000
SECRETS = ("deployment_key=SECRET",)
OVMF = Path("/usr/share/OVMF")
CODE, VARIABLES = OVMF / "OVMF_CODE_4M.secboot.fd", OVMF / "OVMF_VARS_4M.ms.fd"
GRUB = "usr/lib/grub/arm64-efi/monolithic/gcdaa64.efi"


def boot(words, iso, folder, until):
    """What the console says, once it says `until`, of a machine whose one medium is `iso`."""
    console = folder / "console"
    argv = [*words, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    argv += ["-m", "1024M", "-serial", f"file:{console}", "-nic", "none"]
    argv += ["-blockdev", f"driver=file,node-name=file,read-only=on,filename={iso}"]
    argv += ["-blockdev", "driver=raw,node-name=medium,read-only=on,file=file"]
    argv += ["-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=medium,bootindex=1"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as machine:
        try:
            deadline = time.monotonic() + BOOT_SECONDS
            while time.monotonic() < deadline:
                said = console.read_text(errors="replace") if console.exists() else ""
                if until in said or machine.poll() is not None:
                    break
                time.sleep(0.2)
        finally:
            machine.kill()
    said = console.read_text(errors="replace")
    assert until in said, said[-2000:]
    return said.replace("\r", "")


@pytest.mark.skipif(not CODE.exists(), reason="needs OVMF with Secure Boot")
@pytest.mark.xdist_group("namespaces")
def test_secure_boot_starts_the_signed_programs_and_their_kernel(tmp_path):
    found = UEFI["x86_64"].find(Path("/"))
    if len(found) == 1:
        pytest.skip("needs shim-signed and grub-efi-amd64-signed")
    args = [arg for arg in ARGS if arg != "quiet"]
    made = medium(tmp_path, kernel(), ramdisk(tmp_path), silent())
    assert made.secure_boot
    iso = written(made.of_node(args, SECRETS), tmp_path / "node.iso")
    variables = shutil.copy(VARIABLES, tmp_path / "variables")
    words = ["qemu-system-x86_64", "-machine", "q35,smm=on,accel=tcg,graphics=off"]
    words += ["-cpu", TCG_CPU, "-global", "driver=cfi.pflash01,property=secure,value=on"]
    words += ["-drive", f"if=pflash,format=raw,readonly=on,file={CODE}"]
    words += ["-drive", f"if=pflash,format=raw,file={variables}"]
    said = boot(words, iso, tmp_path, SPOKEN)
    assert "Secure boot enabled" in said
    line = said.partition(SPOKEN)[2].splitlines()[0]
    assert "BOOT_IMAGE=/boot/kernel.img" in line and '"note=two words"' in line
    assert "SECRET" not in said


@pytest.mark.xdist_group("arm64")
def test_arm64_starts_one_by_uefi(bakery, sample, tmp_path):
    firmware = need_uefi(board=AARCH64)
    done = bakery("build", sample("arm64"), "-o", tmp_path / "build", "--layout", "lv")
    assert done.returncode == 0, done.stderr
    build = manifest.load(tmp_path / "build")
    place = tmp_path / "root" / GRUB
    place.parent.mkdir(parents=True)
    subprocess.run(["debugfs", "-R", f"dump /{GRUB} {place}", build.base], check=True)
    made = medium(tmp_path, build.kernel, build.ramdisk, silent(), tmp_path / "root")
    args = ["console=ttyAMA0", "root=/dev/none", "panic=-1"]
    iso = written(made.of_node(args, SECRETS), tmp_path / "node.iso")
    variables = shutil.copy(firmware.variables.path, tmp_path / "variables")
    words = [AARCH64.program, "-machine", "virt,accel=tcg", "-cpu", AARCH64.tcg_cpu]
    words += ["-drive", f"if=pflash,format=raw,readonly=on,file={firmware.code.path}"]
    words += ["-drive", f"if=pflash,format=raw,file={variables}"]
    said = boot(words, iso, tmp_path, "Run /init as init process")
    assert "BOOT_IMAGE=/boot/kernel.img console=ttyAMA0 root=/dev/none" in said
    assert "SECRET" not in said
