import pytest


@pytest.mark.parametrize("words", [(), ("tiny",), ("-o", "out")])
def test_a_name_and_a_folder_must_be_said(bakery, words):
    assert bakery("download", *words).returncode == 2


def test_a_cloud_that_is_not_known_is_told_and_nothing_is_made(bakery, tmp_path):
    (tmp_path / "clouds.yaml").write_text("clouds: {}")
    where = {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    done = bakery("download", "tiny", "-o", tmp_path / "out", "--cloud", "nix", env=where)
    assert done.returncode == 1
    assert "no cloud is called 'nix'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_store_metadata_of_another_form_is_refused_before_anything(bakery, tmp_path):
    (tmp_path / "store.json").write_text("[]]")
    words = ("-o", tmp_path / "out", "--store-metadata", tmp_path / "store.json")
    done = bakery("download", "tiny", *words)
    assert done.returncode == 1
    assert "is no store metadata" in done.stderr
