"""OpenStack's inspector, loaded without the rest of its package."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.disk.formats import second_opinion


def test_the_package_is_whole_for_who_imports_it_afterwards():
    code = (
        "import io, sys\n"
        "from bakery.disk.formats import second_opinion\n"
        "second_opinion.findings(io.BytesIO(bytes(4096)), 'raw')\n"
        "assert 'oslo_utils.strutils' not in sys.modules, 'it costs more than the inspector'\n"
        "from oslo_utils import imageutils\n"
        "from oslo_utils.imageutils import format_inspector, QemuImgInfo\n"
        "assert imageutils.QemuImgInfo is QemuImgInfo\n"
        "assert format_inspector.InspectWrapper\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def image(folder: Path, kind: str, *options: str) -> Path:
    path = folder / f"image.{kind}"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, *options, path, "8M"], check=True)
    return path


def said(path: Path, kind: str) -> list[tuple[str, str]]:
    with path.open("rb") as file:
        return [(found.id, found.message) for found in second_opinion.findings(file, kind)]


@pytest.mark.parametrize("kind", ["qcow2", "raw", "vmdk", "vhdx", "vdi", "vpc"])
def test_of_a_sound_image_it_says_what_we_say(tmp_path: Path, kind: str):
    assert said(image(tmp_path, kind), kind) == []


def test_a_disk_with_a_partition_table_is_a_raw_one(tmp_path: Path):
    path = image(tmp_path, "raw")
    subprocess.run(["sfdisk", "-q", path], input=b"label: dos\n2048,2048\n", check=True)
    assert said(path, "raw") == []


def test_a_fixed_vhd_is_a_raw_disk_to_it(tmp_path: Path):
    path = image(tmp_path, "vpc", "-o", "subformat=fixed")
    assert said(path, "vpc") == []
    assert [found for found, _ in said(path, "qcow2")] == ["polyglot"]


def test_what_it_takes_for_another_format_is_named(tmp_path: Path):
    ((found, message),) = said(image(tmp_path, "qcow2"), "raw")
    assert found == "polyglot"
    assert message == "OpenStack takes it for qcow2, not raw"


def test_what_it_refuses_is_told_with_its_reasons(tmp_path: Path):
    base = image(tmp_path, "raw")
    over = tmp_path / "over.qcow2"
    words: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b"]
    subprocess.run([*words, base, over], check=True)
    ((found, message),) = said(over, "qcow2")
    assert found == "openstack-refuses"
    assert "OpenStack refuses it: backing_file (" in message


@pytest.mark.parametrize("size", [0, 1, 100, 200, 1000])
def test_it_is_shown_both_ends_as_one_stream(monkeypatch: pytest.MonkeyPatch, size: int):
    monkeypatch.setattr(second_opinion, "TAIL_BYTES", 60)
    content = os.urandom(size)
    ends = second_opinion._Ends(io.BytesIO(content), 150)
    pieces = []
    while piece := ends.read(40):
        assert len(piece) <= 40
        pieces.append(piece)
    head = content[:150]
    assert b"".join(pieces) == head + content[max(len(head), size - 60) :]


def test_its_log_is_silent_while_it_looks_and_as_before_afterwards():
    logger = logging.getLogger("oslo_utils")
    logger.setLevel(logging.INFO)
    with second_opinion._without_talk():
        assert not logger.isEnabledFor(logging.CRITICAL)
    assert logger.level == logging.INFO
    logger.setLevel(logging.NOTSET)
