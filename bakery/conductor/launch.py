"""Starting a conductor where the nodes are, and passing on what it tells."""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from bakery.conductor.messages import Message, Request, Result
from bakery.conductor.total import Total
from bakery.host.errors import BakeryError
from bakery.host.report import Report
from bakery.host.run import PIPE, Arg, Process, ending, spawn, tail
from bakery.node.ramdisk import make as ramdisk

LINE_LIMIT_BYTES = 1 << 20
LAST_WORDS_BYTES = 64 << 10

Enter = Callable[[Sequence[Arg]], list[Arg]]


def run(request: Request, enter: Enter, report: Report) -> tuple[Result, ...]:
    """Have a conductor carry out `request`; `enter` makes a command one that runs on the wire.

    Raises BakeryError where it could not work. The conductor ends with this process, however that
    ends: entering a user namespace makes the kernel forget to see to it, so it is told again.
    """
    conductor = [sys.executable, "-P", "-m", "bakery.conductor.conductor"]
    guard = ["setpriv", "--pdeathsig", "KILL", "--"]
    words = enter([*guard, *conductor])
    total = Total(report, len(request.nodes))
    with total, spawn(words, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        # Not as a word of the command, which every user may read: it holds the BMCs' passwords.
        with contextlib.suppress(BrokenPipeError), process.stdin as asked:
            asked.write(msgspec.json.encode(request))
        while line := process.stdout.readline(LINE_LIMIT_BYTES):
            message = msgspec.json.decode(line, type=Message)
            if message.event:
                report.relay(message.event)
                total.take(message.event)
            if message.error:
                raise BakeryError(message.error, message.hint)
            if message.results is not None:
                return message.results
        raise _ended(process)


def _ended(process: Process) -> BakeryError:
    """It ended without a word: a defect, or a kill."""
    code = process.wait()
    stderr: IO[bytes] | None = process.stderr
    words = tail(stderr.read(LAST_WORDS_BYTES)) if stderr else ""
    return BakeryError(
        f"the conductor {ending(code)}" + (f": {words}" if words else ""),
        "run the same command to continue",
    )


def deploy_ramdisk(cache: Path, report: Report) -> Path:
    """The folder in `cache` of the deploy kernel and ramdisk; they are made once for each agent."""
    folder = cache / f"ramdisk-{_key()}"
    if not (folder / ramdisk.RAMDISK).is_file() or not (folder / ramdisk.KERNEL).is_file():
        ramdisk.make(folder, report)
    return folder


def _key() -> str:
    """What the ramdisk is made of, as far as it is bakery's own."""
    total = hashlib.sha256()
    package = Path(__file__).parents[1] / "node"
    for part in ("agent", "ramdisk"):
        for path in sorted((package / part).iterdir()):
            if path.is_file():
                total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
