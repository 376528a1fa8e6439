"""What comes from files of ours onto a disk, and what of it is believed."""

import os

import pytest

from bakery.conductor.contents import Piece, file_piece, fitting
from bakery.conductor.disk_errors import DiskFailed, Mismatch
from bakery.conductor.disk_writer import write_and_verify
from bakery.conductor.iscsi import Target, attached
from bakery.disk import digest
from bakery.disk.extents import total
from bakery.host.errors import BakeryError
from tests.conductor.proxy import Proxy
from tests.conductor.targets import IQN, blank, exported, stored_bytes
from tests.node.agent.memory import Memory

MIB = 1 << 20
SIZE = 96 * MIB


def told(_part, _done, _total):
    pass


@pytest.fixture
def base(tmp_path):
    """40 MiB, data at both ends and in the middle, at odd places."""
    path = tmp_path / "base"
    with path.open("wb") as file:
        for offset, size in ((0, 3 * MIB), (9 * MIB + 4096, 5000), (39 * MIB, MIB)):
            file.seek(offset)
            file.write(os.urandom(size))
    return path


def written(disk, piece):
    return bytes(disk.content[piece.offset : piece.end])


@pytest.mark.parametrize("offset", [0, 4096, 512 << 10, MIB, 5 * MIB])
def test_the_disk_holds_the_file_wherever_it_goes(base, offset):
    piece = file_piece("base", base, offset)
    disk = Memory()
    write_and_verify(disk, [piece], told)
    assert written(disk, piece) == base.read_bytes()


def test_a_file_without_holes_is_verified_by_its_plain_digest(tmp_path):
    path = tmp_path / "full"
    path.write_bytes(os.urandom(2 * MIB + 77))
    piece = file_piece("full", path, MIB)
    assert piece.digest.startswith(digest.PLAIN)
    disk = Memory()
    write_and_verify(disk, [piece], told)
    assert written(disk, piece) == path.read_bytes()


def test_only_data_is_written_and_only_data_is_read_back(base):
    piece = file_piece("base", base, MIB)
    disk = Memory()
    write_and_verify(disk, [piece], told)
    sent = sum(length for kind, _, length in disk.done if kind == "write")
    assert sent == total(piece.data)
    assert disk.read_bytes < total(piece.data) * 1.05


def test_the_first_mib_is_written_when_all_else_has_been_read_back(base):
    disk = Memory()
    states = []

    def tell(part, _done, _total):
        states.append((part, disk.begins_blank()))

    write_and_verify(disk, [file_piece("base", base, 0)], tell)
    assert ("verifying", True) in states
    assert all(blank for part, blank in states if part == "verifying")
    last = [offset for kind, offset, _ in disk.done if kind == "write"][-1]
    assert last < MIB
    assert disk.done[0] == ("zero", 0, MIB)


def test_an_old_copy_of_a_partition_table_at_the_end_is_taken_away(base):
    disk = Memory()
    write_and_verify(disk, [file_piece("base", base, 0)], told)
    assert not any(disk.content[-MIB:])


@pytest.mark.parametrize(
    "place", [2 * MIB, 9 * MIB + 5000, 40 * MIB - 1, 25 * MIB + 12288, 3 * MIB]
)
def test_a_disk_that_gives_back_other_bytes_is_found_out_and_does_not_boot(base, place):
    disk = Memory(lie_at=place)
    with pytest.raises(Mismatch, match="other bytes than were written"):
        write_and_verify(disk, [file_piece("base", base, 0)], told)
    assert disk.begins_blank()


def test_a_lie_in_the_first_mib_is_found_out_and_taken_back(base):
    disk = Memory(lie_at=4711)
    with pytest.raises(Mismatch, match="at byte 0 of the disk"):
        write_and_verify(disk, [file_piece("base", base, 0)], told)
    assert disk.begins_blank()


def test_a_disk_that_gives_up_half_way_does_not_boot(base):
    disk = Memory(give_up_at=39 * MIB + 77, error=DiskFailed)
    with pytest.raises(DiskFailed):
        write_and_verify(disk, [file_piece("base", base, 0)], told)
    assert disk.begins_blank()


def test_a_base_that_changed_since_it_was_made_is_named_and_does_not_boot(base):
    piece = file_piece("base", base, 0)
    with base.open("r+b") as file:
        file.seek(2 * MIB)
        file.write(b"changed")
    disk = Memory()
    with pytest.raises(BakeryError, match="base is not what its manifest says"):
        write_and_verify(disk, [piece], told)
    assert disk.begins_blank()


def test_data_that_the_manifest_calls_a_hole_is_found_out(base):
    whole = file_piece("base", base, MIB)
    piece = Piece("base", base, MIB, whole.size_bytes, whole.digest, whole.data[:1])
    with pytest.raises(BakeryError, match="not what its manifest says"):
        write_and_verify(Memory(), [piece], told)


def test_progress_ends_at_the_data_there_is(base):
    piece = file_piece("base", base, MIB)
    seen = {}

    def tell(part, *at):
        seen[part] = at

    write_and_verify(Memory(), [piece], tell)
    everything = total(piece.data)
    assert seen == {"writing": (everything, everything), "verifying": (everything, everything)}


def test_pieces_over_one_another_are_refused(base):
    pieces = [file_piece("one", base, 0), file_piece("other", base, 39 * MIB)]
    with pytest.raises(BakeryError, match="one and other would overlap"):
        fitting(pieces, SIZE)


def test_a_disk_too_small_is_refused_with_both_sizes(base):
    with pytest.raises(BakeryError, match=f"has {40 * MIB} bytes, but {41 * MIB} are needed"):
        fitting([file_piece("base", base, MIB)], 40 * MIB)


@pytest.mark.slow
def test_over_iscsi_the_nodes_disk_is_the_file_and_nothing_of_the_old_system(tmp_path, base):
    path = blank(tmp_path / "disk", SIZE, old=b"old " * 1024)
    piece = file_piece("base", base, 0)
    with exported(path) as tgtd, attached(Target("127.0.0.1", IQN, tgtd.port)) as disk:
        write_and_verify(disk, [piece], told)
    assert path.read_bytes()[: piece.size_bytes] == base.read_bytes()
    assert stored_bytes(path) < SIZE - piece.size_bytes + total(piece.data) + MIB


@pytest.mark.slow
def test_hardly_more_than_the_data_goes_over_the_wire(tmp_path, base):
    piece = file_piece("base", base, MIB)
    with (
        exported(blank(tmp_path / "disk", SIZE)) as tgtd,
        Proxy(tgtd.port) as wire,
        attached(Target("127.0.0.1", IQN, wire.port)) as disk,
    ):
        write_and_verify(disk, [piece], told)
    assert total(piece.data) < wire.sent_bytes < 1.05 * total(piece.data)
