import os
from pathlib import Path

import pytest

from bakery.samples.layers import content_key, install, make_layer
from bakery.samples.mounts import mounted, private_mounts


def test_a_key_depends_on_every_part_and_on_nothing_else():
    key = content_key("debian", 1, ["a", "b"])
    assert key == content_key("debian", 1, ("a", "b"))
    assert (
        len(
            {
                key,
                content_key("debian", 2, ["a", "b"]),
                content_key("debian", 1, ["b", "a"]),
                content_key("debian", 1, ["a"], "b"),
            }
        )
        == 4
    )


def test_publishing_replaces_what_was_there(tmp_path):
    draft, path = tmp_path / "draft", tmp_path / "final"
    path.write_text("old")
    draft.write_text("new")
    install(draft, path)
    assert path.read_text() == "new"
    assert not draft.exists()


def test_a_layer_is_on_the_disk_before_it_has_its_name(tmp_path, on_disk):
    (tmp_path / "draft").write_bytes(b"layer")
    install(tmp_path / "draft", tmp_path / "layer")
    on_disk.assert_durable(tmp_path / "layer")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_layer_starts_empty_or_as_a_copy_of_another(tmp_path):
    first, second = tmp_path / "first.ext4", tmp_path / "second.ext4"

    def fill(root):
        assert [path.name for path in root.iterdir()] == ["lost+found"]
        assert root.stat().st_uid == 0
        (root / "a").write_bytes(b"a" * 4096)
        (root / "gone").write_bytes(os.urandom(8 << 20))
        (root / "gone").unlink()

    def add(root):
        (root / "b").write_text((root / "a").read_text())

    (tmp_path / "scratch").mkdir()
    with private_mounts():
        make_layer(first, tmp_path / "scratch", fill)
        before = first.stat()
        make_layer(second, tmp_path / "scratch", add, base=first)
        with mounted(second, tmp_path / "here", options="ro") as root:
            assert (root / "b").read_text() == "a" * 4096
    assert first.stat().st_mtime_ns == before.st_mtime_ns
    assert first.stat().st_size == 4 << 30
    assert second.stat().st_blocks * 512 < 8 << 20  # neither holes nor what was deleted


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_layer_that_could_not_be_filled_is_not_there(tmp_path):
    def fail(root):
        (root / "a").write_text("half")
        raise ValueError

    (tmp_path / "scratch").mkdir()
    with private_mounts(), pytest.raises(ValueError):
        make_layer(tmp_path / "layer.ext4", tmp_path / "scratch", fail)
    assert not (tmp_path / "layer.ext4").exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
