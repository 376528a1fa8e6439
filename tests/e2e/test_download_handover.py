"""Glance's own files taken off a store that is mounted here, without a byte over the network."""

import json
import os
from pathlib import Path

import pytest

from tests.openstack.glance.publishing import files, made, upload
from tests.services.openstack import Services
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

STORE_ID = "b9d69795-5951-4cb0-bb5c-29491e1e2daf"


@pytest.fixture(scope="module")
def showing(tmp_path_factory):
    """A Glance that shows where its files are, with the metadata of a shared filesystem."""
    folder = tmp_path_factory.mktemp("showing")
    metadata = folder / "store.json"
    state = folder / "os"
    metadata.write_text(json.dumps({"id": STORE_ID, "mountpoint": str(state / "images")}))
    with Services(state, locations=True, metadata_file=metadata) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made") / "made")


def metadata_of(services: Services, folder: Path) -> Path:
    """The file an operator hands out where Glance does not show its locations."""
    path = folder / "store.json"
    path.write_text(json.dumps([{"id": STORE_ID, "mountpoint": str(services.store)}]))
    return path


def network_free(bakery, services, cloud, *words):
    """Run `bakery download`; its answer, having seen that no image data came over the network."""
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        done = bakery("download", *words, "--json", env=cloud.env())
        assert done.returncode == 0, done.stderr
        assert proxy.received_bytes == 0
    return json.loads(done.stdout)


def test_a_location_that_glance_shows_is_enough(bakery, showing, folder, tmp_path):
    cloud = showing.fresh_project()
    base = upload(cloud, folder)["base"]
    told = network_free(bakery, showing, cloud, "made", "-o", tmp_path / "out")
    assert set(told["ways"]) == {"kernel", "ramdisk", "base"}
    assert set(told["ways"].values()) <= {"reflink", "copy"}
    assert files(tmp_path / "out") == files(folder)
    assert not (tmp_path / "out/made-base").samefile(showing.store / base)


def test_a_qcow2_of_the_store_is_converted_where_it_lies(bakery, showing, folder, tmp_path):
    cloud = showing.fresh_project()
    upload(cloud, folder, "--as", "partition")
    network_free(bakery, showing, cloud, "made", "-o", tmp_path / "out")
    assert files(tmp_path / "out") == files(folder)


def test_a_hard_link_is_made_where_it_is_asked_for(bakery, showing, folder, tmp_path):
    cloud = showing.fresh_project()
    base = upload(cloud, folder)["base"]
    told = network_free(bakery, showing, cloud, "made", "-o", tmp_path / "out", "--link")
    assert set(told["ways"].values()) == {"link"}
    assert (tmp_path / "out/made-base").samefile(showing.store / base)
    assert files(tmp_path / "out") == files(folder)


def test_a_glance_that_shows_nothing_needs_the_metadata_file(
    bakery, services, cloud, folder, tmp_path
):
    upload(cloud, folder)
    words = ("made", "-o", tmp_path / "out", "--store-metadata", metadata_of(services, tmp_path))
    told = network_free(bakery, services, cloud, *words)
    assert "fetched" not in told["ways"].values()
    assert files(tmp_path / "out") == files(folder)


def test_a_store_that_is_not_mounted_here_is_told_and_the_bytes_are_fetched(
    bakery, showing, folder, tmp_path
):
    cloud = showing.fresh_project()
    upload(cloud, folder)
    elsewhere = tmp_path / "store.json"
    elsewhere.write_text(json.dumps({"id": STORE_ID, "mountpoint": str(tmp_path / "unmounted")}))
    words = ("made", "-o", tmp_path / "out", "--store-metadata", elsewhere)
    done = bakery("download", *words, env=cloud.env())
    assert done.returncode == 0, done.stderr
    assert "the store's file is not used" in done.stderr
    assert "No such file" in done.stderr
    assert done.stdout.count("fetched") == 3
    assert files(tmp_path / "out") == files(folder)


@pytest.mark.parametrize("options", [(), pytest.param(("--link",), marks=pytest.mark.full)])
def test_a_file_of_the_store_that_is_not_the_published_one_is_refused(
    bakery, showing, folder, tmp_path, options
):
    cloud = showing.fresh_project()
    base = upload(cloud, folder)["base"]
    stored = showing.store / base
    size = stored.stat().st_size
    os.truncate(stored, 4096)
    os.truncate(stored, size)
    done = bakery("download", "made", "-o", tmp_path / "out", *options, env=cloud.env())
    assert done.returncode == 1
    assert f"the base in Glance (image {base}) is not the one that was published" in done.stderr
    assert not list((tmp_path / "out").glob("made*"))
    assert stored.stat().st_size == size


def test_a_metadata_file_that_cannot_be_read_is_refused_first(bakery, cloud, tmp_path):
    done = bakery(
        *("download", "made", "-o", tmp_path / "out", "--store-metadata", tmp_path / "none"),
        env=cloud.env(),
    )
    assert done.returncode == 1
    assert "none cannot be read" in done.stderr
