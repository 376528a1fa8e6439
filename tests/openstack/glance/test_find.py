"""Answers a real Glance does not give; what it does give is in tests/e2e/test_download.py."""

import msgspec
import pytest

from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.openstack.glance import embedded, find, records
from bakery.openstack.glance.records import Image
from tests.openstack.glance.memory import MemoryImages
from tests.openstack.glance.publishing import made

BASE_ID = "7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10"
KERNEL_ID = "0f6a1c9e-58a1-5f6b-8c11-5a3f5d6b7c88"
RAMDISK_ID = "1f6a1c9e-58a1-5f6b-8c11-5a3f5d6b7c88"


class Service(MemoryImages):
    def named(self, name):
        return [image for image in self.images.values() if image.name == name]

    def with_property(self, key, value):
        return [image for image in self.images.values() if image.properties.get(key) == value]


@pytest.fixture
def images(tmp_path):
    """What a sound upload of an ami leaves, by role."""
    build = manifest.load(made(tmp_path / "made")).manifest
    text = (tmp_path / "made/made.manifest.json").read_bytes()
    links = {records.KERNEL_ID: KERNEL_ID, records.RAMDISK_ID: RAMDISK_ID}
    formats = {"base": "ami", "kernel": "aki", "ramdisk": "ari"}
    ids = {"base": BASE_ID, "kernel": KERNEL_ID, "ramdisk": RAMDISK_ID}
    more = embedded.pack(text) | links
    return {
        role: Image(
            id=ids[role],
            name="made" if role == "base" else f"made-{role}",
            status="active",
            size_bytes=build.artifacts[role].size_bytes,
            disk_format=formats[role],
            properties={records.ROLE: role, records.DIGEST: build.artifacts[role].digest}
            | (more if role == "base" else {}),
        )
        for role in ("base", "kernel", "ramdisk")
    }


def found(images, **changed):
    """What is found where the images of these roles are changed so."""
    for role, change in changed.items():
        images[role] = msgspec.structs.replace(images[role], **change)
    return find.published(Service(*images.values()), "made")


def test_every_file_of_the_build_has_its_image(images):
    parts = found(images).parts
    assert [(part.file, part.image.id) for part in parts] == [
        ("made-kernel", KERNEL_ID),
        ("made-ramdisk", RAMDISK_ID),
        ("made-base", BASE_ID),
    ]
    assert all(part.is_raw for part in parts)


@pytest.mark.parametrize("image_id", ["../../../tmp/x", "x", "", f"{BASE_ID}/../x"])
def test_an_id_that_could_lead_a_file_elsewhere_is_refused(images, image_id):
    with pytest.raises(BakeryError, match="its id is not one that Glance gives out"):
        found(images, base={"id": image_id})


@pytest.mark.parametrize("size", [None, -1, 0, 1, 1 << 60])
@pytest.mark.parametrize("disk_format", ["ami", "qcow2"])
def test_a_size_that_cannot_be_is_refused(images, size, disk_format):
    if size == 1 and disk_format == "qcow2":
        assert found(images, base={"size_bytes": size, "disk_format": disk_format})
        return
    with pytest.raises(BakeryError, match="is not the one that was published"):
        found(images, base={"size_bytes": size, "disk_format": disk_format})


@pytest.mark.parametrize("disk_format", ["", "iso", "vmdk", "QCOW2"])
def test_a_format_that_bakery_never_publishes_is_refused(images, disk_format):
    with pytest.raises(BakeryError, match="which bakery does not use"):
        found(images, base={"disk_format": disk_format})


@pytest.mark.parametrize("status", ["deactivated", "queued", "pending_delete"])
def test_a_kernel_without_bytes_is_told_with_its_status(images, status):
    with pytest.raises(BakeryError, match=f"the kernel of made .* is {status}"):
        found(images, kernel={"status": status})


@pytest.mark.parametrize("link", ["", "no-uuid", "../../images", "a" * 100_000])
def test_a_link_that_is_none_is_told_in_a_short_line(images, link):
    properties = images["base"].properties | {records.KERNEL_ID: link}
    images["kernel"] = msgspec.structs.replace(images["kernel"], properties={})
    with pytest.raises(BakeryError, match="the kernel of made is gone") as caught:
        found(images, base={"properties": properties})
    assert len(caught.value.message) < 300


def test_bytes_published_otherwise_serve_only_in_their_role(images):
    kernel = images.pop("kernel")
    said = kernel.properties | {records.ROLE: "ramdisk"}
    images["twin"] = msgspec.structs.replace(kernel, id=BASE_ID[::-1], properties=said)
    with pytest.raises(BakeryError, match="the kernel of made is gone"):
        found(images)


