import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.run import run
from bakery.vm.board import AARCH64
from bakery.vm.firmware import FlashFile, Uefi, find_uefi
from bakery.vm.machine import Disk, Guest, Image, Linux, Machine, argv
from tests.bootsector import saying

SOON_SECONDS = 60


@pytest.fixture
def base(tmp_path):
    """A whole disk that says `hello` and resets."""
    path = tmp_path / "base, with a comma.raw"
    path.write_bytes(saying(b"hello\r\n", "reset").ljust(1 << 20, b"\0"))
    return path


@pytest.fixture
def disk(base, tmp_path):
    overlay = tmp_path / "overlay.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, str(base.stat().st_size)])
    return Disk(Image(overlay, "qcow2"), Image(base), lasting=False)


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def nodes(guest: Guest) -> dict[str, dict[str, object]]:
    """The block nodes a guest is given, by name, in the order in which they are made."""
    words = argv(Machine(), guest, "tcg")
    asked = [words[n + 1] for n, word in enumerate(words) if word == "-blockdev"]
    return {node.pop("node-name"): node for node in map(json.loads, asked)}


def devices(guest: Guest) -> list[str]:
    words = argv(Machine(), guest, "tcg")
    return [words[n + 1] for n, word in enumerate(words) if word == "-device"]


def test_a_disk_is_a_file_its_format_and_a_device(tmp_path):
    disk = Disk(Image(tmp_path / "a, b.qcow2", "qcow2"), Image(tmp_path / "c.vmdk", "vmdk"))
    file = {"driver": "file", "discard": "unmap"}
    below = {"filename": str(tmp_path / "c.vmdk"), "read-only": True}
    own = {"filename": str(tmp_path / "a, b.qcow2"), "read-only": False}
    above = {"driver": "qcow2", "file": "disk0-file", "discard": "unmap"}
    found = nodes(Guest((disk,)))
    assert found == {
        "disk0-backing-file": file | below,
        "disk0-backing": {"driver": "vmdk", "file": "disk0-backing-file", "read-only": True},
        "disk0-file": file | own,
        "disk0": above | {"backing": "disk0-backing"},
    }
    assert list(found)[-1] == "disk0", "what is named has been made before"


def test_flushes_are_left_out_only_of_a_disk_that_nobody_reads_afterwards(tmp_path):
    found = nodes(Guest((Disk(Image(tmp_path)), Disk(Image(tmp_path), lasting=False))))
    assert "cache" not in found["disk0"]
    assert found["disk1"]["cache"] == {"no-flush": True}


def test_a_disk_of_larger_sectors_is_addressed_in_them(tmp_path):
    (found,) = devices(Guest((Disk(Image(tmp_path), sector_bytes=4096),)))[1:]
    assert found.endswith(",logical_block_size=4096,physical_block_size=4096")


def test_disks_are_tried_in_their_order_behind_the_kernel(tmp_path):
    disks = (Disk(Image(tmp_path), serial="first"), Disk(Image(tmp_path)))
    assert [d for d in devices(Guest(disks)) if "blk" in d] == [
        "virtio-blk-pci,drive=disk0,bootindex=1,serial=first",
        "virtio-blk-pci,drive=disk1,bootindex=2",
    ]


def test_the_code_of_a_firmware_is_opened_for_reading_alone(tmp_path):
    uefi = Uefi(FlashFile("/code", "qcow2"), FlashFile("/variables"))
    guest = Guest((), uefi=uefi, variables=tmp_path)
    found = nodes(guest)
    assert (found["uefi-code"]["driver"], found["uefi-code"]["read-only"]) == ("qcow2", True)
    assert found["uefi-code-file"]["filename"] == "/code"
    assert found["uefi-code-file"]["read-only"] is True
    assert found["uefi-variables"] == {"driver": "raw", "file": "uefi-variables-file"}
    assert found["uefi-variables-file"]["filename"] == str(tmp_path)
    assert found["uefi-variables-file"]["read-only"] is False
    board = option(argv(Machine(), guest, "tcg"), "-machine")
    assert board.endswith(",pflash0=uefi-code,pflash1=uefi-variables")
    assert "pflash" not in option(argv(Machine(), Guest(()), "tcg"), "-machine")


