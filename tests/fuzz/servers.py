"""The servers a node meets, in a process of their own, for messages that no node would send.

    python -m tests.fuzz.servers FOLDER

They listen at ADDRESS. The first line on standard output is a `Ready`; each one behind it is an
event that should not have been. It ends when its standard input does.
"""

import contextlib
import os
import sys
import threading
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from uuid import UUID

import msgspec

from bakery.conductor import api
from bakery.conductor.journal import Deployment
from bakery.netboot.dhcp import DhcpServer, KnownNode, Wire
from bakery.netboot.dhcp_own import Own
from bakery.netboot.firmware_files import BootFiles
from bakery.netboot.http import HttpServer
from bakery.netboot.leases import Leases
from bakery.netboot.router import RouterAdvertiser
from bakery.netboot.subnet import subnets
from bakery.netboot.tftp import TftpServer
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http, Trouble, WireLog
from bakery.node.agent import proof
from bakery.node.agent.errors import AgentError
from bakery.node.agent.notice import Notice
from tests.conductor.peers import peer_at
from tests.fuzz.wire import Waiting
from tests.netboot.wire import mac

ADDRESS, CLIENT = "192.168.88.1", "192.168.88.100"
NODE = UUID(int=1)
API_PORT = 6385
SECRET_FILE, OPEN_FILE = "token", "boot"
FAILED = 500
LET_GO = "let go"
"""What is told when somebody says the word on port 10000."""


class Ready(msgspec.Struct):
    """All listen; the secrets of the node's try."""

    key: str
    token: str


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    deployment = Deployment.fresh()
    peer = peer_at(CLIENT, deployment)
    tree = Tree()
    tree.put(OPEN_FILE, bytes(3000))
    tree.put(SECRET_FILE, b"secret of a try", peer.frames)
    log = WireLog(folder / "wire.jsonl", limit=1 << 20)
    out = _Out()

    def tell(event: Event) -> None:
        log(event)
        if isinstance(event, Trouble) or (isinstance(event, Http) and event.status == FAILED):
            out.say(event)

    own = IPv4Interface(f"{ADDRESS}/24")
    ranges = subnets((f"{CLIENT}-192.168.88.150",), own)
    leases = Leases(folder / "leases", ranges[0].first, ranges[0].last)
    known = {mac(1): KnownNode(BootFiles(bios="undionly.kpxe"), "node-1", IPv4Address(CLIENT))}
    routes = api.routes({NODE: Waiting(peer)})
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(leases))
        for server in (
            DhcpServer(Wire("br0", own), Own(own, leases, ranges), known.get, tell),
            TftpServer(ADDRESS, tree, tell, interface="br0"),
            HttpServer(ADDRESS, tree, tell, port=API_PORT, routes=routes),
            RouterAdvertiser("br0", known.get, tell),
        ):
            stack.enter_context(server)
        notice = stack.enter_context(Notice(proof.word(deployment.key)))
        threading.Thread(target=_wait, args=(notice, out), daemon=True).start()
        out.say(Ready(deployment.key, deployment.token))
        sys.stdin.read()


class _Out:
    """Standard output for what this program tells; what the agent says on its console is lost."""

    def __init__(self) -> None:
        self._file, sys.stdout = sys.stdout, Path(os.devnull).open("w")  # noqa: SIM115
        self._lock = threading.Lock()

    def say(self, told: object) -> None:
        """One line of JSON."""
        with self._lock:
            print(msgspec.json.encode(told).decode(), file=self._file, flush=True)


def _wait(notice: Notice, out: _Out) -> None:
    """What a ramdisk does at the end, over and over."""
    with contextlib.suppress(AgentError):  # the port is closed at the end
        while True:
            notice.wait()
            out.say(LET_GO)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
