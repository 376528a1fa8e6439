import io
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.extents import Extent, total
from bakery.disk.formats import qcow2, qcow2_map
from bakery.host.errors import BakeryError

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


def test_an_overlay_names_its_backing_file(base, overlay):
    found = header(overlay)
    assert found.backing_file == str(base)[:100]
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


def test_the_walk_counts_the_stored_clusters(base):
    with base.open("rb") as file:
        found = qcow2_map.stored_bytes(file, header(base))
    assert found == 5 * 65536


def test_the_quick_count_and_the_slow_one_agree(base, tmp_path):
    """Entries without the "copied" bit keep the quick way from being taken."""
    content = bytearray(base.read_bytes())
    l2 = int.from_bytes(content[0x30000:0x30008], "big") & ((1 << 56) - 512)
    for at in range(l2, l2 + 97 * 8, 8):
        content[at] &= 0x7F
    other = tmp_path / "other.qcow2"
    other.write_bytes(content)
    with base.open("rb") as one, other.open("rb") as two:
        assert qcow2_map.stored_bytes(one, header(base)) == qcow2_map.stored_bytes(
            two, header(other)
        )


@pytest.mark.parametrize("missing", [1, 512, 65536, 5 * 65536])
def test_a_truncated_image_is_seen_to_be_one(base, tmp_path, missing):
    write_whole = base.read_bytes()
    whole = write_whole[: -(-len(write_whole) // 65536) * 65536]
    path = tmp_path / "cut.qcow2"
    # The last cluster of the disk of odd size needs 512 bytes of its cluster alone.
    last = max(place_ends(whole))
    path.write_bytes(whole[: last - missing])
    with path.open("rb") as file, pytest.raises(qcow2_map.Truncated, match="cut short"):
        qcow2_map.stored_bytes(file, header(path))


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
        stored = qcow2_map.stored_bytes(file, found)
        extents = qcow2_map.allocated(file)
    except BakeryError:
        return
    assert stored <= total(extents) + found.cluster_bytes
    assert all(e.end <= found.virtual_size_bytes for e in extents)


def changed_header(base: Path, at: int, value: int, length: int) -> qcow2.Header:
    head = bytearray(base.read_bytes()[: qcow2.HEAD_BYTES])
    head[at : at + length] = value.to_bytes(length, "big")
    return qcow2.parse(bytes(head))


# Where a field of the header lies (docs/interop/qcow2.txt of QEMU), what is taken, what is not.
@pytest.mark.parametrize(
    ("at", "length", "fits", "bad", "words"),
    [
        (4, 4, 3, 4, "version 4 is unknown"),
        (20, 4, 16, 8, "outside 512 bytes"),
        (20, 4, 16, 22, "outside 512 bytes"),
        (36, 4, (32 << 20) // 8, (32 << 20) // 8 + 1, "larger than 32 MiB"),
        (36, 4, 1, 0, "too small for the disk"),
        (40, 8, 0x30000, 0x30200, "L1 table does not start at a cluster"),
        (48, 8, 0x10000, 0x10200, "refcount table"),
        (56, 4, (8 << 20) >> 16, ((8 << 20) >> 16) + 1, "larger than 8 MiB"),
        (56, 4, 1, 0, "refcount table"),
        (60, 4, 65536, 65537, "snapshots are too many"),
        (64, 8, 0x10000, 0x10200, "snapshot table does not start"),
        (96, 4, 6, 7, "refcount order of 7"),
        (100, 4, 104, 103, "header length of 103"),
        (100, 4, 112, 108, "header length of 108"),
        (100, 4, 104, 96, "header length of 96"),
        (104, 1, 0, 1, "do not agree"),
        (72, 8, 0, 1 << 3, "do not agree"),
    ],
)
def test_a_field_is_as_large_as_qemu_has_it_and_no_larger(base, at, length, fits, bad, words):
    changed_header(base, at, fits, length)
    with pytest.raises(qcow2.BadHeader, match=words):
        changed_header(base, at, bad, length)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"crypt_method": 1}, [("encrypted", "refuse", "AES")]),
        ({"crypt_method": 2}, [("encrypted", "refuse", "LUKS")]),
        ({"crypt_method": 3}, [("encrypted", "refuse", "method 3")]),
        ({"encryption_header": True}, [("encrypted", "refuse", "method 0")]),
        ({"incompatible": 1 << 0}, [("dirty", "warn", "not closed")]),
        ({"incompatible": 1 << 1}, [("corrupt", "refuse", "corrupt")]),
        ({"incompatible": 1 << 2}, [("data-file", "refuse", "another file")]),
        ({"data_file": "x"}, [("data-file", "refuse", "'x'")]),
        ({"incompatible": 1 << 4}, [("unknown-features", "refuse", "extended L2")]),
        ({"incompatible": 1 << 5}, [("unknown-features", "refuse", "bits 5 (no name)")]),
        ({"incompatible": 1 << 63}, [("unknown-features", "refuse", "bits 63")]),
        ({"backing_file": "x"}, [("backing-file", "refuse", "'x'")]),
        ({"snapshots": 2}, [("internal-snapshots", "warn", "2 internal")]),
    ],
    ids=str,
)
def test_what_a_header_says_against_the_image_is_found(base, changes, found):
    told = qcow2.findings(msgspec.structs.replace(header(base), **changes))
    assert [(finding.id, finding.severity) for finding in told] == [one[:2] for one in found]
    assert all(words in finding.message for finding, (_, _, words) in zip(told, found, strict=True))


