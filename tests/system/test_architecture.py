import pytest

from bakery.ramdisk import kernel
from bakery.system import architecture


def head(*pieces: tuple[int, bytes]) -> bytes:
    found = bytearray(0x400)
    for at, piece in pieces:
        found[at : at + len(piece)] = piece
    return bytes(found)


def efi(machine: int) -> bytes:
    where = (0x3C, (0x80).to_bytes(4, "little"))
    return head((0, b"MZ"), where, (0x80, b"PE\0\0" + machine.to_bytes(2, "little")))


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
    ],
)
def test_the_head_of_a_kernel_tells_its_processor(told, name):
    assert architecture.of_kernel(told) == name


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
