"""Starting a conductor where the nodes are, and passing on what it tells."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from bakery.deploy.order import Order, Outcome, Word
from bakery.deploy.total import Total
from bakery.errors import BakeryError
from bakery.ramdisk import make as ramdisk
from bakery.report import Report
from bakery.run import PIPE, Arg, Process, ending, spawn, tail

LINE_LIMIT_BYTES = 1 << 20
LAST_WORDS_BYTES = 64 << 10

Enter = Callable[[Sequence[Arg]], list[Arg]]


def carry_out(order: Order, enter: Enter, report: Report) -> tuple[Outcome, ...]:
    """Have a conductor carry out `order`; `enter` makes a command one that runs on the wire.

    Raises BakeryError where it could not work. The conductor ends with this process, however that
    ends: entering a user namespace makes the kernel forget to see to it, so it is told again.
    """
    conductor = [sys.executable, "-P", "-m", "bakery.deploy.conductor"]
    guard = ["setpriv", "--pdeathsig", "KILL", "--"]
    words = enter([*guard, *conductor, msgspec.json.encode(order).decode()])
    total = Total(report, len(order.nodes))
    with total, spawn(words, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdout is not None
        while line := process.stdout.readline(LINE_LIMIT_BYTES):
            word = msgspec.json.decode(line, type=Word)
            if word.event:
                report.relay(word.event)
                total.take(word.event)
            if word.error:
                raise BakeryError(word.error, word.hint)
            if word.outcomes is not None:
                return word.outcomes
        raise _ended(process)


def _ended(process: Process) -> BakeryError:
    """It ended without a word: a defect, or a kill."""
    code = process.wait()
    stderr: IO[bytes] | None = process.stderr
    words = tail(stderr.read(LAST_WORDS_BYTES)) if stderr else ""
    return BakeryError(
        f"the conductor {ending(code)}" + (f": {words}" if words else ""),
        "the same command goes on where it was",
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
    package = Path(__file__).parent.parent
    for part in ("agent", "ramdisk"):
        for path in sorted((package / part).iterdir()):
            if path.is_file():
                total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]
