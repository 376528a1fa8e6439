"""The note on a disk of what was written: its place, its bits, and whose it is."""

import pytest

from bakery.node.agent import marks
from bakery.node.agent.errors import AgentError
from bakery.node.agent.marks import LIMIT, MAGIC, START, Marks, MarksOnDisk
from tests.node.agent.memory import Memory

SIZE = 4 << 20
COUNT = 40_000


@pytest.fixture
def disk():
    return Memory(SIZE)


def test_marks_that_are_kept_nowhere_know_of_no_earlier_start():
    own = Marks()
    assert not own.resume()
    own.add(3)
    own.save()
    assert [number for number in range(5) if own.has(number)] == [3]
    own.drop(3)
    own.drop(4)
    assert not own.has(3)
    assert not Marks().has(3)


def test_a_mark_is_one_parts_alone(disk):
    own = MarksOnDisk(disk, "these", COUNT)
    assert not own.resume()
    numbers = {0, 1, 7, 8, 15, 4097, COUNT - 1}
    for number in numbers:
        own.add(number)
        own.add(number)
    assert {number for number in range(COUNT) if own.has(number)} == numbers
    own.drop(8)
    own.drop(9)
    assert {number for number in range(COUNT) if own.has(number)} == numbers - {8}


def test_marks_are_on_the_disk_once_they_are_saved(disk):
    own = MarksOnDisk(disk, "these", COUNT)
    own.resume()
    own.add(5)
    assert disk.done == []
    own.save()
    length = disk.done[1][2]
    assert disk.done == [("flush", 0, 0), ("write", START, length), ("flush", 0, 0)]
    assert length % 4096 == 0 and length >= 4096 + COUNT // 8
    assert START + length <= marks.END
    assert disk.content[START:].startswith(MAGIC)
    later = MarksOnDisk(disk, "these", COUNT)
    assert later.resume()
    assert (later.has(5), later.has(4), later.has(6)) == (True, False, False)


@pytest.mark.parametrize(("identity", "count"), [("those", COUNT), ("these", COUNT + 1)])
def test_marks_of_something_else_are_not_taken_up(disk, identity, count):
    own = MarksOnDisk(disk, "these", COUNT)
    own.resume()
    own.add(5)
    own.save()
    other = MarksOnDisk(disk, identity, count)
    assert not other.resume()
    assert not other.has(5)
    other.save()
    assert not MarksOnDisk(disk, "these", COUNT).resume()


def test_there_are_as_many_marks_as_lie_before_the_first_mib_ends(disk):
    own = MarksOnDisk(disk, "these", LIMIT)
    own.resume()
    own.add(LIMIT - 1)
    own.save()
    _, at, length = disk.done[1]
    assert at + length == marks.END
    with pytest.raises(AgentError, match=f"has {LIMIT + 1} chunks; at most {LIMIT} can"):
        MarksOnDisk(disk, "these", LIMIT + 1)