def test_a_kernel_is_started_with_its_ramdisk_where_it_has_one(tmp_path):
    linux = Linux(tmp_path / "k", tmp_path / "r", ("a", "b"))
    words = argv(Machine(), Guest((), linux), "tcg")
    assert option(words, "-kernel") == str(tmp_path / "k")
    assert option(words, "-append") == "a b"
    assert option(words, "-initrd") == str(tmp_path / "r")
    assert "-initrd" not in argv(Machine(), Guest((), Linux(tmp_path, None, ())), "tcg")
    assert "-kernel" not in argv(Machine(), Guest(()), "tcg")


@pytest.mark.parametrize(
    ("place", "backend"),
    [
        (None, "stdio,id=console,signal=off"),
        (0, "socket,id=console,fd=0"),
        (Path("/a,b"), "socket,id=console,server=on,wait=off,path=/a,,b"),
    ],
)
def test_the_console_is_where_it_is_wanted(place, backend):
    words = argv(Machine(), Guest((), console=place), "tcg")
    assert option(words, "-chardev") == backend
    assert option(words, "-serial") == "chardev:console"


def test_a_guest_for_arm64_is_a_machine_of_its_own(tmp_path):
    uefi = Uefi(FlashFile("/code"), FlashFile("/variables"))
    guest = Guest((Disk(Image(tmp_path)),), uefi=uefi, variables=tmp_path)
    words = argv(Machine(board=AARCH64), guest, "tcg")
    assert words[0] == "qemu-system-aarch64"
    assert option(words, "-machine").startswith("virt,accel=tcg,")
    assert option(words, "-machine").endswith(",pflash0=uefi-code,pflash1=uefi-variables")
    assert option(words, "-cpu") == "cortex-a72"


def test_a_guest_that_is_reached_by_ssh_reaches_nothing_by_itself():
    words = argv(Machine(), Guest((), ssh_port=4321), "tcg")
    assert "-nic" not in words
    net = option(words, "-netdev").split(",")
    assert {"restrict=on", "hostfwd=tcp:127.0.0.1:4321-:22"} <= set(net)
    assert option(argv(Machine(), Guest(()), "tcg"), "-nic") == "none"


def test_a_guest_that_restarts_has_ended_unless_it_may(disk):
    assert "-no-reboot" in argv(Machine(), Guest((disk,)), "tcg")
    assert "-no-reboot" not in argv(Machine(), Guest((disk,), restarts=True), "tcg")


def test_a_machine_is_as_large_as_was_asked():
    words = argv(Machine(), Guest(()), "tcg")
    assert (option(words, "-m"), option(words, "-smp")) == ("2048M", "1")
    words = argv(Machine(memory_mib=300, cpus=3, cpu="max", chipset="pc"), Guest(()), "kvm")
    assert (option(words, "-m"), option(words, "-smp")) == ("300M", "3")
    assert option(words, "-cpu") == "max"
    assert option(words, "-machine").startswith("pc,accel=kvm,")


def test_a_guest_that_breaks_out_starts_nothing():
    denied = option(argv(Machine(), Guest(()), "tcg"), "-sandbox").split(",")
    assert denied[0] == "on"
    assert {"spawn=deny", "elevateprivileges=deny"} <= set(denied)


def test_the_backing_image_is_opened_for_reading_alone(disk):
    nodes = [
        json.loads(word) for word in argv(Machine(), Guest((disk,)), "tcg") if word.startswith("{")
    ]
    assert disk.backing is not None
    below = [node for node in nodes if node["node-name"].startswith("disk0-backing")]
    assert len(below) == 2
    assert all(node["read-only"] is True for node in below)
    assert {node["driver"] for node in below} == {"file", "raw"}


@pytest.mark.parametrize(
    ("accel", "cpu"),
    [("kvm", "host"), ("tcg", "Nehalem,model=28")],
)
def test_acceleration_is_said_once_and_chooses_the_cpu(disk, accel, cpu):
    words = argv(Machine(), Guest((disk,)), accel)
    assert "-accel" not in words
    assert f"accel={accel}" in option(words, "-machine")
    assert option(words, "-cpu") == cpu


