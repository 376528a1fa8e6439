"""What a disk holds at each moment of its writing, wherever the data comes from."""

import hashlib
from typing import NamedTuple

import pytest

from bakery.node.agent import marks
from bakery.node.agent.errors import AgentError
from bakery.node.agent.layout import HEAD, Layout
from bakery.node.agent.marks import MarksOnDisk
from bakery.node.agent.writing import Mismatch, write
from tests.node.agent.memory import Memory

MIB = 1 << 20
SIZE = 40 * MIB
SPANS = ((0, 512), (MIB, 33 * MIB))
PLACES = (*range(MIB, 7 * MIB, MIB), 20 * MIB, 32 * MIB)


class Part(NamedTuple):
    number: int
    at: int
    length: int

    @property
    def data(self):
        return hashlib.shake_256(str(self).encode()).digest(self.length)


class Known:
    """A source of data that is known beforehand, and that remembers what was asked of it."""

    def __init__(self):
        parts = (Part(0, 0, 512), *(Part(i, at, MIB) for i, at in enumerate(PLACES, 1)))
        self.layout = Layout(SPANS, parts)
        self.asked = []
        self.breaks_at = None
        self.head_lacks = False

    def bring(self, wanted, put, tick):
        self.asked.append([part.number for part in wanted])
        for part in wanted:
            if part.number == self.breaks_at:
                raise AgentError("the source is gone")
            put(part, memoryview(part.data))
            tick()

    def content(self, part):
        if self.head_lacks:
            raise AgentError("the head is gone")
        return part.data

    def is_in(self, part, view):
        return view == part.data


@pytest.fixture
def disk():
    return Memory(SIZE)


@pytest.fixture
def source():
    return Known()


def told(_part, _done, _total):
    pass


def kept(disk):
    return MarksOnDisk(disk, "these", 40)


def is_whole(disk, source):
    layout = source.layout
    data = all(
        disk.content[part.at : part.at + part.length] == part.data
        for part in (*layout.head, *layout.rest)
    )
    holes = [(512, MIB), *layout.holes(), (SIZE - MIB, SIZE)]
    return data and not any(any(disk.content[start:end]) for start, end in holes)


def test_holes_are_what_the_data_leaves_of_the_pieces_behind_the_first_mib():
    spans = ((0, 3 * MIB), (5 * MIB, 6 * MIB), (7 * MIB, 9 * MIB))
    parts = (Part(0, 0, 100), Part(1, 2 * MIB, MIB), Part(2, 7 * MIB, 5), Part(3, 7 * MIB + 5, 10))
    holes = list(Layout(spans, parts).holes())
    assert holes == [(MIB, 2 * MIB), (5 * MIB, 6 * MIB), (7 * MIB + 15, 9 * MIB)]


def test_the_disk_is_whole_with_marks_and_without(disk, source):
    write(disk, source, told)
    assert is_whole(disk, source)
    marked = Memory(SIZE)
    write(marked, source, told, kept(marked))
    assert is_whole(marked, source)


def test_a_disk_too_small_is_left_alone(source):
    disk = Memory(32 * MIB)
    with pytest.raises(AgentError, match=f"has {32 * MIB} bytes, but {33 * MIB} are needed"):
        write(disk, source, told)
    assert disk.done == []


def test_a_disk_that_ends_where_the_data_does_is_taken(source):
    disk = Memory(33 * MIB)
    write(disk, source, told)
    last = source.layout.rest[-1]
    assert last.at + last.length == disk.size_bytes
    assert disk.content[last.at :] == last.data


@pytest.mark.parametrize("reads_ahead", [1, 8])
def test_as_many_reads_are_under_way_as_the_disk_likes(source, reads_ahead):
    disk = Memory(SIZE, reads_ahead=reads_ahead)
    write(disk, source, told)
    assert disk.asked == reads_ahead
    assert is_whole(disk, source)


def test_data_is_on_stable_storage_before_it_is_read_back_and_the_head_before_it_counts(
    disk, source
):
    moments = []
    write(disk, source, lambda part, done, _total: moments.append((part, done, len(disk.done))))
    before = next(count for part, done, count in moments if (part, done) == ("verifying", 0))
    assert disk.done[before - 1][0] == "flush"
    assert disk.done[-1][0] == "flush"


def test_marks_are_saved_when_what_they_tell_of_is_on_stable_storage(disk, source):
    write(disk, source, told, kept(disk))
    saved = [i for i, done in enumerate(disk.done) if done[:2] == ("write", marks.START)]
    assert len(saved) > 1
    assert all(disk.done[i - 1][0] == disk.done[i + 1][0] == "flush" for i in saved)


