"""The other half of a deployment for the agent's tests: what Ironic's conductor does on the wire.

An API that takes the vendor_passthru calls, an initiator, and the knock on port 10000; written
from the protocol alone, without a line of bakery's own conductor.
"""

import contextlib
import hmac
import http.server
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CALL_SECONDS = 300  # a node without the right disk has waited a minute for it


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


def made(key: str, purpose: str) -> str:
    """A secret of a try, made of its deployment key as the protocol notes have it."""
    return hmac.new(key.encode(), purpose.encode(), "sha256").hexdigest()[:32]


def on_disk(port: int, iqn: str, *commands: str, key: str = "") -> None:
    """Log in to LUN 1, with a `key` by its secret, and do what the commands of qemu-io say."""
    login = f"conductor%{made(key, 'chap conductor')}@" if key else ""
    done = qemu_io(port, iqn, *commands, login=login)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout, done.stdout


def qemu_io(
    port: int, iqn: str, *commands: str, login: str = ""
) -> "subprocess.CompletedProcess[str]":
    words = [word for command in commands for word in ("-c", command)]
    return subprocess.run(
        ["qemu-io", "-f", "raw", *words, f"iscsi://{login}127.0.0.1:{port}/{iqn}/1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def knock(port: int, words: str = "done") -> None:
    """Say something on the node's port 10000."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        link.sendall(words.encode())
