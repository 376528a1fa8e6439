import mmap

import pytest
import zstandard

from bakery.node.agent import zstd
from bakery.node.agent.errors import AgentError
from bakery.node.agent.zstd import Decompressor

TEXT = b"some text " * 1000


@pytest.fixture
def target():
    return mmap.mmap(-1, 1 << 16)


def test_a_frame_is_inflated_to_exactly_its_length(target):
    frame = zstandard.compress(TEXT)
    assert Decompressor().into(frame, target, len(TEXT))
    assert target[: len(TEXT)] == TEXT
    assert not any(target[len(TEXT) :])


@pytest.mark.parametrize("length", [len(TEXT) - 1, len(TEXT) + 1])
def test_a_frame_of_another_length_is_not_what_was_expected(target, length):
    assert not Decompressor().into(zstandard.compress(TEXT), target, length)


@pytest.mark.parametrize("frame", [b"", b"no frame", zstandard.compress(TEXT)[:-1]])
def test_what_is_no_frame_is_not_what_was_expected(target, frame):
    assert not Decompressor().into(frame, target, len(TEXT))


def test_a_ramdisk_without_the_library_says_so(monkeypatch):
    monkeypatch.setattr(zstd, "LIBRARY", "libnone.so.9")
    with pytest.raises(AgentError, match=r"libnone\.so\.9 cannot be loaded"):
        Decompressor()
