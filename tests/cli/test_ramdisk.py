"""`bakery ramdisk` on the command line."""

from pathlib import Path

import pytest

from bakery.node.ramdisk.make import Made
from tests.cli.inside import document, told

ARM_KERNEL = bytes(56) + b"ARM\x64"


@pytest.fixture
def asked(monkeypatch):
    """What was to be made; nothing is."""
    calls = []

    def make(folder, _report, kernel, root):
        calls.append((folder, kernel, root))
        folder.mkdir(exist_ok=True)
        (folder / "deploy-kernel").write_bytes(ARM_KERNEL)
        return Made(
            kernel=folder / "deploy-kernel",
            ramdisk=folder / "deploy-ramdisk",
            kernel_version="6.1",
            kernel_bytes=3 << 19,
            ramdisk_bytes=5 << 20,
            unpacked_bytes=9 << 20,
            kernel_sha256="a",
            ramdisk_sha256="b",
            modules=7,
            firmware_lacking=("bnx2",) if kernel else (),
        )

    monkeypatch.setattr("bakery.node.ramdisk.make.make", make)
    return calls


def test_what_was_made_is_told_with_its_size_and_its_processor(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told("ramdisk").splitlines() == [
        "ramdisk/deploy-kernel  1.5 MiB, Linux 6.1 for aarch64",
        "ramdisk/deploy-ramdisk  5.0 MiB, 7 modules",
    ]
    assert asked == [(Path("ramdisk"), "", Path("/"))]


def test_of_which_kernel_and_from_where_can_be_said(asked, tmp_path):
    words = ("-o", tmp_path / "out", "--kernel", "6.2", "--root", tmp_path)
    assert "left out: bnx2" in told("ramdisk", *words)
    assert document("ramdisk", *words)["kernel_version"] == "6.1"
    assert document("ramdisk", *words)["processor"] == "aarch64"
    assert asked == [(tmp_path / "out", "6.2", tmp_path)] * 3
