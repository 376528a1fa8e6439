"""`bakery download` on the command line."""

import pytest

from bakery.manifest.manifest import Build
from bakery.openstack.glance.download import Pulled
from tests.cli.inside import document, told
from tests.devstack.builds import a_build


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
    assert "is not store metadata" in done.stderr


def test_what_was_brought_is_told_file_by_file(tmp_path, monkeypatch):
    made = Build(tmp_path, a_build())
    calls = []
    ways = {"kernel": "fetched", "base": "linked"}

    def pull(images, name, folder, _report, *, stores, link):
        calls.append((images, name, folder, stores, link))
        return Pulled(made, "i-1", ways, 7)

    monkeypatch.setattr("bakery.openstack.glance.images.Images.of_cloud", lambda cloud: cloud)
    monkeypatch.setattr("bakery.openstack.glance.handover.stores", lambda path: (path,))
    monkeypatch.setattr("bakery.openstack.glance.download.pull", pull)
    words = ("download", "tiny", "-o", tmp_path, "--cloud", "here")
    assert told(*words).splitlines() == [
        f"{tmp_path}/fedora-atomic-kernel  1 bytes, fetched",
        f"{tmp_path}/fedora-atomic-ramdisk  1 bytes, was here",
        f"{tmp_path}/fedora-atomic-base  {6 << 30} bytes, linked",
    ]
    answer = document(*words, "--link", "--store-metadata", tmp_path / "store")
    assert (answer["base"], answer["ways"], answer["fetched_bytes"]) == ("i-1", ways, 7)
    assert answer["directory"] == str(tmp_path)
    assert calls == [
        ("here", "tiny", tmp_path, (), False),
        ("here", "tiny", tmp_path, (tmp_path / "store",), True),
    ]
    ways.clear()
    assert told(*words).startswith(f"{tmp_path} is up to date: it already holds tiny\n")
