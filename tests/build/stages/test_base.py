"""The copy that begins before it is known what the image is."""

import hashlib
import shutil
import subprocess
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from bakery.build.build import build
from bakery.build.plan import plan
from bakery.build.spec import LVM_TYPES, Options, likely_place
from bakery.build.stages import base
from bakery.build.stages.base import Copying
from bakery.build.stages.edit import Edits
from bakery.disk.copy import copy
from bakery.disk.copy.changes import Change
from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Partition, PartitionTable
from bakery.host.errors import BakeryError
from bakery.host.pool import Pool
from bakery.host.report import Event, Report, silent
from bakery.image.inspection import Inspection, inspect
from bakery.image.opened import Means
from bakery.image.reader import Reader
from bakery.manifest.manifest import Artifact, Edit, Layout
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
        self.means = Means(inspect=self.inspected)

    def inspected(self, reader: Reader) -> Inspection:
        """An inspection that ends when a copy has begun."""
        assert self.begun.wait(WAIT_SECONDS)
        return inspect(reader)


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    """Every copy is noted."""
    seen = Copies()
    copy_ranges = copy.copy_ranges

    def copied(source: Any, reads: Any, place: tuple[Extent, ...], *rest: Any) -> None:
        seen.places.append(place)
        seen.begun.set()
        copy_ranges(source, reads, place, *rest)

    monkeypatch.setattr(copy, "copy_ranges", copied)
    return seen


@pytest.fixture
def misleading(tmp_path: Path) -> Path:
    """An image whose table takes /boot for a physical volume."""
    (tmp_path / "in").mkdir()
    return tiny.make(tmp_path / "in", boot_type="8e")


def copying(tmp_path: Path, *place: Extent) -> Copying:
    """A copy that was not begun."""
    return Copying(cast("Any", SimpleNamespace()), place or (BOOT,), tmp_path)


def test_who_follows_a_copy_hears_of_each_landing_and_of_the_edits(tmp_path: Path):
    follower, heard = copying(tmp_path), list[Any]()
    follower.path.write_bytes(b"0123456789")
    with Pool(1) as pool:
        waiting = pool.submit(lambda: heard.extend([follower.landed(0), follower.landed(4)]))
        follower._has_landed(Extent(0, 4), None)
        follower._has_landed(Extent(4, 6), None)
        waiting.result(WAIT_SECONDS)
        assert follower.reader.read(3) == b"012"
        told = pool.submit(follower.edits)
        with follower._news:
            follower._edits = []
            follower._news.notify_all()
        assert told.result(WAIT_SECONDS) == []
    assert heard[1] == 10
    assert follower.landed(9) == 10
    follower.close()
    assert follower.reader.closed
    assert not follower.path.exists()


def test_a_copy_that_is_given_up_tells_all_who_wait(tmp_path: Path):
    follower = copying(tmp_path)
    with Pool(2) as pool:
        waiting: list[Future[Any]] = [pool.submit(follower.landed, 0)]
        waiting.append(pool.submit(follower.edits))
        follower.give_up()
        for each in waiting:
            with pytest.raises(BakeryError, match="the copy was cancelled"):
                each.result(WAIT_SECONDS)
    with pytest.raises(BakeryError, match="the copy was cancelled"):
        follower._progress(1, 2)
    follower.close()


def test_a_copy_has_ended_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log: list[str] = []
    begun = threading.Event()

    def slow(
        _source: Any, _reads: Any, _place: Any, path: Path, progress: Any, _landed: Any
    ) -> None:
        path.touch()
        begun.set()
        try:
            while True:
                progress(0, 1)
                time.sleep(0.01)
        finally:
            time.sleep(0.1)
            log.append("ended")

    monkeypatch.setattr(copy, "copy_ranges", slow)
    image: Any = SimpleNamespace(blockdev={}, path=tmp_path / "image")
    made = Copying(image, (BOOT,), tmp_path)
    made.start()
    assert begun.wait(WAIT_SECONDS)
    made.close()
    assert log == ["ended"]
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_once_somebody_waits(tmp_path: Path):
    follower, events = copying(tmp_path), list[Event]()
    follower._progress(1, 4)
    with Report(events.append).step("base") as step:
        follower._step = step
        follower._progress(2, 4)
    told = [(e.done_bytes, e.total_bytes) for e in events if e.kind == "progress"]
    assert told == [(2, 4)]
    follower.close()


class Made:
    """The stage's inputs; its copy writes the place as it is asked to."""

    def __init__(self, folder: Path, *, sha256: bool = False) -> None:
        self.log: list[str] = []
        self.path = folder / "copy"
        self.given = base.BaseGiven(layout="lv", place=(Extent(100, 10),), sha256=sha256)
        self.image = SimpleNamespace(check_unchanged=lambda: self.log.append("unchanged"))

    def beside(self, name: str, _kind: Any) -> Any:
        return self if name == "base" else None

    def read(self, *_told: Any) -> Edits:
        return Edits((Edit(105, 2, ""), Edit(0, 1, "")))

    def file(self, stage: str, name: str) -> Path:
        path = self.path.with_name(f"{stage}-{name}")
        path.write_bytes(b"abc")
        return path

    def finish(self, edits: Any, _step: Any) -> Any:
        self.log.append("finish")
        assert edits == [Change(Extent(5, 2), b"ab")]
        self.path.write_bytes(b"0123456789")
        return SimpleNamespace(
            size_bytes=10, digest="sha256:d", extents=(Extent(0, 4), Extent(6, 4))
        )


