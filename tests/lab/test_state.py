import os
from pathlib import Path

import msgspec
import pytest

from bakery.host.errors import BakeryError
from bakery.lab import state
from bakery.lab.state import BmcAccess, Lab, Node


def lab_in(folder: Path, pid: int, *, user_namespace: bool = False) -> Lab:
    node = Node(
        name="node-1", uuid="u", mac="m", firmware="bios", nic="virtio", disk="d", disk_bytes=1,
        bmc=BmcAccess("192.168.77.1", 6231, "admin", "secret"), console=str(folder / "node-1/c"),
    )  # fmt: skip
    return Lab(str(folder), "192.168.77.1/24", "lab", pid, user_namespace, "tcg", (node,))


def test_who_holds_the_lock_is_known_until_its_end(tmp_path, holder):
    folder = tmp_path / "lab"
    assert state.keeper_pid(folder) == holder.pid
    assert state.hold(folder) is None
    holder.kill()
    holder.wait()
    assert state.keeper_pid(folder) is None
    descriptor = state.hold(folder)
    assert descriptor is not None
    os.close(descriptor)


def test_a_record_counts_while_the_process_that_wrote_it_holds_the_lock(tmp_path, holder):
    folder = tmp_path / "lab"
    assert state.find(folder) is None
    state.save(lab_in(folder, holder.pid))
    assert state.load(folder).node("node-1") == state.load(folder).node("1")
    state.save(lab_in(folder, holder.pid + 1))
    assert state.find(folder) is None, "an earlier keeper's"
    (folder / "lab.json").write_bytes(b"{")
    with pytest.raises(BakeryError, match="cannot be read"):
        state.find(folder)
    holder.kill()
    holder.wait()
    with pytest.raises(BakeryError, match="no lab is up"):
        state.load(folder)


def test_a_reader_never_sees_half_a_record(tmp_path):
    (tmp_path / "lab").mkdir()
    state.save(lab_in(tmp_path / "lab", 1))
    first = (tmp_path / "lab/lab.json").open("rb")
    state.save(lab_in(tmp_path / "lab", 2))
    with first:
        assert msgspec.json.decode(first.read(), type=Lab).keeper_pid == 1


def test_only_what_is_a_labs_is_removed(tmp_path):
    descriptor = state.hold(tmp_path / "lab")
    assert descriptor is not None
    folder = tmp_path / "lab"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (folder / "node-1").mkdir()
    (folder / "node-1/disk.raw").touch()
    (folder / "node-2").symlink_to(outside)
    (folder / "notes.txt").touch()
    state.remove(folder)
    os.close(descriptor)
    assert sorted(path.name for path in folder.iterdir()) == ["node-2", "notes.txt"]
    assert (outside / "kept").exists()


def test_a_removed_lock_is_not_taken_for_one(tmp_path):
    """Who waited for a lock that was removed meanwhile makes a new one."""
    folder = tmp_path / "lab"
    old = state.hold(folder)
    assert old is not None
    state.remove(folder)
    new = state.hold(folder)
    assert new is not None
    assert os.fstat(new).st_nlink == 1
    os.close(old)
    os.close(new)


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BakeryError, match=r"a lab cannot be kept in .*: Not a directory"):
        state.hold(tmp_path / "file/lab")
    assert state.keeper_pid(tmp_path / "file/lab") is None


def test_a_labs_folder_is_its_owners_alone(tmp_path):
    descriptor = state.hold(tmp_path / "deep/lab")
    assert descriptor is not None
    os.close(descriptor)
    assert (tmp_path / "deep/lab").stat().st_mode & 0o777 == 0o700


def test_a_lock_that_cannot_be_looked_at_is_told(tmp_path):
    (tmp_path / "lab.lock").symlink_to("lab.lock")
    with pytest.raises(BakeryError, match="cannot be read: Too many levels"):
        state.keeper_pid(tmp_path)


def test_the_way_in_has_a_user_namespace_where_the_lab_has_one(tmp_path):
    plain = lab_in(tmp_path, 7).enter(["true"])
    assert plain == ["nsenter", "--target", "7", "--net", "--", "true"]
    assert "--user" in lab_in(tmp_path, 7, user_namespace=True).enter(["true"])


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"BAKERY_LAB": "/labs/a"}, "/labs/a"),
        ({"XDG_STATE_HOME": "/state"}, "/state/bakery/lab"),
        ({"XDG_STATE_HOME": "state", "HOME": "/home/u"}, "/home/u/.local/state/bakery/lab"),
        ({"HOME": "/home/u"}, "/home/u/.local/state/bakery/lab"),
    ],
)
def test_a_lab_has_its_place_in_the_users_state(monkeypatch, variables, folder):
    for name in ("BAKERY_LAB", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert state.default_folder() == Path(folder)
