"""What becomes of a record, state by state, with a service that tells them in turn."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from bakery.disk import digest
from bakery.host import report
from bakery.host.errors import BakeryError
from bakery.host.workdir import Stamp
from bakery.openstack.connection import CloudError
from bakery.openstack.glance import body, records, transfer
from bakery.openstack.glance.pieces import Piece
from bakery.openstack.glance.transfer import TURNS, Patience, Transfer
from tests.openstack.glance.memory import Told, told

CONTENT = b"base" * 1000
SHA512 = hashlib.sha512(CONTENT).hexdigest()
RIGHT = {
    "status": "active",
    "size_bytes": len(CONTENT),
    "hash_algo": "sha512",
    "hash_value": SHA512,
    "properties": {records.SHA512: SHA512},
}
PATIENCE = Patience(poll=1.0, still=50.0, settle=10.0, grace=(5.0, 5.0))


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert self.now < 1000, "this waits without end"
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(transfer, "time", made)
    return made


@pytest.fixture
def piece(tmp_path):
    path = tmp_path / "base"
    path.write_bytes(CONTENT)
    return Piece(
        role="base", name="n", file=path, size_bytes=len(CONTENT),
        digest=digest.fingerprint(path).digest, disk_format="raw", container_format="bare",
    )  # fmt: skip


def made(images, piece, store=None):
    step = report.Step("base", print, 0)
    return Transfer(images, piece, Stamp.of(piece.file), step, store, PATIENCE)


def filled(images, piece, state, *, ours=False, store=None):
    with made(images, piece, store) as one:
        return one.filled(told(state), ours=ours), one


@pytest.fixture
def unread(monkeypatch):
    """Nothing reads the file to know its digest."""
    monkeypatch.setattr(body, "digest", None)


@pytest.mark.parametrize("state", ["deleted", "pending_delete"])
def test_a_record_that_is_gone_must_be_made_anew(piece, state):
    assert filled(Told(None), piece, state)[0] is None


def test_a_record_whose_sending_was_killed_is_deleted(piece):
    images = Told(None)
    assert filled(images, piece, "killed")[0] is None
    assert images.deleted == ["i"]


def test_a_record_that_somebody_else_took_out_of_use_is_told(piece):
    with pytest.raises(BakeryError, match=r"image i .* is deactivated") as caught:
        filled(Told(None), piece, "deactivated")
    assert "another --name" in caught.value.hint


def test_a_record_that_never_settles_is_told(piece, clock):
    lost = CloudError("taken", "", 409)
    images = Told("queued", sending=lost)
    with pytest.raises(BakeryError, match="keeps changing"):
        filled(images, piece, "queued", ours=True)
    assert len(images.sent) == TURNS == 16


def test_an_image_known_by_its_digest_is_not_read(piece, unread):
    image, one = filled(Told(None), piece, RIGHT)
    assert (image, one.sha512, one.sent_bytes) == (told(RIGHT), SHA512, 0)


@pytest.mark.parametrize(
    "other", [{"size_bytes": 1}, {"hash_algo": ""}, {"hash_value": "00", "properties": {}}]
)
def test_an_image_that_is_another_one_is_left_alone(piece, other):
    images = Told(None)
    assert filled(images, piece, RIGHT | other)[0] is None
    assert images.deleted == []


@pytest.mark.parametrize("said", [{}, {records.SHA512: "00"}])
def test_an_image_that_does_not_say_its_digest_is_counted(piece, said):
    assert filled(Told(None), piece, RIGHT | {"properties": said})[1].sha512 == SHA512


def test_an_image_is_counted_by_the_digest_that_the_cloud_keeps(piece):
    right = RIGHT | {"hash_algo": "sha256", "hash_value": hashlib.sha256(CONTENT).hexdigest()}
    image, one = filled(Told(None), piece, right)
    assert image is not None
    assert one.sha512 == ""
    assert filled(Told(None), piece, right | {"hash_value": SHA512})[0] is None


def test_a_qcow2_is_known_only_by_what_was_said_of_it(piece, unread):
    qcow2 = msgspec.structs.replace(piece, disk_format="qcow2")
    other = RIGHT | {"size_bytes": 7}
    assert filled(Told(None), qcow2, other)[0] is not None
    assert filled(Told(None), qcow2, other | {"properties": {}})[0] is None


def test_our_own_record_is_sent_to_at_once(piece, clock):
    images = Told(RIGHT)
    image, one = filled(images, piece, "queued", ours=True)
    assert (images.sent, clock.now, one.sent_bytes) == ([CONTENT], 0, len(CONTENT))
    assert images.changes[-1] == {
        "properties": {records.SHA512: SHA512},
        "remove": (records.SENT,),
    }
    assert image == told(RIGHT)


def test_a_record_of_others_is_looked_at_for_a_while_first(piece, clock):
    images = Told(*["queued"] * 25, RIGHT)
    assert filled(images, piece, "queued")[0] is not None
    assert images.sent == [CONTENT]
    assert clock.now == pytest.approx(5.0, abs=0.25)


def test_a_record_that_is_filled_meanwhile_is_not_sent_to(piece, clock):
    images = Told("queued", RIGHT)
    assert filled(images, piece, "queued")[0] == told(RIGHT)
    assert (images.sent, clock.now) == ([], pytest.approx(0.4))
    images = Told("queued", None)
    assert filled(images, piece, "queued")[0] is None


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"size_bytes": 1}, f"the server has 1 of the {len(CONTENT)} bytes sent"),
        ({"hash_value": "00"}, "the server has other content: its sha512 is 00"),
        ({"hash_algo": "md5", "hash_value": "00"}, "the server has other content: its md5 is 00"),
    ],
)
def test_what_arrived_otherwise_is_deleted_again(piece, other, words):
    images = Told(RIGHT | other)
    with pytest.raises(BakeryError, match=f"image i was deleted again: {words}"):
        filled(images, piece, "queued", ours=True)
    assert images.deleted == ["i"]


def test_where_the_cloud_keeps_no_digest_what_arrived_cannot_differ(piece):
    arrived = RIGHT | {"hash_algo": "", "hash_value": ""}
    images = Told(arrived)
    with made(images, piece) as one:
        assert one._sent(told("queued")) == told(arrived)
    assert images.deleted == []


def test_an_image_that_is_not_active_after_its_sending_is_looked_at_again(piece, clock):
    images = Told("saving", "saving", RIGHT)
    assert filled(images, piece, "queued", ours=True)[0] == told(RIGHT)
    assert (images.deleted, images.changes) == ([], [])
    assert filled(Told(None), piece, "queued", ours=True)[0] is None


@pytest.mark.parametrize("status", [401, 404, 409, 410])
def test_a_record_that_another_one_took_is_looked_at(piece, clock, status):
    images = Told(RIGHT, sending=CloudError("taken", "", status))
    image, one = filled(images, piece, "queued", ours=True)
    assert (image, one.sent_bytes) == (told(RIGHT), 0)


def test_a_sending_that_was_cut_and_arrived_all_the_same_is_right(piece, clock):
    images = Told("saving", "saving", RIGHT, sending=CloudError("cut"))
    assert filled(images, piece, "queued", ours=True)[0] == told(RIGHT)
    assert clock.now == 2


def test_a_server_that_does_not_answer_after_a_cut_says_less_than_the_cut(piece, clock):
    with pytest.raises(CloudError, match=r"^cut$"):
        filled(Told(CloudError("no answer"), sending=CloudError("cut")), piece, "queued", ours=True)


def test_a_sending_that_was_cut_and_does_not_arrive_is_told_when_time_is_up(piece, clock):
    images = Told("saving", sending=CloudError("cut"))
    with pytest.raises(CloudError, match=r"^cut$"):
        filled(images, piece, "queued", ours=True)
    assert clock.now == PATIENCE.settle


def test_a_sender_that_hung_us_up_is_waited_for(piece, clock):
    def alive(count):
        return {"status": "saving", "properties": {records.SENT: f"{count} {count}"}}

    images = Told(*map(alive, range(30)), RIGHT, sending=CloudError("cut"))
    assert filled(images, piece, "queued", ours=True)[0] == told(RIGHT)
    assert clock.now > PATIENCE.settle
    assert images.deleted == []


class Pool:
    """A store that takes everything."""

    def __init__(self):
        self.put_files: list[Path] = []
        self.removed: list[str] = []

    def put(self, raw_file, image_id, progress):
        progress(1, 1)
        self.put_files.append(raw_file)
        return f"rbd://{image_id}"

    def remove(self, image_id):
        self.removed.append(image_id)


def test_a_store_takes_the_base_and_the_service_is_told_where_it_lies(piece, clock):
    store, images = Pool(), Told("queued", "queued", RIGHT)
    assert filled(images, piece, "queued", store=store)[0] == told(RIGHT)
    assert (store.put_files, store.removed, images.sent) == ([piece.file], [], [])
    validation = {"os_hash_algo": "sha512", "os_hash_value": SHA512}
    assert images.changes == [{"url": "rbd://i", "validation": validation}]
    assert clock.now == 2


def test_a_location_that_is_never_taken_in_is_not_waited_for_without_end(piece, clock):
    images = Told("queued")
    with made(images, piece, Pool()) as one:
        assert one._stored(told("queued"), one.store) == told("queued")
    assert clock.now == PATIENCE.still


def test_a_location_that_nobody_counted_is_believed(piece, unread):
    uncounted = RIGHT | {"hash_value": "", "properties": {}}
    assert filled(Told(None), piece, uncounted, store=Pool())[0] is not None
    assert filled(Told(None), piece, RIGHT, store=Pool())[0] is not None
    assert filled(Told(None), piece, uncounted | {"size_bytes": 1}, store=Pool())[0] is None


def test_what_is_prepared_once_is_not_made_again(piece, monkeypatch):
    calls = []

    class Made:
        def __enter__(self):
            calls.append("made")
            return piece.file

        def __exit__(self, *_):
            calls.append("gone")

    monkeypatch.setattr(transfer, "as_qcow2", lambda *_, **__: Made())
    assert made(Told(None), piece).prepared() == {}
    qcow2 = msgspec.structs.replace(piece, disk_format="qcow2")
    with made(Told(None), qcow2) as one:
        assert one.prepared() == one.prepared() == {records.SHA512: SHA512}
        assert calls == ["made"]
    assert calls == ["made", "gone"]


def test_how_far_a_sending_is_is_told(piece, clock):
    events: list[report.Event] = []
    step = report.Step("base", events.append, 0)
    with Transfer(Told(RIGHT), piece, Stamp.of(piece.file), step, None, PATIENCE) as one:
        one.filled(told("queued"), ours=True)
    assert (events[-1].done_bytes, events[-1].total_bytes) == (len(CONTENT), len(CONTENT))
