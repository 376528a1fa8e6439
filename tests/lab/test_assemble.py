from bakery.lab.assemble import copy_into, data_ranges, make_disk

BLOCK = 1 << 20


def test_only_data_is_seen_in_a_sparse_file(tmp_path):
    path = tmp_path / "sparse"
    make_disk(path, 16 * BLOCK)
    with path.open("r+b") as file:
        file.seek(4 * BLOCK)
        file.write(b"x" * BLOCK)
        file.flush()
        assert list(data_ranges(file.fileno(), 0, 16 * BLOCK)) == [(4 * BLOCK, 5 * BLOCK)]
        assert list(data_ranges(file.fileno(), 6 * BLOCK, 16 * BLOCK)) == []
        assert list(data_ranges(file.fileno(), 0, 4 * BLOCK + 512)) == [
            (4 * BLOCK, 4 * BLOCK + 512)
        ]


def test_a_file_is_laid_out_over_pieces_in_their_order(tmp_path):
    source, disk = tmp_path / "source", tmp_path / "disk"
    source.write_bytes(b"A" * BLOCK + b"B" * BLOCK)
    make_disk(disk, 8 * BLOCK)
    copy_into(source, disk, [(6 * BLOCK, BLOCK), (2 * BLOCK, BLOCK)])
    content = disk.read_bytes()
    assert content[6 * BLOCK : 7 * BLOCK] == b"A" * BLOCK
    assert content[2 * BLOCK : 3 * BLOCK] == b"B" * BLOCK
    assert content.count(0) == 6 * BLOCK
