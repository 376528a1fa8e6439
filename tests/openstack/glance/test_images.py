"""The calls bakery makes, against a real Glance, and answers that one does not give."""

import json
import uuid

import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.glance import images as module
from bakery.openstack.glance.images import Images, Taken
from bakery.openstack.glance.records import Location
from tests.openstack.glance.scripted import (
    ID,
    PATH,
    SHOWN,
    Answer,
    answering,
    listing,
    refusal,
    shown,
)
from tests.services.proxy import Proxy

CONTENT = bytes(range(256)) * 5000


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


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_only_what_differs_is_changed_and_by_one_request(glance, services, cloud, monkeypatch):
    image = sent(glance, keep="1", change="1", go="1")
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
    now = glance.get(image.id)
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
    with pytest.raises(CloudError, match="list never ends"):
        images.all()


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_a_download_that_is_cut_is_told(glance, services):
    image = sent(glance)
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


def test_a_cloud_without_an_image_service_is_told():
    class Nowhere:
        @property
        def image(self):
            raise OSError("nowhere")

    with pytest.raises(CloudError, match="cannot reach the image service: nowhere"):
        Images(Nowhere())  # type: ignore[arg-type]


def test_a_head_is_read_as_far_as_it_is_wanted():
    answer = Answer(200, b"abc", b"def", b"ghi")
    images, adapter = answering(answer)
    assert images.head(ID, 4) == b"abcd"
    assert (answer.given, answer.closed) == (2, True)
    assert "Range" not in adapter.asked[0][2]["headers"]
    for size, content in ((3, b"abc"), (0, b""), (100, b"abcdefghi")):
        answer.given = 0
        assert images.head(ID, size) == content
    assert answer.given == 3


def test_a_stream_that_breaks_is_told_and_closed():
    answer = Answer(206, b"abc", ConnectionResetError("reset"))
    images, adapter = answering(answer)
    stream = images.fetch(ID, 5)
    assert (stream.offset, adapter.asked[0][2]["headers"]) == (5, {"Range": "bytes=5-"})
    with pytest.raises(CloudError, match=f"fetching image {ID}: the connection was lost"):
        list(stream)
    assert answer.closed


def test_a_service_that_knows_no_ranges_begins_anew():
    assert answering(Answer(200, b"abc"))[0].fetch(ID, 2).offset == 0


def test_a_range_that_cannot_be_is_asked_for_no_more():
    broken = refusal(416)
    images, adapter = answering(broken, Answer(200, b"abc"))
    assert images.fetch(ID, 7).offset == 0
    assert broken.closed
    assert [more["headers"] for _, _, more in adapter.asked] == [{"Range": "bytes=7-"}, {}]
    with pytest.raises(CloudError, match="416"):
        answering(refusal(416))[0].fetch(ID)


def test_a_body_is_sent_once_and_may_take_long():
    images, adapter = answering(Answer(204))
    images.send(ID, [b"abc"], 3)
    ((method, path, more),) = adapter.asked
    assert (method, path, more["data"]) == ("PUT", f"{PATH}/file", [b"abc"])
    assert more["headers"]["X-OpenStack-Image-Size"] == "3"
    assert (more["connect_retries"], more["status_code_retries"]) == (0, 0)
    assert (more["redirect"], more["allow_reauth"]) == (False, False)
    assert more["timeout"] == module.SEND_TIMEOUT_SECONDS > module.TIMEOUT_SECONDS


@pytest.mark.parametrize(("timeout", "used"), [(None, module.TIMEOUT_SECONDS), (7, 7)])
def test_other_requests_take_as_long_as_the_cloud_is_configured(timeout, used):
    images, adapter = answering(shown(), timeout=timeout)
    images.get(ID)
    method, path, more = adapter.asked[0]
    assert (method, path, more["timeout"]) == ("GET", PATH, used)
    assert (more["stream"], more["raise_exc"]) == (True, False)


@pytest.mark.parametrize(("status", "taken"), [(409, True), (403, False), (500, False)])
def test_only_an_id_that_exists_is_taken(status, taken):
    images, _ = answering(refusal(status))
    with pytest.raises(CloudError) as caught:
        images.create(ID, "n", "raw", "bare", "private", {})
    assert isinstance(caught.value, Taken) is taken
    assert caught.value.status == status


def test_a_record_is_made_of_its_fields_and_properties():
    images, adapter = answering(shown())
    images.create(ID, "n", "raw", "bare", "private", {"a": "b"}, 7)
    assert adapter.asked[0][2]["json"] == {
        "a": "b", "id": ID, "name": "n", "disk_format": "raw", "container_format": "bare",
        "visibility": "private", "min_disk": 7,
    }  # fmt: skip


