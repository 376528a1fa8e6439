"""Where a new image is made, and what a killed run leaves to the next."""

import os
import subprocess
from pathlib import Path

import pytest

from bakery.build.scrub import output
from bakery.build.scrub.output import Draft
from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed
from tests import durability


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
        draft.install(tmp_path)
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


def test_an_image_is_on_the_disk_before_it_has_its_name(tmp_path, on_disk):
    draft = Draft(tmp_path / "out.qcow2")
    with draft.locked():
        draft.image.write_bytes(b"new")
        draft.install(tmp_path)
        on_disk.assert_durable(draft.out)


def test_which_archive_a_run_makes_is_on_the_disk_before_the_archive_is_begun(tmp_path, on_disk):
    draft = Draft(tmp_path / "out.qcow2")
    with draft.locked():
        draft.intends(tmp_path / "kept")
        states = [one for _, one in on_disk.synced]
        written = next(path for path in draft.folder.iterdir() if path.is_file())
        assert durability.state(written.stat()) in states
        assert durability.state(draft.folder.stat()) in states


def test_the_folder_is_held_by_this_run_alone_and_private(tmp_path):
    draft = Draft(tmp_path / "out.qcow2")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with draft.locked():
        assert draft.folder.stat().st_mode & 0o777 == 0o700
        assert draft.session.is_dir()
        with (
            pytest.raises(BakeryError, match="another bakery is making") as refused,
            Draft(draft.out).locked(),
        ):
            pytest.fail("it was held twice")
        assert refused.value.hint == "wait for it to end"
        assert draft.session.is_dir()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_a_killed_run_left_goes_but_for_its_word(tmp_path):
    draft, recovery = Draft(tmp_path / "out.qcow2"), tmp_path / "kept"
    killed(draft, recovery)
    (draft.folder / "session").mkdir()
    (draft.folder / "session/overlay").write_bytes(b"x")
    (draft.folder / "folder").symlink_to(tmp_path)
    with draft.locked():
        assert {path.name for path in draft.folder.iterdir()} == {"session", "recovery"}
        assert list(draft.session.iterdir()) == []
    assert recovery.exists()


def test_a_pattern_in_an_archives_name_takes_no_other_away(tmp_path):
    draft, recovery = Draft(tmp_path / "out.qcow2"), tmp_path / "k[e]pt"
    killed(draft, recovery)
    for name in (".kept.abcd1234", ".k[e]pt.abcd1234", ".k[e]pt.abcd12345"):
        (tmp_path / name).touch()
    with draft.locked():
        draft.intends(recovery)
        assert (draft.folder / "recovery").read_bytes() == os.fsencode(recovery)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".kept.abcd1234", ".k[e]pt.abcd12345"}


def test_an_image_has_the_owner_and_the_mode_of_another(tmp_path):
    draft, like = Draft(tmp_path / "out.qcow2"), tmp_path / "like"
    like.touch()
    like.chmod(0o4640)
    if os.geteuid() == 0:
        os.chown(like, 12, 34)
        like.chmod(0o4640)
    with draft.locked():
        draft.image.write_bytes(b"new")
        draft.install(like)
    found, wanted = draft.out.stat(), like.stat()
    assert (found.st_uid, found.st_gid) == (wanted.st_uid, wanted.st_gid)
    assert found.st_mode & 0o777 == 0o640


def test_an_image_and_its_overlay_become_one(tmp_path):
    raw, overlay = tmp_path / "a.raw", tmp_path / "o.qcow2"
    raw.write_bytes(b"a" * (1 << 20))
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay]
    subprocess.run(words, check=True)
    subprocess.run(["qemu-io", "-c", "write -P 0x62 0 512", overlay], check=True, stdout=-3)
    draft = Draft(tmp_path / "out.raw")
    with draft.locked():
        draft.write(raw, "raw", overlay)
        draft.install(raw)
    assert draft.out.read_bytes() == b"b" * 512 + b"a" * ((1 << 20) - 512)
    assert raw.read_bytes() == b"a" * (1 << 20)


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ("error: No space left on device", "the disk that holds .* is full"),
        ("x", "qemu-img ended badly: x"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, monkeypatch, tail, reason):
    def fail(*_args, **_words):
        raise CommandFailed("qemu-img", "ended badly", tail)

    monkeypatch.setattr(output, "run_confined", fail)
    draft = Draft(tmp_path / "out.qcow2")
    with (
        draft.locked(),
        pytest.raises(BakeryError, match=rf"out\.qcow2 cannot be written: {reason}"),
    ):
        draft.write(tmp_path / "a", "raw", tmp_path / "b")
