import io
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.disk.formats import safety, vmdk


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("vmdk")
    raw = folder / "raw"
    raw.write_bytes(bytes(range(256)) * 8192)
    found = {}
    for kind in ("monolithicSparse", "streamOptimized"):
        path = folder / kind
        words = ["qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={kind}", raw, path]
        subprocess.run(words, check=True)
        found[kind] = path.read_bytes()
    return found


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_images_that_are_one_file_pass(images, kind):
    assert vmdk.findings(io.BytesIO(images[kind])) == []
    assert vmdk.truncation(io.BytesIO(images[kind])) == []


@pytest.mark.parametrize("kind", ["monolithicSparse", "streamOptimized"])
def test_an_image_cut_short_is_seen_to_be_one(images, kind):
    half = io.BytesIO(images[kind][: len(images[kind]) // 2])
    assert [finding.id for finding in vmdk.truncation(half)] == ["truncated"]


def test_an_image_as_ovftool_writes_it_passes(images, tmp_path):
    """Its descriptor says RDONLY, as nobody is to write to a stream."""
    content = images["streamOptimized"]
    start, length = (512 * n for n in struct.unpack_from("<QQ", content, 28))
    told = content[start : start + length].replace(b"\nRW ", b"\nRDONLY ", 1)[:length]
    path = tmp_path / "appliance-disk1.vmdk"
    path.write_bytes(content[:start] + told + content[start + length :])
    assert b"\nRDONLY " in told
    assert [found.id for found in safety.check(path).findings] == ["blank"]


@pytest.mark.parametrize(
    "line",
    [
        'NOACCESS 4 SPARSE "x"',
        'RDONLY 4 FLAT "x" 0',
        'RDONLY 4 SPARSE "/etc/shadow"',
        'RDONLY 4 VMFS "x"',
    ],
)
def test_an_extent_that_may_lie_outside_is_refused(line):
    told = f'createType="streamOptimized"\n{line}\n'.encode()
    assert [found.id for found in vmdk.descriptor_findings(told)] == ["outside-extents"]


def with_footer(content: bytes, **changed: int) -> bytes:
    """The image with its directory's place in a footer, as exporters of streams write it."""
    head = bytearray(content[:512])
    place = head[56:64]
    head[56:64] = b"\xff" * 8
    footer = bytearray(head)
    footer[56:64] = place
    if "capacity" in changed:
        footer[12:20] = changed["capacity"].to_bytes(8, "little")
    if "descriptor" in changed:
        footer[28:36] = changed["descriptor"].to_bytes(8, "little")
    return bytes(head) + content[512:] + bytes(512) + bytes(footer) + bytes(512)


def test_a_footer_that_repeats_the_header_passes(images):
    file = io.BytesIO(with_footer(images["streamOptimized"]))
    assert vmdk.findings(file) == []
    assert vmdk.truncation(file) == []


@pytest.mark.parametrize("change", [{"capacity": 0}, {"descriptor": 99}])
def test_a_footer_that_says_something_else_is_refused(images, change):
    file = io.BytesIO(with_footer(images["streamOptimized"], **change))
    assert [finding.id for finding in vmdk.findings(file)] == ["bad-header"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_descriptor_that_passes_names_one_extent_of_one_kind(text):
    told = b'createType="monolithicSparse"\nRW 1 SPARSE "x"\n' + text
    if not vmdk.descriptor_findings(told):
        lines = told.partition(b"\0")[0].lower().splitlines()
        assert not any(line.startswith(b"parentfilenamehint") for line in lines)
        assert sum(line.startswith((b"rw ", b"rdonly ", b"noaccess ")) for line in lines) == 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_an_image_with_bytes_changed_at_random_is_judged(images, data):
    content = bytearray(images["monolithicSparse"])
    for at in data.draw(st.lists(st.integers(0, 1400), max_size=6)):
        content[at] = data.draw(st.integers(0, 255))
    file = io.BytesIO(content)
    if not vmdk.findings(file):
        vmdk.truncation(file)


GOOD = b'# Disk DescriptorFile\ncreateType="monolithicSparse"\nRW 8 SPARSE "x.vmdk"\n'


def sparse(
    *grains: int,
    size: int = 64,
    capacity: int = 32,
    descriptor: bytes = GOOD,
    place: int = 1,
    length: int = 1,
    directory: int = 2,
    tables: tuple[int, ...] = (3, 4),
) -> io.BytesIO:
    """A VMDK of `size` sectors: grains of 8 sectors, two tables of two, which name `grains`."""
    image = bytearray(size * 512)
    fields = (b"KDMV", 1, 3, capacity, 8, place, length, 2, 0, directory, 0)
    struct.pack_into("<4sIIQQQQIQQQ", image, 0, *fields)
    image[512 : 512 + len(descriptor)] = descriptor
    if directory < size:
        struct.pack_into(f"<{len(tables)}I", image, directory * 512, *tables)
    for number, grain in enumerate(grains):
        struct.pack_into("<I", image, tables[number // 2] * 512 + number % 2 * 4, grain)
    return io.BytesIO(image)


def truncated(file: io.BytesIO) -> bool:
    return [finding.id for finding in vmdk.truncation(file)] == ["truncated"]


def test_a_grain_lies_in_the_file_or_the_file_is_cut_short():
    assert not truncated(sparse(8, 63))
    assert not truncated(sparse(8, 0, 0, 63))
    assert truncated(sparse(8, 64))
    assert truncated(sparse(8, 0, 0, 64))
    assert not truncated(sparse())


def test_tables_lie_in_the_file_or_it_is_cut_short():
    assert truncated(sparse(tables=(3, 64)))
    assert truncated(sparse(directory=64))
    ends = sparse(directory=63, tables=(3, 0), capacity=16 * 128).getvalue()
    assert truncated(io.BytesIO(ends[:-1]))
    assert not truncated(sparse(directory=63, tables=(3, 0)))
    assert truncated(sparse(tables=(3, 4), size=4))
    file = sparse(directory=63, tables=(3, 0), capacity=16 * 128)
    assert not truncated(file)
    file = sparse(directory=63, tables=(3, 0), capacity=16 * 128 + 1)
    assert truncated(file)


def ids(file: io.BytesIO) -> list[str]:
    return [finding.id for finding in vmdk.findings(file)]


def test_a_descriptor_lies_in_the_file_and_is_no_longer_than_the_limit():
    assert ids(sparse()) == []
    assert ids(sparse(place=0)) == ["bad-header"]
    assert ids(sparse(length=0)) == ["bad-header"]
    assert ids(sparse(size=129, length=128)) == []
    assert ids(sparse(size=128, length=128)) == ["bad-header"]
    assert ids(sparse(size=200, length=129)) == ["bad-header"]
    whole = sparse(size=3, directory=9, length=2).getvalue()
    assert ids(io.BytesIO(whole)) == []
    assert ids(io.BytesIO(whole[:-1])) == ["bad-header"]


def test_where_a_file_was_read_before_does_not_matter():
    for file in (sparse(8, 63), sparse(8, 64)):
        found = vmdk.truncation(file), vmdk.findings(file)
        file.seek(700)
        assert vmdk.truncation(file) == found[0]
        file.seek(700)
        assert vmdk.findings(file) == found[1]


def test_a_header_cut_short_or_without_data_is_refused():
    assert ids(io.BytesIO(sparse().getvalue()[:511])) == ["bad-header"]
    assert ids(sparse(capacity=0)) == ["outside-extents"]


def test_a_footer_differs_from_the_header_in_the_directory_alone():
    file = sparse(directory=0xFFFFFFFFFFFFFFFF)
    whole = file.getvalue()
    assert ids(file) == ["bad-header"], "the same header once more is no footer"
    for at, found in ((55, ["bad-header"]), (56, []), (63, []), (64, ["bad-header"])):
        footer = bytearray(whole[:512])
        footer[at] ^= 1
        assert ids(io.BytesIO(whole + bytes(footer) + bytes(512))) == found, at
    assert ids(io.BytesIO(whole[:600])) == ["bad-header"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD, []),
        (GOOD + b'parentCID=ffffffff\nddb.adapterType = "ide"\n\n# more\n', []),
        (GOOD + b"\0parentFileNameHint=x", []),
        (GOOD + b"parentCID=12345678\n", ["backing-file"]),
        (GOOD + b'parentFileNameHint="/etc/passwd"\n', ["backing-file"]),
        (GOOD + b"what is this\n", ["bad-header"]),
        (GOOD + b"\xff\n", ["bad-header"]),
        (GOOD.replace(b"Sparse", b"Flat"), ["outside-extents"]),
        (GOOD.replace(b"monolithicSparse", b"streamOptimized"), []),
        (GOOD.replace(b"SPARSE", b"FLAT"), ["outside-extents"]),
        (GOOD.replace(b"x.vmdk", b"/x.vmdk"), ["outside-extents"]),
        (GOOD.replace(b'"x.vmdk"', b'"x.vmdk" 0'), ["outside-extents"]),
        (GOOD.replace(b"RW", b"RDONLY"), []),
        (GOOD.replace(b"RW", b"NOACCESS"), ["outside-extents"]),
        (GOOD + b'RW 8 SPARSE "y.vmdk"\n', ["outside-extents"]),
        (GOOD.partition(b"RW")[0], ["outside-extents"]),
        (b"", ["outside-extents", "outside-extents"]),
    ],
)
def test_a_descriptor_says_nothing_but_that_it_is_one_file(text: bytes, found: list[str]):
    assert [finding.id for finding in vmdk.descriptor_findings(text)] == found
