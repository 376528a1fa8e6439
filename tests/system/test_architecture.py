import gzip
import random
import tracemalloc

import pytest

from bakery.node.ramdisk import kernel
from bakery.system import architecture


def head(*pieces: tuple[int, bytes]) -> bytes:
    found = bytearray(0x400)
    for at, piece in pieces:
        found[at : at + len(piece)] = piece
    return bytes(found)


def efi(machine: int) -> bytes:
    where = (0x3C, (0x80).to_bytes(4, "little"))
    return head((0, b"MZ"), where, (0x80, b"PE\0\0" + machine.to_bytes(2, "little")))


GZIPPED = gzip.compress(
    head((0x38, b"ARM\x64")) + random.Random(1).randbytes(1 << 20), mtime=0
)  # fmt: skip


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (head((0x202, b"HdrS"), (0x236, b"\x03\0")), "x86_64"),
        (head((0x202, b"HdrS")), "i686"),
        (head((0x38, b"ARM\x64")), "aarch64"),
        (head((0x38, b"RSC\x05")), "riscv64"),
        (efi(0x8664), "x86_64"),
        (efi(0xAA64), "aarch64"),
        (efi(0x1234), ""),
        (efi(0x8664)[:0x82], ""),
        (b"MZ", ""),
        (b"", ""),
        (b"kernel" * 1000, ""),
        (GZIPPED[:4096], "aarch64"),
        (gzip.compress(b"no kernel", mtime=0), ""),
        (b"\x1f\x8b" + b"x" * 1000, ""),
        (b"\x7fELF\2\1" + bytes(12) + b"\x15\0", "ppc64le"),
        (b"\x7fELF\2\2" + bytes(12) + b"\0\x16", "s390x"),
        (b"\x7fELF\2\1" + bytes(12) + b"\x16\0", ""),
        (b"\x7fELF", ""),
    ],
)
def test_the_head_of_a_kernel_tells_its_processor(told, name):
    assert architecture.of_kernel(told) == name


def test_a_kernel_that_unpacks_itself_is_told_from_one_that_is_as_it_runs():
    packed = bytearray(efi(0xAA64))
    packed[4:8] = b"zimg"
    assert architecture.of_kernel(bytes(packed)) == "aarch64"
    assert architecture.unpacks_itself(bytes(packed))
    assert not architecture.unpacks_itself(efi(0xAA64))
    assert not architecture.unpacks_itself(b"mz\0\0zimg")


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["BOOTAA64.EFI"], "aarch64"),
        (["fallback.efi", "bootx64.efi", "BOOTIA32.EFI"], "x86_64"),
        (["BOOTIA32.EFI"], "i686"),
        (["grubx64.efi"], ""),
        ([], ""),
    ],
)
def test_the_program_that_firmware_looks_for_tells_its_processor(names, name):
    assert architecture.of_efi_names(names) == name


def test_a_gzip_stream_that_never_ends_is_unpacked_no_further_than_is_looked_at():
    bomb = gzip.compress(head((0x202, b"HdrS")) + bytes(1 << 28), compresslevel=1)
    tracemalloc.start()
    assert architecture.of_kernel(bomb) == "i686"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_the_kernel_of_the_deploy_ramdisk_is_known():
    with kernel.find().image.open("rb") as file:
        assert architecture.of_kernel(file.read(architecture.HEAD_BYTES)) == "x86_64"


@pytest.mark.parametrize(
    ("kernel", "machine", "does"),
    [
        ("x86_64", "x86_64", True),
        ("x86_64", "amd64", True),
        ("i686", "x86_64", True),
        ("x86_64", "i686", False),
        ("x86_64", "aarch64", False),
        ("aarch64", "ARM64", True),
        ("", "aarch64", True),
        ("x86_64", "", True),
    ],
)
def test_a_machine_runs_kernels_of_its_own(kernel, machine, does):
    assert architecture.runs(kernel, machine) == does


@pytest.mark.parametrize(
    ("machine", "found"), [(0x8664, "x86_64"), (0xAA64, "aarch64"), (0x14C, "i686"), (0x1234, "")]
)
def test_a_field_is_as_long_as_it_is_and_no_longer(machine: int, found: str):
    """What stands beside the fields of a boot stub is none of them."""
    head = bytearray(b"\xff" * 1024)
    head[:2], head[0x3C:0x40] = b"MZ", (0x80).to_bytes(4, "little")
    head[0x80:0x86] = b"PE\0\0" + machine.to_bytes(2, "little")
    assert architecture.of_kernel(bytes(head)) == found
    assert architecture.of_kernel(b"mz" + bytes(head[2:])) == ""
    head[0x83] = 1
    assert architecture.of_kernel(bytes(head)) == ""


def test_a_header_of_linux_counts_before_a_boot_stub():
    head = bytearray(1024)
    head[:2], head[0x3C:0x40] = b"MZ", (0x80).to_bytes(4, "little")
    head[0x80:0x86] = b"PE\0\0" + (0xAA64).to_bytes(2, "little")
    head[0x38:0x3C] = b"RSC\x05"
    assert architecture.of_kernel(bytes(head)) == "riscv64"
    head[0x202:0x206] = b"HdrS"
    assert architecture.of_kernel(bytes(head)) == "i686"
    head[0x236] = 0x7F
    assert architecture.of_kernel(bytes(head)) == "x86_64"
