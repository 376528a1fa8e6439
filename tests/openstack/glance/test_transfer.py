"""A record in every state it can be found in, in a real Glance."""

import hashlib
import http.server
import threading
import time
from functools import partial

import msgspec
import pytest

from bakery.host import report
from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.openstack.connection import CloudError
from bakery.openstack.glance import pieces, publish, records, transfer, unchanged
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.pulse import Pulse
from bakery.openstack.glance.records import Image
from bakery.openstack.glance.transfer import Patience
from tests.openstack.glance import publishing
from tests.openstack.glance.memory import MemoryImages
from tests.services.openstack import Services

TIMEOUT_SECONDS = 60
STILL_SECONDS = 1.0
# Where a sign of life must not be missed: a busy machine's Glance may take seconds to show one.
PATIENT_SECONDS = 5.0


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return publishing.made(tmp_path_factory.mktemp("transfer") / "made")


def order(build, **wish):
    text = next(build.glob("*.manifest.json")).read_bytes()
    parts = pieces.parts(manifest.load(build), text, pieces.PublishOptions(**wish))
    stamps = unchanged.verified([*parts.companions, parts.base])
    return publish.PublishRequest(parts=parts, stamps=stamps)


def run(images, wanted, *, sink=lambda _event: None, store=None, patience=None):
    patience = patience or Patience(poll=0.05, still=STILL_SECONDS, settle=STILL_SECONDS)
    return publish.publish(images, wanted, report.Report(sink), store, patience)


def record(images, piece, generation=0):
    """The record another publisher would have made for the piece."""
    return images.create(
        piece.image_id(images.project, generation),
        piece.name,
        piece.disk_format,
        piece.container_format,
        "private",
        piece.properties,
    )


class Held:
    """A body that stops after its first half until `go` is set."""

    def __init__(self, content):
        self.content = content
        self.go = threading.Event()
        self.begun = threading.Event()

    def __len__(self):
        return len(self.content)

    def __iter__(self):
        half = len(self.content) // 2
        yield self.content[:half]
        self.begun.set()
        self.go.wait(TIMEOUT_SECONDS)
        yield self.content[half:]


class Other(threading.Thread):
    """Another publisher, at work on the record of `image_id`; with signs of life, or without."""

    def __init__(self, images, image, content, *, alive):
        super().__init__(daemon=True)
        self.images = images
        self.image = image
        self.body = Held(content)
        self.pulse = Pulse(images, image, len(content), 0.1) if alive else None
        self.error = None
        self.start()
        assert self.body.begun.wait(TIMEOUT_SECONDS)

    def run(self):
        try:
            if self.pulse is None:
                self.images.send(self.image.id, self.body, len(self.body))
                return
            with self.pulse:
                self.pulse.sent_bytes = 1
                self.images.send(self.image.id, self.body, len(self.body))
        except CloudError as error:
            self.error = error

    def finish(self):
        if self.pulse:
            self.pulse.finish()
        self.body.go.set()
        self.join(TIMEOUT_SECONDS)


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_who_is_alive_is_waited_for_however_long_it_takes(glance, build):
    wanted = order(build)
    base = wanted.parts.base
    other = Other(glance, record(glance, base), base.file.read_bytes(), alive=True)
    patience = Patience(poll=0.05, still=PATIENT_SECONDS, settle=PATIENT_SECONDS)
    looks = []

    def sink(event):
        if event.step == "base ami" and event.kind == "progress":
            looks.append(time.monotonic())
            if looks[-1] - looks[0] > 2 * PATIENT_SECONDS and not other.body.go.is_set():
                other.finish()

    outcome = run(glance, wanted, sink=sink, patience=patience)
    assert other.error is None
    assert outcome.images[-1].id == other.image.id
    assert outcome.images[-1].sent_bytes == 0
    assert looks[-1] - looks[0] > 2 * PATIENT_SECONDS


def test_who_shows_no_sign_of_life_is_taken_over_from(images, build):
    wanted = order(build)
    base = wanted.parts.base
    other = Other(images, record(images, base), base.file.read_bytes(), alive=False)
    outcome = run(images, wanted)
    assert outcome.images[-1].id == base.image_id(images.project, 1)
    assert images.get(other.image.id) is None
    other.finish()
    assert other.error is not None  # its image is gone
    assert run(images, wanted).sent_bytes == 0


def test_a_queued_leftover_is_filled(images, build):
    wanted = order(build)
    left = [record(images, piece) for piece in wanted.pieces]
    outcome = run(images, wanted)
    assert [image.id for image in outcome.images] == [image.id for image in left]
    assert not any(image.created for image in outcome.images)


