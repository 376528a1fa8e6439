"""A conductor: the servers a node boots by, and a thread for each node that is deployed.

    python3 -P -m bakery.deploy.conductor ORDER

It runs on the nodes' network (in the lab's namespaces, where there is a lab) and tells on standard
output, a JSON object a line, what happens and how it ended. Exit code 0: every node runs.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from types import FrameType
from typing import NoReturn
from uuid import UUID

import msgspec

from bakery import manifest
from bakery.deploy import api
from bakery.deploy.casting import Casting, casting
from bakery.deploy.console_signs import ConsoleSigns
from bakery.deploy.disk_writer import writer
from bakery.deploy.journal import Journal
from bakery.deploy.node import Bounds, Halted, Means, NodeDeploy
from bakery.deploy.offer import NodeOffer
from bakery.deploy.order import NodeSpec, Order, Outcome, Word
from bakery.deploy.packed_base import base_index, packed_base
from bakery.deploy.partition import Extras
from bakery.deploy.pulling import Pulling
from bakery.deploy.release import release
from bakery.errors import BakeryError
from bakery.report import Event, Report
from bakery.serve.boot_programs import Chain
from bakery.serve.dhcp import DhcpServer, KnownNode, Wire
from bakery.serve.events import Dhcp, DhcpRival, Trouble, WireLog
from bakery.serve.events import Event as WireEvent
from bakery.serve.http import CONNECTIONS, HttpServer
from bakery.serve.leases import Leases
from bakery.serve.router import RouterAdvertiser
from bakery.serve.tftp import TftpServer
from bakery.serve.tree import Tree

API_PORT = 6385  # as Ironic's
NODE_CONNECTIONS = 6
"""One that writes its disk itself fetches over four (bakery/agent/fetch.py), and tells of it."""
WIRE_LOG = "wire.jsonl"
JOIN_SECONDS = 0.2


class Conductor:
    """Deploys the nodes of one order."""

    def __init__(self, order: Order, report: Report) -> None:
        self._order, self._report = order, report
        self._own = IPv4Interface(order.address)
        self._folder = Path(order.state)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._build = manifest.load(Path(order.build))
        self._tree = Tree()
        self._chain = Chain(order.bios, order.uefi)
        self._chain.put(self._tree)
        self._known: dict[str, KnownNode] = {}
        self._deploys: dict[UUID, NodeDeploy] = {}
        self._casting: Casting | None = None

    def work(self) -> tuple[Outcome, ...]:
        """Deploy them all, each in a thread; how each ended. Raises Halted after `halt`."""
        with contextlib.ExitStack() as stack:
            if self._order.method == "direct":
                self._casting = stack.enter_context(self._sender())
            for spec in self._order.nodes:
                journal = Journal(self._folder, spec.uuid)
                stack.enter_context(journal.held())
                self._deploys[spec.uuid] = self._deploy(spec, journal)
            stack.enter_context(self._servers())
            threads = [_NodeThread(deploy) for deploy in self._deploys.values()]
            try:
                for thread in threads:
                    thread.start()
                _join(threads)
            except BaseException:
                self.halt()
                raise
        return tuple(_outcome(deploy) for deploy in self._deploys.values())

    def halt(self) -> None:
        """Stop every node at the next opportunity; the journals know where."""
        for deploy in self._deploys.values():
            deploy.halt()

    def _deploy(self, spec: NodeSpec, journal: Journal) -> NodeDeploy:
        from bakery.bmc import Bmc

        order = self._order
        offer = NodeOffer(
            tree=self._tree,
            url=f"http://{self._own.ip}:{API_PORT}",
            node=spec.uuid,
            mac=spec.mac,
            build=self._build,
            ramdisk_folder=Path(order.ramdisk),
            root_device=order.root_device,
            direct=order.method == "direct",
        )
        self._known[spec.mac] = KnownNode(self._chain.files(offer.script_url), spec.name)
        bmc, pull = spec.bmc, None
        if order.method == "direct":
            folder = self._folder / "pieces" / str(spec.uuid)
            pull = Pulling(
                self._build, _extras(order), self._tree, offer.url, spec.uuid, folder, self._cast
            )
        means = Means(
            power=Bmc(bmc.address, bmc.port, bmc.username, bmc.password),
            boot=offer,
            write=pull.write if pull else writer(self._build, _extras(order)),
            release=release,
            signs=ConsoleSigns(Path(spec.console)),
            local=self._build.manifest.layout == "disk",
            pull=pull,
        )
        bounds = Bounds(order.attempts, order.ramdisk_seconds, order.running_seconds)
        key = self._build.manifest.key
        return NodeDeploy(spec.name, spec.uuid, key, means, journal, self._report, bounds)

    def _sender(self) -> contextlib.AbstractContextManager[Casting | None]:
        base_index(self._build)  # it says what is lacking, where there is no packed base
        order = self._order
        listeners = len(order.nodes) if order.multicast else 0
        return casting(packed_base(self._build), order.interface, listeners)

    def _cast(self) -> int:
        return self._casting.port() if self._casting else 0

    @contextlib.contextmanager
    def _servers(self) -> Iterator[None]:
        """DHCP, TFTP, HTTP with the API, and the word that there is no IPv6 router."""
        own, interface = str(self._own.ip), self._order.interface
        macs = {spec.mac: spec.uuid for spec in self._order.nodes}
        log = WireLog(self._folder / WIRE_LOG)

        def on_event(event: WireEvent) -> None:
            log(event)
            self._tell(event)
            if isinstance(event, Dhcp) and event.firmware and event.mac in macs:
                self._deploys[macs[event.mac]].boots()

        leases = Leases(self._folder / f"leases-{interface}.jsonl", *_range(self._own))
        with (
            contextlib.closing(log),
            contextlib.closing(leases),
            TftpServer(own, self._tree, on_event),
            HttpServer(
                own,
                self._tree,
                on_event,
                port=API_PORT,
                routes=api.routes(self._deploys),
                connections=CONNECTIONS + NODE_CONNECTIONS * len(self._deploys),
            ),
            RouterAdvertiser(interface, on_event),
            DhcpServer(Wire(interface, self._own), leases, self._known.get, on_event),
        ):
            yield

    def _tell(self, event: WireEvent) -> None:
        """Say what a person has to know of the wire."""
        if isinstance(event, DhcpRival):
            self._report.note(
                f"another DHCP server answers on this network: {event.address}; nodes may boot "
                "by its answers",
                "dhcp",
            )
        elif isinstance(event, Trouble):
            self._report.note(event.reason, event.server.lower())


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


def _join(threads: Sequence[_NodeThread]) -> None:
    """Wait for all; raise what ended one of them."""
    for thread in threads:
        while thread.is_alive():
            thread.join(JOIN_SECONDS)
    for thread in threads:
        if thread.fault is not None:
            raise thread.fault


def _outcome(deploy: NodeDeploy) -> Outcome:
    record = deploy.record
    return Outcome(
        record.name, record.node, record.state, record.reason, record.attempt, record.visits
    )


def _extras(order: Order) -> Extras:
    drive = Path(order.config_drive) if order.config_drive else None
    return Extras(order.ephemeral_mib, order.swap_mib, drive)


def _range(own: IPv4Interface) -> tuple[IPv4Address, IPv4Address]:
    """The addresses to give out: that half of the network our own is not in."""
    network = own.network
    middle = network.network_address + network.num_addresses // 2
    if own.ip < middle:
        return middle, network.broadcast_address - 1
    return network.network_address + 1, middle - 1


def tell(word: Word) -> None:
    """Write one line, whole."""
    sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
    sys.stdout.buffer.flush()


def main(words: Sequence[str]) -> int:
    """Carry out an order."""
    signal.signal(signal.SIGTERM, _end)
    lock = threading.Lock()

    def sink(event: Event) -> None:
        with lock:
            tell(Word(event=event))

    try:
        order = msgspec.json.decode(words[0], type=Order)
        outcomes = Conductor(order, Report(sink)).work()
    except BakeryError as error:
        tell(Word(error=error.message, hint=error.hint))
        return error.exit_code
    tell(Word(outcomes=outcomes))
    return 0 if all(outcome.state == "running" for outcome in outcomes) else 1


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Halted("stopped", "the same command goes on where it was")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
