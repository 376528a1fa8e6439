"""That what is heard would be noticed."""

import os
import struct

from tests.hostile import heard


def test_any_piece_of_a_file_as_a_frame_would_bring_it_is_known(tmp_path):
    content = os.urandom(100_000)
    (tmp_path / "file").write_bytes(content)
    known = heard.of([tmp_path / "file"])
    for at in (0, 1, 511, 512, 77_777):
        assert heard.holds(os.urandom(54) + content[at : at + 600], known)
    assert not heard.holds(os.urandom(1500), known)
    assert not heard.holds(bytes(1500), heard.windows(bytes(10_000)))


def test_a_record_is_read_as_it_was_written(tmp_path):
    every = [b"\x01\x00\x5e" + bytes(60), b"\x02" + os.urandom(1500)]
    (tmp_path / "record").write_bytes(
        b"".join(struct.pack(">I", len(frame)) + frame for frame in every)
    )
    assert list(heard.frames(tmp_path / "record")) == every
    assert [heard.is_multicast(frame) for frame in every] == [True, False]