def test_a_queued_record_that_another_begins_to_fill_is_left_to_it(images, build):
    wanted = order(build)
    base = wanted.parts.base
    queued = record(images, base)
    others = []

    def sink(event):
        if event.step == "base ami" and event.kind == "started":
            others.append(Other(images, queued, base.file.read_bytes(), alive=False))
            threading.Timer(0.5, others[0].finish).start()

    outcome = run(images, wanted, sink=sink, patience=Patience(poll=0.05, grace=(5.0, 5.0)))
    assert others[0].error is None
    assert outcome.images[-1].id == queued.id
    assert outcome.images[-1].sent_bytes == 0


def test_an_active_image_without_a_known_digest_is_counted_and_not_sent(images, build):
    wanted = order(build)
    base = wanted.parts.base
    left = record(images, base)
    content = base.file.read_bytes()
    body = Held(content)
    body.go.set()
    images.send(left.id, body, len(body))  # and killed before it was told so
    outcome = run(images, wanted)
    assert outcome.images[-1].id == left.id
    assert outcome.images[-1].sent_bytes == 0
    told = images.get(left.id).properties[records.SHA512]
    assert told == hashlib.sha512(content).hexdigest()


def test_an_image_with_our_id_and_other_bytes_is_left_alone(images, build):
    wanted = order(build)
    base = wanted.parts.base
    wrong = record(images, base)
    body = Held(bytes(base.size_bytes))
    body.go.set()
    images.send(wrong.id, body, len(body))
    outcome = run(images, wanted)
    assert outcome.images[-1].id == base.image_id(images.project, 1)
    assert images.get(wrong.id).status == "active"
    assert run(images, wanted).sent_bytes == 0


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_an_image_an_administrator_deactivated_is_told(glance, build, cloud):
    wanted = order(build)
    made = run(glance, wanted).images[-1].id
    cloud.client("image", "set", "--deactivate", made, cloud="admin")
    with pytest.raises(BakeryError, match="is deactivated"):
        run(glance, wanted)
    cloud.client("image", "set", "--activate", made, cloud="admin")
    assert run(glance, wanted).sent_bytes == 0


class Tampered(Images):
    """A way to Glance on which one byte of the base is changed."""

    def send(self, image_id, body, size_bytes):
        class Other:
            def __len__(self):
                return len(body)

            def __iter__(self):
                for piece in body:
                    changed = bytearray(piece)
                    changed[-1] ^= len(body) > 1000
                    yield bytes(changed)

        super().send(image_id, Other(), size_bytes)


def test_bytes_that_arrive_changed_are_seen_and_the_image_is_deleted(images, build):
    images.__class__ = Tampered
    wanted = order(build)
    with pytest.raises(BakeryError, match="deleted again: the server has other content") as caught:
        run(images, wanted)
    assert "base" not in caught.value.message.partition("on the server now")[2]
    assert wanted.parts.base.name not in {image.name for image in images.all()}
    images.__class__ = Images
    assert run(images, wanted).images[-1].id == wanted.parts.base.image_id(images.project, 1)


def test_a_file_that_is_changed_while_it_is_sent_is_seen_and_the_image_is_deleted(
    images, tmp_path, monkeypatch
):
    build = publishing.made(tmp_path / "made")
    wanted = order(build)
    real = images.send

    def send(image_id, body, size_bytes):
        if size_bytes == wanted.parts.base.size_bytes:
            with wanted.parts.base.file.open("r+b") as file:
                file.write(b"!")
        real(image_id, body, size_bytes)

    monkeypatch.setattr(images, "send", send)
    with pytest.raises(BakeryError, match="made-base was changed while it was being sent"):
        run(images, wanted)
    assert wanted.parts.base.name not in {image.name for image in images.all()}


def test_a_qcow2_that_another_made_is_known_by_what_it_said_of_it(images, build):
    wanted = order(build, shape="partition")
    first = run(images, wanted)
    events: list[report.Event] = []
    assert run(images, wanted, sink=events.append).sent_bytes == 0 < first.sent_bytes
    assert not any("becomes qcow2" in event.text for event in events)


