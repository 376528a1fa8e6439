"""The direct method: what the conductor lists is what the node's own half writes."""

import contextlib
import hashlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from bakery.conductor.disk_errors import DiskFailed
from bakery.conductor.journal import AgentInfo, Deployment
from bakery.conductor.multicast import Cast
from bakery.conductor.partition import Extras
from bakery.conductor.peer import Peer
from bakery.conductor.pulling import SILENCE_SECONDS, STANDSTILL_SECONDS, Pulling
from bakery.host.errors import BakeryError
from bakery.netboot.http import HttpServer
from bakery.netboot.tree import Tree
from bakery.node.agent import cipher, signed_list
from bakery.node.agent.disk import BlockDevice
from bakery.node.agent.errors import AgentError
from bakery.node.agent.exchange import Exchange
from bakery.node.agent.pull import pull
from tests.conductor.builds import build, with_packed_base
from tests.conductor.peers import record

MIB = 1 << 20
NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
DISK_BYTES = 64 * MIB
AGENT = AgentInfo("127.0.0.1", "")
PEER = Peer(lambda asked: asked == AGENT.address)


class Bench:
    """A conductor's half, and a blank disk."""

    def __init__(self, folder: Path, tree: Tree, url: str, layout: str) -> None:
        self.build = with_packed_base(build(folder / "build", layout))
        self.disk = folder / "disk"
        with self.disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        self.tree = tree
        self._extras = Extras(swap_mib=8) if layout == "pv" else Extras()
        self._url, self._folder = url, folder / "pieces"
        self.deployment = Deployment.fresh()
        PEER.follow(record(self.deployment))
        self.own = Exchange()
        self.pulling = self.half()

    def half(
        self,
        silence_seconds: float = SILENCE_SECONDS,
        standstill_seconds: float = STANDSTILL_SECONDS,
    ) -> Pulling:
        """The conductor's half, as a conductor makes it when it starts."""
        return Pulling(
            self.build,
            self._extras,
            self.tree,
            self._url,
            NODE,
            PEER,
            self._folder,
            silence_seconds=silence_seconds,
            standstill_seconds=standstill_seconds,
        )

    def listed(self, disk_bytes: int = DISK_BYTES) -> bytes:
        """The signed write list, as the node opens it."""
        answer = self.pulling.write_list(self.deployment, disk_bytes, self.own.public)
        return self.own.decrypted(answer, self.deployment.key)

    def node(self, content: bytes) -> None:
        """What the node does with a write list."""
        here = signed_list.Here(str(NODE), DISK_BYTES, encrypted_to=self.own.public.hex())
        listed = signed_list.read(content, bytes.fromhex(self.deployment.public_key), here)
        with BlockDevice(str(self.disk)) as device:
            pull(device, listed, self.pulling.progress, token=self.deployment.token)
        self.pulling.written()


