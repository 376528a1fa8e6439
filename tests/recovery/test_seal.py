"""What is left of an archive in the making, whatever stops it."""

import random
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.recovery import packing
from bakery.recovery.seal import NOTHING_SEALED, sealing
from tests.recovery.pairs import files, sealed

TAR = files(("a", b"b" * 5000))


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_file_stays_open_however_it_ends(age, tmp_path):
    sealed(tmp_path / "first", TAR, age)
    before = descriptors()
    sealed(tmp_path / "a", TAR, age)
    with pytest.raises(BakeryError):
        sealed(tmp_path / "b", TAR[:700], age)
    assert descriptors() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "first"]


def test_an_archive_that_would_pass_for_an_attack_is_not_made(age, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "FREE_BYTES", 0)
    monkeypatch.setattr(packing, "LARGEST_RATIO", 2)
    content = files(("a", random.Random(1).randbytes(30_000)))
    packed = len(sealed(tmp_path / "a", content, age).read_bytes())
    assert packed < len(content) + 20_000
    with pytest.raises(BakeryError, match="pack into") as refused:
        sealed(tmp_path / "b", files(("a", bytes(30_000))), age)
    assert refused.value.hint == "leave out files of gigabytes that are all alike"
    assert f"{len(files(('a', bytes(30_000))))} bytes of it pack into" in refused.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_written_is_counted_and_what_is_wrong_is_told_at_once(age, tmp_path):
    with pytest.raises(BakeryError) as refused, sealing(tmp_path / "a", age.public) as stream:
        assert stream.writable()
        assert stream.write(TAR[:512]) == 512
        stream.write(b"x" * 100_000)
        pytest.fail("it was taken")
    assert refused.value.message.startswith(f"{tmp_path}/a would not be a recovery archive")
    assert refused.value.hint == NOTHING_SEALED


def test_a_link_that_leads_nowhere_is_not_written_over(age, tmp_path):
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(BakeryError, match="is there already") as refused:
        sealed(tmp_path / "a", TAR, age)
    assert "move it away" in refused.value.hint
    assert (tmp_path / "a").is_symlink()
