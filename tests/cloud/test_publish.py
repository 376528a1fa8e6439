"""Sets of images in a real Glance: order, names, and what failures say."""

import contextlib
import re
import sqlite3

import pytest

from bakery import manifest, report
from bakery.cloud import embedded, pieces, publish, records, unchanged
from bakery.cloud.images import Images
from bakery.errors import BakeryError
from tests.cloud import publishing
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return publishing.made(tmp_path_factory.mktemp("publish") / "made")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A build of the same name with another base."""
    return publishing.made(tmp_path_factory.mktemp("publish") / "made", name="made", data=1 << 20)


@pytest.fixture
def images(cloud, monkeypatch):
    for key, value in cloud.env().items():
        monkeypatch.setenv(key, value)
    return Images.of_cloud(None)


def run(images, build, *, replace=False, visibility=None):
    text = next(build.glob("*.manifest.json")).read_bytes()
    parts = pieces.parts(manifest.load(build), text, pieces.Wish())
    stamps = unchanged.verified([*parts.companions, parts.base])
    order = publish.Order(parts=parts, stamps=stamps, visibility=visibility, replace=replace)
    return publish.publish(images, order, report.silent())


def ids(outcome):
    return [image.id for image in outcome.images]


def test_kernel_and_ramdisk_are_there_before_the_base_is_made(images, build, services):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        kernel, ramdisk, base = ids(run(Images.of_cloud(None), build))
    writes = [line for line in proxy.requests if not line.startswith("GET ")]
    assert writes == [
        "POST /v2/images",
        f"PUT /v2/images/{kernel}/file",
        f"PATCH /v2/images/{kernel}",
        "POST /v2/images",
        f"PUT /v2/images/{ramdisk}/file",
        f"PATCH /v2/images/{ramdisk}",
        "POST /v2/images",
        f"PUT /v2/images/{base}/file",
        f"PATCH /v2/images/{base}",
    ]


def test_the_visibility_of_what_is_there_stays_where_none_is_asked_for(images, build):
    run(images, build, visibility="shared")
    assert {image.visibility for image in run(images, build).images} == {"shared"}
    again = run(images, build, visibility="private")
    assert {image.visibility for image in again.images} == {"private"}
    assert again.sent_bytes == 0


def test_an_image_of_that_name_that_is_not_ours_is_told_and_left(images, build, other):
    stranger = images.create(
        "7d1ef6c2-8f5e-4d26-8a43-0d2f4d5c0a11", "made", "raw", "bare", "private", {}
    )
    outcome = run(images, build, replace=True)
    assert outcome.hidden == ()
    assert outcome.same_name == (stranger.id,)
    assert images.get(stranger.id) == stranger


def test_other_properties_stay_and_outdated_ones_of_ours_go(images, build):
    base = images.get(run(images, build).images[-1].id)
    assert base is not None
    images.update(base, properties={"bakery_old": "old", "os_admin_user": "root"})
    run(images, build)
    now = images.get(base.id)
    assert now is not None
    assert now.properties == base.properties | {"os_admin_user": "root"}


@pytest.mark.parametrize("damage", ["bakery_manifest_1", "bakery_manifest"])
def test_a_manifest_that_was_damaged_on_the_server_is_put_right(images, build, damage):
    base = images.get(run(images, build).images[-1].id)
    assert base is not None
    images.update(base, properties={damage: "damaged"})
    run(images, build)
    text = next(build.glob("*.manifest.json")).read_bytes()
    now = images.get(base.id)
    assert now is not None
    assert embedded.unpack(now.properties) == text


def test_until_the_new_one_is_active_the_old_one_has_the_name(images, build, other, monkeypatch):
    old = run(images, build).images[-1]
    seen = []
    real = images.send

    def send(image_id, body, size_bytes):
        seen.append([image.id for image in images.named("made")])
        real(image_id, body, size_bytes)

    monkeypatch.setattr(images, "send", send)
    new = run(images, other, replace=True).images[-1]
    assert seen == [[old.id]]  # the base alone was sent
    assert [image.id for image in images.named("made")] == [new.id]


def test_an_image_that_glance_forgot_was_deleted_is_not_made_twice(images, build, services):
    first = ids(run(images, build))
    images.delete(first[-1])
    second = ids(run(images, build))
    assert second[-1] != first[-1]
    # `glance-manage db purge`
    file = services.folder / "glance.sqlite"
    with contextlib.closing(sqlite3.connect(file, timeout=60)) as database, database:
        for table, key in (
            ("image_properties", "image_id"),
            ("image_locations", "image_id"),
            ("images", "id"),
        ):
            database.execute(f"DELETE FROM {table} WHERE {key} = ?", (first[-1],))
    third = run(images, build)
    assert ids(third) == second
    assert third.sent_bytes == 0


def test_a_failure_says_what_is_there_now(images, build, services):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.cut_sending(1 << 20, times=3)
        with pytest.raises(BakeryError) as caught:
            run(Images.of_cloud(None), build)
    told = caught.value.message.partition("on the server now: ")[2]
    form = r"kernel \(aki\) \S{36} is active, ramdisk \(ari\) \S{36} is active, base \(ami\) "
    assert re.match(form, told)


def test_a_failure_of_a_server_that_is_gone_says_so(images, build, services):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        gone = Images.of_cloud(None)
        proxy.fail(500, "PUT", "/file")
        proxy.fail(500, "GET", "/v2/images/", times=100)
        proxy._faults[-1].times = 0  # from the failed sending on
        real = gone.send

        def send(image_id, body, size_bytes):
            proxy._faults[-1].times = 100
            real(image_id, body, size_bytes)

        gone.send = send  # type: ignore[method-assign]
        with pytest.raises(BakeryError, match="cannot be told: it does not answer"):
            run(gone, build)


def test_roles_are_what_the_rest_of_the_cloud_goes_by(images, build):
    run(images, build)
    assert sorted(image.role for image in images.published()) == sorted(records.ROLES)
