"""Who has which address: leases, kept in a journal that a killed server leaves whole.

The journal is a text file of one JSON object a line, each flushed to the disk before the node is
told (RFC 2131, 4.3.1 asks for storage that survives a restart). A last line that is not whole is
one that no node was told of, and is cut off. Beside it lies a lock file: two servers cannot give
out addresses from one journal.
"""

import fcntl
import itertools
import os
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO

import msgspec

from bakery.host import folders
from bakery.host.errors import BakeryError
from bakery.host.plain_file import opened

LEASE_SECONDS = 3600
OFFER_SECONDS = 60
# How long an address rests that somebody else was seen to use (DHCPDECLINE).
DECLINED_SECONDS = 600
# A client that declines more addresses in that time is none, or one that no address will please.
DECLINES = 3
JOURNAL_LIMIT_BYTES = 16 << 20
# Lines beyond those needed, before the journal is written anew.
SPARE_LINES = 1000

Clock = Callable[[], float]
Range = tuple[IPv4Address, IPv4Address]


class Lease(msgspec.Struct, frozen=True):
    """An address of the client `mac` until `until` (Unix seconds; past: it is given back).

    An empty `mac`: nobody may have the address until then.
    """

    address: str
    mac: str
    until: float


class Leases:
    """The addresses from `first` to `last`, and those that are promised by name.

    Who is on another network than most is given addresses of another range, `within`.
    A client keeps its address as long as nobody else needs it, also when its lease has ended.
    Only one thread may use it; `of`, `address` and `seen` are for all. BakeryError where the
    journal is damaged or in use.
    """

    def __init__(
        self,
        journal: Path,
        first: IPv4Address,
        last: IPv4Address,
        *,
        seconds: int = LEASE_SECONDS,
        clock: Clock = time.time,
    ) -> None:
        self.seconds = seconds
        self._range = (first, last)
        self._clock = clock
        self._path = journal
        self._lock = _locked(journal)
        self._held: dict[str, Lease] = {}  # replaced, never changed: other threads read it
        self._offers: dict[str, Lease] = {}
        self._declines: dict[str, list[float]] = {}
        self._used: set[str] = set()
        self._lines = 0
        try:
            for lease in _read(journal):
                self._hold(lease)
            self._file = self._rewritten()
        except BaseException:
            os.close(self._lock)
            raise

    def close(self) -> None:
        """Let the journal go."""
        self._file.close()
        os.close(self._lock)

    def of(self, mac: str) -> Lease | None:
        """The lease a client holds or held last; None where it never had one."""
        return next((lease for lease in self._held.values() if lease.mac == mac), None)

    def address(self, mac: str) -> str:
        """The address of a client's lease, as `of` tells it; empty where it has none."""
        lease = self.of(mac)
        return lease.address if lease else ""

    def seen(self, address: str) -> None:
        """Somebody talks from this address: whoever holds it has found it good, and uses it.

        From then on a message that gives it up is not believed: anybody can send one.
        """
        if address in self._held:
            self._used.add(address)

    def offer(
        self,
        mac: str,
        wanted: IPv4Address | None = None,
        fixed: IPv4Address | None = None,
        within: Range | None = None,
    ) -> IPv4Address | None:
        """An address for a client, kept free for it for a minute; None where all are taken.

        `fixed` is the only one it may have. Else it gets the one it had, else the `wanted` one if
        that is free, else the free one that has rested longest.
        """
        now = self._clock()
        self._offers = {a: o for a, o in self._offers.items() if o.until > now and o.mac != mac}
        had = self.of(mac)
        liked = [fixed] if fixed else [IPv4Address(had.address)] if had else [wanted]
        span = within or self._range
        others = () if fixed else self._free(now, span)
        for address in itertools.chain(liked, others):
            if address is not None and self._may_have(mac, address, now, fixed, span):
                text = str(address)
                self._offers[text] = Lease(text, mac, now + OFFER_SECONDS)
                return address
        return None

    def bind(
        self,
        mac: str,
        address: IPv4Address,
        fixed: IPv4Address | None = None,
        within: Range | None = None,
    ) -> bool:
        """Give a client an address, on the disk first; False where it may not have it."""
        now = self._clock()
        had = self.of(mac)
        if had and had.address in self._used and had.until > now and had.address != str(address):
            return False
        if not self._may_have(mac, address, now, fixed, within or self._range):
            return False
        for other in [a for a, held in self._held.items() if held.mac == mac]:
            if other != str(address):
                self._write(Lease(other, mac, 0.0))
                self._held = {a: held for a, held in self._held.items() if a != other}
        self._write(Lease(str(address), mac, now + self.seconds))
        self._offers.pop(str(address), None)
        return True

    def release(self, mac: str, address: IPv4Address) -> bool:
        """A client gives its address back; False where it was not its own, or it uses it."""
        held = self._held.get(str(address))
        if held is None or held.mac != mac or held.address in self._used:
            return False
        self._write(Lease(held.address, mac, self._clock()))
        return True

    def decline(self, mac: str, address: IPv4Address) -> bool:
        """A client saw somebody else use the address it got; nobody gets it for a while.

        False where the address was not its own or is in use, or it has declined too many.
        """
        holder = self._held.get(str(address)) or self._offers.get(str(address))
        if holder is None or holder.mac != mac or holder.address in self._used:
            return False
        now = self._clock()
        recent = [at for at in self._declines.get(mac, ()) if now - at < DECLINED_SECONDS]
        if len(recent) >= DECLINES:
            return False
        self._declines[mac] = [*recent, now]
        self._offers.pop(str(address), None)
        self._write(Lease(str(address), "", now + DECLINED_SECONDS))
        return True

    def _may_have(
        self,
        mac: str,
        address: IPv4Address,
        now: float,
        fixed: IPv4Address | None,
        span: Range,
    ) -> bool:
        if fixed is not None:
            return address == fixed
        if not span[0] <= address <= span[1]:
            return False
        others = (self._held.get(str(address)), self._offers.get(str(address)))
        return not any(one and one.mac != mac and one.until > now for one in others)

    def _free(self, now: float, span: Range) -> Iterable[IPv4Address]:
        """Addresses of the range: never used ones first, then those free for longest."""
        for number in range(int(span[0]), int(span[1]) + 1):
            if str(IPv4Address(number)) not in self._held:
                yield IPv4Address(number)
        rested = sorted(self._held.values(), key=lambda lease: lease.until)
        yield from (IPv4Address(lease.address) for lease in rested if lease.until <= now)

    def _hold(self, lease: Lease) -> None:
        mac = lease.mac or None
        others = {a: held for a, held in self._held.items() if held.mac != mac}
        self._held = others | {lease.address: lease}

    def _write(self, lease: Lease) -> None:
        self._file.write(msgspec.json.encode(lease) + b"\n")
        os.fsync(self._file.fileno())
        self._hold(lease)
        self._lines += 1
        if self._lines > len(self._held) + SPARE_LINES:
            self._file.close()
            self._file = self._rewritten()

    def _rewritten(self) -> IO[bytes]:
        """The journal with no line too many, open at its end. It appears whole, by rename."""
        content = b"".join(msgspec.json.encode(x) + b"\n" for x in self._held.values())
        try:
            folders.write_whole(self._path, content, mode=0o600)
            self._lines = len(self._held)
            return os.fdopen(folders.open_end(self._path), "ab", buffering=0)
        except OSError as error:
            raise _unusable(self._path, error) from error


def _read(journal: Path) -> list[Lease]:
    if not os.path.lexists(folders.check(journal)):
        return []
    with opened(journal) as file:
        data = file.read(JOURNAL_LIMIT_BYTES + 1)
    if len(data) > JOURNAL_LIMIT_BYTES:
        raise BakeryError(f"{journal} is too large to be a lease journal", _MOVE_IT)
    leases = []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            lease = msgspec.json.decode(line, type=Lease)
            IPv4Address(lease.address)
        except (ValueError, RecursionError) as error:
            raise BakeryError(f"{journal} is damaged in line {number}: {error}", _MOVE_IT) from None
        leases.append(lease)
    return leases


_MOVE_IT = "move it away; nodes will get new addresses"


def _locked(journal: Path) -> int:
    """The descriptor that holds the journal's lock."""
    try:
        descriptor = folders.open_lock(journal.with_name(journal.name + ".lock"))
    except OSError as error:
        raise _unusable(journal, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BakeryError(
            f"another DHCP server of bakery uses {journal}", "stop it first: bakery lab down"
        ) from None
    return descriptor


def _unusable(path: Path, error: OSError) -> BakeryError:
    return BakeryError(f"the lease journal {path} cannot be used: {error.strerror or error}")