@pytest.mark.parametrize(("extended", "entries"), [(False, 8192), (True, 4096)])
def test_an_l2_table_is_one_cluster_of_entries(base, extended, entries):
    found = msgspec.structs.replace(header(base), incompatible=extended << 4)
    assert found.l2_span_bytes == entries * 65536


@pytest.mark.parametrize(("bits", "split"), [(9, 61), (16, 54), (21, 49)])
def test_a_compressed_cluster_lies_where_its_entry_says(base, bits, split):
    """QEMU's docs/interop/qcow2.txt: place below `split`, then the further sectors it takes."""
    found = msgspec.structs.replace(header(base), cluster_bits=bits)
    for place, sectors in ((0x50000, 0), (0x50123, 1), (0x50123, (1 << 62 - split) - 1)):
        entry = 1 << 62 | sectors << split | place
        cluster = qcow2_map._cluster(entry, found, 7)
        end = 0x50000 + (0x123 // 512 + sectors + 1) * 512
        assert cluster == qcow2_map.Cluster(7, place, end - place, compressed=True)
        assert qcow2_map._end(entry, found, 7) == end - 511


def extended(base: Path, *extensions: tuple[int, bytes]) -> bytes:
    """A header of version 3 that is followed by these extensions, each filled up to eight bytes."""
    head = bytearray(base.read_bytes()[:104])
    head[100:104] = (104).to_bytes(4, "big")
    for kind, content in extensions:
        head += kind.to_bytes(4, "big") + len(content).to_bytes(4, "big")
        head += content.ljust(-(-len(content) // 8) * 8, b"\0")
    return bytes(head)


def test_extensions_follow_one_another_at_eight_bytes(base):
    for filler in (b"", b"1", b"1234567", b"12345678", b"123456789"):
        head = extended(base, (0xE2792ACA, filler), (qcow2.DATA_FILE_NAME, b"name"))
        assert qcow2.parse(head).data_file == "name"
        assert qcow2.parse(head + bytes(99)).data_file == "name"
    behind = extended(base, (0, b""), (qcow2.DATA_FILE_NAME, b"name"))
    assert qcow2.parse(behind).data_file == ""


def test_an_extension_lies_in_what_was_read(base):
    head = extended(base, (qcow2.DATA_FILE_NAME, b"12345678"))
    assert qcow2.parse(head).data_file == "12345678"
    with pytest.raises(qcow2.BadHeader, match="longer than the header"):
        qcow2.parse(head[:-1])
    assert qcow2.parse(head[:111]).data_file == ""


def test_a_header_lists_as_many_extensions_as_the_limit_allows(base):
    few = [(7, b"")] * (qcow2.EXTENSION_LIMIT - 1)
    assert qcow2.parse(extended(base, *few)).version == 3
    with pytest.raises(qcow2.BadHeader, match="too many extensions"):
        qcow2.parse(extended(base, *few, (7, b"")))


def test_a_header_may_end_with_the_file(base):
    assert qcow2.parse(extended(base)).version == 3
    with pytest.raises(qcow2.BadHeader, match="too short"):
        qcow2.parse(extended(base)[:-1])
    longer = bytearray(extended(base) + bytes(8))
    longer[100:104] = (112).to_bytes(4, "big")
    assert qcow2.parse(bytes(longer)).version == 3
    with pytest.raises(qcow2.BadHeader, match="header length of 112"):
        qcow2.parse(bytes(longer[:-1]))


def test_a_name_is_shown_shortened(base):
    for length, shown in ((100, "x" * 100), (101, "x" * 99 + "…")):
        head = extended(base, (qcow2.DATA_FILE_NAME, b"x" * length))
        assert qcow2.parse(head).data_file == shown
