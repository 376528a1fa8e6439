"""A conductor as it puts a request together: who serves, who is told, how each node ends."""

import contextlib
import io
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from bakery.bmc.access import IpmiAccess
from bakery.conductor import conductor as module
from bakery.conductor.conductor import API_PORT, Conductor, _join, _NodeThread, main
from bakery.conductor.console_signs import ConsoleSigns
from bakery.conductor.journal import Journal
from bakery.conductor.messages import Card, Message, Network, NodeSpec, Request, Result
from bakery.conductor.multicast import Cast
from bakery.conductor.network_signs import NetworkSigns, WrittenSigns
from bakery.conductor.node import Halted
from bakery.host import sandbox
from bakery.host.errors import BakeryError
from bakery.host.plain_file import seal
from bakery.host.report import Event, Report, silent
from bakery.netboot.http import CONNECTIONS
from bakery.netboot.wire_events import Dhcp, DhcpRival, DhcpStranger, Http, TftpSent, Trouble
from tests.conductor import builds

NODES = tuple(
    NodeSpec(
        f"node-{number}",
        UUID(int=number),
        f"52:54:00:4c:00:0{number}",
        IpmiAccess("192.0.2.9", 623, "admin", "secret"),
        "/console",
    )
    for number in (1, 2)
)


@pytest.fixture
def request_of(tmp_path):
    """A request about a build of some layout."""

    def make(layout="pv", packed=False, **changes):
        build = builds.build(tmp_path / "build", layout)
        if packed:
            builds.with_packed_base(build)
        usual = Request(
            nodes=NODES,
            build=str(build.directory),
            ramdisk=str(tmp_path),
            interface="lo",
            address="192.0.2.1/24",
            state=str(tmp_path / "state"),
        )
        return msgspec.structs.replace(usual, **changes)

    return make


def test_a_node_that_cannot_run_the_image_is_refused_before_anything_is_served(request_of):
    nodes = (msgspec.structs.replace(NODES[0], processor="aarch64"),)
    asked = request_of(nodes=nodes)
    kernel = Path(asked.build) / "sample-kernel"
    kernel.write_bytes(bytes(0x202) + b"HdrS" + bytes(48) + b"\1\0")
    with pytest.raises(BakeryError, match="machine for aarch64, but the image is for x86_64"):
        Conductor(asked, silent())


def test_what_speaks_iscsi_with_nodes_is_confined_or_nothing_begins(request_of, monkeypatch):
    request = request_of(packed=True)
    monkeypatch.setattr(sandbox, "available", lambda: False)
    monkeypatch.setattr(sandbox._Decision, "unconfined", False)
    with pytest.raises(sandbox.NoCage, match="could not be confined"):
        Conductor(request, silent())
    Conductor(msgspec.structs.replace(request, method="direct"), silent())
    Conductor(msgspec.structs.replace(request, unconfined=True), silent())


class Deploy:
    """A node's deploy that does what a test says; what it was made of."""

    ends: Any = "running"

    def __init__(self, name, node, wanted, means, journal, report, bounds):
        self.name, self.node = name, node
        self.wanted, self.means, self.bounds = wanted, means, bounds
        self.halts = 0
        self.boots = self.fetches = 0
        self.calls = SimpleNamespace(boots=self.counted, fetches=self.fetched)
        self.record = SimpleNamespace(
            name=name, node=node, state="enroll", reason="", attempt=2, visits=(), sign=""
        )

    def counted(self):
        self.boots += 1

    def fetched(self):
        self.fetches += 1

    def run(self):
        if isinstance(self.ends, BaseException):
            raise self.ends
        self.record.state = self.ends

    def halt(self):
        self.halts += 1


