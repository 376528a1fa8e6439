from bakery.disk.extents import of_file
from bakery.samples.assemble import copy_into, make_sparse

BLOCK = 1 << 20


def test_holes_are_not_copied(tmp_path):
    source, disk = tmp_path / "source", tmp_path / "disk"
    make_sparse(source, 16 * BLOCK)
    with source.open("r+b") as file:
        file.seek(4 * BLOCK)
        file.write(b"x" * BLOCK)
    make_sparse(disk, 16 * BLOCK)
    copy_into(source, disk, [(0, 4 * BLOCK + 512), (8 * BLOCK, 8 * BLOCK - 512)])
    with disk.open("rb") as file:
        data = [(one.offset, one.length) for one in of_file(file.fileno())]
    block = 4096  # of the filesystem that holds the test's files
    assert data == [(4 * BLOCK, block), (8 * BLOCK, BLOCK)]
    assert disk.read_bytes().count(b"x") == BLOCK


def test_a_file_is_laid_out_over_pieces_in_their_order(tmp_path):
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.write_bytes(b"A" * BLOCK + b"B" * BLOCK)
    make_sparse(disk, 8 * BLOCK)
    copy_into(source, disk, [(6 * BLOCK, BLOCK), (2 * BLOCK, BLOCK)])
    content = disk.read_bytes()
    assert content[6 * BLOCK : 7 * BLOCK] == b"A" * BLOCK
    assert content[2 * BLOCK : 3 * BLOCK] == b"B" * BLOCK
    assert content.count(0) == 6 * BLOCK
