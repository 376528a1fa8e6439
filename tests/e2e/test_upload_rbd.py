"""A base written into Ceph, its location registered with a real Glance and its real RBD driver.

There is no Ceph here: the programs and the two libraries that talk to one are stand-ins over a
folder (tests/openstack/glance/ceph.py). Everything of Glance's, the location call first, is the
real thing.
"""

import configparser
import json
from pathlib import Path

import pytest

from tests.openstack.glance.ceph import FSID, Ceph
from tests.openstack.glance.publishing import files, made
from tests.services.openstack import Services
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

POOL = "images"


class ServicesWithCeph(Services):
    """A Glance with an RBD store beside the others, that takes locations."""

    def __init__(self, folder: Path, ceph: Ceph) -> None:
        super().__init__(folder, locations=True)
        self.glance.argv += ["--pythonpath", ceph.libraries]

    def _configure_glance(self, url: str) -> None:
        super()._configure_glance(url)
        path = self.folder / "glance-api.conf"
        settings = configparser.ConfigParser(interpolation=None)
        settings.read(path)
        settings["DEFAULT"]["enabled_backends"] += ", ceph:rbd"
        settings["ceph"] = {"rbd_store_pool": POOL}
        with path.open("w") as file:
            settings.write(file)


@pytest.fixture(scope="module")
def ceph(tmp_path_factory):
    return Ceph(tmp_path_factory.mktemp("ceph") / "ceph")


@pytest.fixture(scope="module")
def with_ceph(tmp_path_factory, ceph):
    with ServicesWithCeph(tmp_path_factory.mktemp("os"), ceph) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made") / "made")


@pytest.fixture
def upload(bakery, ceph, folder):
    """Run `bakery upload --store rbd:images` in a project."""
    ceph.forget()
    ceph.mend()

    def run(project, *options):
        words = ("upload", folder, "--store", f"rbd:{POOL}", "--json", *options)
        return bakery(*words, env=project.env() | {"PATH": ceph.path})

    return run


def told(done):
    assert done.returncode == 0, done.stderr
    return {image["role"]: image for image in json.loads(done.stdout)["images"]}


def test_the_base_goes_into_the_pool_and_glance_is_told_where(
    upload, with_ceph, ceph, folder, bakery, tmp_path
):
    project = with_ceph.fresh_project()
    with Proxy(with_ceph.image_url) as proxy, proxy.in_front_of(with_ceph):
        base = told(upload(project, "--as", "partition"))["base"]
        assert proxy.sent_bytes < 10_000  # kernel and ramdisk alone
    shown = json.loads(project.client("image", "show", "-f", "json", base["id"]).stdout)
    assert shown["status"] == "active"
    assert shown["size"] == (folder / "made-base").stat().st_size
    assert (shown["disk_format"], shown["container_format"]) == ("raw", "bare")
    [location] = shown["properties"]["locations"]
    assert location["url"] == f"rbd://{FSID}/{POOL}/{base['id']}/snap"
    stored = ceph.pool / f"{POOL}+{base['id']}"
    assert stored.read_bytes() == (folder / "made-base").read_bytes()
    done = bakery("download", "made", "-o", tmp_path / "out", env=project.env())
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == files(folder)


def test_a_second_time_nothing_is_written(upload, with_ceph, ceph):
    project = with_ceph.fresh_project()
    first = told(upload(project))
    ceph.forget()
    again = told(upload(project))
    assert {role: image["id"] for role, image in again.items()} == {
        role: image["id"] for role, image in first.items()
    }
    assert ceph.calls() == []


@pytest.mark.parametrize(
    "moment",
    [
        "qemu-img-convert",
        pytest.param("rbd-snap-create", marks=pytest.mark.full),
        "rbd-snap-protect",
    ],
)
def test_what_broke_off_is_finished_by_the_same_command(upload, with_ceph, ceph, moment):
    project = with_ceph.fresh_project()
    ceph.fault(moment, "the cluster had a bad moment")
    done = upload(project)
    assert done.returncode == 1
    assert "the cluster had a bad moment" in done.stderr
    assert "is queued" in done.stderr
    ceph.mend()
    base = told(upload(project))["base"]
    shown = json.loads(project.client("image", "show", "-f", "json", base["id"]).stdout)
    assert shown["status"] == "active"
    assert len(project.images()) == 3


def test_a_glance_that_takes_no_locations_is_told_and_nothing_stays_in_the_pool(
    upload, services, cloud, ceph
):
    before = set(ceph.pool.iterdir())
    done = upload(cloud)
    assert done.returncode == 1
    assert "registering the location" in done.stderr
    assert set(ceph.pool.iterdir()) == before


def test_qcow2_does_not_go_into_a_pool(upload, cloud, ceph):
    done = upload(cloud, "--as", "partition", "--disk-format", "qcow2")
    assert done.returncode == 2
    assert ceph.calls() == []
