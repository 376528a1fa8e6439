import pytest

from bakery.host.errors import BakeryError
from bakery.openstack.glance import records

ANSWER = {
    "id": "5cf07fc7-388e-5774-bb14-d7f25b0d8459",
    "name": "fedora-atomic",
    "status": "active",
    "size": 6126829568,
    "visibility": "private",
    "os_hidden": True,
    "owner": "f390",
    "os_hash_algo": "sha512",
    "os_hash_value": "3e39",
    "disk_format": "ami",
    "container_format": "ami",
    "min_disk": 6,
    "checksum": None,
    "tags": ["a"],
    "schema": "/v2/schemas/image",
    "kernel_id": "45b9",
    "ramdisk_id": None,
    "bakery_role": "base",
    "locations": [{"url": "rbd://a/b/c/snap", "metadata": {"store": "ceph"}}],
}


def test_an_image_is_what_the_answer_says():
    image = records.image(ANSWER)
    assert image.size_bytes == 6126829568
    assert image.hidden
    assert image.role == "base"
    assert (image.hash_algo, image.hash_value) == ("sha512", "3e39")
    assert image.locations == (records.Location("rbd://a/b/c/snap", {"store": "ceph"}),)


def test_properties_are_those_that_are_no_field_and_not_null():
    assert records.image(ANSWER).properties == {"kernel_id": "45b9", "bakery_role": "base"}


def test_a_queued_image_has_no_size_yet():
    image = records.image({"id": "a", "status": "queued", "size": None, "name": None})
    assert image.size_bytes is None
    assert (image.name, image.hash_algo, image.locations) == ("", "", ())


@pytest.mark.parametrize(
    "answer", [{}, {"id": 1, "status": "active"}, {"id": "a", "status": "active", "size": "x"}]
)
def test_what_is_no_image_is_refused(answer):
    with pytest.raises(BakeryError, match="described an image"):
        records.image(answer)


def test_every_field_is_read_under_its_own_name():
    image = records.image(
        ANSWER
        | {"protected": True, "checksum": "md5", "created_at": "2026", "updated_at": "2027"}
        | {"properties": "a property of that name", "role": 7}
    )
    assert (image.id, image.name, image.status) == (
        *("5cf07fc7-388e-5774-bb14-d7f25b0d8459", "fedora-atomic", "active"),
    )
    assert (image.disk_format, image.container_format) == ("ami", "ami")
    assert (image.visibility, image.owner, image.min_disk_gib) == ("private", "f390", 6)
    assert (image.protected, image.checksum) == (True, "md5")
    assert (image.created_at, image.updated_at) == ("2026", "2027")
    assert image.properties["properties"] == "a property of that name"
    assert image.properties["role"] == "7"


def test_what_an_answer_does_not_tell_is_empty():
    nothing = dict.fromkeys(records.STANDARD)
    image = records.image({**nothing, "id": "a", "status": "queued"})
    assert image == records.Image(id="a", status="queued")


def test_a_companion_is_named_by_a_link_of_ironics_or_one_of_our_own():
    assert records.LINKS == {
        "kernel": ("kernel_id", "bakery_kernel_id"),
        "ramdisk": ("ramdisk_id", "bakery_ramdisk_id"),
    }
