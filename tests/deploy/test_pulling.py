"""The direct method: what the conductor plans is what the node's own half writes."""

import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from bakery.agent import plan
from bakery.agent.disk import BlockDevice
from bakery.agent.errors import AgentError
from bakery.agent.pull import pull
from bakery.deploy.journal import AgentInfo, Deployment
from bakery.deploy.nbd import DiskFailed
from bakery.deploy.partition import Extras
from bakery.deploy.pulling import Pulling
from bakery.deploy.writing import Watcher
from bakery.disk import packed
from bakery.disk.packing import pack_file
from bakery.errors import BakeryError
from bakery.manifest import Build
from bakery.serve.http import HttpServer
from bakery.serve.tree import Tree
from tests.deploy.builds import build

MIB = 1 << 20
NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
DISK_BYTES = 256 * MIB
AGENT = AgentInfo("192.0.2.7", "")


def with_packed_base(made: Build) -> Build:
    """As `bakery build --compress zstd` leaves it."""
    place = made.directory / f"{made.manifest.name}-base"
    with place.with_suffix(".zst").open("wb") as file:
        index, _ = pack_file(made.base, file)
    place.with_suffix(".index").write_bytes(packed.encode(index))
    return made


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
        self.pulling = self.half()
        self.deployment = Deployment.fresh()

    def half(self) -> Pulling:
        """The conductor's half, as a conductor makes it when it starts."""
        return Pulling(self.build, self._extras, self.tree, self._url, NODE, self._folder)

    def node(self, content: bytes) -> None:
        """What the node does with a plan."""
        order = plan.read(content, bytes.fromhex(self.deployment.public_key))
        with BlockDevice(str(self.disk)) as device:
            pull(device, order, self.pulling.progress)
        self.pulling.written()


@pytest.fixture(params=["pv", "lv", "disk"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    tree = Tree()
    with HttpServer("127.0.0.1", tree, lambda _event: None) as server:
        yield Bench(tmp_path, tree, server.url, request.param)


def test_the_node_writes_what_the_conductor_waits_for(bench):
    content = bench.pulling.plan(bench.deployment, DISK_BYTES)
    seen: list[object] = []
    watcher = Watcher(
        lambda done, total: seen.append(("writing", done, total)),
        lambda done, total: seen.append(("verifying", done, total)),
        lambda: seen.append("before verifying"),
    )
    node = threading.Thread(target=bench.node, args=(content,))
    node.start()
    bench.pulling.write(AGENT, bench.deployment, watcher)
    node.join()
    written, base = bench.disk.read_bytes(), bench.build.base.read_bytes()
    start = 0 if bench.build.manifest.layout == "disk" else written.index(base[:4096])
    assert written[start : start + len(base)] == base
    if start:
        assert written[510:512] == b"\x55\xaa"
        assert start % MIB == 0
    if bench.build.manifest.layout == "pv":
        assert written[MIB + 4086 : MIB + 4096] == b"SWAPSPACE2"
    assert seen.count("before verifying") == 1


def test_another_plan_than_the_signed_one_is_refused_before_the_disk_is_touched(bench):
    content = bytearray(bench.pulling.plan(bench.deployment, DISK_BYTES))
    content[-20] ^= 1
    with pytest.raises(AgentError, match="not signed by"):
        bench.node(bytes(content))
    assert not any(bench.disk.read_bytes())


def test_a_conductor_that_follows_serves_what_the_node_was_told_before(bench):
    content = bench.pulling.plan(bench.deployment, DISK_BYTES)
    bench.tree.remove_below(str(NODE))
    bench.pulling = bench.half()
    bench.node(content)
    assert bench.build.base.read_bytes() in bench.disk.read_bytes()


def test_nothing_is_served_any_more_when_the_disk_is_written(bench):
    bench.node(bench.pulling.plan(bench.deployment, DISK_BYTES))
    assert bench.tree.names() == []


def test_a_disk_too_small_is_refused_with_both_sizes(bench):
    with pytest.raises(BakeryError, match="are needed"):
        bench.pulling.plan(bench.deployment, 30 * MIB)


def test_a_node_that_tells_nothing_any_more_has_failed(bench, monkeypatch):
    monkeypatch.setattr("bakery.deploy.pulling.SILENCE_SECONDS", 0.1)
    bench.pulling.plan(bench.deployment, DISK_BYTES)
    with pytest.raises(DiskFailed, match="told nothing"):
        bench.pulling.write(AGENT, bench.deployment, Watcher())


def test_the_next_try_has_other_secrets_and_the_same_disk(bench):
    following = bench.deployment.renewed()
    assert following.disk == bench.deployment.disk
    assert {following.key, following.token, following.signing_key}.isdisjoint(
        {bench.deployment.key, bench.deployment.token, bench.deployment.signing_key}
    )


def test_a_build_that_is_not_packed_says_how_to(tmp_path):
    with pytest.raises(BakeryError, match="no packed base") as refusal:
        Pulling(build(tmp_path / "b"), Extras(), Tree(), "http://x", NODE, tmp_path)
    assert "--compress zstd" in refusal.value.hint


def test_the_index_of_another_base_is_refused(bench, tmp_path):
    other = with_packed_base(build(tmp_path / "other"))
    name = f"{other.manifest.name}-base.index"
    (bench.build.directory / name).write_bytes((other.directory / name).read_bytes())
    with pytest.raises(BakeryError, match="index of another base"):
        Pulling(bench.build, Extras(), Tree(), "http://x", NODE, tmp_path)
