import pytest

from bakery.devstack.install import put
from bakery.host.errors import BakeryError


def test_a_file_is_written_for_its_owner_alone_and_once(tmp_path, on_disk):
    path = tmp_path / "a"
    assert put(path, "ü\n", replace=False) is True
    assert path.read_text() == "ü\n"
    assert path.stat().st_mode & 0o777 == 0o600
    on_disk.assert_durable(path)
    before = path.stat()
    assert put(path, "ü\n", replace=True) is False
    assert path.stat() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_another_content_is_replaced_only_where_that_is_asked_for(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(BakeryError, match="a already exists, with other content") as refused:
        put(path, "new", replace=False)
    assert refused.value.hint == "--replace overwrites it"
    assert path.read_text() == "old"
    assert put(path, "new", replace=True) is True
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BakeryError, match="none/a cannot be written: No such file"):
        put(tmp_path / "none/a", "x", replace=False)
