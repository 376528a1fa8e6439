"""What a server can do that a real one does not do when asked: the real ones are in tests/e2e."""

import hashlib
import random
import time
from collections import deque

import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.glance.fetch import TRIES, Differs, fetch
from bakery.openstack.glance.records import Image
from tests.durability import state

CONTENT = random.Random(1).randbytes(100_000) + bytes(300_000) + b"end"
SIZE = len(CONTENT)
CUT = CloudError("fetching image i: the connection was lost")


class Server:
    """Answers the requests one after the other as `answers` say; notes the offsets asked for."""

    def __init__(self, *answers):
        self.answers = deque(answers)
        self.asked = []

    def fetch(self, image_id, offset=0):
        self.asked.append(offset)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer(offset)


class Body:
    def __init__(self, offset, pieces):
        self.offset = offset
        self.pieces = pieces

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def whole(offset):
    return Body(offset, [CONTENT[offset:]])


def from_the_start(_offset):
    return Body(0, [CONTENT])


def cut_after(count):
    return lambda offset: Body(offset, [CONTENT[offset : offset + count], CUT])


def short_by(count):
    return lambda offset: Body(offset, [CONTENT[offset:-count]])


def image(content=CONTENT, **more):
    known = {"hash_algo": "sha512", "hash_value": hashlib.sha512(content).hexdigest()} | more
    return Image(id="i", status="active", size_bytes=SIZE, **known)


def got(server, path, image=image(), progress=lambda _done, _all: None):  # noqa: B008 - frozen
    return fetch(server, image, path, progress)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.part"


def test_a_whole_answer_is_the_file(path):
    server = Server(whole)
    assert got(server, path) == SIZE
    assert path.read_bytes() == CONTENT
    assert path.stat().st_blocks * 512 < 200_000


def test_what_is_there_already_is_not_asked_for_again(path):
    path.write_bytes(CONTENT[:70_001])
    server = Server(whole)
    assert got(server, path) == SIZE - 70_001
    assert server.asked == [70_001]
    assert path.read_bytes() == CONTENT


def test_a_file_that_is_whole_is_only_checked(path):
    path.write_bytes(CONTENT)
    assert got(Server(), path) == 0


def test_a_file_longer_than_the_image_is_begun_anew(path):
    path.write_bytes(CONTENT + b"more")
    assert got(Server(whole), path) == SIZE
    assert path.read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_sends_all_again(path):
    path.write_bytes(CONTENT[:70_001])
    assert got(Server(from_the_start), path) == SIZE
    assert path.read_bytes() == CONTENT


def test_a_connection_that_is_cut_is_taken_up_where_it_broke(path):
    server = Server(cut_after(1000), short_by(500), CloudError("busy", status=503), whole)
    with pytest.raises(CloudError, match="busy"):
        got(server, path)  # the third try brought nothing
    assert server.asked == [0, 1000, SIZE - 500]
    assert got(server, path) == 500
    assert path.read_bytes() == CONTENT


def test_a_failure_says_what_is_here_and_how_to_go_on(path):
    with pytest.raises(CloudError, match=f"lost; 0 of {SIZE} bytes are here") as caught:
        got(Server(cut_after(0)), path)
    assert "run the same command again" in caught.value.hint


def test_a_server_that_cuts_without_end_is_given_up(path):
    server = Server(*[cut_after(10)] * 100)
    with pytest.raises(CloudError, match=f"{10 * TRIES} of {SIZE} bytes are here"):
        got(server, path)
    assert len(server.asked) == TRIES == 20


def test_a_refusal_is_not_tried_again(path):
    server = Server(cut_after(1000), CloudError("it is not there", status=404))
    with pytest.raises(CloudError, match=r"it is not there$"):
        got(server, path)


def test_more_bytes_than_the_image_has_are_not_taken(path):
    endless = [b"x" * 300_000] * 1000
    with pytest.raises(CloudError, match=f"the server sends more than its {SIZE} bytes"):
        got(Server(*[lambda offset: Body(offset, endless)] * TRIES), path)
    assert path.stat().st_size <= SIZE


def test_bytes_of_another_hash_are_refused_and_removed(path):
    with pytest.raises(Differs, match="does not hold the bytes that Glance received"):
        got(Server(whole), path, image(b"other"))
    assert not path.exists()


def test_a_start_that_is_damaged_costs_one_whole_fetch(path):
    path.write_bytes(b"?" * 70_000)
    server = Server(whole, whole)
    assert got(server, path) == SIZE
    assert server.asked == [70_000, 0]
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "known",
    [
        {"hash_value": ""},
        {"hash_algo": ""},
        {"hash_algo": "shake_128"},
        {"hash_algo": "x" * 1000, "hash_value": "00"},
    ],
)
def test_a_hash_that_is_unknown_is_left_to_the_manifests_digest(path, known):
    got(Server(whole), path, image(**known))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["md5", "SHA256", "sha512", "blake2b"])
def test_every_hash_that_glance_can_be_set_to_is_counted(path, algorithm):
    value = hashlib.new(algorithm, CONTENT).hexdigest()
    got(Server(whole), path, image(hash_algo=algorithm, hash_value=value))
    with pytest.raises(Differs):
        got(Server(whole), path, image(hash_algo=algorithm, hash_value=value[::-1]))


@pytest.mark.parametrize(("status", "asked"), [(499, 2), (500, 4), (None, 4)])
def test_only_what_may_pass_is_tried_again(path, status, asked):
    bad = [
        Body(offset, [CONTENT[offset : offset + 10], CloudError("bad", status=status)])
        for offset in (10, 20)
    ]
    server = Server(cut_after(10), *(lambda _offset, one=one: one for one in bad), CUT)
    with pytest.raises(CloudError, match=r"bad|lost"):
        got(server, path)
    assert server.asked == [0, 10, 20, 30][:asked]


def test_the_last_try_may_bring_the_rest(path):
    server = Server(*[cut_after(10)] * (TRIES - 1), whole)
    assert got(server, path) == SIZE
    assert path.read_bytes() == CONTENT


def test_progress_is_told_in_bytes_of_the_image(path):
    path.write_bytes(CONTENT[:100])
    told = []
    pieces = [CONTENT[100:200], CONTENT[200:]]
    server = Server(lambda offset: Body(offset, pieces))
    got(server, path, progress=lambda *progress: told.append(progress))
    assert told == [(200, SIZE), (SIZE, SIZE)]


def test_an_image_of_no_bytes_leaves_no_file(path):
    assert got(Server(), path, Image(id="i", status="active")) == 0
    assert not path.exists()


def test_nothing_stays_where_nothing_came(path):
    with pytest.raises(CloudError):
        got(Server(CUT), path)
    assert not path.exists()


def test_what_came_is_kept_on_the_disk(path, on_disk):
    got(Server(whole), path)
    assert on_disk.synced[-1][1] == state(path.stat())


class SlowAtFirst:
    """A hash that takes its time over the first piece."""

    def __init__(self, real):
        self.real = real
        self.pieces = 0

    def update(self, piece):
        self.pieces += 1
        if self.pieces == 1:
            time.sleep(0.1)
        self.real.update(piece)

    def hexdigest(self):
        return self.real.hexdigest()


def test_pieces_are_counted_in_their_order(path, monkeypatch):
    new = hashlib.new
    monkeypatch.setattr(hashlib, "new", lambda *words, **more: SlowAtFirst(new(*words, **more)))
    pieces = [CONTENT[start : start + 20_000] for start in range(0, SIZE, 20_000)]
    assert got(Server(lambda offset: Body(offset, pieces)), path) == SIZE
