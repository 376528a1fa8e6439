"""`bakery restore` on the command line."""

import pytest

from bakery.build.scrub.work import Restored
from tests.cli.inside import document, told, usage


@pytest.fixture
def asked(tmp_path, monkeypatch):
    calls = []

    def restore(image, target, recovery, key, _report):
        calls.append((str(image), target, str(recovery), str(key)))
        return Restored(2, 300)

    monkeypatch.setattr("bakery.build.scrub.work.restore", restore)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").touch(mode=0o600)
    return calls


def test_the_image_is_replaced_unless_another_is_to_be_written(asked, tmp_path):
    (tmp_path / "real").write_bytes(b"")
    link = tmp_path / "link"
    link.symlink_to("real")
    words = ("restore", link, "--recovery", "kept", "--private-key", "key")
    assert told(*words) == f"{link}: 2 files, 300 bytes restored\n"
    assert told(*words, "-o", tmp_path / "new").startswith(f"{tmp_path}/new: 2 files")
    assert [call[1] for call in asked] == [tmp_path / "real", tmp_path / "new"]
    assert asked[0] == (str(link), tmp_path / "real", "kept", "key")
    assert document(*words) == {
        "image": str(link), "output": str(link), "files": 2, "size_bytes": 300
    }  # fmt: skip


def test_archive_and_key_have_to_be_named(asked):
    assert "--recovery" in usage("restore", "a", "--private-key", "key")
    assert "--private-key" in usage("restore", "a", "--recovery", "kept")
    assert asked == []