@pytest.mark.parametrize("asked", [False, True])
def test_a_base_is_the_copy_of_an_image_that_stayed_as_it_was(tmp_path: Path, asked: bool):
    inputs, events = Made(tmp_path, sha256=asked), list[Event]()
    (tmp_path / "out").mkdir()
    with Report(events.append).step("base") as step:
        base.run(cast("Any", inputs), tmp_path / "out", step)
    assert inputs.log == ["finish", "unchanged"]
    assert (tmp_path / "out/base").read_bytes() == b"0123456789"
    told = msgspec.json.decode((tmp_path / "out/base.json").read_bytes(), type=Artifact)
    whole = hashlib.sha256(b"0123456789").hexdigest() if asked else ""
    assert told == Artifact(10, "sha256:d", whole, (Extent(0, 4), Extent(6, 4)))
    assert events[-1].text == "10 bytes, of which 8 are data"


def test_a_copy_that_was_foreseen_is_taken_where_it_is_of_the_place(tmp_path: Path):
    inputs = SimpleNamespace(
        given=base.BaseGiven(layout="lv", place=(BOOT,), sha256=False),
        beside=lambda *_: foreseen,
        withdraw=lambda: withdrawn.append(foreseen),
        image=SimpleNamespace(),
        scratch=tmp_path,
    )
    withdrawn: list[Any] = []
    foreseen: Any = copying(tmp_path)
    assert base.begin(cast("Any", inputs)) is foreseen
    assert withdrawn == []
    foreseen = copying(tmp_path, ROOT)
    other = base.begin(cast("Any", inputs))
    assert other
    assert (other.place, withdrawn) == ((BOOT,), [foreseen])
    foreseen = None
    fresh = base.begin(cast("Any", inputs))
    assert fresh
    assert fresh.place == (BOOT,)


def test_nothing_is_foreseen_where_there_is_no_likely_place(tmp_path: Path):
    image: Any = SimpleNamespace(table=None, virtual_size_bytes=tiny.DISK_SIZE)
    assert base.foresee(image, Options(), tmp_path) is None
    found = base.foresee(image, Options(layout="disk"), tmp_path)
    assert found is not None
    assert (found.place, found.size_bytes) == ((DISK,), tiny.DISK_SIZE)


def part_of(image: Path, extent: Extent, work: Path) -> bytes:
    raw = work / "whole.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    return raw.read_bytes()[extent.offset : extent.end]


def test_a_copy_of_the_likely_place_is_the_base(misleading: Path, tmp_path: Path, copies: Copies):
    options = Options(layout="disk")
    made, _ = build(misleading, options, tmp_path / "out", silent(), copies.means)
    assert copies.places == [(DISK,)]
    assert made.base.read_bytes() == part_of(misleading, DISK, tmp_path)


def test_a_copy_of_another_place_begins_again(misleading: Path, tmp_path: Path, copies: Copies):
    made, _ = build(misleading, Options(), tmp_path / "out", silent(), copies.means)
    assert copies.places == [(BOOT,), (ROOT,)]
    (edit,) = made.manifest.edits
    source, base = part_of(misleading, ROOT, tmp_path), made.base.read_bytes()
    assert len(base) == len(source)
    assert base[: edit.offset] == source[: edit.offset]
    assert base[edit.offset + edit.length :] == source[edit.offset + edit.length :]
    assert not (tmp_path / "out" / ".bakery" / "tmp").exists()


def test_a_copy_that_is_there_already_is_given_up(misleading: Path, tmp_path: Path, copies: Copies):
    output, options = tmp_path / "out", Options(layout="disk")
    first, _ = build(misleading, options, output, silent(), copies.means)
    (output / ".bakery" / "source.json").unlink()
    (looked,) = (output / ".bakery").glob("inspect-*")
    shutil.rmtree(looked)
    events: list[Event] = []
    again, fresh = build(misleading, options, output, Report(events.append), copies.means)
    assert [e.step for e in events if e.kind == "finished"] == ["source", "check", "inspect"]
    assert copies.places == [(DISK,), (DISK,)]
    assert not fresh
    assert again == first


def test_an_image_that_is_refused_meanwhile_leaves_nothing(
    misleading: Path, tmp_path: Path, copies: Copies
):
    with pytest.raises(BakeryError, match="not on LVM"):
        build(misleading, Options(layout="pv"), tmp_path / "out", silent(), copies.means)
    assert copies.places == [(BOOT,)]
    assert not (tmp_path / "out").exists()


def test_a_second_build_begins_no_copy(misleading: Path, tmp_path: Path, copies: Copies):
    options = Options(layout="disk")
    for _ in range(2):
        build(misleading, options, tmp_path / "out", silent(), copies.means)
    assert copies.places == [(DISK,)]


def test_a_plan_copies_nothing(misleading: Path, tmp_path: Path, copies: Copies):
    plan(misleading, Options(layout="disk"), tmp_path / "out")
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
