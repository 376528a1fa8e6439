"""The stranger at work: in a network namespace of its own, until it is asked to end.

    python -m tests.hostile.stranger RECORD

It says that it is there, waits until it is connected and told on a line what it knows, and says on
one line at the end what it did and met. All that comes from the wire is in RECORD: each frame
behind its length in four bytes.
"""

import collections
import json
import random
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

from tests.hostile.stranger.attacks import KINDS
from tests.hostile.stranger.known import ADDRESS, INTERFACE, MAC, Known

ALL_KINDS = 3  # ETH_P_ALL, linux/if_ether.h
BUFFER_BYTES = 64 << 20
SO_RCVBUFFORCE = 33
ETHERTYPE = 0x88B5  # for local experiments, IEEE 802
LAST = bytes.fromhex("ff" * 6 + MAC.replace(":", "")) + struct.pack(">H", ETHERTYPE) + b"last"
LAST_SECONDS = 30
WORKERS = 3
PAUSE_SECONDS = 0.1


class Record:
    """All frames that the wire brings, in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_KINDS))
        self._link.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._link.bind((INTERFACE, ALL_KINDS))
        self._ended = threading.Event()

    def keep(self) -> None:
        """Write down what comes, and not what goes, until `end`."""
        while True:
            frame, place = self._link.recvfrom(65536)
            if place[2] != socket.PACKET_OUTGOING:
                self._file.write(struct.pack(">I", len(frame)) + frame)
                self._file.flush()
            elif frame == LAST:
                self._ended.set()
                return

    def end(self) -> None:
        """Wait until all that came before is written: a frame that goes stands behind it."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as other:
            other.bind((INTERFACE, ETHERTYPE))
            other.send(LAST)
        if not self._ended.wait(LAST_SECONDS):
            raise TimeoutError("the record has not come to its end")


class Met:
    """How often each kind was tried, and what it met."""

    def __init__(self) -> None:
        self.answers: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        self._lock = threading.Lock()

    def attack(self, known: Known, ended: threading.Event) -> None:
        """All kinds again and again, in no order."""
        while not ended.is_set():
            for name in random.sample(sorted(KINDS), len(KINDS)):
                for victim in known.victims():
                    try:
                        answer = KINDS[name](victim)
                    except OSError as error:
                        answer = f"no answer: {type(error).__name__}"
                    except Exception as error:  # noqa: BLE001 - a fault of its own, to be seen
                        answer = f"FAULT {error!r}"
                    with self._lock:
                        self.answers[name][answer] += 1
                if ended.wait(PAUSE_SECONDS):
                    return


def main() -> None:
    """Be there, be connected, attack, tell."""
    print("there", flush=True)
    known = Known(**json.loads(sys.stdin.readline()))
    for words in (
        ("link", "set", INTERFACE, "address", MAC),
        ("address", "add", f"{ADDRESS}/24", "broadcast", "+", "dev", INTERFACE),
        ("link", "set", INTERFACE, "promisc", "on", "up"),
        ("route", "add", "224.0.0.0/4", "dev", INTERFACE),
    ):
        subprocess.run(["ip", *words], check=True)
    record = Record(Path(sys.argv[1]))
    threading.Thread(target=record.keep, daemon=True).start()
    met, ended = Met(), threading.Event()
    workers = [threading.Thread(target=met.attack, args=(known, ended)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    print("at work", flush=True)
    sys.stdin.readline()
    ended.set()
    for worker in workers:
        worker.join()
    record.end()
    print(json.dumps(met.answers), flush=True)


if __name__ == "__main__":
    main()
