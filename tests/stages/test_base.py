"""The copy that begins before it is known what the image is."""

import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from bakery import inspection, plan
from bakery.choice import LVM_TYPES, Options, likely_place
from bakery.disk import copy
from bakery.disk.extents import Extent
from bakery.disk.volumes import Partition, PartitionTable
from bakery.errors import BakeryError
from bakery.manifest import Layout
from bakery.report import Event, Report, silent
from tests import tiny

WAIT_SECONDS = 30
BOOT = Extent(tiny.BOOT_START, tiny.BOOT_SIZE)
ROOT = Extent(tiny.ROOT_START, tiny.ROOT_SIZE)
DISK = Extent(0, tiny.DISK_SIZE)


class Copies:
    """What was copied so far, and whether a copy has begun."""

    def __init__(self) -> None:
        self.places: list[tuple[Extent, ...]] = []
        self.begun = threading.Event()


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    """Every copy is noted; an inspection ends when one has begun."""
    seen = Copies()
    copy_ranges, inspect = copy.copy_ranges, inspection.inspect

    def copied(source: Any, reads: Any, place: tuple[Extent, ...], *rest: Any) -> None:
        seen.places.append(place)
        seen.begun.set()
        copy_ranges(source, reads, place, *rest)

    def inspected(engine: Any) -> inspection.Inspection:
        assert seen.begun.wait(WAIT_SECONDS)
        return inspect(engine)

    monkeypatch.setattr(copy, "copy_ranges", copied)
    monkeypatch.setattr(inspection, "inspect", inspected)
    return seen


@pytest.fixture
def misleading(tmp_path: Path) -> Path:
    """An image whose table takes /boot for a physical volume."""
    (tmp_path / "in").mkdir()
    return tiny.make(tmp_path / "in", boot_type="8e")


def part_of(image: Path, extent: Extent, work: Path) -> bytes:
    raw = work / "whole.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    return raw.read_bytes()[extent.offset : extent.end]


def test_a_copy_of_the_likely_place_is_the_base(misleading: Path, tmp_path: Path, copies: Copies):
    options = Options(layout="disk")
    made, _ = plan.build(misleading, options, tmp_path / "out", silent())
    assert copies.places == [(DISK,)]
    assert made.base.read_bytes() == part_of(misleading, DISK, tmp_path)


def test_a_copy_of_another_place_begins_again(misleading: Path, tmp_path: Path, copies: Copies):
    made, _ = plan.build(misleading, Options(), tmp_path / "out", silent())
    assert copies.places == [(BOOT,), (ROOT,)]
    (edit,) = made.manifest.edits
    source, base = part_of(misleading, ROOT, tmp_path), made.base.read_bytes()
    assert len(base) == len(source)
    assert base[: edit.offset] == source[: edit.offset]
    assert base[edit.offset + edit.length :] == source[edit.offset + edit.length :]
    assert not (tmp_path / "out" / ".bakery" / "tmp").exists()


def test_a_copy_that_is_there_already_is_given_up(misleading: Path, tmp_path: Path, copies: Copies):
    output, options = tmp_path / "out", Options(layout="disk")
    first, _ = plan.build(misleading, options, output, silent())
    (output / ".bakery" / "source.json").unlink()
    (looked,) = (output / ".bakery").glob("inspect-*")
    shutil.rmtree(looked)
    events: list[Event] = []
    again, fresh = plan.build(misleading, options, output, Report(events.append))
    assert [e.step for e in events if e.kind == "finished"] == ["source", "inspect"]
    assert copies.places == [(DISK,), (DISK,)]
    assert not fresh
    assert again == first


def test_an_image_that_is_refused_meanwhile_leaves_nothing(
    misleading: Path, tmp_path: Path, copies: Copies
):
    with pytest.raises(BakeryError, match="not on LVM"):
        plan.build(misleading, Options(layout="pv"), tmp_path / "out", silent())
    assert copies.places == [(BOOT,)]
    assert not (tmp_path / "out").exists()


def test_a_plan_copies_nothing(misleading: Path, tmp_path: Path, copies: Copies):
    copies.begun.set()
    plan.plan(misleading, Options(layout="disk"), tmp_path / "out")
    assert copies.places == []


def table(*types: str) -> PartitionTable:
    partitions = [Partition(n, n * tiny.MIB, tiny.MIB, kind) for n, kind in enumerate(types, 1)]
    return PartitionTable("dos", "", tuple(partitions))


@pytest.mark.parametrize(
    ("layout", "types", "place"),
    [
        *((None, ("83", kind), (Extent(2 * tiny.MIB, tiny.MIB),)) for kind in LVM_TYPES),
        ("pv", ("8e", "83"), (Extent(tiny.MIB, tiny.MIB),)),
        ("pv", ("8e", "8e"), ()),
        (None, ("83", "83"), ()),
        ("lv", ("83", "8e"), ()),
        ("disk", ("8e", "8e"), (DISK,)),
    ],
)
def test_the_likely_place(layout: Layout | None, types: tuple[str, ...], place: tuple[Extent, ...]):
    assert likely_place(table(*types), tiny.DISK_SIZE, Options(layout=layout)) == place


def test_without_a_table_there_is_no_likely_place_but_the_disk():
    assert likely_place(None, tiny.DISK_SIZE, Options()) == ()
    assert likely_place(None, tiny.DISK_SIZE, Options(layout="disk")) == (DISK,)
