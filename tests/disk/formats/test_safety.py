"""What the check says beyond the list of tests/hostile."""

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakery.disk import blockdevs
from bakery.disk.findings import CheckReport, Finding
from bakery.disk.formats import detect, peek, qcow2_map, safety, second_opinion
from bakery.disk.volumes import partitions
from bakery.host import sandbox, tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import CommandFailed
from tests import tiny
from tests.disk.volumes import disks_4k

MIB = 1 << 20
MBR = b"label: dos\nstart=2048,size=4096,type=83\n"


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("safety") / "disk.raw"
    path.write_bytes(bytes(4 * MIB))
    program = tools.find("sfdisk")
    assert program
    subprocess.run([program, "-q", path], input=MBR, check=True)
    return path


@pytest.fixture(scope="module")
def image(disk) -> Path:
    path: Path = disk.with_name("disk.qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, path], check=True)
    return path


def ids(report: CheckReport) -> list[str]:
    return [finding.id for finding in report.findings]


def test_a_sound_image_has_format_size_and_no_findings(image):
    report = safety.check(image)
    assert report == CheckReport("qcow2", 4 * MIB, ())
    assert report.is_safe
    assert safety.identify(image) == ("qcow2", 4 * MIB)


def test_a_warning_alone_does_not_refuse():
    report = CheckReport("raw", 1, (Finding.warn("blank", "nothing on it"),))
    assert report.is_safe
    assert not CheckReport("raw", 1, (Finding.refuse("x", "y"),)).is_safe


@pytest.mark.parametrize(("claim", "safe"), [("qcow2", True), ("raw", False), ("vhd", False)])
def test_a_claim_is_held_against_the_content(image, claim, safe):
    report = safety.check(image, claimed=claim)
    assert report.is_safe == safe
    if not safe:
        assert f"is qcow2 by its content, not {claim}" in report.findings[0].message


def test_a_claim_that_fits_overrules_the_name(image, tmp_path):
    odd = tmp_path / "x.raw"
    odd.symlink_to(image)
    assert ids(safety.check(odd)) == ["format-mismatch"]
    assert safety.check(odd, claimed="qcow2").is_safe


def test_the_image_is_not_written(image):
    before = (image.read_bytes(), image.stat().st_mtime_ns)
    safety.check(image)
    assert (image.read_bytes(), image.stat().st_mtime_ns) == before


def test_without_its_deeper_looks_a_check_starts_no_program(image, monkeypatch):
    monkeypatch.setattr(peek, "run_confined", None)
    monkeypatch.setattr(safety, "run_confined", None)
    monkeypatch.setattr(second_opinion, "findings", None)
    assert safety.check(image, with_partitions=False, with_openstack=False).is_safe


def test_the_table_that_was_seen_is_handed_on_and_none_of_a_refused_image(tmp_path):
    image = tiny.make(tmp_path)
    report, table = safety.check_with_table(image)
    assert report == safety.check(image)
    assert table
    assert [p.start_bytes for p in table.partitions] == [tiny.BOOT_START, tiny.ROOT_START]
    image.write_bytes(image.read_bytes()[: 1 << 20])
    report, table = safety.check_with_table(image)
    assert not report.is_safe
    assert table is None


def test_identify_starts_no_program_for_qcow2_and_raw(image, disk, monkeypatch):
    monkeypatch.setattr(safety, "run_confined", None)
    assert [safety.identify(path).name for path in (image, disk)] == ["qcow2", "raw"]


def test_identify_does_not_load_the_second_opinion():
    code = "import sys; import bakery.disk.formats.safety; sys.exit('oslo_utils' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_file_that_fails_while_it_is_read_is_a_finding(image, monkeypatch):
    def fail(*_args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(detect, "read_ends", fail)
    assert ids(safety.check(image)) == ["unreadable"]
    with pytest.raises(BakeryError, match="Input/output error"):
        safety.identify(image)


def test_a_missing_program_is_no_fault_of_the_image(image, monkeypatch):
    monkeypatch.setattr(tools, "find", lambda _program: None)
    with pytest.raises(MissingTool):
        safety.check(image)


def test_the_program_that_parses_the_image_sees_no_other_file(image, monkeypatch):
    seen = []
    real = sandbox.run_confined

    def watch(argv, cage, **options):
        seen.append((argv[0], cage.read))
        return real(argv, cage, **options)

    monkeypatch.setattr(peek, "run_confined", watch)
    assert safety.check(image).is_safe
    assert ("qemu-img", (image,)) in seen
    assert all(len(read) == 1 for _, read in seen)


def test_a_chain_of_logical_partitions_is_found_inside_a_qcow2(tmp_path):
    raw, packed = tmp_path / "a.raw", tmp_path / "a.qcow2"
    raw.write_bytes(bytes(24 * MIB))
    table = b"label: dos\nstart=2048,size=40960,type=f\nstart=4096,size=2048,type=83\n"
    table += b"start=20480,size=2048,type=83\nstart=30720,size=2048,type=83\n"
    program = tools.find("sfdisk")
    assert program
    subprocess.run([program, "-q", raw], input=table, check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, packed], check=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    node = blockdevs.image(packed, "qcow2")
    look = peek.Peek(packed, node, 24 * MIB, scratch)
    look.edges()
    listed = partitions.from_sfdisk(peek.sfdisk(look.disk), 24 * MIB)
    assert listed == partitions.from_sfdisk(peek.sfdisk(raw), 24 * MIB)
    assert listed is not None
    assert [p.number for p in listed.partitions] == [1, 5, 6, 7]


def test_the_second_opinion_says_nothing_on_standard_error(image, tmp_path, capfd):
    bad = tmp_path / "x.qcow2"
    content = bytearray(image.read_bytes())
    content[79] = 16
    bad.write_bytes(content)
    with bad.open("rb") as file:
        assert [f.id for f in second_opinion.findings(file, "qcow2")] == ["openstack-refuses"]
    assert capfd.readouterr().err == ""


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=2000), mark=st.sampled_from(detect.IMAGE_MARKS))
def test_any_bytes_get_a_report(data, mark, tmp_path):
    path = tmp_path / "any.img"
    path.write_bytes(data.ljust(mark.offset, b"\0")[: mark.offset] + mark.magic + data)
    report = safety.check(path)
    assert isinstance(report, CheckReport)