@pytest.mark.parametrize("status", [404, 410])
def test_an_image_that_is_gone_is_none(status):
    answer = refusal(status)
    images, _ = answering(answer)
    assert images.get(ID) is None
    images.delete(ID)
    assert answer.closed
    assert images.locations(ID) == ()


def test_an_answer_that_is_no_object_is_told():
    for answer in (Answer(200, b"[]"), Answer(200, b"text")):
        with pytest.raises(CloudError):
            answering(answer)[0].get(ID)


def test_an_answer_that_breaks_off_is_told_and_closed():
    answer = Answer(200, b"{", ConnectionResetError("reset"))
    with pytest.raises(CloudError, match=r"looking at image .* the connection was lost"):
        answering(answer)[0].get(ID)
    assert answer.closed


def test_a_request_that_nobody_answers_is_told():
    for error in (ConnectionResetError("reset"), CloudError("as it was")):
        with pytest.raises(CloudError, match=r"the connection was lost|^as it was$"):
            answering(error)[0].get(ID)


def image_of(**fields):
    return answering(shown(**fields))[0].get(ID)


def test_a_change_says_what_differs_alone_in_one_patch():
    images, adapter = answering(shown(name="m"))
    image = image_of(keep="1", change="1", go="1")
    now = images.update(
        image,
        name="m",
        visibility="private",
        hidden=True,
        min_disk=2,
        properties={"keep": "1", "change": "2", "a/b~": "3"},
        remove=("go", "never"),
    )
    assert now.name == "m"
    ((method, path, more),) = adapter.asked
    assert (method, path) == ("PATCH", PATH)
    assert more["headers"] == {"Content-Type": module.PATCH_TYPE}
    assert json.loads(more["data"]) == [
        {"op": "replace", "path": "/name", "value": "m"},
        {"op": "replace", "path": "/os_hidden", "value": True},
        {"op": "replace", "path": "/min_disk", "value": 2},
        {"op": "replace", "path": "/change", "value": "2"},
        {"op": "add", "path": "/a~1b~0", "value": "3"},
        {"op": "remove", "path": "/go"},
    ]


def test_an_image_that_is_as_wanted_is_not_asked_for():
    images, adapter = answering(refusal(500))
    image = image_of(a="b")
    assert images.update(image, name="n", min_disk=1, hidden=False, properties={"a": "b"}) is image
    assert adapter.asked == []


def test_a_change_in_conflict_is_made_again_on_what_is_there_then():
    images, adapter = answering(refusal(409), shown(), shown(a="b"))
    assert images.update(image_of(a="c"), properties={"a": "b"}).properties == {"a": "b"}
    assert adapter.lines == [f"PATCH {PATH}", f"GET {PATH}", f"PATCH {PATH}"]
    assert [json.loads(more["data"])[0]["op"] for _, _, more in adapter.asked[::2]] == [
        *("replace", "add"),
    ]


def test_what_another_one_changed_to_the_same_is_not_changed_again():
    images, adapter = answering(refusal(409), shown(a="b"))
    assert images.update(image_of(), properties={"a": "b"}).properties == {"a": "b"}
    assert len(adapter.asked) == 2


def test_a_conflict_that_stays_is_told():
    conflicts = [refusal(409), shown()] * module.UPDATE_TURNS
    images, adapter = answering(*conflicts)
    with pytest.raises(CloudError, match="updating the image n") as caught:
        images.update(image_of(), properties={"a": "b"})
    assert caught.value.status == 409
    assert adapter.lines.count(f"PATCH {PATH}") == module.UPDATE_TURNS == 4


@pytest.mark.parametrize("answers", [(409, 404), (400,), (500,)])
def test_a_change_that_cannot_be_made_is_told(answers):
    images, adapter = answering(*map(refusal, answers))
    with pytest.raises(CloudError) as caught:
        images.update(image_of(), properties={"a": "b"})
    assert caught.value.status == answers[0]
    assert len(adapter.asked) == len(answers)


LOCATION = {"url": "file:///a", "metadata": {"id": "s"}}


def test_locations_are_told_with_the_image_or_by_a_call_of_their_own():
    images, adapter = answering(shown(locations=[LOCATION]))
    assert images.locations(ID) == (Location("file:///a", {"id": "s"}),)
    assert len(adapter.asked) == 1
    images, adapter = answering(shown(), Answer(200, [LOCATION]))
    assert images.locations(ID) == (Location("file:///a", {"id": "s"}),)
    assert adapter.lines[1] == f"GET {PATH}/locations"