class WebStore:
    """A store that Glance can read by http: stands for Ceph, whose location call is the same."""

    def __init__(self, folder):
        self.folder = folder
        quiet = type(
            "Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: 0}
        )
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(quiet, directory=folder)
        )
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.removed = []

    def put(self, raw_file, image_id, progress):
        (self.folder / image_id).write_bytes(raw_file.read_bytes())
        progress(1, 1)
        return f"http://127.0.0.1:{self.server.server_port}/{image_id}"

    def remove(self, image_id):
        self.removed.append(image_id)


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    running = WebStore(folder)
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.mark.slow
@pytest.mark.xdist_group("services")
def test_a_store_takes_the_base_and_glance_is_told_where_it_lies(
    build, store, tmp_path, monkeypatch
):
    with Services(tmp_path / "os", locations=True) as services:
        for key, value in services.fresh_project().env().items():
            monkeypatch.setenv(key, value)
        glance = Images.of_cloud(None)
        wanted = order(build, shape="partition", disk_format="raw")
        outcome = run(glance, wanted, store=store)
        base = glance.get(outcome.images[-1].id)
        assert base is not None
        assert base.status == "active"
        assert base.hash_value == hashlib.sha512(wanted.parts.base.file.read_bytes()).hexdigest()
        (location,) = glance.locations(base.id)
        assert location.url.endswith(base.id)
        assert base.properties["kernel_id"] == outcome.images[0].id
        again = run(glance, wanted, store=store)
        assert [image.id for image in again.images] == [image.id for image in outcome.images]
        assert again.sent_bytes == 0


def test_a_store_is_cleared_where_glance_takes_no_location(images, build, store):
    wanted = order(build, shape="partition", disk_format="raw")
    with pytest.raises(BakeryError, match="registering the location"):
        run(images, wanted, store=store)
    assert store.removed == [wanted.parts.base.image_id(images.project, 0)]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Watched(MemoryImages):
    """One image under way, whose sign of life is what `sent` says at each look."""

    def __init__(self, clock, sent):
        super().__init__(Image(id="i", status="saving", properties={records.SENT: sent(0.0)}))
        self.clock, self.sent = clock, sent

    def get(self, image_id):
        if image_id in self.images:
            properties = {records.SENT: self.sent(self.clock.now)}
            self.images[image_id] = msgspec.structs.replace(
                self.images[image_id],
                properties=properties,
                status="killed" if self.clock.now > GIVEN_UP else "saving",
            )
        return super().get(image_id)


GIVEN_UP = 10_000.0
WAITING = Patience(poll=1.0, still=50.0, landing=500.0)


@pytest.mark.parametrize(
    ("sent", "waited"),
    [
        (lambda _now: "", 51),
        (lambda _now: "10 1", 51),
        (lambda now: f"10 {min(now, 100.0)}", 151),
        (lambda _now: "10 1 whole", 501),
        (lambda now: f"10 {min(now, 100.0)} whole", 601),
        (lambda now: f"10 {now}", GIVEN_UP + 1),
    ],
)
def test_a_sender_is_waited_for_as_long_as_it_lives_and_no_longer(build, monkeypatch, sent, waited):
    clock = Clock()
    monkeypatch.setattr(transfer, "time", clock)
    images = Watched(clock, sent)
    wanted = order(build)
    piece = wanted.parts.base
    with (
        report.silent().step("base") as step,
        transfer.Transfer(images, piece, wanted.stamps[piece.file], step, None, WAITING) as ours,
    ):
        assert ours.filled(images.images["i"], ours=False) is None
    assert images.images == {}
    assert clock.now == waited


class Broken(MemoryImages):
    """A service that fails on every sending; then its image is what `after` says, look by look."""

    def __init__(self, *after, status=None):
        super().__init__(Image(id="i", status="queued"))
        self.after, self.status, self.sendings = list(after), status, 0

    def send(self, image_id, body, size_bytes):
        self.sendings += 1
        raise CloudError("the connection was lost", "", self.status)

    def get(self, image_id):
        if self.sendings and self.after:
            status = self.after.pop(0)
            self.images = {"i": Image(id="i", status=status)} if status else {}
        return self.images.get(image_id)

    def update(self, image, **_changes):
        return image


@pytest.mark.parametrize("status", [None, 500, 503])
@pytest.mark.parametrize("after", [(None,), ("queued",), ("saving",), ("saving", None)])
def test_a_sending_that_failed_is_told_and_not_tried_again(build, monkeypatch, status, after):
    monkeypatch.setattr(transfer, "time", Clock())
    images = Broken(*after, status=status)
    with pytest.raises(CloudError, match="was lost"):
        sent_to(images, build)
    assert images.sendings == 1


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_refusal_is_told_at_once(build, monkeypatch, status):
    clock = Clock()
    monkeypatch.setattr(transfer, "time", clock)
    images = Broken("saving", status=status)
    with pytest.raises(CloudError, match="was lost"):
        sent_to(images, build)
    assert (images.sendings, clock.now, images.after) == (1, 0, ["saving"])


def sent_to(images, build):
    wanted = order(build)
    piece = wanted.parts.base
    with (
        report.silent().step("base") as step,
        transfer.Transfer(images, piece, wanted.stamps[piece.file], step, None, WAITING) as ours,
    ):
        return ours.filled(images.images["i"], ours=True)
