"""A conductor: the servers a node boots by, and a thread for each node that is deployed.

    python3 -P -m bakery.conductor.conductor < REQUEST

It runs on the nodes' network (in the lab's namespaces, where there is a lab) and tells on standard
output, a JSON object a line, what happens and how it ended. Exit code 0: every node runs.
"""

import contextlib
import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Interface
from pathlib import Path
from types import FrameType
from typing import NoReturn
from uuid import UUID

import msgspec

from bakery.bmc.access import RedfishAccess, open_bmc
from bakery.conductor import api, network
from bakery.conductor.checked import SealOf, checked
from bakery.conductor.console_signs import ConsoleSigns
from bakery.conductor.disk_writer import writer
from bakery.conductor.expected import Expected
from bakery.conductor.journal import Journal
from bakery.conductor.means import BootOffer, Bounds, Means, Power, Signs
from bakery.conductor.media import ByMedia, network_of, refuse_layout
from bakery.conductor.media_shelf import MediaShelf
from bakery.conductor.messages import Message, NodeSpec, Request, Result
from bakery.conductor.multicast import Cast, Casting, casting
from bakery.conductor.network import Addresses
from bakery.conductor.network_signs import NetworkSigns, WrittenSigns
from bakery.conductor.node import Halted, NodeDeploy
from bakery.conductor.notes import Notes
from bakery.conductor.notice import release
from bakery.conductor.offer import NodeOffer
from bakery.conductor.packed_base import packed_base
from bakery.conductor.peer import Peer
from bakery.conductor.processors import refuse_others
from bakery.conductor.pulling import Pulling
from bakery.conductor.standing import refuse_surprises
from bakery.conductor.wanted import wanted
from bakery.host import folders, sandbox
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report
from bakery.manifest import manifest
from bakery.netboot.boot_programs import Chain
from bakery.netboot.dhcp import KnownNode, Wire
from bakery.netboot.http import CONNECTIONS, HttpServer
from bakery.netboot.router import RouterAdvertiser
from bakery.netboot.strangers import Strangers
from bakery.netboot.tftp import TftpServer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Dhcp, DhcpStranger, Http, TftpSent, WireLog
from bakery.netboot.wire_events import Event as WireEvent

API_PORT = 6385  # as Ironic's
NODE_CONNECTIONS = 6
"""One that writes its disk itself fetches over four (node/agent/fetch.py), and tells of it."""
WIRE_LOG = "wire.jsonl"
JOIN_SECONDS = 0.2


