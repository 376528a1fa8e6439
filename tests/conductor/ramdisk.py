"""A node written from the protocol notes alone: boot configuration and token by TFTP, a real
iSCSI target, the POST, the port that waits for `done`. It shares no code with what it talks to.
"""

import http.client
import json
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.conductor.targets import IQN, exported

BLOCK_BYTES = 512


@dataclass
class Habits:
    """What this node does otherwise than it should."""

    key: str = ""
    says_nothing: bool = False
    opens_no_port: bool = False
    posts: int = 1


@dataclass
class Node:
    """A powered node is a thread; its disk lasts. `seen` tells what it did, in order."""

    disk: Path
    tftp_port: int
    target_port: int
    notice_port: int
    config: str
    habits: list[Habits] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    booted: str = ""
    on: bool = False
    fault: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    # the BMC
    def power(self):
        return "on" if self.on else "off"

    def power_on(self) -> None:
        self.on, self._stop = True, threading.Event()
        habits = self.habits.pop(0) if self.habits else Habits()
        self._thread = threading.Thread(target=self._live, args=(habits,), daemon=True)
        self._thread.start()

    def power_off(self) -> None:
        self.on = False
        self._stop.set()
        if self._thread:
            self._thread.join()

    def identity(self):
        raise NotImplementedError  # asked of nodes whose number is known alone

    def boot_from(self, device, *, persistent=False) -> None:
        self.seen.append(f"bmc {device}")

    # the node
    def _live(self, habits: Habits) -> None:
        try:
            while not self._stop.is_set() and self._boot(habits):
                pass
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.fault = error

    def _boot(self, habits: Habits) -> bool:
        """One start; whether the node restarts."""
        text = fetch(self.tftp_port, self.config).decode()
        label = text.split("\n", 1)[0].removeprefix("default ")
        self.seen.append(f"config {label}")
        self.booted = label
        if label != "deploy":
            return False
        append = re.search(r"label deploy\n.*?append ([^\n]*)", text, re.DOTALL)
        assert append is not None
        args = dict(word.partition("=")[::2] for word in append[1].split())
        token = fetch(self.tftp_port, f"token-{args['deployment_id']}").decode().strip()
        self.seen.append("token")
        return self._export(args, token, habits)

    def _export(self, args: dict[str, str], token: str, habits: Habits) -> bool:
        with (
            exported(self.disk, port=self.target_port),
            socket.create_server(("127.0.0.1", self.notice_port)) as notice,
        ):
            if habits.opens_no_port:
                notice.close()
            for _ in range(0 if habits.says_nothing else habits.posts):
                self._post(args, token, habits)
            if habits.opens_no_port:
                self._stop.wait()
                return False
            return self._noticed(notice)

    def _post(self, args: dict[str, str], token: str, habits: Habits) -> None:
        api = urlsplit(args["ironic_api_url"])
        key = habits.key or args["deployment_key"]
        body = json.dumps({"address": "127.0.0.1", "key": key, "iqn": IQN, "error": ""})
        link = http.client.HTTPConnection(api.hostname or "", api.port, timeout=30)
        path = f"/v1/nodes/{args['deployment_id']}/vendor_passthru/pass_deploy_info"
        headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
        link.request("POST", path, body, headers)
        self.statuses.append(link.getresponse().status)
        link.close()
        self.seen.append("post")

    def _noticed(self, notice: socket.socket) -> bool:
        notice.settimeout(0.05)
        while not self._stop.is_set():
            try:
                link, _ = notice.accept()
            except TimeoutError:
                continue
            with link, link.makefile("rb") as words:
                self.seen.append(words.read(64).decode().split()[0])
            return True
        return False


def fetch(port: int, name: str, source: str = "127.0.0.1") -> bytes:
    """A file by TFTP (RFC 1350), for who has the address `source`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(10)
        link.bind((source, 0))
        link.sendto(b"\0\x01" + name.encode() + b"\0octet\0", ("127.0.0.1", port))
        content, number = b"", 0
        while True:
            packet, server = link.recvfrom(2048)
            kind, block = struct.unpack("!HH", packet[:4])
            if kind != 3:
                raise FileNotFoundError(name)
            link.sendto(struct.pack("!HH", 4, block), server)
            if block == number + 1:
                number, content = block, content + packet[4:]
                if len(packet) < BLOCK_BYTES + 4:
                    return content
