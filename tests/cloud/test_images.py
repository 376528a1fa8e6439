"""The calls bakery makes, against a real Glance."""

import uuid

import pytest

from bakery.cloud import images as module
from bakery.cloud.connection import CloudError
from bakery.cloud.images import Images, Taken
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def images(cloud, monkeypatch):
    for key, value in cloud.env().items():
        monkeypatch.setenv(key, value)
    return Images.of_cloud(None)


class Pieces:
    """A body of the two halves of CONTENT."""

    def __len__(self):
        return len(CONTENT)

    def __iter__(self):
        yield CONTENT[:1000]
        yield memoryview(CONTENT)[1000:]


def create(images, name="image", **properties):
    return images.create(str(uuid.uuid4()), name, "raw", "bare", "private", properties)


def sent(images, **properties):
    image = create(images, **properties)
    images.send(image.id, Pieces(), len(CONTENT))
    return images.get(image.id)


def test_a_record_is_queued_until_its_bytes_are_there(images):
    image = create(images, bakery_role="base", a="b")
    assert (image.status, image.size_bytes, image.role) == ("queued", None, "base")
    images.send(image.id, Pieces(), len(CONTENT))
    now = images.get(image.id)
    assert (now.status, now.size_bytes, now.properties["a"]) == ("active", len(CONTENT), "b")
    assert now.owner == images.project


def test_an_id_is_given_once(images):
    image = create(images)
    again = (image.id, "other", "raw", "bare", "private", dict[str, str]())
    with pytest.raises(Taken):
        images.create(*again)
    images.delete(image.id)
    assert images.get(image.id) is None
    with pytest.raises(Taken):
        images.create(*again)


def test_deleting_what_is_not_there_is_done_already(images):
    images.delete(str(uuid.uuid4()))


def test_a_second_body_for_the_same_record_is_refused(images):
    image = sent(images)
    with pytest.raises(CloudError) as caught:
        images.send(image.id, Pieces(), len(CONTENT))
    assert caught.value.status == 409


@pytest.mark.parametrize("offset", [0, 1, 777_777, len(CONTENT) - 1])
def test_bytes_come_from_where_they_are_asked_for(images, offset):
    stream = images.fetch(sent(images).id, offset)
    assert stream.offset == offset
    assert b"".join(stream) == CONTENT[offset:]


def test_bytes_from_behind_the_end_are_all_bytes(images):
    stream = images.fetch(sent(images).id, len(CONTENT))
    assert stream.offset == 0
    assert b"".join(stream) == CONTENT


def test_only_what_differs_is_changed_and_by_one_request(images, services, cloud, monkeypatch):
    image = sent(images, keep="1", change="1", go="1")
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        through = Images.of_cloud(None)
        before = len(proxy.requests)
        now = through.update(
            image,
            name="other",
            hidden=True,
            properties={"keep": "1", "change": "2", "new/~": "3"},
            remove=("go", "never"),
        )
        assert [line.split()[0] for line in proxy.requests[before:]] == ["PATCH"]
        assert through.update(now, name="other", hidden=True) is now
        assert len(proxy.requests) == before + 1
    now = images.get(image.id)
    assert (now.name, now.hidden) == ("other", True)
    wanted = {"keep": "1", "change": "2", "new/~": "3"}
    assert wanted.items() <= now.properties.items()
    assert "go" not in now.properties


def test_a_change_that_another_made_meanwhile_is_seen(images):
    image = sent(images, go="1")
    images.update(image, remove=("go",), properties={"new": "theirs"})
    now = images.update(image, remove=("go",), properties={"new": "ours"})
    assert now.properties["new"] == "ours"
    assert "go" not in now.properties


def test_published_images_are_those_with_a_role_hidden_ones_too(images):
    visible = create(images, bakery_role="kernel")
    hidden = create(images, bakery_role="base")
    images.update(hidden, hidden=True)
    create(images, bakery_role_="base")
    assert {image.id for image in images.published()} == {visible.id, hidden.id}
    assert len(images.all()) == 3


@pytest.mark.parametrize("name", ["a", "in:a", "a,b", 'a "b"', "a:b=c", "é & <b>", "ne:x", "a%20b"])
def test_images_are_found_by_any_name(images, name):
    wanted = create(images, name)
    create(images, "another")
    assert [image.id for image in images.named(name)] == [wanted.id]


def test_images_are_found_by_a_property(images):
    wanted = create(images, bakery_digest="sha256-1m:abc")
    create(images, bakery_digest="sha256-1m:abd")
    found = images.with_property("bakery_digest", "sha256-1m:abc")
    assert [image.id for image in found] == [wanted.id]


def test_a_listing_of_many_pages_is_read_to_its_end(images, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    made = {create(images, str(number), bakery_role="kernel").id for number in range(5)}
    assert {image.id for image in images.published()} == made


def test_a_listing_without_end_is_given_up(images, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 1)
    monkeypatch.setattr(module, "PAGES_LIMIT", 2)
    for number in range(4):
        create(images, str(number))
    with pytest.raises(CloudError, match="without end"):
        images.all()


def test_an_answer_too_large_is_not_read(images, monkeypatch):
    image = create(images)
    monkeypatch.setattr(module, "ANSWER_LIMIT_BYTES", 10)
    with pytest.raises(CloudError, match="larger than 10 bytes"):
        images.get(image.id)


def test_a_download_that_is_cut_is_told(images, services):
    image = sent(images)
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.cut_receiving(200_000)
        with pytest.raises(CloudError, match="fetching image"):
            list(Images.of_cloud(None).fetch(image.id))


def test_locations_are_empty_where_the_cloud_does_not_show_them(images):
    assert images.locations(sent(images).id) == ()
    assert images.locations(str(uuid.uuid4())) == ()


def test_a_location_that_may_not_be_given_is_told(images):
    image = create(images)
    with pytest.raises(CloudError, match="not permitted") as caught:
        images.add_location(image.id, "rbd://f/p/i/snap")
    assert caught.value.status == 403