@pytest.fixture
def deploys(monkeypatch):
    """Every deploy that is made; no server is started."""
    made = []

    def make(*words):
        made.append(Deploy(*words))
        return made[-1]

    monkeypatch.setattr(module, "NodeDeploy", make)
    monkeypatch.setattr(Conductor, "_servers", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(Deploy, "ends", "running")
    return made


def test_each_node_is_deployed_and_its_end_is_the_answer(request_of, deploys):
    results = Conductor(request_of(), silent()).work()
    assert [(one.name, one.uuid, one.state, one.attempts) for one in results] == [
        ("node-1", UUID(int=1), "running", 2),
        ("node-2", UUID(int=2), "running", 2),
    ]
    assert [deploy.halts for deploy in deploys] == [0, 0]


def test_the_boot_programs_of_both_firmwares_are_there_from_the_beginning(request_of, deploys):
    conductor = Conductor(request_of(), silent())
    told = conductor._chain.files("")
    for name in (told.bios, told.uefi):
        program = conductor._tree.open(name)
        assert program
        program.file.close()


def test_a_defect_is_the_end_of_its_node_alone(request_of, deploys, monkeypatch):
    monkeypatch.setattr(Deploy, "ends", ZeroDivisionError("a defect"))
    results = Conductor(request_of(), silent()).work()
    assert [(one.state, one.reason) for one in results] == [
        ("failed", "ZeroDivisionError: a defect")
    ] * 2
    assert [deploy.halts for deploy in deploys] == [0, 0]


def test_an_order_to_stop_stops_all(request_of, deploys, monkeypatch):
    monkeypatch.setattr(Deploy, "ends", Halted("stopped"))
    with pytest.raises(Halted):
        Conductor(request_of(), silent()).work()
    assert [deploy.halts for deploy in deploys] == [1, 1]


def test_a_node_that_another_conductor_holds_is_refused_before_any_is_begun(
    request_of, deploys, tmp_path
):
    with (
        Journal(tmp_path / "state", NODES[1].uuid).held(),
        pytest.raises(BakeryError, match="working on this node"),
    ):
        Conductor(request_of(), silent()).work()
    assert deploys == []


def test_the_folder_of_journals_is_its_owners_alone(request_of, tmp_path):
    conductor = Conductor(request_of(state=str(tmp_path / "a/b")), silent())
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    assert conductor


@pytest.mark.parametrize(("layout", "local"), [("pv", False), ("lv", False), ("disk", True)])
def test_what_a_node_needs_is_put_together_of_the_request(request_of, deploys, layout, local):
    bounds = {"attempts": 7, "ramdisk_seconds": 8.0, "running_seconds": 9.0}
    nodes = (msgspec.structs.replace(NODES[0], root_device="size=1"), NODES[1])
    conductor = Conductor(request_of(layout, nodes=nodes, **bounds), silent())
    conductor.work()
    first, second = deploys
    assert (first.bounds.attempts, first.bounds.ramdisk_seconds) == (7, 8.0)
    assert first.bounds.running_seconds == 9.0
    means = first.means
    assert (means.local, means.pull) == (local, None)
    assert means.boot.url == f"http://192.0.2.1:{API_PORT}"
    assert (means.boot.macs, means.boot.root_device) == ((NODES[0].mac,), "size=1")
    assert means.boot.direct is False and second.means.boot.node == UUID(int=2)
    assert first.wanted.root_device == "size=1"
    assert {mac: known.name for mac, known in conductor._known.items()} == {
        NODES[0].mac: "node-1",
        NODES[1].mac: "node-2",
    }


def test_with_the_direct_method_each_node_writes_and_they_share_a_sender(
    request_of, deploys, monkeypatch, tmp_path
):
    asked = []

    @contextlib.contextmanager
    def casting(file, interface, nodes):
        asked.append((file, interface, nodes))
        yield SimpleNamespace(cast=lambda: Cast(9000, b"key"))

    monkeypatch.setattr(module, "casting", casting)
    request = request_of(packed=True, method="direct")
    conductor = Conductor(request, silent())
    conductor.work()
    assert asked == [(seal(tmp_path / "build/sample-base.zst"), "lo", 2)]
    assert conductor._cast() == (9000, b"key")
    for deploy in deploys:
        assert deploy.means.pull and deploy.means.boot.direct
        assert deploy.means.write == deploy.means.pull.write
    assert deploys[0].means.pull._folder == tmp_path / "state/pieces" / str(UUID(int=1))
    Conductor(msgspec.structs.replace(request, multicast=False), silent()).work()
    assert asked[-1][2] == 0


def test_a_build_that_cannot_be_sent_is_told_before_anything_is_begun(request_of, deploys):
    with pytest.raises(BakeryError, match=r"base"):
        Conductor(request_of(method="direct"), silent()).work()
    assert deploys == []


def test_over_iscsi_nothing_is_cast(request_of):
    assert Conductor(request_of(), silent())._cast() is None


def servers(monkeypatch):
    """Servers that only note how they were started, and whether they are still up."""
    seen: dict[str, Any] = {}

    def stub(name):
        @contextlib.contextmanager
        def serve(*words, **options):
            seen[name] = (words, options)
            yield
            seen[name] = None

        return serve

    for name in ("TftpServer", "HttpServer", "RouterAdvertiser"):
        monkeypatch.setattr(module, name, stub(name))
    seen["stub"] = stub
    return seen


def test_the_wire_is_served_and_what_happens_there_is_kept_and_told(
    request_of, monkeypatch, tmp_path
):
    seen = servers(monkeypatch)
    stub = seen.pop("stub")
    events: list[Event] = []
    conductor: Any = Conductor(request_of(), Report(events.append))
    made = [Deploy(spec.name, spec.uuid, None, None, None, None, None) for spec in NODES]
    conductor._deploys = {deploy.node: deploy for deploy in made}
    heard: list[str] = []
    addresses = SimpleNamespace(
        one_holds=lambda macs, address: NODES[0].mac in macs and address == "192.0.2.130",
        seen=heard.append,
        servers=lambda find, on_event: [stub("dhcp")(find, on_event)],
    )
    with conductor._servers(addresses):
        (address, tree, on_event), _ = seen["TftpServer"]
        assert address == "192.0.2.1"
        words, options = seen["HttpServer"]
        assert words[:2] == (address, tree) and options["port"] == 6385
        assert options["connections"] == CONNECTIONS + 12
        assert [method for method, _ in options["routes"]] == ["POST"]
        assert seen["RouterAdvertiser"][0][0] == "lo"
        assert options["reserved"] == 12
        assert options["known"]("192.0.2.130") and not options["known"]("192.0.2.131")
        find, told = seen["dhcp"][0]
        assert find(NODES[0].mac) is None  # none is put together here
        assert told is on_event
        on_event(Dhcp(NODES[0].mac, "DISCOVER", firmware="bios"))
        on_event(Dhcp(NODES[0].mac, "DISCOVER", firmware=""))
        on_event(Dhcp("52:54:00:00:00:99", "DISCOVER", firmware="bios"))
        on_event(DhcpRival("192.0.2.66", NODES[0].mac))
        on_event(Trouble("TFTP", "it is slow"))
        on_event(Http("192.0.2.130", "GET", "/x", 200, 9))
        for status, sent in ((403, 9), (200, 0)):
            on_event(Http("192.0.2.131", "GET", f"/{NODES[1].uuid}/kernel", status, sent))
        assert [deploy.fetches for deploy in made] == [0, 0]
        on_event(Http("192.0.2.130", "GET", f"/{NODES[0].uuid}/kernel", 200, 9))
        on_event(TftpSent("192.0.2.130", f"{NODES[0].uuid}/kernel", 9, 0.1))
        on_event(DhcpStranger("52:54:00:00:00:99", "PXEClient", 7))
    assert set(seen.values()) == {None}
    assert [deploy.boots for deploy in made] == [1, 0]
    assert [event.step for event in events] == ["check", "check", "dhcp", "tftp"]
    assert "another DHCP server answers on this network: 192.0.2.66" in events[2].text
    assert events[3].text == "it is slow"
    kept = (tmp_path / "state/wire.jsonl").read_text().splitlines()
    assert len(kept) == 11 and "192.0.2.66" in kept[3]
    assert [deploy.fetches for deploy in made] == [2, 0]
    assert heard == ["192.0.2.130", *["192.0.2.131"] * 2, *["192.0.2.130"] * 2]
    assert "52:54:00:00:00:99 (PXEClient)" in conductor._strangers.words()


def test_machines_that_are_no_nodes_are_named_at_the_end(request_of, deploys):
    events: list[Event] = []
    conductor = Conductor(request_of(), Report(events.append))
    conductor._strangers.add(DhcpStranger("52:54:00:00:00:99"))
    conductor.work()
    assert events[-1].kind == "note" and "1 machine asked" in events[-1].text


def test_a_range_that_is_none_is_refused_before_any_digest_is_looked_at(request_of):
    events: list[Event] = []
    request = request_of()
    for wrong in (Network(ranges=("10.0.0.1-10.0.0.2",)), Network(dns=("x",))):
        with pytest.raises(BakeryError):
            Conductor(msgspec.structs.replace(request, network=wrong), Report(events.append))
    assert events == []


def test_beside_another_dhcp_server_nothing_is_begun(request_of, deploys, monkeypatch, tmp_path):
    monkeypatch.setattr("bakery.netboot.dhcp_probe.answering", lambda *_: "192.0.2.66")
    with pytest.raises(BakeryError, match=r"another DHCP server answers on lo: 192\.0\.2\.66"):
        Conductor(request_of(network=Network(look_seconds=1.0)), silent()).work()
    assert deploys == [] and list((tmp_path / "state").iterdir()) == []


def test_threads_are_waited_for_and_a_fault_is_raised_when_all_have_ended(monkeypatch):
    ended = []

    class Slow:
        name = "slow"

        def run(self):
            time.sleep(0.1)
            ended.append("slow")

    class Broken:
        name = "broken"

        def run(self):
            raise Halted("first")

    ends: list[Any] = [Broken(), Slow()]
    threads = [_NodeThread(end) for end in ends]
    assert [thread.name for thread in threads] == ["broken", "slow"]
    assert all(thread.daemon for thread in threads)
    for thread in threads:
        thread.start()
    with pytest.raises(Halted, match="first"):
        _join(threads)
    assert ended == ["slow"] and threads[1].fault is None
    _join(threads[1:])


def told_to(monkeypatch, request):
    """Standard input holds the request."""
    stdin = SimpleNamespace(buffer=io.BytesIO(msgspec.json.encode(request)))
    monkeypatch.setattr("bakery.conductor.conductor.sys.stdin", stdin)


def told(capfdbinary):
    lines = capfdbinary.readouterr().out.splitlines()
    return [msgspec.json.decode(line, type=Message) for line in lines]


@pytest.mark.parametrize(("states", "code"), [(("running",), 0), (("running", "failed"), 1)])
def test_events_and_ends_are_told_a_line_each(request_of, monkeypatch, capfdbinary, states, code):
    results = tuple(Result("n", UUID(int=1), state, "", 1, ()) for state in states)

    class Working:
        def __init__(self, request, report):
            assert request.nodes == NODES
            self.report = report

        def work(self):
            self.report.note("halfway", "node-1")
            return results

    monkeypatch.setattr(module, "Conductor", Working)
    monkeypatch.setattr("bakery.conductor.conductor.signal.signal", lambda *_: None)
    told_to(monkeypatch, request_of())
    assert main() == code
    event, end = told(capfdbinary)
    assert event.event and (event.event.step, event.event.text) == ("node-1", "halfway")
    assert end.results == results and not end.error


def test_why_it_cannot_work_is_told_with_the_way_out(request_of, monkeypatch, capfdbinary):
    monkeypatch.setattr("bakery.conductor.conductor.signal.signal", lambda *_: None)
    request = msgspec.structs.replace(request_of(), build="/nowhere")
    told_to(monkeypatch, request)
    assert main() == 1
    (message,) = told(capfdbinary)
    assert "no finished build in /nowhere" in message.error and message.hint
    assert message.results is None


def test_a_conductor_that_is_asked_to_end_halts_and_is_asked_no_more(request_of, monkeypatch):
    set_to = []
    monkeypatch.setattr(
        "bakery.conductor.conductor.signal.signal", lambda *words: set_to.append(words)
    )
    with pytest.raises(Halted) as caught:
        module._end(15, None)
    assert caught.value.hint == "run the same command to continue"
    assert set_to == [(signal.SIGTERM, signal.SIG_IGN)]


@pytest.mark.parametrize(
    ("until", "console", "kind"),
    [
        ("any", "/console", ConsoleSigns),
        ("any", "", NetworkSigns),
        ("login", "/console", ConsoleSigns),
        ("ssh", "/console", NetworkSigns),
        ("ping", "", NetworkSigns),
        ("written", "/console", WrittenSigns),
    ],
)
def test_the_best_sign_is_looked_for_or_the_one_that_is_asked_for(
    request_of, deploys, until, console, kind
):
    nodes = (msgspec.structs.replace(NODES[0], console=console),)
    Conductor(request_of(nodes=nodes, until=until), silent()).work()
    assert isinstance(deploys[0].means.signs, kind)


def test_a_login_that_nobody_can_see_is_not_waited_for(request_of, deploys):
    nodes = (msgspec.structs.replace(NODES[0], console=""),)
    with pytest.raises(BakeryError, match="console of node-1 is not kept"):
        Conductor(request_of(nodes=nodes, until="login"), silent()).work()


def test_each_of_a_nodes_cards_is_served_and_belongs_to_the_machine_that_is_expected(
    request_of, deploys
):
    more = (Card("52:54:00:4c:00:11"), Card("52:54:00:4c:00:12", boots=False))
    node = msgspec.structs.replace(NODES[0], others=more, serial="S1")
    conductor = Conductor(request_of(nodes=(node,)), silent())
    conductor.work()
    assert set(conductor._known) == set(node.macs) and len(node.macs) == 3
    machine = deploys[0].means.machine
    assert (machine.macs, machine.serial) == (frozenset(node.macs), "S1")
