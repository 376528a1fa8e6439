"""A disk, pulled: cleared, filled with what an order says, read back, and only then made bootable.

The first MiB, which holds the partition table and whatever firmware would boot, is written when all
else was found right on the disk.
"""

import mmap

from . import cast
from .console import say
from .disk import BlockDevice
from .errors import AgentError
from .fetch import Fetch, Tell
from .image import CHUNK
from .order import HEAD, Order, Work
from .progress import Progress

TOLD_CHUNKS = 64
REPAIRS = 3
ROW_CHUNKS = 64
PROBE, PROBE_STEP = 4096, 16 << 20


def pull(disk: BlockDevice, order: Order, tell: Tell, interface: str = "") -> None:
    """Bring all pieces onto the disk; AgentError where that cannot be, with nothing to boot.

    `interface` is where a multicast may come; without one, everything is fetched.
    """
    if disk.size < order.end:
        raise AgentError(f"{disk.path} has {disk.size} bytes, and {order.end} are needed")
    progress = Progress(disk, order.identity, order.count)
    if progress.resume():
        _recognize(disk, order, progress)
    else:
        tell("writing", 0, len(order.rest))  # a large disk may take minutes to be cleared
        _clear(disk, order)
        progress.save()
    fetch = Fetch(disk, progress, tell)
    for piece in order.pieces if interface else ():
        wanted = [work for work in order.rest if work.url == piece.frames_url]
        if piece.cast and not any(progress.has(work.number) for work in wanted):
            say(f"listening to port {piece.cast} for {len(wanted)} chunks")
            fetch.listen(cast.frames(wanted, piece.cast, interface), len(order.rest))
            say(f"{sum(progress.has(work.number) for work in wanted)} of them were sent to all")
    for _ in range(REPAIRS):
        fetch.run([one for one in order.rest if not progress.has(one.number)], len(order.rest))
        progress.save()
        wrong = _verify(disk, order, progress, fetch, tell)
        if not wrong:
            break
        progress.save()
    else:
        raise AgentError(
            f"{disk.path} gives back other bytes than were written at byte {wrong[0].at}"
        )
    _finish(disk, order, fetch)


def _recognize(disk: BlockDevice, order: Order, progress: Progress) -> None:
    """Note what was written after the last note, before the node went down.

    Chunks are written nearly in their order, so after a row of others there is no more of them.
    """
    buffer, others = mmap.mmap(-1, CHUNK), 0
    for work in order.rest:
        if progress.has(work.number):
            continue
        disk.read(buffer, work.length, work.at)
        others = 0 if work.is_in(buffer) else others + 1
        if not others:
            progress.add(work.number)
        elif others >= ROW_CHUNKS:
            return


def _clear(disk: BlockDevice, order: Order) -> None:
    """Nothing boots from here on; what the pieces have no data for is zeros."""
    disk.zero(0, HEAD)
    disk.flush()
    disk.discard()
    tail = max(HEAD, disk.size - HEAD)
    disk.zero(tail, disk.size - tail)
    for start, end in order.holes():
        disk.zero(start, end - start)


def _verify(
    disk: BlockDevice, order: Order, progress: Progress, fetch: Fetch, tell: Tell
) -> list[Work]:
    """Read everything back: what is not right, and has to be fetched again."""
    wrong: list[Work] = []
    buffer = mmap.mmap(-1, CHUNK)
    for done, work in enumerate(order.rest):
        disk.read(buffer, work.length, work.at)
        if not fetch.is_in(work, buffer):
            progress.drop(work.number)
            wrong.append(work)
        if not done % TOLD_CHUNKS:
            tell("verifying", done, len(order.rest))
    for start, end in order.holes():
        for at in (*range(start, end, PROBE_STEP), max(start, end - PROBE)):
            length = min(PROBE, end - at)
            disk.read(buffer, length, at)
            if any(buffer[:length]):
                raise AgentError(f"{disk.path} does not read as zeros at byte {at}")
    tell("verifying", len(order.rest), len(order.rest))
    return wrong


def _finish(disk: BlockDevice, order: Order, fetch: Fetch) -> None:
    """The first MiB, last; it is taken back where it does not read as written."""
    buffer, again = mmap.mmap(-1, HEAD), mmap.mmap(-1, HEAD)
    for work in order.head:
        buffer[work.at : work.at + work.length] = fetch.content(work)
    disk.write(buffer, HEAD, 0)
    disk.flush()
    disk.read(again, HEAD, 0)
    if again[:] != buffer[:]:
        disk.zero(0, HEAD)
        disk.flush()
        raise AgentError(f"{disk.path} gives back another first MiB than was written")