def test_there_is_no_network_and_no_display(disk):
    words = argv(Machine(), Guest((disk,)), "tcg")
    assert option(words, "-nic") == "none"
    assert option(words, "-display") == "none"


def test_kernel_arguments_that_the_kernel_would_not_get_are_refused(tmp_path):
    with pytest.raises(BakeryError, match="control characters"):
        Linux(tmp_path, None, ("quiet", "a\nb")).command_line  # noqa: B018
    with pytest.raises(BakeryError, match="longer than"):
        Linux(tmp_path, None, ("x" * 3000,)).command_line  # noqa: B018
    assert Linux(tmp_path, None, ("a", 'b="c d"')).command_line == 'a b="c d"'


@pytest.mark.parametrize(("words", "fits"), [(("x", "y" * 2045), True), (("é" * 1024,), False)])
def test_the_kernel_takes_2047_bytes(tmp_path, words, fits):
    linux = Linux(tmp_path, None, words)
    if fits:
        assert len(linux.command_line) == 2047
    else:
        with pytest.raises(BakeryError, match="longer than 2047 bytes"):
            linux.command_line  # noqa: B018


def test_uefi_without_a_store_of_its_own_is_refused(disk):
    uefi = Uefi(FlashFile("/code"), FlashFile("/variables"))
    with pytest.raises(BakeryError, match="variable store"):
        argv(Machine(), Guest((disk,), uefi=uefi), "tcg")


def test_the_module_is_quick_to_import():
    code = "import bakery.vm.machine, sys; print('rich' in sys.modules or 'click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_qemu_takes_the_command_and_boots_the_disk_under_the_overlay(disk, base):
    before = base.read_bytes()
    done = run(argv(Machine(memory_mib=128), Guest((disk,)), "tcg"), timeout=SOON_SECONDS)
    assert b"hello\r\n" in done.stdout
    assert base.read_bytes() == before


def test_the_older_chipset_boots_too(disk):
    machine = Machine(memory_mib=128, cpus=2, chipset="pc", cpu="qemu64")
    done = run(argv(machine, Guest((disk,)), "tcg"), timeout=SOON_SECONDS)
    assert b"hello\r\n" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(find_uefi() is None, reason="needs OVMF")
def test_uefi_firmware_starts_and_writes_its_own_copy_alone(disk, tmp_path):
    uefi = find_uefi()
    assert uefi is not None
    variables = tmp_path / "variables"
    shutil.copyfile(uefi.variables.path, variables)
    before = uefi.variables.path.read_bytes()
    words = argv(Machine(), Guest((disk,), uefi=uefi, variables=variables), "tcg")
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            seen = b""
            while b"BdsDxe: " not in seen:
                piece = os.read(process.stdout.fileno(), 4096)
                assert piece, seen
                seen += piece
        finally:
            process.kill()
    assert uefi.variables.path.read_bytes() == before


def test_the_console_can_be_a_socket_others_connect_to(base, tmp_path):
    path = tmp_path / "console, too.sock"
    overlay = tmp_path / "o.qcow2"
    base.write_bytes(saying(b"hello\r\n").ljust(1 << 20, b"\0"))
    run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, "1M"])
    disk = Disk(Image(overlay, "qcow2"), Image(base))
    words = argv(Machine(memory_mib=128), Guest((disk,), console=path), "tcg")
    # `wait=on` holds the guest until somebody listens; the option itself is what is tested.
    words = [word.replace("wait=off", "wait=on") for word in words]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            with connected(path, process) as connection:
                seen = b""
                while b"hello" not in seen:
                    seen += connection.recv(4096)
        finally:
            process.kill()


def connected(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    """A connection to QEMU's socket, once it is there."""
    while process.poll() is None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SOON_SECONDS)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
        else:
            return connection
    pytest.fail(f"QEMU ended: {process.stderr.read() if process.stderr else b''!r}")
