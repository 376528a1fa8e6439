"""The appliance's half of a talk, without an appliance: answers come from a folder and a disk here.

The files are real ones, and so are sfdisk and blkid; what an appliance alone can do (mounts, a
kernel that replays a journal) is in the slow tests.
"""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from bakery.image.engines.guestfish import CommandRefused
from bakery.image.engines.guestfs_survey import BY_LABEL

FIELDS = ("dev", "ino", "mode", "nlink", "uid", "gid", "size")


class StandIn:
    """A `Guestfish` whose mounted filesystem is `tree`, and whose disk is the file `disk`.

    `asked` has every command; `refused` tells the reason where one is to fail; `written` is called
    after a file was written.
    """

    def __init__(self, tree: Path, disk: Path) -> None:
        self.tree, self.disk = tree, disk
        self.asked: list[tuple[str, ...]] = []
        self.secrets: list[bytes] = []
        self.timeouts: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.written: Callable[[Path], object] = lambda _path: None
        self.ended = False
        self.fate = ""

    def ask(self, *words: str, timeout: float = 0, secret: bytes | None = None) -> str:
        self.asked.append(words)
        self.secrets += [] if secret is None else [secret]
        self.timeouts[words[0]] = timeout
        if words[0] in self.refused:
            raise CommandRefused(self.refused[words[0]])
        answer = getattr(self, "on_" + words[0].replace("-", "_"), None)
        try:
            return str(answer(*words[1:]) or "") if answer else ""
        except OSError as error:
            raise CommandRefused(f"{words[0]}: {words[1]}: {error.strerror}") from error

    def end(self) -> None:
        self.fate = "ended"

    def kill(self) -> None:
        self.fate = "killed"

    def commands(self, *names: str) -> list[tuple[str, ...]]:
        return [words for words in self.asked if words[0] in names]

    def on_statns(self, path: str) -> str:
        return told(self._here(path).stat())

    def on_lstatns(self, path: str) -> str:
        return told(self._here(path).lstat())

    def on_ls0(self, path: str, target: str) -> None:
        names = [os.fsencode(entry.name) for entry in self._here(path).iterdir()]
        Path(target).write_bytes(b"".join(name + b"\0" for name in names))

    def on_download(self, path: str, target: str) -> None:
        Path(target).write_bytes(self._here(path).read_bytes())

    def on_upload_offset(self, source: str, path: str, offset: str) -> None:
        with self._here(path).open("r+b") as file:
            file.seek(int(offset))
            file.write(Path(source).read_bytes())
        self.written(self._here(path))

    def on_truncate_size(self, path: str, size: str) -> None:
        os.truncate(self._here(path), int(size))

    def on_utimens(self, path: str, *times: str) -> None:
        accessed, accessed_ns, modified, modified_ns = map(int, times)
        ns = (accessed * 10**9 + accessed_ns, modified * 10**9 + modified_ns)
        os.utime(self._here(path), ns=ns)

    def on_blockdev_getsize64(self, device: str) -> str:
        assert device == "/dev/sda"
        return f"{self.disk.stat().st_size}\n"

    def on_download_offset(self, device: str, target: str, offset: str, length: str) -> None:
        assert device == "/dev/sda"
        with self.disk.open("rb") as file:
            data = os.pread(file.fileno(), int(length), int(offset))
        assert len(data) == int(length), "beyond the disk's end"
        Path(target).write_bytes(data)

    def on_debug(self, kind: str, command: str) -> str:
        """A program in the appliance, run here; a partition is a window of the disk."""
        assert kind == "sh"
        words = shlex.split(command.removesuffix("; echo EXIT=$?"))
        number = words[-1].removeprefix(BY_LABEL)
        if words[0] == "blkid" and not words[-1].startswith(BY_LABEL):
            return "EXIT=2\n"  # a mapped device: nothing is on it
        window: list[str] = []
        if number:
            dumped = subprocess.run(["sfdisk", "-d", self.disk], capture_output=True, check=True)
            line = next(
                one for one in dumped.stdout.decode().splitlines() if f"{self.disk}{number} " in one
            )
            start, size = (int(part.split("=")[1]) * 512 for part in line.split(",")[:2])
            window = ["-O", str(start), "-S", str(size)]
        done = subprocess.run(
            [*words[:-1], *window, self.disk], capture_output=True, text=True, check=False
        )
        if words[0] == "sfdisk" and done.returncode:
            raise CommandRefused(done.stderr.strip())
        return done.stdout + (f"EXIT={done.returncode}\n" if words[0] == "blkid" else "")

    def _here(self, path: str) -> Path:
        assert path.startswith("/./"), "it would be taken for a device"
        return self.tree / path.removeprefix("/./").lstrip("/")


def told(stat: os.stat_result) -> str:
    lines = [f"st_{name}: {getattr(stat, f'st_{name}')}" for name in FIELDS]
    for name in ("atime", "mtime"):
        seconds, rest = divmod(getattr(stat, f"st_{name}_ns"), 10**9)
        lines += [f"st_{name}_sec: {seconds}", f"st_{name}_nsec: {rest}"]
    return "\n".join([*lines, "st_spare1: 0", ""])
