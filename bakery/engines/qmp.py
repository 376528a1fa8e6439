"""A talk with a running QEMU program over its monitor (QMP, qemu-qmp-ref(7)).

One JSON object a line. QEMU greets, takes `qmp_capabilities`, then answers commands in order;
events may come in between.
"""

import json
import socket
import time
from collections.abc import Mapping
from typing import Any

from bakery.errors import BakeryError

LINE_LIMIT_BYTES = 8 << 20
ANSWER_SECONDS = 60.0
EVENT_LIMIT = 256


class QemuRefused(BakeryError):
    """QEMU answered a command with an error; `reason` holds its own words."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"qemu refused {command}: {reason}")
        self.reason = reason


class Monitor:
    """One monitor, on a connected socket. Commands may be sent ahead of their answers."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._buffer = bytearray()
        self._sent: list[str] = []
        self._events: list[dict[str, Any]] = []
        self.send("qmp_capabilities")

    def send(self, command: str, arguments: Mapping[str, object] | None = None) -> None:
        """Send a command; its answer is taken later, by `receive`."""
        message = {"execute": command, "arguments": dict(arguments or {})}
        try:
            self._link.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise BakeryError(f"qemu ended before it took {command}") from error
        self._sent.append(command)

    def receive(self) -> list[Any]:
        """Wait for the answers to all that was sent; what each command returned.

        Raises QemuRefused for the first command that failed, once all are answered.
        """
        values: list[Any] = []
        refusal: QemuRefused | None = None
        while self._sent:
            message = self._message()
            if "return" in message or "error" in message:
                command = self._sent.pop(0)
                values.append(message.get("return"))
                if "error" in message and refusal is None:
                    refusal = QemuRefused(command, str(message["error"].get("desc", "")))
            elif "event" in message:
                self._remember(message)
        if refusal:
            raise refusal
        return values

    def call(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
        """Send a command and wait; what it returned."""
        self.send(command, arguments)
        return self.receive()[-1]

    def run_job(self, job: str, command: str, arguments: Mapping[str, object]) -> None:
        """Run a command that starts a job, to the job's end; QemuRefused where it fails."""
        self.call(command, {"job-id": job, **arguments})
        self.wait_for("JOB_STATUS_CHANGE", {"id": job, "status": "concluded"})
        self.send("query-jobs")
        self.send("job-dismiss", {"id": job})
        jobs, _ = self.receive()
        for entry in jobs:
            if entry["id"] == job and "error" in entry:
                raise QemuRefused(command, str(entry["error"]))

    def wait_for(self, event: str, data: Mapping[str, object]) -> None:
        """Wait for an event that says `data`, or find it among those that came before."""
        while True:
            for told in self._events:
                if told["event"] == event and told.get("data", {}) | data == told.get("data"):
                    self._events.remove(told)
                    return
            message = self._message()
            if "event" in message:
                self._remember(message)

    def _remember(self, event: dict[str, Any]) -> None:
        del self._events[:-EVENT_LIMIT]
        self._events.append(event)

    def _message(self) -> dict[str, Any]:
        """The next line; BakeryError where none comes in time."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while b"\n" not in self._buffer:
            self._link.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self._link.recv(65536)
            except TimeoutError as error:
                raise BakeryError(f"qemu gave no answer within {ANSWER_SECONDS:g} s") from error
            except OSError:
                piece = b""
            if not piece or len(self._buffer) > LINE_LIMIT_BYTES:
                raise BakeryError("qemu-storage-daemon ended unasked, or talks without end")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message
