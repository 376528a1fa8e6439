import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.system import pe
from bakery.system.pe import Section
from tests.system import programs

PAGE = 4096


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    sections = [(".osrel", programs.OS_RELEASE), (".linux", b"k" * 5000)]
    return programs.uki(tmp_path_factory.mktemp("pe"), sections)


def test_a_real_program_has_the_sections_that_binutils_shows() -> None:
    found = pe.read(programs.of_file(programs.SYSTEMD_BOOT))
    assert found.machine == "x86_64"
    assert not found.signed
    assert pe.named(found.sections, ".osrel") == Section(".osrel", 0x1E400, 0x51)
    assert [one.name for one in found.sections][-3:] == [".sdmagic", ".sbat", ".osrel"]


def test_the_bytes_of_a_section_are_those_that_were_added(made: bytes) -> None:
    read_at = programs.read_at(made)
    linux = pe.named(pe.read(read_at).sections, ".linux")
    assert linux is not None
    assert pe.content(read_at, linux, 1 << 20) == b"k" * 5000
    with pytest.raises(BakeryError, match="5000 bytes, more than 4999"):
        pe.content(read_at, linux, 4999)


def test_only_headers_are_read_of_a_program(made: bytes) -> None:
    asked: list[tuple[int, int]] = []

    def read_at(offset: int, length: int) -> bytes:
        asked.append((offset, length))
        return made[offset : offset + length]

    pe.read(read_at)
    assert sum(length for _, length in asked) < PAGE
    assert max(offset + length for offset, length in asked) < PAGE


def test_a_section_is_as_long_as_both_of_its_sizes_allow(made: bytes) -> None:
    at = made.index(b".linux\0\0") + 8
    shorter = made[:at] + struct.pack("<I", 4000) + made[at + 4 :]
    longer = made[:at] + struct.pack("<I", 9000) + made[at + 4 :]
    sizes = [pe.named(pe.read(programs.read_at(d)).sections, ".linux") for d in (shorter, longer)]
    assert [one.size_bytes for one in sizes if one] == [4000, 5120]


def test_of_two_sections_with_one_name_the_first_counts() -> None:
    sections = (Section(".a", 1, 1), Section(".b", 2, 2), Section(".b", 3, 3))
    assert pe.named(sections, ".b") == sections[1]
    assert pe.named(sections, ".c") is None
    assert pe.named((Section(".longnam", 1, 1),), ".longname") is not None


def test_a_table_of_certificates_makes_a_program_signed(made: bytes) -> None:
    at = int.from_bytes(made[0x3C:0x40], "little") + 24 + 112 + 4 * 8
    for place, length, signed in ((0x1000, 0x100, True), (0x1000, 0, False), (0, 8, False)):
        changed = made[:at] + struct.pack("<II", place, length) + made[at + 8 :]
        assert pe.read(programs.read_at(changed)).signed is signed


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _pe_at(data: bytes) -> int:
    return int.from_bytes(data[0x3C:0x40], "little")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: b"", "does not begin"),
        (lambda d: b"\x7fELF" + d[4:], "does not begin"),
        (lambda d: _with(d, _pe_at(d), b"NE"), "no PE header"),
        (lambda d: _with(d, 0x3C, b"\xff\xff\xff\x7f"), "ends within its header"),
        (lambda d: _with(d, _pe_at(d) + 6, b"\0\0"), "counts 0 sections"),
        (lambda d: _with(d, _pe_at(d) + 6, b"\x01\x02"), "counts 513 sections"),
        (lambda d: _with(d, _pe_at(d) + 24, b"\x07\x01"), "of no kind that is known"),
        (lambda d: d[: _pe_at(d) + 40], "ends within its optional header"),
        (lambda d: d[: _pe_at(d) + 24 + 240 + 100], "ends within its section table"),
    ],
)
def test_what_is_no_program_is_refused_with_the_reason(
    made: bytes, change: Callable[[bytes], bytes], reason: str
) -> None:
    with pytest.raises(BakeryError, match=reason):
        pe.read(programs.read_at(change(made)))


def test_a_section_behind_the_end_of_the_file_is_refused(made: bytes) -> None:
    with pytest.raises(BakeryError, match=r"ends within section '\.x'"):
        pe.content(programs.read_at(made), Section(".x", len(made), 1), 100)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, PAGE), st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=9))))
def test_a_cut_or_changed_program_is_read_or_refused(
    end: int, changes: list[tuple[int, bytes]]
) -> None:
    head = programs.STUB.read_bytes()[:PAGE]
    for at, new in changes:
        head = _with(head, at, new)
    for data in (head[:end], head):
        try:
            found = pe.read(programs.read_at(data))
        except BakeryError:
            continue
        assert 0 < len(found.sections) <= pe.SECTION_LIMIT


def test_a_processor_that_is_not_known_has_no_name(made: bytes, tmp_path: Path) -> None:
    unknown = _with(made, _pe_at(made) + 4, b"\x64\x62")
    assert pe.read(programs.read_at(unknown)).machine == ""
