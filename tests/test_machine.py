import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.errors import BakeryError
from bakery.firmware import find_uefi
from bakery.machine import Disk, Guest, Image, Linux, Machine, argv
from bakery.run import run
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


def test_qemu_takes_the_command_and_boots_the_disk_under_the_overlay(disk, base):
    before = base.read_bytes()
    done = run(argv(Machine(memory_mib=128), Guest((disk,)), "tcg"), timeout=SOON_SECONDS)
    assert b"hello\r\n" in done.stdout
    assert base.read_bytes() == before


def test_the_older_chipset_boots_too(disk):
    machine = Machine(memory_mib=128, cpus=2, chipset="pc", cpu="qemu64")
    done = run(argv(machine, Guest((disk,)), "tcg"), timeout=SOON_SECONDS)
    assert b"hello\r\n" in done.stdout


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


def test_uefi_without_a_store_of_its_own_is_refused(disk):
    uefi = find_uefi()
    if uefi is None:
        pytest.skip("needs OVMF")
    with pytest.raises(BakeryError, match="variable store"):
        argv(Machine(), Guest((disk,), uefi=uefi), "tcg")


def test_the_module_is_quick_to_import():
    code = "import bakery.machine, sys; print('rich' in sys.modules or 'click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
