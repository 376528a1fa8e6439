from datetime import UTC, datetime, timedelta

import pytest

from bakery.cloud import health, records
from bakery.cloud.records import Image
from tests.cloud.memory import MemoryImages

NOW = datetime(2020, 5, 17, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def image(image_id, role=records.KERNEL, age=timedelta(0), status="active", **properties):
    return Image(
        id=image_id,
        name=f"name-{image_id}",
        status=status,
        owner="ours",
        updated_at=(NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ"),
        properties={records.ROLE: role, **properties},
    )


def problems(*images):
    return {entry.id: entry.problems for entry in health.entries(MemoryImages(*images), NOW)}


@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing", "killed"])
def test_an_upload_that_was_silent_for_an_hour_is_stuck(status):
    found = problems(
        image("old", status=status, age=HOUR),
        image("new", status=status, age=HOUR - timedelta(seconds=1)),
    )
    assert found["old"] == (f"stuck: {status} since 2020-05-17T11:00:00Z",)
    assert found["new"] == (f"not finished: {status}",)


def test_an_active_image_may_be_as_old_as_it_likes():
    assert problems(image("old", age=HOUR * 10_000)) == {"old": ()}


@pytest.mark.parametrize("text", ["", "yesterday", "2020-05-17T99:00:00Z", "0" * 10_000])
def test_a_time_that_is_none_makes_nothing_stuck(text):
    assert health.moment(text) is None
    broken = Image(id="i", status="queued", updated_at=text, properties={records.ROLE: "kernel"})
    assert not health.is_stuck(broken, NOW)


def test_a_time_without_a_zone_is_glances_utc():
    assert health.moment("2020-05-17T12:00:00.000000") == NOW


@pytest.mark.parametrize(
    "keys", [(records.KERNEL_ID, records.RAMDISK_ID), (records.OWN_KERNEL_ID, records.RAMDISK_ID)]
)
def test_kernel_and_ramdisk_stand_behind_the_base_that_names_them(keys):
    links = dict(zip(keys, ("k", "r"), strict=True))
    listed = health.entries(
        MemoryImages(
            image("r", records.RAMDISK),
            image("a", records.KERNEL),
            image("k", records.KERNEL),
            image("b", records.BASE, **links),
        ),
        NOW,
    )
    assert [entry.id for entry in listed if entry.id != "a"] == ["b", "k", "r"]


def test_a_companion_that_is_not_finished_is_told_at_the_base():
    found = problems(
        image("k", status="saving"), image("b", records.BASE, **{records.KERNEL_ID: "k"})
    )
    assert "kernel k is saving" in found["b"]


def test_a_kernel_that_bakery_did_not_publish_is_a_link_like_any():
    images = MemoryImages(image("b", records.BASE, **{records.KERNEL_ID: "foreign"}))
    foreign = Image(id="foreign", status="active")
    images.images["foreign"] = foreign
    [entry] = health.entries(images, NOW)
    assert not any("kernel" in problem for problem in entry.problems)
