import pytest

from bakery import folder
from bakery.errors import BakeryError
from bakery.workdir import FOLDER


@pytest.mark.parametrize("entries", [(), (FOLDER,), ("x.manifest.json", "x-base")])
def test_an_empty_folder_and_one_of_bakerys_own_are_taken(tmp_path, entries):
    for name in entries:
        (tmp_path / name).touch()
    folder.claim(tmp_path)


def test_a_folder_that_is_not_there_yet_is_taken(tmp_path):
    folder.claim(tmp_path / "new")


def test_somebody_elses_files_are_named_and_left_alone(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).touch()
    with pytest.raises(BakeryError, match="not a build of bakery: a, b, c, …"):
        folder.claim(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BakeryError, match="is not a folder"):
        folder.claim(tmp_path / "file")


def test_an_earlier_build_that_cannot_be_read_loses_its_manifest_alone(tmp_path):
    (tmp_path / "x.manifest.json").write_text("?")
    (tmp_path / "x-base").touch()
    folder.withdraw(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x-base"]


def test_an_empty_folder_has_nothing_to_take_back(tmp_path):
    folder.withdraw(tmp_path)
