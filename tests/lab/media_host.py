"""A lab of one node that boots from a medium, in namespaces of its own.

    ENTRANCE… python -m tests.lab.media_host FOLDER FIRMWARE

`FOLDER/ramdisk` has a deploy kernel and ramdisk. The medium is served by HTTP to the address of the
lab's BMCs alone; nothing answers DHCP or TFTP. Prints what the agent reported, as one JSON object,
and ends. What is asked of the server goes to `FOLDER/wire.jsonl`.
"""

import contextlib
import json
import sys
import time
import uuid
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

from bakery.host.kvm import examine
from bakery.host.report import silent
from bakery.lab import network
from bakery.lab.node import Hardware
from bakery.lab.nodes import VirtualNode
from bakery.lab.state import BmcAccess, Firmware
from bakery.netboot.http import HttpServer
from bakery.netboot.http_message import Request, Response
from bakery.netboot.media_image import medium
from bakery.netboot.node_network import NodeNetwork
from bakery.netboot.tree import Asker, Tree
from bakery.netboot.wire_events import WireLog
from bakery.node.ramdisk.make import KERNEL, RAMDISK

OWN = "192.168.77.1"
ADDRESS = IPv4Interface("192.168.77.50/24")
NODE = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
KEY, TOKEN, SECRET = "THE-KEY-OF-THE-TRY", "THE-TOKEN-OF-THE-TRY", "unguessable"
SECONDS = 400
PORT, API_PORT = 8088, 6385


def guard(asker: Asker) -> str:
    return "" if asker.address == OWN else "this is another's"


def main(folder: Path, firmware: Firmware) -> None:
    network.make(IPv4Interface(f"{OWN}/24"), 1)
    reports: list[Request] = []

    def reported(request: Request) -> Response:
        reports.append(request)
        return Response(202)

    hardware = Hardware(number=1, uuid=uuid.UUID(NODE), firmware=firmware, disk_bytes=64 << 20)
    card = NodeNetwork(hardware.mac, ADDRESS, IPv4Address(OWN))
    made = medium(folder, folder / "ramdisk" / KERNEL, folder / "ramdisk" / RAMDISK, silent())
    args = (
        *("console=ttyS0", f"ironic_api_url=http://{OWN}:{API_PORT}"),
        *(f"deployment_id={NODE}", f"iscsi_target_iqn=iqn.2008-10.org.openstack:{NODE}"),
        *card.args(),
    )
    secrets = (f"deployment_key={KEY}", f"bakery_token={TOKEN}")
    tree, name = Tree(), f"media/{SECRET}/node-1.iso"
    tree.put(name, made.of_node(args, secrets), guard)
    with contextlib.ExitStack() as stack:
        log = WireLog(folder / "wire.jsonl")
        stack.enter_context(contextlib.closing(log))
        server = stack.enter_context(HttpServer(OWN, tree, log, port=PORT))
        routes = {("POST", "/v1/.*"): reported}
        stack.enter_context(HttpServer(OWN, Tree(), log, port=API_PORT, routes=routes))
        access = BmcAccess(OWN, 6231, "admin", "x")
        node = VirtualNode(hardware, folder, examine().kind, access)
        stack.callback(node.close)
        node.insert_media(f"{server.url}/{name}")
        node.boot_from("cd")
        node.power_on()
        deadline = time.monotonic() + SECONDS
        while node.on and not reports and time.monotonic() < deadline:
            node.look()
            time.sleep(0.1)
        node.eject_media()
        node.look()
        told = [
            {
                **json.loads(request.body),
                "token": request.headers.get("x-auth-token"),
                "from": request.client,
            }
            for request in reports
        ]
        print(json.dumps({"fault": node.fault, "on": node.on, "reports": told}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])  # type: ignore[arg-type]
