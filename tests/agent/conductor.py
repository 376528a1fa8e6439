"""The other half of a deployment for the agent's tests: what Ironic's conductor does on the wire.

An API that takes the vendor_passthru calls, an initiator, and the knock on port 10000; written
from the protocol alone, without a line of bakery's own conductor.
"""

import contextlib
import http.server
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CALL_SECONDS = 180


@dataclass(frozen=True)
class Call:
    """One request to the API."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, str]


class Conductor:
    """Takes calls on 127.0.0.1; each is answered 202."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Call] = queue.Queue()
        calls = self._calls

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                calls.put(Call("POST", self.path, dict(self.headers), json.loads(content)))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def call(self) -> Call:
        """The next call that comes; the test fails where none does."""
        return self._calls.get(timeout=CALL_SECONDS)


@contextlib.contextmanager
def conductor() -> Iterator[Conductor]:
    double = Conductor()
    thread = threading.Thread(target=double.server.serve_forever)
    thread.start()
    try:
        yield double
    finally:
        double.server.shutdown()
        thread.join()
        double.server.server_close()


def targets(port: int) -> str:
    """What discovery finds (its logical units cannot be listed through a forwarded port)."""
    return subprocess.run(
        ["iscsi-ls", f"iscsi://127.0.0.1:{port}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout


def on_disk(port: int, iqn: str, *commands: str) -> None:
    """Log in to LUN 1 and do what the commands of qemu-io say."""
    words = [word for command in commands for word in ("-c", command)]
    url = f"iscsi://127.0.0.1:{port}/{iqn}/1"
    done = subprocess.run(
        ["qemu-io", "-f", "raw", *words, url],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout, done.stdout


def knock(port: int) -> None:
    """Say `done` on the node's port 10000."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.sendall(b"done")
