import pytest

from bakery.host.errors import BakeryError
from bakery.host.workdir import FOLDER
from bakery.manifest import folder
from tests.openstack.glance import publishing


@pytest.mark.parametrize("entries", [(), (FOLDER,), ("x.manifest.json", "x-base")])
def test_an_empty_folder_and_one_of_bakerys_own_are_taken_but_no_other(tmp_path, entries):
    for name in entries:
        (tmp_path / name).touch()
    folder.claim(tmp_path)
    for name in entries[:1]:
        (tmp_path / name).unlink()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(BakeryError, match="not part of a bakery build"):
        folder.claim(tmp_path)


def test_a_folder_that_is_not_there_yet_is_taken_unless_a_file_takes_its_place(tmp_path):
    folder.claim(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "new").touch()
    with pytest.raises(BakeryError, match="is not a folder"):
        folder.claim(tmp_path / "new")


def test_somebody_elses_files_are_named_and_left_alone(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).touch()
    with pytest.raises(BakeryError, match="not part of a bakery build: a, b, c, …"):
        folder.claim(tmp_path)


def test_an_earlier_build_that_cannot_be_read_loses_its_manifest_alone(tmp_path):
    (tmp_path / "x.manifest.json").write_text("?")
    (tmp_path / "x-base").touch()
    folder.withdraw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x-base"]


def test_only_a_folder_with_a_manifest_has_something_to_take_back(tmp_path):
    (tmp_path / "x-base").touch()
    folder.withdraw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x-base"]
    (tmp_path / "x.manifest.json").touch()
    folder.withdraw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x-base"]


def test_a_manifest_is_gone_for_good_before_the_files_it_lists_go(tmp_path, on_disk):
    for name in ("kernel", "ramdisk", "base"):
        (tmp_path / f"x-{name}").write_bytes(b"content")
    publishing.write_manifest(tmp_path, "x")
    folder.withdraw(tmp_path, keep={"x-ramdisk"})
    assert [path.name for path in tmp_path.iterdir()] == ["x-ramdisk"]
    moment = on_disk.forgotten(tmp_path / "x.manifest.json")
    files = [at for at, gone in on_disk.removed if gone.name.startswith("x-")]
    assert len(files) == 2
    assert moment < min(files)


def test_up_to_three_names_are_told_without_an_ellipsis(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    with pytest.raises(BakeryError, match=r"bakery build: a, b, c$"):
        folder.claim(tmp_path)


def test_all_that_a_build_leaves_goes_with_it_and_nothing_else(tmp_path):
    ours = ["x-kernel", "x-ramdisk", "x-base", "x-base.zst", "x-base.index", "x-base.bmap"]
    ours += ["x.spdx.json", "x.cdx.json"]
    for name in (*ours, "y-base", "x.txt", "x-base.old"):
        (tmp_path / name).touch()
    publishing.write_manifest(tmp_path, "x")
    folder.withdraw(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-base.old", "x.txt", "y-base"]
