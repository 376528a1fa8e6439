"""The conductor's half against a node written from the protocol notes: real TFTP, HTTP, iSCSI."""

import contextlib
from uuid import UUID

import pytest

from bakery.conductor import api
from bakery.conductor.disk_writer import writer
from bakery.conductor.journal import Journal
from bakery.conductor.means import Bounds, Means
from bakery.conductor.node import NodeDeploy
from bakery.conductor.notice import release
from bakery.conductor.offer import NodeOffer
from bakery.conductor.partition import Extras
from bakery.conductor.peer import Peer
from bakery.conductor.wanted import Wanted
from bakery.host.report import silent
from bakery.netboot.http import HttpServer
from bakery.netboot.tftp import TftpServer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http, TftpSent
from tests.conductor import builds
from tests.conductor.proxy import Proxy
from tests.conductor.ramdisk import Habits, Node
from tests.conductor.targets import blank, free_port, until

pytestmark = pytest.mark.slow
NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
MAC = "52:54:00:4c:00:01"
MIB = 1 << 20
DISK_BYTES = 64 * MIB


class Bench:
    """Servers, a node, and a deploy of it."""

    def __init__(self, tmp_path, stack, *habits, layout="pv", disk_bytes=DISK_BYTES):
        self.events: list[Event] = []
        self.build = builds.build(tmp_path / "build", layout)
        folder = tmp_path / "ramdisk"
        folder.mkdir()
        for name in ("deploy-kernel", "deploy-ramdisk"):
            (folder / name).write_bytes(name.encode())
        self.tree = tree = Tree()
        deploys: dict[UUID, api.Waiting] = {}
        self.tftp = stack.enter_context(TftpServer("127.0.0.1", tree, self.events.append, port=0))
        self.http = stack.enter_context(
            HttpServer("127.0.0.1", tree, self.events.append, routes=api.routes(deploys))
        )
        self.node = Node(
            disk=blank(tmp_path / "disk", disk_bytes, old=b"old " * 1024),
            tftp_port=self.tftp.port,
            target_port=free_port(),
            notice_port=free_port(),
            config="pxelinux.cfg/01-52-54-00-4c-00-01",
            habits=list(habits),
        )
        stack.callback(self.node.power_off)
        self.iscsi_port = self.node.target_port
        peer = Peer(lambda asked: asked == "127.0.0.1")
        offer = NodeOffer(tree, self.http.url, NODE, MAC, peer, self.build, folder)
        means = Means(
            power=self.node,
            boot=offer,
            write=self.told_to_write,
            release=lambda address, word: release(address, word, self.node.notice_port),
            signs=self,
            peer=peer,
            local=layout == "disk",
        )
        journal = Journal(tmp_path / "journal", NODE)
        bounds = Bounds(attempts=3, ramdisk_seconds=8, running_seconds=30)
        self.deploy = NodeDeploy(
            "node-1", NODE, Wanted(build="k1", name="sample"), means, journal, silent(), bounds
        )
        deploys[NODE] = self.deploy.calls
        self.before_verifying = lambda: None
        self.on_write = lambda: None

    def write(self, agent, deployment, tell):
        def told(part, done, total):
            tell(part, done, total)
            if part == "verifying" and not done:
                self.before_verifying()

        writer(self.build, Extras(), self.iscsi_port)(agent, deployment, told)

    def told_to_write(self, agent, deployment, tell):
        self.on_write()
        self.write(agent, deployment, tell)
        self.on_write()

    def mark(self):
        return 0

    def up(self, mark, seconds):
        return "up" if self.node.booted.startswith("boot_") else ""

    def run(self):
        record = self.deploy.run()
        self.node.power_off()
        if self.node.fault:
            raise self.node.fault
        return record

    def disk(self):
        return self.node.disk.read_bytes()


@pytest.fixture
def bench(tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda *habits, **options: Bench(tmp_path, stack, *habits, **options)


def test_the_wire_has_the_order_that_the_classic_deploy_has(bench):
    it = bench()
    assert it.run().state == "running"
    assert it.node.seen == [
        *("bmc network", "config deploy", "token", "post"),
        *("bmc network", "done", "config boot_partition"),
    ]
    # The last acknowledgement may still be on its way.
    until(lambda: sum(isinstance(e, TftpSent) for e in it.events) == 3)
    served = [e.path for e in it.events if isinstance(e, TftpSent)]
    assert served == [it.node.config, f"token-{NODE}", it.node.config]
    posts = [(e.path, e.status) for e in it.events if isinstance(e, Http)]
    assert posts == [(f"/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info", 202)]


@pytest.mark.parametrize(("layout", "start"), [("pv", MIB), ("lv", MIB), ("disk", 0)])
def test_the_nodes_disk_holds_the_base(bench, layout, start):
    it = bench(layout=layout)
    assert it.run().state == "running"
    assert it.disk()[start : start + builds.BASE_BYTES] == it.build.base.read_bytes()


def test_a_node_that_posts_twice_is_deployed_once(bench):
    it = bench(Habits(posts=2))
    assert it.run().state == "running"
    assert it.node.statuses == [202, 202]


def test_a_node_with_a_wrong_key_is_not_believed_and_the_next_start_is(bench):
    it = bench(Habits(key="wrong"))
    record = it.run()
    assert (record.state, record.attempt) == ("running", 2)
    assert it.node.statuses == [400, 202]


def test_a_node_that_says_nothing_is_started_again(bench):
    it = bench(Habits(says_nothing=True))
    record = it.run()
    assert (record.state, record.attempt) == ("running", 2)


def test_a_node_whose_port_is_never_opened_is_started_by_its_bmc(bench):
    it = bench(Habits(opens_no_port=True))
    assert it.run().state == "running"
    assert "done" not in it.node.seen
    assert it.node.booted == "boot_partition"


def test_a_connection_cut_in_the_middle_of_the_write_is_mended(bench):
    it = bench()
    with Proxy(it.node.target_port) as proxy:
        it.iscsi_port = proxy.port
        proxy.cut_after(MIB)
        assert it.run().state == "running"
    assert proxy.cuts == 1
    assert it.disk()[MIB : MIB + builds.BASE_BYTES] == it.build.base.read_bytes()


def test_a_disk_that_changes_behind_our_back_is_written_again(bench):
    it = bench()
    tampered: list[bool] = []

    def tamper():
        if not tampered:
            tampered.append(True)
            with it.node.disk.open("r+b") as file:
                file.seek(MIB + 4711)
                file.write(b"lie")

    it.before_verifying = tamper
    record = it.run()
    assert (record.state, record.attempt) == ("running", 2)
    assert "other bytes than were written" in record.reason
    assert it.disk()[MIB : MIB + builds.BASE_BYTES] == it.build.base.read_bytes()


def test_a_disk_that_always_lies_ends_failed_with_nothing_to_boot(bench):
    it = bench()

    def tamper():
        with it.node.disk.open("r+b") as file:
            file.seek(MIB + 4711)
            file.write(b"lie")

    it.before_verifying = tamper
    record = it.run()
    assert (record.state, record.attempt) == ("failed", 3)
    assert not any(it.disk()[:MIB])
    assert "config boot_partition" not in it.node.seen
    assert it.node.power() == "off"


def test_a_disk_too_small_fails_at_once_with_both_sizes(bench):
    it = bench(disk_bytes=32 * MIB)
    record = it.run()
    assert (record.state, record.attempt) == ("failed", 1)
    assert f"has {32 * MIB} bytes" in record.reason