@pytest.fixture(params=["pv", "lv", "disk"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    tree = Tree()
    with HttpServer("127.0.0.1", tree, lambda _event: None) as server:
        yield Bench(tmp_path, tree, server.url, request.param)


def test_the_node_writes_what_the_conductor_waits_for(bench):
    content = bench.listed()
    seen: list[str] = []
    node = threading.Thread(target=bench.node, args=(content,))
    node.start()
    bench.pulling.write(AGENT, bench.deployment, lambda part, *_: seen.append(part))
    node.join()
    written, base = bench.disk.read_bytes(), bench.build.base.read_bytes()
    start = 0 if bench.build.manifest.layout == "disk" else written.index(base[:4096])
    assert written[start : start + len(base)] == base
    if start:
        assert written[510:512] == b"\x55\xaa"
        assert start % MIB == 0
    if bench.build.manifest.layout == "pv":
        assert written[MIB + 4086 : MIB + 4096] == b"SWAPSPACE2"
    assert seen[-1] == "verifying"


def test_the_list_is_for_this_node_and_disk_alone(bench):
    content = bench.listed()
    for node, size in ((str(UUID(int=1)), DISK_BYTES), (str(NODE), DISK_BYTES + 512)):
        with pytest.raises(AgentError, match="is for"):
            key = bytes.fromhex(bench.deployment.public_key)
            signed_list.read(
                content, key, signed_list.Here(node, size, encrypted_to=bench.own.public.hex())
            )
    told = json.loads(content.partition(b"\n")[2])
    assert told["build"] == bench.build.manifest.key


def test_another_list_than_the_signed_one_is_refused_before_the_disk_is_touched(bench):
    content = bytearray(bench.listed())
    content[-20] ^= 1
    with pytest.raises(AgentError, match="not signed by"):
        bench.node(bytes(content))
    assert not any(bench.disk.read_bytes())


def test_a_conductor_that_follows_serves_what_the_node_was_told_before(bench):
    content = bench.listed()
    bench.tree.remove_below(str(NODE))
    bench.pulling = bench.half()
    bench.node(content)
    assert bench.build.base.read_bytes() in bench.disk.read_bytes()


def test_nothing_is_served_any_more_when_the_disk_is_written(bench):
    bench.node(bench.listed())
    assert bench.tree.names() == []


def test_whoever_lacks_the_token_or_the_address_gets_no_frame(bench):
    content = bench.listed()
    places = [piece["frames"] for piece in json.loads(content.partition(b"\n")[2])["pieces"]]
    for token, source, status in (
        ("", "127.0.0.1", 403),
        ("another", "127.0.0.1", 403),
        (bench.deployment.token, "127.0.0.9", 403),
        (bench.deployment.token, "127.0.0.1", 200),
    ):
        assert {got(place, token, source) for place in places} == {status}


def got(url: str, token: str, source: str) -> int:
    """The status of a GET by who has the address `source`."""
    place = urlsplit(url)
    link = http.client.HTTPConnection(
        place.hostname or "", place.port, timeout=30, source_address=(source, 0)
    )
    with contextlib.closing(link):
        link.request("GET", place.path, headers={"X-Auth-Token": token})
        return link.getresponse().status


def test_when_the_try_is_over_no_small_piece_is_left_here(bench):
    bench.listed()
    bench.pulling.withdraw()
    assert bench.tree.names() == []
    assert not list(bench.disk.parent.glob("pieces/frames-*"))


def test_a_disk_too_small_is_refused_with_both_sizes(bench):
    with pytest.raises(BakeryError, match="are needed"):
        bench.listed(30 * MIB)


def test_a_node_that_tells_nothing_any_more_has_failed(bench):
    bench.pulling = bench.half(silence_seconds=0.1)
    bench.listed()
    with pytest.raises(DiskFailed, match=r"did not report within 0\.1 s"):
        bench.pulling.write(AGENT, bench.deployment, lambda *_told: None)


def test_a_node_that_tells_the_same_again_and_again_has_failed(bench):
    bench.pulling = bench.half(standstill_seconds=0.1)
    bench.listed()
    with pytest.raises(DiskFailed, match=r"got nowhere in 0\.1 s"):
        bench.pulling.write(
            AGENT, bench.deployment, lambda *_told: bench.pulling.progress("writing", 1, 9)
        )


def test_the_next_try_has_other_secrets_and_the_same_disk(bench):
    following = bench.deployment.renewed()
    assert following.disk == bench.deployment.disk
    assert {following.key, following.token, following.signing_key}.isdisjoint(
        {bench.deployment.key, bench.deployment.token, bench.deployment.signing_key}
    )


def test_a_build_that_is_not_packed_says_how_to(tmp_path):
    with pytest.raises(BakeryError, match="no packed base") as refusal:
        Pulling(build(tmp_path / "b"), Extras(), Tree(), "http://x", NODE, PEER, tmp_path)
    assert "--compress zstd" in refusal.value.hint


def test_the_index_of_another_base_is_refused(bench, tmp_path):
    other = with_packed_base(build(tmp_path / "other"))
    name = f"{other.manifest.name}-base.index"
    (bench.build.directory / name).write_bytes((other.directory / name).read_bytes())
    with pytest.raises(BakeryError, match="index of another base"):
        Pulling(bench.build, Extras(), Tree(), "http://x", NODE, PEER, tmp_path)


@pytest.fixture
def alone(tmp_path):
    """A conductor's half without a server or a node, whose base is cast at port 9000 once asked."""
    casts = iter([Cast(9000, bytes(32)), Cast(9002, bytes(32))])
    made = with_packed_base(build(tmp_path / "build"))
    tree, folder = Tree(), tmp_path / "pieces"
    half = Pulling(
        *(made, Extras(swap_mib=8), tree, "http://x", NODE, PEER, folder, lambda: next(casts)),
        silence_seconds=20.0,
    )
    return half, tree, folder


def listed(half):
    deployment, own = Deployment.fresh(), Exchange()
    content = own.decrypted(half.write_list(deployment, DISK_BYTES, own.public), deployment.key)
    return json.loads(content.partition(b"\n")[2])["pieces"]


def test_each_piece_is_listed_with_its_place_and_where_it_is_served(alone):
    half, tree, folder = alone
    assert tree.names() == [f"{NODE}/frames-base"]
    table, swap, base = listed(half)
    assert [piece["place"] for piece in (table, swap, base)] == [0, MIB, 9 * MIB]
    assert [piece["frames"] for piece in (table, swap, base)] == [
        f"http://x/{NODE}/{name}" for name in ("frames-0", "frames-1", "frames-base")
    ]
    assert sorted(tree.names()) == sorted(f"{NODE}/frames-{n}" for n in ("0", "1", "base"))
    assert {path.name for path in folder.glob("frames-*")} == {"frames-0", "frames-1"}


def test_the_base_is_cast_once_and_nothing_else_is(alone):
    half, _, _ = alone
    cast = {"port": 9000, "key": "00" * 32}
    assert [piece.get("cast") for piece in listed(half)] == [None, None, cast]
    assert [piece.get("cast") for piece in listed(half)] == [None, None, None]


def test_what_is_a_nodes_own_lies_encrypted_where_it_is_served(alone):
    half, _, folder = alone
    (_, swap, base), files = listed(half), {}
    for path in folder.glob("frames-*"):
        files[path.name] = path.read_bytes()
    assert "key" not in base
    (_, offset, length, _, digest), *_ = swap["index"]["chunks"]
    encrypted = files["frames-1"][offset : offset + length]
    frame = cipher.decrypted(bytes.fromhex(swap["key"]), offset, encrypted)
    assert hashlib.new("sha512_256", frame).hexdigest() == digest
    assert hashlib.new("sha512_256", encrypted).hexdigest() != digest
    again = listed(half)[1]
    assert again["key"] != swap["key"]


def test_what_is_no_key_is_given_no_list(alone):
    half, _, _ = alone
    for public in (b"", bytes(31), bytes(32)):
        with pytest.raises(BakeryError, match="not one of X25519"):
            half.write_list(Deployment.fresh(), DISK_BYTES, public)


def test_what_the_node_tells_is_passed_on_in_bytes_until_it_is_done(alone):
    half, tree, folder = alone
    listed(half)
    seen = []

    def tell(*news):
        seen.append(news)
        if len(seen) == 1:
            half.progress("writing", 3, 5)
        elif len(seen) == 2:
            half.progress("verifying", 4, 5)
            half.written()

    half.write(AGENT, Deployment.fresh(), tell)
    assert seen[0] == ("writing", 0, 0)
    assert seen[-1] == ("verifying", 5 * MIB, 5 * MIB)
    assert ("writing", 3 * MIB, 5 * MIB) in seen
    assert tree.names() == [] and list(folder.glob("frames-*")) == []


def test_a_new_list_begins_anew(alone):
    half, _, _ = alone
    listed(half)
    half.progress("verifying", 4, 5)
    half.written()
    listed(half)
    seen = []

    def tell(*news):
        seen.append(news)
        half.written()

    half.write(AGENT, Deployment.fresh(), tell)
    assert seen[0] == ("writing", 0, 0)


def test_news_put_off_the_end_of_patience(tmp_path):
    made = with_packed_base(build(tmp_path / "build"))
    half = Pulling(
        made, Extras(), Tree(), "http://x", NODE, PEER, tmp_path / "pieces", silence_seconds=0.6
    )
    half.write_list(Deployment.fresh(), DISK_BYTES, Exchange().public)
    until = time.monotonic() + 1.2
    seen = []

    def tell(*_news):
        seen.append(1)
        if time.monotonic() < until:
            half.progress("writing", 1, 2)

    with pytest.raises(DiskFailed, match=r"0\.6 s"):
        half.write(AGENT, Deployment.fresh(), tell)
    assert time.monotonic() > until