def test_what_an_earlier_start_wrote_is_not_brought_again(disk, source):
    source.breaks_at = 5
    with pytest.raises(AgentError, match="the source is gone"):
        write(disk, source, told, kept(disk))
    assert not any(disk.content[: marks.START])
    noted = kept(disk)
    assert noted.resume()
    assert [number for number in range(1, 9) if noted.has(number)] == [1, 2, 3, 4]
    source.breaks_at = None
    write(disk, source, told, kept(disk))
    assert source.asked[1] == [5, 6, 7, 8]
    assert is_whole(disk, source)


def test_what_was_written_after_the_marks_were_saved_is_recognized(disk, source):
    source.breaks_at = 2
    with pytest.raises(AgentError):
        write(disk, source, told, kept(disk))
    for part in source.layout.rest[1:3]:
        disk.content[part.at : part.at + part.length] = part.data
    source.breaks_at = None
    write(disk, source, told, kept(disk))
    assert source.asked[1] == [4, 5, 6, 7, 8]


def test_marks_of_something_else_are_not_believed(disk, source):
    source.breaks_at = 5
    with pytest.raises(AgentError):
        write(disk, source, told, MarksOnDisk(disk, "those", 40))
    source.breaks_at = None
    write(disk, source, told, kept(disk))
    assert source.asked[1] == list(range(1, 9))


def test_a_head_that_cannot_be_brought_leaves_the_marks_for_the_next_start(disk, source):
    source.head_lacks = True
    with pytest.raises(AgentError, match="the head is gone"):
        write(disk, source, told, kept(disk))
    assert not any(disk.content[: marks.START])
    source.head_lacks = False
    write(disk, source, told, kept(disk))
    assert source.asked[1] == []
    assert is_whole(disk, source)


def test_only_what_was_not_found_right_is_brought_again(disk, source):
    def turn(part, done, _total):
        if part == "verifying" and not done and len(source.asked) == 1:
            disk.content[20 * MIB + 5] ^= 1

    write(disk, source, turn, kept(disk), rounds=2)
    assert source.asked == [list(range(1, 9)), [7]]
    assert is_whole(disk, source)


def test_after_the_last_round_the_byte_is_named_and_the_disk_does_not_boot(source):
    disk = Memory(SIZE, lie_at=20 * MIB + 5)
    with pytest.raises(Mismatch, match=f"other bytes than were written at byte {20 * MIB}") as seen:
        write(disk, source, told, rounds=3)
    assert seen.value.at == 20 * MIB
    assert len(source.asked) == 3
    assert disk.begins_blank()


@pytest.mark.parametrize("place", [7 * MIB, 20 * MIB - 1, 21 * MIB + 4095])
def test_a_hole_that_does_not_read_as_zeros_is_named_and_the_disk_does_not_boot(source, place):
    disk = Memory(SIZE, lie_at=place)
    with pytest.raises(Mismatch, match="other bytes than zeros"):
        write(disk, source, told)
    assert disk.begins_blank()


@pytest.mark.parametrize("place", [0, 4096, HEAD - 1])
def test_a_first_mib_that_does_not_read_as_written_is_taken_back(source, place):
    disk = Memory(SIZE, lie_at=place)
    with pytest.raises(Mismatch):
        write(disk, source, told)
    assert disk.begins_blank()


class GivesUp(Memory):
    """A disk that does not take the first MiB to stable storage."""

    def flush(self):
        super().flush()
        if any(self.content[:MIB]):
            raise AgentError("the disk is gone")


def test_a_disk_that_gives_up_after_the_first_mib_was_sent_does_not_boot(source):
    disk = GivesUp(SIZE)
    with pytest.raises(AgentError, match="the disk is gone"):
        write(disk, source, told)
    assert disk.begins_blank()


def test_whoever_is_told_can_end_the_writing_at_once(disk, source):
    def tell(_part, done, _total):
        if done == 2 * MIB:
            raise RuntimeError("halted")

    with pytest.raises(RuntimeError, match="halted"):
        write(disk, source, tell)
    assert sum(kind == "write" for kind, _, _ in disk.done) == 2
    assert disk.begins_blank()


@pytest.mark.parametrize(("there", "found"), [(64, True), (65, False)])
def test_behind_a_row_of_64_others_nothing_is_recognized(disk, source, there, found):
    """It is written nearly in order."""
    source.layout = Layout(SPANS, [Part(i, MIB + i * 4096, 4096) for i in range(1, 70)])
    source.breaks_at = 1
    with pytest.raises(AgentError, match="the source is gone"):
        write(disk, source, told, MarksOnDisk(disk, "these", 70))
    part = source.layout.rest[there - 1]
    disk.content[part.at : part.at + part.length] = part.data
    source.breaks_at = None
    write(disk, source, told, MarksOnDisk(disk, "these", 70))
    assert source.asked[1] == [n for n in range(1, 70) if n != there or not found]
