"""One frame of zstd, and what it may unpack to (docs/recovery.md, "What is verified")."""

import pytest
import zstandard

from bakery.host.errors import BakeryError
from bakery.recovery import packing, records

TAR = b"tar" * 1000


def frame(content=TAR):
    packer = packing.compressor()
    return packer.compress(content) + packer.flush()


def unpacked(*chunks, limit=1 << 20):
    return b"".join(packing.unpacked(chunks, limit))


def test_a_tar_may_be_of_four_gibibytes_and_a_thousand_bytes_for_each_of_the_archive():
    assert packing.limit_bytes(0) == 4 << 30
    assert packing.limit_bytes(7) == (4 << 30) + 7000


def test_a_frame_comes_in_any_pieces_and_has_a_checksum():
    packed = frame()
    assert zstandard.get_frame_parameters(packed).has_checksum
    assert unpacked(packed) == TAR
    assert unpacked(*(packed[at : at + 1] for at in range(len(packed)))) == TAR
    large = zstandard.ZstdCompressor().compress(bytes(range(256)) * 4096)
    assert unpacked(large) == bytes(range(256)) * 4096


def test_as_much_as_the_limit_is_unpacked_and_not_one_byte_more():
    assert unpacked(frame(), limit=len(TAR)) == TAR
    with pytest.raises(BakeryError, match=f"it unpacks to more than {len(TAR) - 1} bytes"):
        unpacked(frame(), limit=len(TAR) - 1)


def test_a_frame_may_refer_to_eight_mebibytes_of_its_past():
    for log, taken in ((23, True), (24, False)):
        parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=log)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        packed = packer.compress(TAR) + packer.flush()
        if taken:
            assert unpacked(packed) == TAR
        else:
            with pytest.raises(BakeryError, match="cannot be unpacked"):
                unpacked(packed)


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        ([frame(), b"x"], "something follows"),
        ([frame() + b"x"], "something follows"),
        ([frame(), b""], None),
        ([frame()[:-1]], "cut short"),
        ([], "cut short"),
        ([b"no frame at all"], "cannot be unpacked"),
    ],
)
def test_one_frame_and_nothing_else(chunks, reason):
    if reason is None:
        assert unpacked(*chunks) == TAR
        return
    with pytest.raises(BakeryError, match=reason) as refused:
        unpacked(*chunks)
    assert refused.value.hint == records.NOT_OURS


def test_nothing_is_given_that_is_empty():
    assert all(packing.unpacked([frame()[:3], frame()[3:]], 1 << 20))
