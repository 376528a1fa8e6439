"""Where a new image is made, and what a killed run leaves to the next."""

import os
from pathlib import Path

import pytest

from bakery.errors import BakeryError
from bakery.scrub.output import Draft


def killed(draft: Draft, recovery: Path) -> None:
    """Leave what a run leaves that was killed after it wrote its archive."""
    draft.folder.mkdir()
    (draft.folder / "recovery").write_bytes(os.fsencode(recovery.absolute()))
    draft.image.write_bytes(b"half")
    recovery.write_bytes(b"of the killed run")


def test_nothing_is_left_beside_the_image(tmp_path):
    draft = Draft(tmp_path / "out.qcow2")
    with draft.locked():
        draft.image.write_bytes(b"new")
        draft.publish(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out.qcow2"]


def test_a_failure_leaves_the_old_image_and_nothing_else(tmp_path):
    (tmp_path / "out.qcow2").write_bytes(b"old")
    draft = Draft(tmp_path / "out.qcow2")
    with pytest.raises(BakeryError), draft.locked():
        draft.image.write_bytes(b"new")
        raise BakeryError("no")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_two_runs_do_not_make_one_image(tmp_path):
    draft = Draft(tmp_path / "out.qcow2")
    with (
        draft.locked(),
        pytest.raises(BakeryError, match="another bakery"),
        Draft(draft.out).locked(),
    ):
        pass


def test_an_archive_of_a_killed_run_makes_way(tmp_path):
    draft, recovery = Draft(tmp_path / "out.qcow2"), tmp_path / "kept"
    killed(draft, recovery)
    (tmp_path / ".kept.abcd1234").write_bytes(b"its draft")
    with draft.locked():
        draft.intends(recovery)
        assert not recovery.exists()
        assert not draft.image.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["other", "kept"])
def test_an_archive_of_anybody_else_stays(tmp_path, name):
    """Of a killed run's with another name, or with no word of a killed run."""
    draft, recovery = Draft(tmp_path / "out.qcow2"), tmp_path / "kept"
    if name == "other":
        killed(draft, tmp_path / name)
    recovery.write_bytes(b"precious")
    with draft.locked():
        draft.intends(recovery)
        assert recovery.read_bytes() == b"precious"
        # and no later run takes it for the killed one's
        intent = draft.folder / "recovery"
        assert not intent.exists() or intent.read_bytes() != os.fsencode(recovery)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(BakeryError, match=r"nowhere/out\.qcow2"),
        Draft(tmp_path / "nowhere/out.qcow2").locked(),
    ):
        pass
