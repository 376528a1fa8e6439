"""The two-level table of a small qcow2, entry by entry: 512 bytes a cluster, 32 KiB a table."""

import io
import subprocess
from pathlib import Path

import msgspec
import pytest

from bakery.disk.extents import Extent
from bakery.disk.formats import qcow2, qcow2_map
from bakery.disk.formats.qcow2_map import BadMap, Cluster, Truncated

CLUSTER, SPAN = 512, 32 << 10
COPIED, COMPRESSED = 1 << 63, 1 << 62


class Image:
    """A disk of three tables' span, full of data, whose entries a test may change."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.header = qcow2.parse(content[: qcow2.HEAD_BYTES])

    def entry(self, at: int) -> int:
        return int.from_bytes(self.content[at : at + 8], "big")

    def set(self, at: int, value: int) -> None:
        self.content[at : at + 8] = value.to_bytes(8, "big")

    def l1(self, number: int) -> int:
        return self.header.l1_offset + 8 * number

    def l2(self, number: int) -> int:
        """Where the entry of cluster `number` of the disk lies."""
        table = self.entry(self.l1(number // 64)) & ((1 << 56) - 512)
        return table + number % 64 * 8

    def allocated(self) -> tuple[Extent, ...]:
        return qcow2_map.allocated(io.BytesIO(self.content))

    def stored(self) -> int:
        return qcow2_map.stored_bytes(io.BytesIO(self.content), self.header)

    def clusters(self, window: Extent) -> list[Cluster]:
        return list(qcow2_map.clusters(io.BytesIO(self.content), self.header, window))


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder: Path = tmp_path_factory.mktemp("map")
    path = folder / "image.qcow2"
    options: list[str | Path] = ["-o", f"cluster_size={CLUSTER}", path, str(3 * SPAN)]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options], check=True)
    write: list[str | Path] = ["qemu-io", "-f", "qcow2", "-c", f"write -q -P 7 0 {3 * SPAN}", path]
    subprocess.run(write, check=True)
    return path.read_bytes()


@pytest.fixture
def image(content: bytes) -> Image:
    return Image(content)


def test_all_of_a_full_disk_is_held_and_stored(image: Image):
    assert image.allocated() == (Extent(0, 3 * SPAN),)
    assert image.stored() == 3 * SPAN
    assert [cluster.at for cluster in image.clusters(Extent(0, 3 * SPAN))] == [
        *range(0, 3 * SPAN, CLUSTER)
    ]


def test_entries_that_place_nothing_are_not_stored_and_zeros_are_held(image: Image):
    image.set(image.l2(5), 0)
    image.set(image.l2(70), 1)
    assert image.stored() == 3 * SPAN - 2 * CLUSTER
    assert image.allocated() == (
        Extent(0, 5 * CLUSTER),
        Extent(6 * CLUSTER, 3 * SPAN - 6 * CLUSTER),
    )
    places = [cluster.at // CLUSTER for cluster in image.clusters(Extent(0, 3 * SPAN))]
    assert len(places) == 190
    assert not {5, 70} & set(places)


def test_a_zero_that_keeps_its_place_is_no_data(image: Image):
    image.set(image.l2(3), image.entry(image.l2(3)) | 1)
    assert [c.at // CLUSTER for c in image.clusters(Extent(0, 5 * CLUSTER))] == [0, 1, 2, 4]
    assert image.stored() == 3 * SPAN


def test_a_table_that_is_unused_is_passed_over(image: Image):
    image.set(image.l1(1), 0)
    assert image.allocated() == (Extent(0, SPAN), Extent(2 * SPAN, SPAN))
    assert image.stored() == 2 * SPAN


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [
        (Extent(0, 1), 0, 0),
        (Extent(CLUSTER - 1, 2), 0, 1),
        (Extent(CLUSTER, CLUSTER), 1, 1),
        (Extent(SPAN - 1, 2), 63, 64),
        (Extent(SPAN, SPAN), 64, 127),
        (Extent(SPAN - CLUSTER, SPAN + 2 * CLUSTER), 63, 128),
        (Extent(3 * SPAN - 1, 1), 191, 191),
    ],
)
def test_only_clusters_that_touch_the_window_are_told(
    image: Image, window: Extent, first: int, last: int
):
    assert [c.at // CLUSTER for c in image.clusters(window)] == [*range(first, last + 1)]


def test_a_table_that_is_used_twice_or_starts_nowhere_is_damage(image: Image):
    second = image.entry(image.l1(1))
    image.set(image.l1(1), image.entry(image.l1(0)))
    with pytest.raises(BadMap, match="used twice"):
        image.stored()
    image.set(image.l1(1), second)
    image.header = msgspec.structs.replace(image.header, cluster_bits=10)
    with pytest.raises(BadMap, match="starts nowhere"):
        image.set(image.l1(0), COPIED | 512)
        image.stored()


def test_tables_are_as_large_as_the_limit_at_most(image: Image, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(qcow2_map, "TABLES_LIMIT_BYTES", 3 * CLUSTER)
    assert image.stored() == 3 * SPAN
    monkeypatch.setattr(qcow2_map, "TABLES_LIMIT_BYTES", 3 * CLUSTER - 1)
    with pytest.raises(BadMap, match="larger than"):
        image.stored()


def test_entries_behind_the_disks_end_do_not_count(image: Image):
    image.header = msgspec.structs.replace(image.header, virtual_size_bytes=SPAN + CLUSTER + 1)
    assert image.stored() == SPAN + 2 * CLUSTER
    image.header = msgspec.structs.replace(image.header, virtual_size_bytes=SPAN + CLUSTER)
    assert image.stored() == SPAN + CLUSTER
    image.header = msgspec.structs.replace(image.header, virtual_size_bytes=SPAN)
    assert image.stored() == SPAN


def test_the_last_cluster_of_a_disk_need_not_be_whole_in_the_file(image: Image):
    last = max(image.entry(image.l2(n)) & ~COPIED for n in range(192))
    number = next(n for n in range(192) if image.entry(image.l2(n)) & ~COPIED == last)
    if number != 191:  # the one at the disk's end shall be the file's last
        one, other = image.entry(image.l2(number)), image.entry(image.l2(191))
        image.set(image.l2(number), other)
        image.set(image.l2(191), one)
    image.header = msgspec.structs.replace(image.header, virtual_size_bytes=3 * SPAN - 500)
    del image.content[last + 12 :]
    assert image.stored() == 3 * SPAN
    del image.content[last + 11 :]
    with pytest.raises(Truncated, match="cut short"):
        image.stored()


@pytest.mark.parametrize("odd", [0, 1 | COPIED, COMPRESSED])
def test_the_quick_count_and_that_entry_by_entry_agree(image: Image, odd: int):
    """One entry of another kind keeps the quick way from being taken for its table."""
    at = image.l2(9)
    place = image.entry(at) & ~COPIED
    image.set(at, place | odd)
    assert image.stored() == 3 * SPAN
    size = max(c.place + c.length for c in image.clusters(Extent(0, 3 * SPAN)) if not c.compressed)
    del image.content[size:]
    assert image.stored() == 3 * SPAN
    del image.content[size - 1 :]
    with pytest.raises(Truncated):
        image.stored()


def test_a_table_lies_in_the_file(image: Image):
    image.header = msgspec.structs.replace(image.header, l1_offset=len(image.content) - 24)
    image.content[-24:] = bytes(24)
    assert image.stored() == 0
    image.header = msgspec.structs.replace(image.header, l1_offset=len(image.content) - 23)
    with pytest.raises(Truncated, match="a table ends at byte"):
        image.stored()
