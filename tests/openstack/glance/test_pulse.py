import threading
from typing import cast

import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.glance import records
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.pulse import Pulse, is_whole, sent_bytes
from bakery.openstack.glance.records import Image

TIMEOUT_SECONDS = 60
TOTAL = 1000
IMAGE = Image(id="i", status="saving")


class Server:
    """Takes updates, `fails` of them with an error; `third` is set at the third."""

    def __init__(self, fails=0):
        self.fails = fails
        self.told = []
        self.busy = False
        self.third = threading.Event()

    def update(self, image, *, properties):
        self.busy = True
        self.told.append(properties[records.SENT])
        if len(self.told) >= 3:
            self.third.set()
        self.busy = False
        if len(self.told) <= self.fails:
            raise CloudError("busy", status=503)
        return Image(id=image.id, status=image.status, properties=dict(properties))


def beaten(server):
    with Pulse(cast("Images", server), IMAGE, TOTAL, 0.01) as pulse:
        pulse.sent_bytes = 10
        assert server.third.wait(TIMEOUT_SECONDS)
        pulse.finish()
        assert not server.busy
        count = len(server.told)
    assert len(server.told) == count, "an update came after the end"
    return server.told


def test_every_sign_of_life_differs_from_the_one_before_though_no_byte_moves():
    told = beaten(Server())
    assert not any(text.endswith("whole") for text in told[:-1])
    assert len(set(told)) == len(told) > 3


def test_the_last_one_says_that_all_bytes_are_sent():
    last = beaten(Server())[-1]
    image = Image(id="i", status="saving", properties={records.SENT: last})
    assert sent_bytes(image) == TOTAL
    assert is_whole(image)


def test_an_update_that_fails_does_not_end_it():
    assert len(beaten(Server(fails=2))) > 3


def test_an_upload_that_is_over_at_once_shows_none():
    server = Server()
    with Pulse(cast("Images", server), IMAGE, TOTAL, 60.0) as pulse:
        pulse.finish()
    assert server.told == []


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("12 3", 12), ("12", 12), ("x 1", 0), ("-1 1", 0), ("²", 0), ("9" * 5000, 0)],
)
def test_what_a_publisher_says_is_read_with_care(text, count):
    assert sent_bytes(Image(id="i", status="saving", properties={records.SENT: text})) == count


def test_a_sending_that_breaks_off_ends_the_signs_of_life():
    server = Server()
    pulse = Pulse(cast("Images", server), IMAGE, TOTAL, 0.01)
    with pytest.raises(ConnectionResetError), pulse:
        assert server.third.wait(TIMEOUT_SECONDS)
        raise ConnectionResetError
    assert not pulse._thread.is_alive()
    assert not any(text.endswith("whole") for text in server.told)