class Conductor:
    """Deploys the nodes of one request."""

    def __init__(self, request: Request, report: Report) -> None:
        self._request, self._report = request, report
        if request.unconfined:
            sandbox.permit_unconfined()
        if request.method == "iscsi":
            sandbox.confined()
        self._own = IPv4Interface(request.address)
        network.check(request.network, self._own)
        self._folder = Path(request.state)
        folders.make(self._folder, mode=0o700)
        self._build = manifest.load(Path(request.build))
        refuse_others(self._build, Path(request.ramdisk), request.nodes)
        self._seal_of = self._checked()
        self._wanted = wanted(self._build, request.extras)
        self._notes = Notes(request, report)
        self._tree = Tree()
        self._chain = Chain(request.bios, request.uefi)
        self._media: MediaShelf | None = None
        if request.media:
            refuse_layout(self._build.manifest.layout)
            ramdisk = Path(request.ramdisk)
            self._media = MediaShelf(request.media, ramdisk, self._folder, report)
        else:
            self._chain.put(self._tree)
        self._known: dict[str, KnownNode] = {}
        self._deploys: dict[UUID, NodeDeploy] = {}
        self._signs: dict[UUID, NetworkSigns] = {}
        self._strangers = Strangers()
        self._casting: Casting | None = None

    def work(self) -> tuple[Result, ...]:
        """Deploy them all, each in a thread; how each ended. Raises Halted after `halt`."""
        with contextlib.ExitStack() as stack:
            # Before anything is changed: it refuses to give out addresses beside another server.
            addresses = stack.enter_context(self._network())
            if self._request.method == "direct":
                self._casting = stack.enter_context(self._sender())
            journals = [stack.enter_context(self._held(spec)) for spec in self._request.nodes]
            for spec, journal in zip(self._request.nodes, journals, strict=True):
                holds = self._holder(spec, addresses)
                self._deploys[spec.uuid] = self._deploy(spec, journal, holds)
            stack.enter_context(self._servers(addresses))
            threads = [_NodeThread(deploy) for deploy in self._deploys.values()]
            try:
                for thread in threads:
                    thread.start()
                _join(threads)
            except BaseException:
                self.halt()
                raise
            finally:
                if heard := self._strangers.words():
                    self._report.note(heard, "dhcp")
        return tuple(thread.result() for thread in threads)

    def halt(self) -> None:
        """Stop every node at the next opportunity; the journals know where."""
        for deploy in self._deploys.values():
            deploy.halt()

    def _checked(self) -> SealOf:
        with self._report.step("check", f"the digests of {self._build.manifest.name}"):
            return checked(self._build, direct=self._request.method == "direct")

    @contextlib.contextmanager
    def _held(self, spec: NodeSpec) -> Iterator[Journal]:
        """The node's journal, for as long as it is nobody else's."""
        journal = Journal(self._folder, spec.uuid)
        with journal.held():
            refuse_surprises(spec, journal.read())
            yield journal

    def _network(self) -> contextlib.AbstractContextManager[Addresses | None]:
        """Who has which address; None where nodes boot from a medium, and ask nobody for one."""
        if self._media:
            return contextlib.nullcontext()
        wire = Wire(self._request.interface, self._own)
        return network.opened(self._request.network, wire, self._folder, self._report)

    def _deploy(self, spec: NodeSpec, journal: Journal, holds: Callable[[str], bool]) -> NodeDeploy:
        request, peer = self._request, Peer(holds)
        offer = NodeOffer(
            tree=self._tree,
            url=f"http://{self._own.ip}:{API_PORT}",
            node=spec.uuid,
            macs=spec.macs,
            peer=peer,
            build=self._build,
            ramdisk_folder=Path(request.ramdisk),
            root_device=spec.root_device,
            direct=request.method == "direct",
            seal_of=self._seal_of,
        )
        pull = None
        if request.method == "direct":
            folder = self._folder / "pieces" / str(spec.uuid)
            pull = Pulling(
                self._build,
                request.extras,
                self._tree,
                offer.url,
                spec.uuid,
                peer,
                folder,
                self._cast,
                seal_of=self._seal_of,
            )
        power, boot = self._start_of(spec, offer)
        means = Means(
            power=power,
            boot=boot,
            write=pull.write if pull else writer(self._build, request.extras),
            release=release,
            signs=self._signs_of(spec, holds),
            peer=peer,
            local=self._build.manifest.layout == "disk",
            machine=Expected(frozenset(spec.macs), spec.serial, self._others(spec)),
            pull=pull,
        )
        bounds = Bounds(request.attempts, request.ramdisk_seconds, request.running_seconds)
        asked = self._wanted.on(spec.root_device)
        return NodeDeploy(spec.name, spec.uuid, asked, means, journal, self._report, bounds)

    def _others(self, spec: NodeSpec) -> dict[str, str]:
        """Cards that are other nodes', by MAC, where the node's BMC tells the cards of its own."""
        if not isinstance(spec.bmc, RedfishAccess):
            return {}
        nodes = (node for node in self._request.nodes if node.uuid != spec.uuid)
        named = {mac: node.name for node in nodes for mac in node.macs}
        return self._request.neighbours | named

    def _start_of(self, spec: NodeSpec, offer: NodeOffer) -> tuple[Power, BootOffer]:
        """How a node is started, and what it finds then: over the network, or in its drive."""
        bmc = open_bmc(spec.bmc, firmware=spec.firmware)
        if self._media is None:
            files = self._chain.files
            for mac in spec.macs:
                self._known[mac] = KnownNode(files(offer.script_url(mac), offer.url), spec.name)
            return bmc, offer
        medium = self._media.offer(spec, offer.peer, offer.arguments)
        return ByMedia(bmc, medium), medium

    def _holder(self, spec: NodeSpec, addresses: Addresses | None) -> Callable[[str], bool]:
        """Tells whether an address is the node's.

        One that booted from its medium without an address of its own has one that nobody here
        gave; the secrets, which its BMC alone was told, say who it is.
        """
        if addresses is not None:
            return functools.partial(addresses.one_holds, spec.macs)
        own = network_of(spec).address

        def holds(address: str) -> bool:
            if own is not None:
                return address == str(own.ip)
            return self._deploys[spec.uuid].record.agent is None

        return holds

    def _own_address(self, spec: NodeSpec) -> Callable[[str], bool]:
        """Tells whether an address is that of a node that booted from its medium, for certain."""
        own = network_of(spec).address

        def known(address: str) -> bool:
            agent = self._deploys[spec.uuid].record.agent
            return address in {str(own.ip) if own else "", agent.address if agent else ""} - {""}

        return known

    def _signs_of(self, spec: NodeSpec, holds: Callable[[str], bool]) -> Signs:
        """What is looked for: the console tells most, where a file keeps it."""
        until = self._request.until
        if until == "written":
            return WrittenSigns()
        if until == "login" and not spec.console:
            raise BakeryError(f"the console of {spec.name} is not kept in a file", "--until ssh")
        if until == "login" or (until == "any" and spec.console):
            return ConsoleSigns(Path(spec.console))

        def agent() -> str:
            found = self._deploys[spec.uuid].record.agent
            return found.address if found else ""

        if self._media:
            # It has the address that its ramdisk had, by whoever gave it; its DHCP is not heard.
            return NetworkSigns(lambda _address: True, agent, until, hears=False)
        hears = self._request.network.dhcp != "off"  # a switch may keep it from us
        signs = NetworkSigns(holds, agent, until, hears=hears)
        self._signs[spec.uuid] = signs
        return signs

    def _sender(self) -> contextlib.AbstractContextManager[Casting | None]:
        request = self._request
        listeners = len(request.nodes) if request.multicast else 0
        file = self._seal_of(packed_base(self._build))
        return casting(file, request.interface, listeners)

    def _cast(self) -> Cast | None:
        return self._casting.cast() if self._casting else None

    @contextlib.contextmanager
    def _servers(self, addresses: Addresses | None) -> Iterator[None]:
        """HTTP with the API, and the media; or TFTP, DHCP's part, and no IPv6 router."""
        own, interface = str(self._own.ip), self._request.interface
        macs = {mac: spec.uuid for spec in self._request.nodes for mac in spec.macs}
        log = WireLog(self._folder / WIRE_LOG)
        holders = (
            [functools.partial(addresses.one_holds, macs)]
            if addresses is not None
            else [self._own_address(spec) for spec in self._request.nodes]
        )

        def known(address: str) -> bool:
            return any(holds(address) for holds in holders)

        def on_event(event: WireEvent) -> None:
            log(event)
            self._notes(event)
            if isinstance(event, TftpSent | Http):
                self._fetched(event)
                if addresses is not None:
                    addresses.seen(event.client)
            if isinstance(event, DhcpStranger):
                self._strangers.add(event)
            if isinstance(event, Dhcp) and event.mac in macs:
                self._asked_for_address(macs[event.mac], event)

        files = HttpServer(
            own,
            self._tree,
            on_event,
            port=API_PORT,
            routes=api.routes({node: deploy.calls for node, deploy in self._deploys.items()}),
            connections=CONNECTIONS + NODE_CONNECTIONS * len(self._deploys),
            reserved=NODE_CONNECTIONS * len(self._deploys),
            known=known,
        )
        with contextlib.ExitStack() as stack:
            stack.callback(log.close)
            if addresses is None:
                assert self._media is not None
                stack.enter_context(files)
                stack.enter_context(self._media.serving(on_event))
            else:
                stack.enter_context(TftpServer(own, self._tree, on_event, known=known))
                stack.enter_context(files)
                stack.enter_context(RouterAdvertiser(interface, self._known.get, on_event))
                for server in addresses.servers(self._known.get, on_event):
                    stack.enter_context(server)
            yield

    def _fetched(self, event: TftpSent | Http) -> None:
        """Somebody was sent a file; those of a node's own folder go to that node alone."""
        if isinstance(event, Http) and (event.status != 200 or not event.sent_bytes):
            return
        folder = event.path.lstrip("/").partition("/")[0]
        for node, deploy in self._deploys.items():
            if folder == str(node):
                deploy.calls.fetches()

    def _asked_for_address(self, node: UUID, event: Dhcp) -> None:
        """One of the node's cards did: it starts, or its system has."""
        if event.firmware:
            self._deploys[node].calls.boots()
        if node in self._signs:
            self._signs[node].asked(event.address, firmware=bool(event.firmware))


