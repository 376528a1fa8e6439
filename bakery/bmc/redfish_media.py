"""A node's virtual drive over Redfish: which one, what is in it, and a CD image put into it.

The requests are sushy's. Where the drives are listed, and that a BMC did what it said, is seen to
here. Source: DSP8010, VirtualMedia; a system's drives are listed under it since ComputerSystem
1.13, before that under its manager.
"""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from sushy.exceptions import (
    BadRequestError,
    HTTPError,
    MissingActionError,
    MissingAttributeError,
    ServerSideError,
    SushyError,
)
from sushy.resources.manager.constants import VirtualMediaType
from sushy.resources.manager.manager import Manager
from sushy.resources.manager.virtual_media import VirtualMedia
from sushy.resources.system.system import System

from bakery.bmc.answer import Failure
from bakery.bmc.redfish_wire import Pace

DISCS = frozenset((VirtualMediaType.CD, VirtualMediaType.DVD))
DRIVES_LIMIT = 32
READ_BACK_SECONDS = 60
# Where an eject is still going on, Dell's answer 500: OpenStack story 2008504.
ATTEMPTS, BETWEEN_SECONDS = 3, 3.0
NO_MEDIA_HINT = "boot the node from the network; or see whether the BMC needs a licence for it"


def insert(system: System, url: str, pace: Pace) -> None:
    """Have the first drive that takes it hold the image, alone; Failure where none does.

    Some list drives that are for their own web page: those refuse, and the next is asked
    (ironic/drivers/modules/redfish/boot.py, on Cisco's).
    """
    refusal: SushyError | None = None
    drives = list(_drives(system))
    for drive in sorted(drives, key=lambda drive: drive.image != url):
        try:
            if _holds(drive, url):
                return
            _empty(drive, pace)
            _repeated(lambda drive=drive: drive.insert_media(url), pace)  # type: ignore[misc]
        except (BadRequestError, MissingActionError) as error:
            refusal = error
            continue
        _see(drive, lambda drive: _took(drive, url), "it does not show the image", pace)
        return
    if isinstance(refusal, HTTPError):
        raise refusal
    if refusal is not None:
        raise Failure("not-offered", "its drives take no image", NO_MEDIA_HINT)
    raise Failure("not-offered", "it has no virtual CD drive", NO_MEDIA_HINT)


def eject(system: System, pace: Pace) -> None:
    """Empty all virtual CD drives that hold an image from a URL; Failure where there is none."""
    drives = list(_drives(system))
    if not drives:
        raise Failure("not-offered", "it has no virtual CD drive", NO_MEDIA_HINT)
    for drive in drives:
        _empty(drive, pace)


def _drives(system: System) -> Iterator[VirtualMedia]:
    """The drives for discs: the system's own, or its managers'."""
    places: list[System | Manager]
    places = [system] if "VirtualMedia" in system.json else _managers(system)
    for place in places:
        try:
            members = place.virtual_media.get_members()
        except (MissingAttributeError, HTTPError):
            continue
        for drive in members[:DRIVES_LIMIT]:
            if not DISCS.isdisjoint(drive.media_types or ()):
                yield drive


def _managers(system: System) -> list[Manager]:
    try:
        return list(system.managers)
    except MissingAttributeError:
        return []


def _holds(drive: VirtualMedia, url: str) -> bool:
    """Whether it has the image for certain; some tell its address without the scheme."""
    return bool(drive.inserted) and drive.image in (url, url.partition("://")[2])


def _took(drive: VirtualMedia, url: str) -> bool:
    """Whether an empty drive has taken the image: some then tell its name alone."""
    name = urlsplit(url).path.rpartition("/")[2]
    return _holds(drive, url) or (bool(drive.inserted) and bool(name) and drive.image == name)


def _is_empty(drive: VirtualMedia) -> bool:
    return not drive.inserted


def _empty(drive: VirtualMedia, pace: Pace) -> None:
    if _is_empty(drive):
        return
    _repeated(drive.eject_media, pace)
    _see(drive, _is_empty, "it still holds the medium that was in it", pace)


def _repeated(order: Callable[[], None], pace: Pace) -> None:
    for attempt in range(ATTEMPTS):
        try:
            order()
            return
        except ServerSideError:
            if attempt + 1 == ATTEMPTS or pace.is_over:
                raise
            pace.pause(BETWEEN_SECONDS)


def _see(
    drive: VirtualMedia, condition: Callable[[VirtualMedia], bool], otherwise: str, pace: Pace
) -> None:
    """Read the drive back until it is so."""
    for look in range(READ_BACK_SECONDS + 1):
        drive.refresh(force=True)
        if condition(drive):
            return
        if look == READ_BACK_SECONDS or pace.is_over:
            raise Failure("late", otherwise)
        pace.pause()