def test_the_ids_of_many_images_of_one_name_are_not_listed_without_end(images):
    many = [
        msgspec.structs.replace(images["base"], id=f"{number:08}{BASE_ID[8:]}")
        for number in range(500)
    ]
    with pytest.raises(BakeryError, match="500 images are called") as caught:
        find.base_image(Service(*many), "made")
    assert len(caught.value.message) < 1000


def test_of_two_bases_of_one_name_neither_is_taken_by_it(images):
    second = msgspec.structs.replace(images["base"], id="2f6a1c9e-58a1-5f6b-8c11-5a3f5d6b7c88")
    service = Service(*images.values(), second)
    with pytest.raises(BakeryError, match="2 images are called 'made'"):
        find.published(service, "made")
    assert find.published(service, second.id).base == second


def test_a_build_is_found_by_the_id_of_its_base(images):
    service = Service(*images.values())
    assert find.published(service, BASE_ID).base == images["base"]
    with pytest.raises(BakeryError, match=f"{KERNEL_ID}.* is only the kernel of a build"):
        find.published(service, KERNEL_ID)


def test_a_name_that_looks_like_an_id_is_a_name_where_there_is_no_such_image(images):
    images["base"] = msgspec.structs.replace(images["base"], name=RAMDISK_ID[::-1])
    service = Service(*images.values())
    assert find.base_image(service, RAMDISK_ID[::-1]) == images["base"]
    assert find.is_id(BASE_ID.upper())
    assert not find.is_id(BASE_ID.replace("-", ""))
    assert not find.is_id("made")


def test_a_name_that_nothing_has_is_told(images):
    with pytest.raises(BakeryError, match="no image is called 'other'") as caught:
        find.base_image(Service(*images.values()), "other")
    assert "bakery images" in caught.value.hint


def test_an_image_that_bakery_did_not_publish_is_told():
    foreign = Image(id=BASE_ID, name="cirros", status="active")
    with pytest.raises(BakeryError, match=r"cirros .* was not published by bakery"):
        find.base_image(Service(foreign), "cirros")


def test_an_upload_that_was_not_finished_is_told(images):
    with pytest.raises(BakeryError, match=f"made .{BASE_ID}. is queued: its upload was not"):
        found(images, base={"status": "queued"})


def test_a_finished_one_is_taken_beside_one_that_is_not(images):
    second = msgspec.structs.replace(images["base"], id=BASE_ID[::-1], status="saving")
    assert find.base_image(Service(second, *images.values()), "made") == images["base"]


def test_a_manifest_that_is_damaged_is_told_with_its_image(images):
    broken = images["base"].properties | {embedded.SHA256: "00"}
    with pytest.raises(BakeryError, match=f"image made .{BASE_ID}.: its manifest is damaged"):
        found(images, base={"properties": broken})


def test_a_kernel_that_no_link_leads_to_is_found_by_its_digest(images):
    said = {k: v for k, v in images["base"].properties.items() if k != records.KERNEL_ID}
    kernel, *_ = found(images, base={"properties": said}).parts
    assert kernel.image.id == KERNEL_ID
    with pytest.raises(BakeryError, match="the base does not link to one"):
        found(images, base={"properties": said}, kernel={"status": "queued"})


def test_a_link_comes_before_another_image_of_the_same_bytes(images):
    twin = msgspec.structs.replace(images["kernel"], id=f"2{KERNEL_ID[1:]}")
    parts = find.published(Service(twin, *images.values()), "made").parts
    assert parts[0].image.id == KERNEL_ID
    gone = images.pop("kernel")
    assert gone.id == KERNEL_ID
    parts = find.published(Service(twin, *images.values()), "made").parts
    assert parts[0].image.id == twin.id


def test_a_link_that_leads_nowhere_is_told_by_its_id(images):
    del images["kernel"]
    with pytest.raises(BakeryError, match=f"image {KERNEL_ID} no longer exists"):
        found(images)


def test_a_qcow2_of_nothing_but_data_is_a_little_larger_than_its_disk(images):
    size = images["base"].size_bytes
    most = size + size // 64 + (4 << 20)
    part = found(images, base={"disk_format": "qcow2", "size_bytes": most}).parts[-1]
    assert not part.is_raw
    with pytest.raises(BakeryError, match="is not the one that was published"):
        found(images, base={"disk_format": "qcow2", "size_bytes": most + 1})


def test_ten_ids_of_one_name_are_listed(images):
    def told(count):
        many = [
            msgspec.structs.replace(images["base"], id=f"{number:08}{BASE_ID[8:]}")
            for number in range(count)
        ]
        with pytest.raises(BakeryError) as caught:
            find.base_image(Service(*many), "made")
        return caught.value.message

    assert "00000009" in told(10)
    assert "…" not in told(10)
    assert told(11).endswith(", …")
    assert "00000010" not in told(11)