class _NodeThread(threading.Thread):
    """Runs one node; `fault` is what ended it that should not have."""

    def __init__(self, deploy: NodeDeploy) -> None:
        super().__init__(name=deploy.name, daemon=True)
        self._deploy = deploy
        self.fault: BaseException | None = None

    def run(self) -> None:
        """Take the node to its end."""
        try:
            self._deploy.run()
        except BaseException as error:  # noqa: BLE001 - raised again by whoever joins
            self.fault = error

    def result(self) -> Result:
        """How its node ended. A fault that is no order to stop is that node's, not the others'."""
        record = self._deploy.record
        state, reason = record.state, record.reason
        if self.fault:
            state, reason = "failed", f"{type(self.fault).__name__}: {self.fault}"
        return Result(
            *(record.name, record.node, state, reason, record.attempt, record.visits),
            sign=record.sign if state == "running" else "",
        )


def _join(threads: Sequence[_NodeThread]) -> None:
    """Wait for all; raise Halted where that ended one of them."""
    for thread in threads:
        while thread.is_alive():
            thread.join(JOIN_SECONDS)
    for thread in threads:
        if isinstance(thread.fault, Halted):
            raise thread.fault


def send(message: Message) -> None:
    """Write one line, whole."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> int:
    """Carry out the request on standard input."""
    signal.signal(signal.SIGTERM, _end)
    lock = threading.Lock()

    def sink(event: Event) -> None:
        with lock:
            send(Message(event=event))

    try:
        request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
        results = Conductor(request, Report(sink)).work()
    except BakeryError as error:
        send(Message(error=error.message, hint=error.hint))
        return error.exit_code
    send(Message(results=results))
    return 0 if all(result.state == "running" for result in results) else 1


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Halted("stopped", "run the same command to continue")


if __name__ == "__main__":
    sys.exit(main())