@pytest.mark.parametrize(
    ("data_bytes", "file_bytes", "refused"),
    [
        (safety.EXPANSION_FLOOR_BYTES, 1, False),
        (safety.EXPANSION_FLOOR_BYTES + 1, 1, True),
        (safety.EXPANSION_LIMIT << 30, 1 << 30, False),
        ((safety.EXPANSION_LIMIT << 30) + 1, 1 << 30, True),
    ],
)
def test_a_bomb_is_large_and_larger_than_any_packing_makes_it(
    monkeypatch, data_bytes, file_bytes, refused
):
    """Neither a small image that unpacks well, nor a big one that unpacks as others do."""
    subject: Any = SimpleNamespace(kind="qcow2", file=None, ends=SimpleNamespace(size=file_bytes))
    monkeypatch.setattr(safety, "_qcow2_header", lambda _subject: None)
    monkeypatch.setattr(qcow2_map, "stored_bytes", lambda _file, _header: data_bytes)
    found = safety._size_findings(subject, 1 << 30)
    assert [finding.id for finding in found] == (["bomb"] if refused else [])


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (0, ["empty"]),
        (511, ["empty"]),
        (512, []),
        (safety.VIRTUAL_SIZE_LIMIT_BYTES, []),
        (safety.VIRTUAL_SIZE_LIMIT_BYTES + 1, ["virtual-size"]),
    ],
)
def test_a_disk_has_a_sector_and_no_more_bytes_than_can_be_written(size, found):
    subject: Any = SimpleNamespace(kind="raw")
    assert [finding.id for finding in safety._size_findings(subject, size)] == found


@pytest.mark.parametrize("program", ["qemu-img", "sfdisk"])
def test_a_program_that_fails_on_the_image_is_a_finding(image, monkeypatch, program):
    real = sandbox.run_confined

    def fail(argv, cage, **options):
        if argv[0] == program:
            raise CommandFailed(program, "exit code 1", "cannot", 1)
        return real(argv, cage, **options)

    monkeypatch.setattr(peek, "run_confined", fail)
    report = safety.check(image)
    assert not report.is_safe


def test_a_program_that_is_missing_half_way_is_no_fault_of_the_image(image, monkeypatch):
    def missing(*_args, **_options):
        raise MissingTool("sfdisk", "install it")

    monkeypatch.setattr(peek, "run_confined", missing)
    with pytest.raises(MissingTool):
        safety.check(image)


def test_qcow_of_version_1_is_refused_with_the_way_out(tmp_path):
    raw, image = tmp_path / "a.raw", tmp_path / "old.img"
    raw.write_bytes(bytes(MIB))
    subprocess.run(["qemu-img", "convert", "-O", "qcow", raw, image], check=True)
    (found,) = safety.check(image).findings
    assert (found.id, found.message) == (
        "unsupported-format",
        "qcow of version 1 is not supported",
    )
    assert "qemu-img convert -f qcow -O qcow2" in found.hint


def test_a_disk_of_larger_sectors_has_its_table_told(tmp_path):
    disk, image = tmp_path / "a.raw", tmp_path / "a.qcow2"
    disk.write_bytes(bytes(8 * MIB))
    disks_4k.write_table(disk, [(MIB, MIB, "root")])
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, image], check=True)
    for path in (disk, image):
        report, table = safety.check_with_table(path)
        assert report.findings == ()
        assert table is not None
        assert (table.sector_bytes, table.partitions[0].start_bytes) == (4096, MIB)


def test_a_disk_of_larger_sectors_without_a_sound_table_is_refused(tmp_path):
    disk = tmp_path / "a.raw"
    disk.write_bytes(bytes(8 * MIB))
    disks_4k.write_table(disk, [(MIB, MIB, "root")])
    content = bytearray(disk.read_bytes())
    content[4096 + 60] ^= 1
    content[8 * MIB - 4096 + 60] ^= 1
    disk.write_bytes(content)
    assert ids(safety.check(disk)) == ["partition-table"]