@pytest.mark.parametrize(
    "answer", [refusal(403), refusal(404), refusal(405), Answer(200, b"[]"), Answer(200, b"[7]")]
)
def test_a_cloud_that_does_not_tell_locations_has_none(answer):
    assert answering(shown(), answer)[0].locations(ID) == ()


def test_locations_that_cannot_be_told_are_an_error():
    with pytest.raises(CloudError, match="locations of image"):
        answering(shown(), refusal(500))[0].locations(ID)


HASHED = {"os_hash_algo": "sha512", "os_hash_value": "h"}


def test_a_location_is_registered_with_what_it_hashes_to():
    images, adapter = answering(shown())
    images.add_location(ID, "rbd://x", {"a": "b"}, HASHED)
    ((method, path, more),) = adapter.asked
    assert (method, path) == ("PATCH", PATH)
    value = {"url": "rbd://x", "metadata": {"a": "b"}, "validation_data": HASHED}
    assert json.loads(more["data"]) == [{"op": "add", "path": "/locations/-", "value": value}]
    images, adapter = answering(shown())
    images.add_location(ID, "rbd://x")
    assert json.loads(adapter.asked[0][2]["data"])[0]["value"] == {"url": "rbd://x", "metadata": {}}


def test_where_locations_are_not_shown_the_newer_call_registers_one():
    images, adapter = answering(refusal(403), Answer(200, {}))
    images.add_location(ID, "rbd://x", validation=HASHED)
    assert adapter.lines == [f"PATCH {PATH}", f"POST {PATH}/locations"]
    assert adapter.asked[1][2]["json"] == {"url": "rbd://x", "validation_data": HASHED}


@pytest.mark.parametrize(
    ("answers", "status"),
    [((400,), 400), ((403, 404), 403), ((403, 405), 403), ((403, 409), 409)],
)
def test_a_location_that_no_call_takes_is_told_by_the_reason_that_says_more(answers, status):
    images, adapter = answering(*map(refusal, answers))
    with pytest.raises(CloudError, match="registering the location") as caught:
        images.add_location(ID, "rbd://x")
    assert caught.value.status == status
    assert len(adapter.asked) == len(answers)


def test_the_next_page_is_asked_for_at_our_own_endpoint():
    first = listing(SHOWN, next="http://elsewhere/v2/images?marker=m&limit=1")
    images, adapter = answering(first, listing(SHOWN, next=7))
    assert len(images.with_property("a", "b")) == 2
    assert [path for _, path, _ in adapter.asked] == ["/images", "/images?marker=m&limit=1"]
    params = [more["params"] for _, _, more in adapter.asked]
    assert params == [{"a": "b", "owner": "ours", "limit": "500"}, {}]


def test_a_listing_without_images_is_empty():
    assert answering(Answer(200, {"images": None}))[0].all() == []


def test_who_has_no_project_asks_for_all_of_a_property():
    images, adapter = answering(listing(), project="")
    assert images.with_property("a", "b") == []
    assert "owner" not in adapter.asked[0][2]["params"]


@pytest.mark.parametrize(("name", "asked"), [("a b-c/d@e+f.g_1", True), ("a:b", False)])
def test_only_a_plain_name_is_asked_for(name, asked):
    images, adapter = answering(listing(SHOWN, SHOWN | {"name": name}))
    assert [image.name for image in images.named(name)] == [name]
    assert adapter.asked[0][2]["params"].get("name") == (name if asked else None)


def test_published_images_come_in_the_order_they_were_made():
    entries = [SHOWN | {"id": key, "created_at": at} for key, at in (("b", "2"), ("c", "1"))]
    images, adapter = answering(listing(*entries))
    assert [image.id for image in images.published()] == ["c", "b"]
    asked = [
        (more["params"]["bakery_role"], more["params"]["os_hidden"]) for *_, more in adapter.asked
    ]
    roles = ("kernel", "ramdisk", "base")
    assert asked == [(role, hidden) for role in roles for hidden in ("false", "true")]


def test_an_answer_may_be_as_large_as_the_limit(monkeypatch):
    content = json.dumps(SHOWN).encode()
    monkeypatch.setattr(module, "ANSWER_LIMIT_BYTES", len(content))
    assert answering(Answer(200, content))[0].get(ID).id == ID
    answer = Answer(200, content, b" ", b" ")
    with pytest.raises(CloudError, match="the answer is larger"):
        answering(answer)[0].get(ID)
    assert (answer.given, answer.closed) == (2, True)
