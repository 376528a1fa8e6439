"""The copy by clusters against qemu-img's own, on images of every shape it takes."""

import io
import random
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk import blockdevs, digest
from bakery.disk.copy import clusters, confined_copy, copy
from bakery.disk.extents import Extent, total
from bakery.disk.formats import qcow2
from bakery.host.errors import BakeryError

MIB = 1 << 20
SIZE = 9 * MIB + 512
RANGES = {
    "the whole disk": [Extent(0, SIZE)],
    "a partition": [Extent(MIB, 7 * MIB)],
    "odd sectors": [Extent(513 * 512, 3 * MIB + 512)],
    "segments out of order": [Extent(6 * MIB + 512, 2 * MIB), Extent(MIB, 3 * MIB + 1024)],
    "the end": [Extent(SIZE - 512, 512)],
    "nothing but zeros": [Extent(4 * MIB + 65536, 65536)],
}


class Shape(NamedTuple):
    cluster: str
    compat: str = "1.1"
    packed: bool = True


SHAPES = [
    Shape("512"),
    Shape("4096", "0.10"),
    Shape("65536"),
    Shape("2M"),
    Shape("512", packed=False),
    Shape("65536", packed=False),
    Shape("2M", "0.10", packed=False),
]


def qemu(*words: str | Path) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text, noise and zeros, in pieces that begin and end anywhere."""
    path: Path = tmp_path_factory.mktemp("copy") / "disk.raw"
    dice = random.Random(5)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for start in (0, 700_000, 2 * MIB - 100, 3 * MIB, 6 * MIB + 77, SIZE - 512):
            length = min(SIZE - start, dice.randrange(1, 600_000))
            text = b"%d zeros and ones " % start * (length // 20 + 1)
            file.seek(start)
            file.write((text if dice.random() < 0.6 else dice.randbytes(length))[:length])
        file.truncate(SIZE)
    return path


def made(raw: Path, folder: Path, shape: Shape) -> Path:
    path = folder / "image.qcow2"
    options = f"cluster_size={shape.cluster},compat={shape.compat}"
    packed = ["-c"] if shape.packed else []
    qemu("qemu-img", "convert", *packed, "-O", "qcow2", "-o", options, raw, path)
    return path


def copied(image: Path, ranges: list[Extent], out: Path) -> digest.Fingerprint:
    growing = digest.Growing(out, total(ranges))
    try:
        copy.copy_ranges(
            blockdevs.image(image, "qcow2"), [image], ranges, out, None, growing.landed
        )
        return growing.fingerprint()
    finally:
        growing.close()


def expected(disk: bytes, ranges: list[Extent]) -> bytes:
    return b"".join(disk[extent.offset : extent.end] for extent in ranges)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"{s.cluster}-{s.compat}-{s.packed}")
def test_every_range_of_every_shape_is_copied(raw: Path, tmp_path: Path, shape: Shape):
    image, disk = made(raw, tmp_path, shape), raw.read_bytes()
    assert clusters.takes(blockdevs.image(image, "qcow2"))
    for name, ranges in RANGES.items():
        out = tmp_path / name
        found = copied(image, ranges, out)
        assert out.read_bytes() == expected(disk, ranges), name
        assert digest.fingerprint(out) == found, name


def test_a_filesystem_without_direct_writes_is_written_too(raw: Path, tmp_path: Path):
    image = made(raw, tmp_path, Shape("65536"))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        copied(image, [Extent(0, SIZE)], Path(folder) / "out")
        assert (Path(folder) / "out").read_bytes() == raw.read_bytes()


def test_zeros_inside_clusters_become_holes(raw: Path, tmp_path: Path):
    image = made(raw, tmp_path, Shape("2M"))
    copied(image, [Extent(0, SIZE)], tmp_path / "ours")
    qemu("qemu-img", "convert", "-O", "raw", image, tmp_path / "theirs")
    ours, theirs = (digest.fingerprint(tmp_path / name).extents for name in ("ours", "theirs"))
    assert total(ours) <= total(theirs) < SIZE // 2


def test_clusters_that_read_as_zeros_are_not_written(raw: Path, tmp_path: Path):
    image = made(raw, tmp_path, Shape("65536", packed=False))
    qemu("qemu-io", "-f", "qcow2", "-c", "write -z 0 1M", "-c", "discard 3M 64k", image)
    copied(image, [Extent(0, SIZE)], tmp_path / "out")
    qemu("qemu-img", "convert", "-O", "raw", image, tmp_path / "theirs")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert (tmp_path / "out").read_bytes()[:MIB] == bytes(MIB)


@pytest.mark.parametrize(
    "options",
    ["compression_type=zstd", "extended_l2=on,cluster_size=128k", "data_file={}/data"],
)
def test_what_is_stranger_is_left_to_qemu_img(raw: Path, tmp_path: Path, options: str):
    image = tmp_path / "strange.qcow2"
    words = options.format(tmp_path)
    qemu("qemu-img", "convert", "-O", "qcow2", "-o", words, raw, image)
    assert not clusters.takes(blockdevs.image(image, "qcow2"))


def test_a_disk_over_another_is_left_to_qemu_img(raw: Path, tmp_path: Path):
    image = made(raw, tmp_path, Shape("65536"))
    assert not clusters.takes(blockdevs.overlay(image, blockdevs.image(raw, "raw")))
    assert not clusters.takes(blockdevs.window(blockdevs.image(image, "qcow2"), 0, MIB))


def test_a_damaged_cluster_is_told_in_one_line(raw: Path, tmp_path: Path):
    image = made(raw, tmp_path, Shape("65536"))
    with image.open("rb") as file:
        header = qcow2.parse(file.read(qcow2.HEAD_BYTES))
        parts = confined_copy.parts(file, header, [Extent(0, SIZE)])
        first = next(part.cluster for part in parts if part.cluster.compressed)
    with image.open("r+b") as file:
        file.seek(first.place)
        file.write(b"\xff" * 64)
    with pytest.raises(BakeryError, match=f"cluster at byte {first.at} is damaged") as caught:
        copied(image, [Extent(0, SIZE)], tmp_path / "out")
    assert "Traceback" not in caught.value.message


@pytest.mark.parametrize(
    "told",
    [
        b"done -1\n",
        b"done 99\n",
        b"done 10\ndone 5\n",
        b"done\n",
        b"chunk 7 00\n",
        b"chunk 0 nonsense\n",
        b"chunk 0\n",
        b"\n",
        b"done 50\nchunk 0 " + b"00" * 32 + b"\n",
    ],
)
def test_a_program_that_was_taken_over_is_not_believed(told: bytes):
    listener = clusters._Listener(64, None, lambda _extent, _digests: None)
    with pytest.raises(BakeryError, match="makes no sense"):
        listener.take(told)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_image_makes_it_fail_otherwise_than_in_words(small: bytes, data: st.DataObject):
    damaged = bytearray(small)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    file = io.BytesIO(bytes(damaged))
    try:
        header = qcow2.parse(file.read(qcow2.HEAD_BYTES))
        for part in confined_copy.parts(file, header, [Extent(0, 2 * MIB)]):
            assert 0 <= part.skip < part.end <= header.cluster_bytes
            assert 0 <= part.at < 2 * MIB
    except BakeryError:
        return


@pytest.fixture(scope="module")
def small(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made(raw, tmp_path_factory.mktemp("small"), Shape("4096")).read_bytes()


def test_what_the_program_tells_in_pieces_is_handed_on_range_by_range():
    landed: list[tuple[Extent, dict[int, bytes] | None]] = []
    told: list[tuple[int, int]] = []
    size = 3 * MIB + 5
    listener = clusters._Listener(
        size, lambda *step: told.append(step), lambda *range_: landed.append(range_)
    )
    text = f"chunk 0 {'aa' * 32}\nchunk 1 {'bb' * 32}\ndone {2 * MIB}\ndone {2 * MIB}\n"
    text += f"chunk 3 {'cc' * 32}\ndone {size}\n"
    for start in range(0, len(text), 7):
        listener.take(text[start : start + 7].encode())
    assert landed == [
        (Extent(0, 2 * MIB), {0: b"\xaa" * 32, 1: b"\xbb" * 32}),
        (Extent(2 * MIB, MIB + 5), {3: b"\xcc" * 32}),
    ]
    assert told == [(2 * MIB, size), (2 * MIB, size), (size, size)]
    assert listener.done == size


@pytest.mark.parametrize(("chunk", "fits"), [(0, False), (1, True), (3, True), (4, False)])
def test_a_chunk_lies_behind_what_is_done_and_before_the_end(chunk: int, fits: bool):
    listener = clusters._Listener(3 * MIB + 5, None, None)
    listener.take(f"done {MIB}\n".encode())
    line = f"chunk {chunk} {'00' * 32}\n".encode()
    if fits:
        listener.take(line)
    else:
        with pytest.raises(BakeryError, match="makes no sense"):
            listener.take(line)


def test_a_copy_that_ends_too_early_is_no_copy(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    image, out = made(raw, tmp_path, Shape("65536")), tmp_path / "out"
    monkeypatch.setattr(clusters, "run_confined", lambda *_words, **_options: None)
    out.touch()
    with pytest.raises(BakeryError, match=f"ended after 0 of {SIZE} bytes"):
        clusters.copy(image, [Extent(0, SIZE)], out)


def test_only_a_file_that_stands_alone_is_taken(raw: Path, tmp_path: Path):
    image = made(raw, tmp_path, Shape("65536"))
    node = blockdevs.image(image, "qcow2")
    assert clusters.takes(node)
    assert not clusters.takes(node | {"driver": "raw"})
    assert not clusters.takes(node | {"backing": node})
    assert not clusters.takes(node | {"file": node["file"] | {"driver": "nbd"}})
    assert not clusters.takes(blockdevs.image(tmp_path / "none", "qcow2"))
    assert not clusters.takes(blockdevs.image(raw, "qcow2"))
    for at, value in ((32, 1), (79, 0b10), (79, 0b1)):
        content = bytearray(image.read_bytes())
        content[at + 3 if at == 32 else at] = value
        (tmp_path / "odd").write_bytes(content)
        odd = blockdevs.image(tmp_path / "odd", "qcow2")
        assert clusters.takes(odd) == ((at, value) == (79, 0b1)), "only a dirty one is taken"
