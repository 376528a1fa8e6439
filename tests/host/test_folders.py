import os
import pwd
import stat
from pathlib import Path

import pytest

from bakery.host import folders
from bakery.host.folders import Untrusted
from tests.durability import Disk
from tests.neighbour import NOBODY, as_nobody, needs_neighbour


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_folder_is_made_with_those_above_it(tmp_path):
    folders.make(tmp_path / "a/b/c", mode=0o700)
    assert mode(tmp_path / "a/b/c") == 0o700
    folders.make(tmp_path / "a/b/c", mode=0o700)


def test_a_private_folder_is_made_private_where_it_was_there(tmp_path):
    (tmp_path / "old").mkdir(mode=0o755)
    folders.make(tmp_path / "old", mode=0o700)
    assert mode(tmp_path / "old") == 0o700


def test_a_link_is_never_the_folder(tmp_path):
    (tmp_path / "victim").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("victim")
    with pytest.raises(Untrusted, match="is a link, to victim"):
        folders.make(tmp_path / "link", mode=0o700)
    assert mode(tmp_path / "victim") == 0o755


def test_a_link_to_nothing_makes_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for use in (folders.make, folders.open_lock, folders.create):
        with pytest.raises(Untrusted):
            use(tmp_path / "link")
    assert not (tmp_path / "nothing").exists()


def test_links_of_our_own_on_the_way_are_followed(tmp_path):
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "short").symlink_to("real/deep/../deep")
    folders.make(tmp_path / "short/made")
    assert (tmp_path / "real/deep/made").is_dir()
    assert folders.check(tmp_path / "short/made") == tmp_path / "real/deep/made"


def test_links_that_lead_to_each_other_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Untrusted, match="is a link"):
        folders.check(tmp_path / "a/file")


@pytest.mark.parametrize("right", [0o777, 0o757])
def test_a_folder_that_anybody_may_write_is_refused_with_the_way_out(tmp_path, right):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(right)
    with pytest.raises(Untrusted, match="other users may change") as refused:
        folders.make(tmp_path / "open/work")
    assert f"chmod g-w,o-w {tmp_path}/open" in refused.value.hint
    (tmp_path / "open").chmod(right | stat.S_ISVTX)
    folders.make(tmp_path / "open/work")


def test_a_file_is_new_and_not_what_lay_there(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "log").hardlink_to(tmp_path / "victim")
    os.close(folders.create(tmp_path / "log"))
    assert (tmp_path / "victim").read_text() == "mine"
    assert (tmp_path / "log").read_text() == ""


def test_what_is_no_file_is_opened_as_it_is():
    os.close(folders.create(Path("/dev/null")))
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_removing_a_link_leaves_what_it_leads_to(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").write_text("x")
    (tmp_path / "work").symlink_to("victim")
    folders.fresh(tmp_path / "work")
    assert (tmp_path / "victim/file").exists()
    assert not (tmp_path / "work").is_symlink()


def test_a_draft_has_a_name_of_its_own_each_time(tmp_path):
    names = set()
    for _ in range(2):
        descriptor, path = folders.draft(tmp_path / "file")
        os.close(descriptor)
        names.add(path.name)
        assert mode(path) == 0o600
    assert len(names) == 2


def test_a_file_is_whole_or_not_there(tmp_path, on_disk: Disk):
    with pytest.raises(RuntimeError), folders.writing(tmp_path / "file") as descriptor:
        os.write(descriptor, b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    folders.write_whole(tmp_path / "file", b"whole", mode=0o600)
    assert mode(tmp_path / "file") == 0o600
    on_disk.assert_durable(tmp_path / "file")


def test_a_file_has_the_mode_that_any_file_would_have(tmp_path):
    folders.write_whole(tmp_path / "file", b"")
    (tmp_path / "other").touch()
    assert mode(tmp_path / "file") == mode(tmp_path / "other")


@needs_neighbour
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_a_neighbour_laid_out_is_refused(shared: Path, kind):
    make = "mkdir work" if kind == "folder" else "ln -s /etc work"
    as_nobody(shared, make)
    with pytest.raises(Untrusted, match="belongs to nobody"):
        folders.make(shared / "work")
    with pytest.raises(Untrusted, match="belongs to nobody"):
        folders.make(shared / "work/in/it")


@needs_neighbour
def test_who_called_sudo_is_trusted_by_root_alone(shared: Path, monkeypatch):
    as_nobody(shared, "mkdir work")
    monkeypatch.setenv("SUDO_UID", str(pwd.getpwnam(NOBODY).pw_uid))
    folders.make(shared / "work/out")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Untrusted):
        folders.make(shared / "work/out")
