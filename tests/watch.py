"""What every process shows while something runs: its command line, and its environment."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from tests import processes

LOOK_SECONDS = 0.03
LARGEST_BYTES = 64 << 20
YOUNG_LOOKS = 40
"""A process may become another program (execve(2)), and mostly soon: it is looked at so often."""
OLD_LOOKS = 10
"""Later, it is looked at once in so many times."""


class Watch:
    """All that was shown, from when it began to look until it was stopped."""

    def __init__(self) -> None:
        self.shown: set[bytes] = set()
        self.looks = 0
        self._ages: dict[int, int] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def programs(self, word: str) -> int:
        """How many command lines and environments had this word in them."""
        return sum(word.encode() in words for words in self.shown)

    def showed(self, secret: str) -> list[bytes]:
        """What showed a secret."""
        assert len(secret) >= 8, "a word that may stand anywhere by chance"
        return [words for words in self.shown if secret.encode() in words]

    def _look_on(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            ages = {pid: self._ages.get(pid, 0) + 1 for pid in processes.pids()}
            for pid, age in ages.items():
                if age <= YOUNG_LOOKS or age % OLD_LOOKS == 0:
                    self.shown |= {processes.of(pid, name) for name in ("cmdline", "environ")}
            self._ages = ages
            self.looks += 1


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Look on while the block runs."""
    watch = Watch()
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def files_with(secret: str, *folders: Path) -> set[Path]:
    """The files of some folders that hold a secret; disks are not looked into."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    small = (path for path in files if path.stat().st_size <= LARGEST_BYTES)
    return {path for path in small if secret.encode() in path.read_bytes()}
