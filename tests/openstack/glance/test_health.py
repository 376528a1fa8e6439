from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bakery.manifest import manifest
from bakery.openstack.glance import embedded, health, records
from bakery.openstack.glance.records import Image
from tests.openstack.glance import publishing
from tests.openstack.glance.memory import MemoryImages

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


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The images of a build as it was published, by role."""
    folder = publishing.made(tmp_path_factory.mktemp("health") / "made", data=0, size=4 << 20)
    told = manifest.load(folder).manifest
    text = (folder / "made.manifest.json").read_bytes()
    ids = {"kernel": "k", "ramdisk": "r", "base": "b"}
    links = {records.KERNEL_ID: "k", records.RAMDISK_ID: "r"} | embedded.pack(text)
    digests = {role: artifact.digest for role, artifact in told.artifacts.items()}
    return {
        role: image(
            ids[role],
            role,
            **({records.DIGEST: digest} | (links if role == "base" else {})),
        )
        for role, digest in digests.items()
    }


def changed(one, *, status="active", without=(), **properties):
    kept = {key: value for key, value in one.properties.items() if key not in without}
    return msgspec.structs.replace(one, status=status, properties=kept | properties)


def test_nothing_is_wrong_with_what_is_sound(sound):
    assert problems(*sound.values()) == {"k": (), "r": (), "b": ()}


def test_what_is_wrong_with_a_base_is_told(sound):
    def base(**more):
        return problems(*(sound | {"base": changed(sound["base"], **more)}).values())["b"]

    assert base(without=[records.KERNEL_ID]) == ("kernel is not linked",)
    assert base(**{records.KERNEL_ID: "gone"}) == ("kernel gone: gone is not there",)
    assert base(**{records.KERNEL_ID: "", records.OWN_KERNEL_ID: "k"}) == ()
    assert base(**{records.DIGEST: "other"}) == (
        "digest differs: it is not the base of its manifest",
    )
    assert base(**{records.KERNEL_ID: "r"}) == (
        "digest differs: kernel r is not the one of its manifest",
    )
    (said,) = base(without=[embedded.HEAD])
    assert said.startswith("no manifest: it carries no manifest")
    assert base(status="saving", without=[records.KERNEL_ID]) == ("not finished: saving",)


def test_what_is_wrong_with_a_kernel_is_told_at_the_base_too(sound):
    kernel = changed(sound["kernel"], status="deactivated")
    found = problems(*(sound | {"kernel": kernel}).values())
    assert found["b"] == ("kernel k is deactivated",)
    assert found["k"] == ("not finished: deactivated",)
    kernel = changed(sound["kernel"], without=[records.DIGEST])
    assert problems(*(sound | {"kernel": kernel}).values())["b"] == ()


@pytest.mark.parametrize(
    ("algorithm", "value", "differs"),
    [("sha512", "a", False), ("sha512", "b", True), ("sha256", "b", False), ("sha512", "", False)],
)
def test_bytes_that_glance_counted_otherwise_are_told(algorithm, value, differs):
    one = msgspec.structs.replace(
        image("k", **{records.SHA512: "a"}), hash_algo=algorithm, hash_value=value
    )
    assert any("Glance's hash is not" in problem for problem in problems(one)["k"]) is differs


def test_an_entry_is_its_image_and_what_is_linked(sound):
    listed = health.entries(MemoryImages(*sound.values()), NOW)
    base, kernel, ramdisk = listed
    assert (base.id, base.role, base.links) == ("b", "base", {"kernel": "k", "ramdisk": "r"})
    assert (kernel.id, ramdisk.id, kernel.links) == ("k", "r", {})
    shaped = image("w", records.BASE, **{records.SHAPE: "whole-disk"})
    formatted = msgspec.structs.replace(image("x"), disk_format="aki")
    shapes = {one.id: one.shape for one in health.entries(MemoryImages(shaped, formatted), NOW)}
    assert shapes == {"w": "whole-disk", "x": "aki"}


def test_bases_come_by_name_and_age_and_what_nothing_links_to_by_its_own():
    def base(image_id, name, created_at, **links):
        one = image(image_id, records.BASE, **links)
        return msgspec.structs.replace(one, name=name, created_at=created_at)

    listed = health.entries(
        MemoryImages(
            base("3", "b", "2020", **{records.KERNEL_ID: "k"}),
            base("2", "a", "2021"),
            base("1", "a", "2020", **{records.KERNEL_ID: "k"}),
            msgspec.structs.replace(image("k"), name="zz"),
            msgspec.structs.replace(image("alone"), name="aa"),
        ),
        NOW,
    )
    assert [one.id for one in listed] == ["1", "k", "2", "alone", "3"]


def test_age_is_that_of_the_last_change_else_of_the_making():
    old = msgspec.structs.replace(image("i", age=HOUR), created_at="2020-05-17T12:00:00Z")
    assert health.is_older(old, NOW, HOUR)
    old = msgspec.structs.replace(old, updated_at="", created_at="2020-05-17T11:00:00Z")
    assert health.is_older(old, NOW, HOUR)
    assert not health.is_older(old, NOW, HOUR + timedelta(seconds=1))
    assert not health.is_older(msgspec.structs.replace(old, created_at=""), NOW, HOUR)
