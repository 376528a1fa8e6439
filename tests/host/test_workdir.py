import fcntl
import os
from pathlib import Path

import pytest

from bakery.host.errors import BakeryError
from bakery.host.folders import write_whole
from bakery.host.workdir import WorkDir
from tests.durability import Disk


def make(work: WorkDir, stage: str, key: str, text: str) -> Path:
    with work.making(stage, key) as folder:
        (folder / "file").write_text(text)
    found = work.result(stage, key)
    assert found is not None
    return found


def is_locked(work: WorkDir) -> bool:
    with (work.path / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_result_appears_whole_and_is_found_again(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        made = make(work, "base", "k1", "content")
        assert (made / "file").read_text() == "content"
    assert WorkDir(tmp_path / "out").result("base", "k1") == made


def test_what_was_begun_and_not_ended_is_no_result(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        with pytest.raises(RuntimeError), work.making("base", "k1") as folder:
            (folder / "file").write_text("half")
            raise RuntimeError
        assert work.result("base", "k1") is None
    assert not work.scratch.exists()


@pytest.mark.parametrize("change", ["content", "removed", "replaced"])
def test_a_result_that_was_altered_is_none(tmp_path: Path, change: str):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        file = make(work, "base", "k1", "content") / "file"
        if change == "content":
            file.write_text("CONTENT!")
        elif change == "removed":
            file.unlink()
        else:
            copy = file.with_name("copy")
            copy.write_bytes(file.read_bytes())
            os.utime(copy, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
            copy.rename(file)
        assert work.result("base", "k1") is None


def test_a_hard_link_does_not_alter_a_result(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        made = make(work, "base", "k1", "content")
        (tmp_path / "published").hardlink_to(made / "file")
        assert work.result("base", "k1") == made


def test_two_builds_cannot_work_in_one_folder(tmp_path: Path):
    with (
        WorkDir(tmp_path / "out").locked(),
        pytest.raises(BakeryError, match="another bakery build"),
        WorkDir(tmp_path / "out").locked(),
    ):
        pass


def test_the_lock_is_free_again_afterwards(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    for _ in range(2):
        with work.locked():
            assert is_locked(work)
        assert not is_locked(work)


def test_leftover_scratch_is_cleared_by_the_next_run(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    (work.scratch / "base-k1").mkdir(parents=True)
    (work.scratch / "base-k1" / "half").write_text("x")
    with work.locked():
        assert list(work.scratch.iterdir()) == []


def test_prune_keeps_what_it_is_told_to(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        old, new = make(work, "base", "k1", "a"), make(work, "base", "k2", "b")
        work.prune({new})
        assert not old.exists()
        assert new.exists()


def test_remove_leaves_a_folder_with_other_files_alone(tmp_path: Path):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        (tmp_path / "out" / "mine").write_text("x")
        work.remove()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def test_write_whole_replaces_a_file_or_leaves_it(tmp_path: Path):
    file, scratch = tmp_path / "f", tmp_path / "scratch"
    scratch.mkdir()
    write_whole(file, b"one", scratch)
    write_whole(file, b"two", scratch)
    assert file.read_bytes() == b"two"
    assert list(scratch.iterdir()) == []


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, on_disk: Disk):
    (tmp_path / "tmp").mkdir()
    write_whole(tmp_path / "file", b"content", tmp_path / "tmp")
    on_disk.assert_durable(tmp_path / "file")


def test_a_result_is_on_the_disk_with_its_files_before_it_has_its_name(
    tmp_path: Path, on_disk: Disk
):
    work = WorkDir(tmp_path / "out")
    with work.locked():
        on_disk.assert_durable(make(work, "base", "k1", "content"))
