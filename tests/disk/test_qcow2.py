import io
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk import qcow2, qcow2_map
from bakery.disk.extents import Extent, total
from bakery.errors import BakeryError

MIB = 1 << 20
SIZE = 6 * MIB + 512


def qemu(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)


def write(image: Path, *commands: str) -> None:
    qemu("qemu-io", "-f", "qcow2", *(word for c in commands for word in ("-c", c)), image)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("qcow2") / "base.qcow2"
    qemu("qemu-img", "create", "-f", "qcow2", path, str(SIZE))
    write(path, "write -P 1 100k 10k", "write -P 2 1M 192k", f"write -P 3 {SIZE - 512} 512")
    return path


@pytest.fixture
def overlay(base, tmp_path) -> Path:
    path: Path = tmp_path / "overlay.qcow2"
    qemu("qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", base, path)
    return path


def header(path: Path) -> qcow2.Header:
    return qcow2.parse(path.read_bytes()[: qcow2.HEAD_BYTES])


def allocated(path: Path) -> tuple[Extent, ...]:
    with path.open("rb") as file:
        return qcow2_map.allocated(file)


def test_a_header_says_what_qemu_img_was_told(base):
    found = header(base)
    assert (found.version, found.virtual_size_bytes, found.cluster_bytes) == (3, SIZE, 65536)
    assert (found.backing_file, found.data_file, found.compression) == ("", "", "zlib")
    assert found.feature_names[2] == "external data file"
    assert qcow2.findings(found) == []


def test_an_overlay_names_its_backing_file_and_its_format(base, overlay):
    found = header(overlay)
    assert (found.backing_file, found.backing_format) == (str(base)[:100], "qcow2")
    assert [finding.id for finding in qcow2.findings(found)] == ["backing-file"]


@pytest.mark.parametrize("options", ["compat=0.10", "cluster_size=512", "cluster_size=2M"])
def test_other_versions_and_cluster_sizes_are_read(base, tmp_path, options):
    path = tmp_path / "other.qcow2"
    qemu("qemu-img", "convert", "-O", "qcow2", "-o", options, base, path)
    assert header(path).virtual_size_bytes == SIZE
    assert total(allocated(path)) >= 192 * 1024


def test_zstd_is_told_from_zlib(base, tmp_path):
    path = tmp_path / "zstd.qcow2"
    qemu("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", base, path)
    assert header(path).compression == "zstd"


def test_allocated_is_what_was_written_rounded_to_clusters(base):
    assert allocated(base) == (
        Extent(65536, 65536),
        Extent(MIB, 192 * 1024),
        Extent(6 * MIB, 512),  # the disk ends inside this cluster
    )


def test_compressed_clusters_are_allocated_ones(base, tmp_path):
    path = tmp_path / "packed.qcow2"
    qemu("qemu-img", "convert", "-c", "-O", "qcow2", base, path)
    assert allocated(path) == allocated(base)


def test_a_new_overlay_holds_nothing(overlay):
    assert allocated(overlay) == ()


def test_of_an_overlay_only_its_own_writes_are_told_zeros_included(overlay):
    write(overlay, "write -P 9 2M 512", "write -z 3M 64k", "discard 100k 64k")
    assert Extent(2 * MIB, 65536) in allocated(overlay)
    assert Extent(3 * MIB, 65536) in allocated(overlay)


def test_the_survey_counts_the_stored_clusters(base):
    with base.open("rb") as file:
        found = qcow2_map.survey(file, header(base))
    assert found == qcow2_map.Summary(data_bytes=5 * 65536, l2_tables=1)


def test_the_quick_count_and_the_slow_one_agree(base, tmp_path):
    """Entries without the "copied" bit keep the quick way from being taken."""
    content = bytearray(base.read_bytes())
    l2 = int.from_bytes(content[0x30000:0x30008], "big") & ((1 << 56) - 512)
    for at in range(l2, l2 + 97 * 8, 8):
        content[at] &= 0x7F
    other = tmp_path / "other.qcow2"
    other.write_bytes(content)
    with base.open("rb") as one, other.open("rb") as two:
        assert qcow2_map.survey(one, header(base)) == qcow2_map.survey(two, header(other))


@pytest.mark.parametrize("missing", [1, 512, 65536, 5 * 65536])
def test_a_truncated_image_is_seen_to_be_one(base, tmp_path, missing):
    write_whole = base.read_bytes()
    whole = write_whole[: -(-len(write_whole) // 65536) * 65536]
    path = tmp_path / "cut.qcow2"
    # The last cluster of the disk of odd size needs 512 bytes of its cluster alone.
    last = max(place_ends(whole))
    path.write_bytes(whole[: last - missing])
    with path.open("rb") as file, pytest.raises(qcow2_map.Truncated, match="cut short"):
        qcow2_map.survey(file, header(path))


def place_ends(content: bytes) -> list[int]:
    found = qcow2.parse(content[: qcow2.HEAD_BYTES])
    file = io.BytesIO(content)
    return [
        (entry & ((1 << 56) - 512)) + (512 if index == 96 else 65536)
        for _, table in qcow2_map._tables(file, found, len(content))
        for index, entry in enumerate(table)
        if entry
    ]


def test_extended_l2_entries_are_said_not_to_be_walked(tmp_path):
    path = tmp_path / "extended.qcow2"
    qemu("qemu-img", "create", "-f", "qcow2", "-o", "extended_l2=on", path, "1M")
    with pytest.raises(qcow2_map.BadMap, match="extended"):
        allocated(path)


def test_names_in_the_image_are_shown_without_control_characters(base):
    content = bytearray(base.read_bytes())
    content[8:20] = (1024).to_bytes(8, "big") + (9).to_bytes(4, "big")
    content[1024:1033] = b"a\x1b[31m\n\xffb"
    found = qcow2.parse(bytes(content[: qcow2.HEAD_BYTES]))
    assert found.backing_file.isprintable()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_a_header_or_refused(data):
    for head in (data, qcow2.MAGIC + data, qcow2.MAGIC + b"\0\0\0\3" + data):
        try:
            qcow2.parse(head)
        except BakeryError:
            continue


CHANGES = st.lists(
    st.tuples(
        st.one_of(
            st.integers(0, 120), st.integers(0x30000, 0x30010), st.integers(0x40000, 0x40310)
        ),
        st.integers(0, 255),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(changes=CHANGES, cut=st.integers(0, 700_000))
def test_an_image_with_bytes_changed_at_random_is_walked_or_refused(base, changes, cut):
    content = bytearray(base.read_bytes())
    for at, value in changes:
        content[at] = value
    del content[max(cut, 4096) :]
    file = io.BytesIO(content)
    try:
        found = qcow2.parse(bytes(content[: qcow2.HEAD_BYTES]))
        stored = qcow2_map.survey(file, found).data_bytes
        extents = qcow2_map.allocated(file)
    except BakeryError:
        return
    assert stored <= total(extents) + found.cluster_bytes
    assert all(e.end <= found.virtual_size_bytes for e in extents)
