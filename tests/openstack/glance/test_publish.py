"""Sets of images in a real Glance: order, names, and what failures say."""

import base64
import contextlib
import re
import sqlite3
import zlib

import pytest

from bakery.host import report
from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.openstack.connection import GO_ON_HINT, CloudError
from bakery.openstack.glance import embedded, pieces, publish, records, unchanged
from bakery.openstack.glance.images import Images
from tests.openstack.glance import publishing, standin
from tests.services.proxy import Proxy


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return publishing.made(tmp_path_factory.mktemp("publish") / "made")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A build of the same name with another base."""
    return publishing.made(tmp_path_factory.mktemp("publish") / "made", name="made", data=1 << 20)


def run(images, build, *, replace=False, visibility=None):
    text = next(build.glob("*.manifest.json")).read_bytes()
    parts = pieces.parts(manifest.load(build), text, pieces.PublishOptions())
    stamps = unchanged.verified([*parts.companions, parts.base])
    order = publish.PublishRequest(
        parts=parts, stamps=stamps, visibility=visibility, replace=replace
    )
    return publish.publish(images, order, report.silent())


def ids(outcome):
    return [image.id for image in outcome.images]


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_kernel_and_ramdisk_are_there_before_the_base_is_made(glance, build, services):
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


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_an_image_that_glance_forgot_was_deleted_is_not_made_twice(glance, build, services):
    first = ids(run(glance, build))
    glance.delete(first[-1])
    second = ids(run(glance, build))
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
    third = run(glance, build)
    assert ids(third) == second
    assert third.sent_bytes == 0


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_a_failure_says_what_is_there_now(glance, build, services):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.cut_sending(1 << 20, times=3)
        with pytest.raises(BakeryError) as caught:
            run(Images.of_cloud(None), build)
    told = caught.value.message.partition("on the server now: ")[2]
    form = r"kernel \(aki\) \S{36} is active, ramdisk \(ari\) \S{36} is active, base \(ami\) "
    assert re.match(form, told)


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_a_failure_of_a_server_that_is_gone_says_so(glance, build, services):
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
        with pytest.raises(BakeryError, match="is unknown: it does not answer"):
            run(gone, build)


def test_roles_are_what_the_rest_of_the_cloud_goes_by(images, build):
    run(images, build)
    assert sorted(image.role for image in images.published()) == sorted(records.ROLES)


def test_an_image_that_was_hidden_is_seen_again_once_it_is_published_again(images, build):
    base = images.get(run(images, build).images[-1].id)
    images.update(base, hidden=True, name="other")
    again = run(images, build).images[-1]
    assert (again.id, again.name, again.updated, again.created) == (base.id, "made", True, False)
    assert not images.get(base.id).hidden


def test_a_second_run_sends_and_changes_nothing(images, build):
    first = run(images, build)
    assert [image.created for image in first.images] == [True] * 3
    assert first.sent_bytes == sum(image.size_bytes for image in first.images)
    again = run(images, build)
    assert again.sent_bytes == 0
    assert [(image.created, image.updated) for image in again.images] == [(False, False)] * 3


def test_only_the_image_that_another_build_replaces_is_hidden(images, build, other):
    first = run(images, build)
    second = run(images, other, replace=True)
    assert second.hidden == (first.images[-1].id,)
    assert [image.hidden for image in images.published()].count(True) == 1
    assert ids(second)[:2] == ids(first)[:2]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return publishing.made(tmp_path_factory.mktemp("small") / "made", data=0, size=4 << 20)


@pytest.fixture
def ours():
    """A way to a service of our own, and the service."""
    with standin.running() as both:
        yield both


def written(glance):
    return [line for line in glance.requests if not line.startswith("GET ")]


def test_every_image_is_made_filled_and_told_before_the_next_and_the_base_is_last(ours, small):
    images, glance = ours
    kernel, ramdisk, base = ids(run(images, small))
    assert written(glance) == [
        f"{verb} /v2/images{path}"
        for image in (kernel, ramdisk, base)
        for verb, path in (("POST", ""), ("PUT", f"/{image}/file"), ("PATCH", f"/{image}"))
    ]
    properties = images.get(base).properties
    assert (properties[records.KERNEL_ID], properties[records.RAMDISK_ID]) == (kernel, ramdisk)
    assert records.SENT not in properties


def test_the_visibility_is_set_before_a_byte_is_sent(ours, small):
    images, glance = ours
    first = run(images, small).images[-1]
    glance.records[first.id].fields["status"] = "queued"
    glance.requests.clear()
    run(images, small, visibility="public")
    kinds = [line.split()[0] for line in written(glance) if first.id in line]
    assert kinds[:2] == ["PATCH", "PUT"]
    new = images.get(first.id)
    assert (new.visibility, new.status) == ("public", "active")


def test_a_record_that_another_publisher_made_meanwhile_is_used(ours, small, monkeypatch):
    images, _ = ours
    first = ids(run(images, small))
    real, unseen = images.get, set(first)

    def get(image_id):
        if image_id in unseen:
            unseen.discard(image_id)
            return None
        return real(image_id)

    monkeypatch.setattr(images, "get", get)
    again = run(images, small)
    assert (ids(again), again.sent_bytes) == (first, 0)
    assert not any(image.created for image in again.images)


def test_an_image_that_was_deleted_is_made_again_under_the_next_id(ours, small):
    images, _ = ours
    first = ids(run(images, small))
    images.delete(first[0])
    second = run(images, small)
    assert ids(second)[0] != first[0]
    assert ids(second)[1:] == first[1:]
    assert [image.created for image in second.images] == [True, False, False]
    assert images.get(first[-1]).properties[records.KERNEL_ID] == ids(second)[0]
    assert second.images[-1].updated


def test_an_image_that_glance_has_forgotten_is_not_made_twice(ours, small):
    images, glance = ours
    first = ids(run(images, small))
    images.delete(first[-1])
    second = ids(run(images, small))
    glance.given.discard(first[-1])
    third = run(images, small)
    assert (ids(third), third.sent_bytes) == (second, 0)


def test_an_image_that_is_deleted_each_time_is_given_up(ours, small, monkeypatch):
    images, glance = ours
    text = next(small.glob("*.manifest.json")).read_bytes()
    parts = pieces.parts(manifest.load(small), text, pieces.PublishOptions())
    kernel = parts.companions[0]
    for number in range(publish.GENERATIONS - 1):
        glance.given.add(kernel.image_id(images.project, number))
    last = run(images, small).images[0]
    assert last.id == kernel.image_id(images.project, publish.GENERATIONS - 1)
    images.delete(last.id)
    with pytest.raises(BakeryError, match="its image was deleted 64 times") as caught:
        run(images, small)
    assert "on the server now: nothing of this build" in caught.value.message
    assert caught.value.hint == GO_ON_HINT


def test_a_failure_tells_what_is_there_of_the_build(ours, small, monkeypatch):
    images, _ = ours
    real = images.send

    def send(image_id, body, size_bytes):
        if size_bytes > 1000:
            raise CloudError("no more", "a hint", 413)
        real(image_id, body, size_bytes)

    monkeypatch.setattr(images, "send", send)
    with pytest.raises(CloudError, match=r"^no more; on the server now: ") as caught:
        run(images, small)
    told = caught.value.message.partition("on the server now: ")[2]
    form = r"kernel \(aki\) \S{36} is active, ramdisk .* is active, base \(ami\) \S{36} is queued"
    assert re.fullmatch(form, told)
    assert (caught.value.hint, caught.value.status) == ("a hint", 413)


def test_a_service_that_stops_answering_is_told(ours, small, monkeypatch):
    images, _ = ours

    def fails(*_arguments):
        monkeypatch.setattr(images, "get", fails)
        raise CloudError("gone", "", 413)

    monkeypatch.setattr(images, "send", fails)
    with pytest.raises(CloudError, match=r"gone; what exists .* is unknown"):
        run(images, small)


def test_others_of_the_name_are_told_and_those_of_other_projects_are_not(ours, small):
    images, glance = ours
    for number in (1, 2):
        images.create(f"{number}" * 36, "made", "raw", "bare", "private", {})
    glance.records["2" * 36].fields["owner"] = "theirs"
    assert run(images, small).same_name == ("1" * 36,)


def test_only_what_bakery_published_for_us_is_replaced(ours, small):
    images, glance = ours
    for number, role, owner in ((1, "base", "theirs"), (2, "kernel", "ours"), (3, "base", "ours")):
        images.create(f"{number}" * 36, "made", "raw", "bare", "private", {records.ROLE: role})
        glance.records[f"{number}" * 36].fields["owner"] = owner
    result = run(images, small, replace=True)
    assert result.hidden == ("3" * 36,)
    assert result.images[-1].name == "made"
    assert [image.id for image in images.named("made") if image.owner == "ours"] == [
        *("2" * 36, result.images[-1].id),
    ][::-1]
    assert run(images, small, replace=True).hidden == ()


def test_what_zlib_made_elsewhere_of_the_same_manifest_stays(ours, small):
    images, glance = ours
    base = images.get(ids(run(images, small))[-1])
    text = embedded.unpack(base.properties)
    other = base64.b64encode(zlib.compress(text, 1)).decode()
    assert other != base.properties["bakery_manifest_1"]
    images.update(base, properties={"bakery_manifest_1": other})
    glance.requests.clear()
    run(images, small)
    assert written(glance) == []
