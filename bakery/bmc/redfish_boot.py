"""What a node's firmware is told over Redfish to try first.

sushy's own way (System.set_system_boot_options) knows the standard's names of devices alone, and
cannot leave out what a maker refuses; this sends the same requests from a table. Source: DSP8010,
ComputerSystem, Boot; DSP0266, 7.11 Settings resource.
"""

from collections.abc import Mapping

import msgspec
from sushy.exceptions import HTTPError
from sushy.resources.system.system import System

from bakery.bmc import redfish_codes as codes
from bakery.bmc.answer import Failure
from bakery.bmc.bmc import Device, Firmware
from bakery.bmc.redfish_link import Link
from bakery.bmc.redfish_quirks import ELSEWHERE, TARGETS, Quirks
from bakery.bmc.redfish_wire import Pace, document

TARGET, ENABLED, MODE = (f"BootSourceOverride{name}" for name in ("Target", "Enabled", "Mode"))
HTTP_URI = "HttpBootUri"
ALLOWED = "@Redfish.AllowableValues"
MODES: Mapping[Firmware, str] = {"uefi": "UEFI", "bios": "Legacy"}
FIRMWARE_HINT = "change the boot mode in the firmware's settings, or set boot_mode to match"
ONCE_HINT = "ask for the next start alone, and again before each"
PRECONDITION_FAILED, PRECONDITION_REQUIRED, BAD_REQUEST = 412, 428, 400
RACES_LIMIT = 5
READ_BACK_SECONDS = 30

Settings = Mapping[str, object]


class Wish(msgspec.Struct, frozen=True):
    """What is to be tried first, by which firmware; at the next start, or from then on."""

    device: Device
    firmware: Firmware
    persistent: bool


def boot_settings(boot: Settings, wish: Wish, quirks: Quirks) -> dict[str, object]:
    """What of a system's Boot is to be set; Failure where it offers no such thing.

    `boot` is what the system and its settings resource show of it, together.
    """
    wanted = "Continuous" if wish.persistent else "Once"
    _need_allowed(boot, ENABLED, wanted, ONCE_HINT)
    found: dict[str, object] = {TARGET: _target(boot, wish, quirks)}
    if quirks.repeats_enabled or boot.get(ENABLED) != wanted:
        found[ENABLED] = wanted
    mode = MODES[wish.firmware]
    if _mode_is_sent(boot, quirks):
        _need_allowed(boot, MODE, mode, FIRMWARE_HINT)
        found[MODE] = mode
    elif boot.get(MODE) not in (None, mode):
        raise Failure("not-offered", f"its boot mode is {boot[MODE]}", FIRMWARE_HINT)
    if boot.get(HTTP_URI):
        found[HTTP_URI] = None  # firmware then takes what DHCP says
    return found


def boot_from(link: Link, system: System, wish: Wish, quirks: Quirks, pace: Pace) -> None:
    """Set it, and see that it is; Failure where it cannot be."""
    for attempt in range(RACES_LIMIT):
        settings = _settings(link, system)
        wanted = boot_settings(_merged(system.json, settings), wish, quirks)
        try:
            place = _send(link, system, settings, wanted)
            _see(link, place, wanted[TARGET], pace)
            return
        except HTTPError as error:
            # Somebody else changed the system between our reading and our writing.
            raced = error.status_code in (PRECONDITION_FAILED, PRECONDITION_REQUIRED)
            said = str(error.body)
            if wish.persistent and error.status_code == BAD_REQUEST and ENABLED in said:
                words = codes.words(error.status_code, {"error": error.body})
                raise Failure("not-offered", words, ONCE_HINT) from None
            if not raced or attempt + 1 == RACES_LIMIT or pace.is_over:
                raise
            system.refresh()


def _target(boot: Settings, wish: Wish, quirks: Quirks) -> str:
    own = quirks.targets.get(wish.firmware, {}).get(wish.device, ())
    names = (*own, *TARGETS[wish.device])
    allowed = boot.get(TARGET + ALLOWED)
    if wish.device == "http" and wish.firmware == "bios":
        raise Failure("not-offered", "BIOS has no HTTP boot", "boot it from the network instead")
    if not isinstance(allowed, list) or not allowed:
        return TARGETS[wish.device][0]
    for name in names:
        if name in allowed:
            return name
    offered = ", ".join(str(name) for name in allowed[:20])
    raise Failure("not-offered", f"it offers {offered}"[:160], "choose another way to boot it")


def _mode_is_sent(boot: Settings, quirks: Quirks) -> bool:
    return quirks.mode == "always" or (quirks.mode == "where shown" and MODE in boot)


def _need_allowed(boot: Settings, name: str, value: str, hint: str) -> None:
    allowed = boot.get(name + ALLOWED)
    if isinstance(allowed, list) and allowed and value not in allowed:
        offered = ", ".join(str(entry) for entry in allowed[:20])
        raise Failure("not-offered", f"it offers {offered} as {name}"[:160], hint)


class _Resource(msgspec.Struct, frozen=True):
    """A resource that holds a Boot: its path, its ETag, and that Boot."""

    path: str
    etag: str | None
    boot: Settings


def _settings(link: Link, system: System) -> _Resource | None:
    """The settings resource that the system names, where it has boot settings."""
    annotation = system.json.get("@Redfish.Settings")
    target = annotation.get("SettingsObject") if isinstance(annotation, Mapping) else None
    path = target.get("@odata.id") if isinstance(target, Mapping) else None
    if not isinstance(path, str):
        return None
    try:
        return _read(link, path)
    except HTTPError:
        return None


def _read(link: Link, path: str) -> _Resource:
    response = link.get(path)
    return _Resource(path, response.headers.get("ETag"), _boot(document(response)))


def _boot(resource: object) -> Settings:
    found = resource.get("Boot") if isinstance(resource, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _merged(system: object, settings: _Resource | None) -> Settings:
    return {**(settings.boot if settings else {}), **_boot(system)}


def _send(link: Link, system: System, settings: _Resource | None, wanted: Settings) -> str:
    """PATCH each property where it is shown: at the settings resource before the system.

    Returns the path of the resource that took the device.
    """
    pending = {name: wanted[name] for name in wanted if settings and name in settings.boot}
    direct = {name: wanted[name] for name in wanted if name not in pending}
    place: str = system.path
    if settings and pending:
        link.patch(settings.path, data={"Boot": pending}, etag=settings.etag)
        place = settings.path if TARGET in pending else place
    if direct:
        own = _read(link, system.path)
        try:
            link.patch(own.path, data={"Boot": direct}, etag=own.etag)
        except HTTPError as error:
            other = _send_otherwise(link, own, direct, error)
            place = other if TARGET in direct else place
    return place


def _send_otherwise(link: Link, own: _Resource, wanted: Settings, error: HTTPError) -> str:
    """Once more, in the way that the refusal asks for; else the refusal is what counts."""
    for name in codes.message_ids({"error": error.body}):
        if name in ELSEWHERE:
            other = _read(link, f"{own.path.rstrip('/')}/{ELSEWHERE[name]}")
            link.patch(other.path, data={"Boot": dict(wanted)}, etag=other.etag)
            return other.path
    without = {name: wanted[name] for name in wanted if name != MODE}
    refuses_mode = error.status_code == BAD_REQUEST and MODE in str(error.body)
    if refuses_mode and without and own.boot.get(MODE) == wanted.get(MODE):
        link.patch(own.path, data={"Boot": without}, etag=own.etag)
        return own.path
    raise error


def _see(link: Link, place: str, wanted: object, pace: Pace) -> None:
    """Read back what was set: some take it in a moment later, some say yes and do not."""
    for look in range(READ_BACK_SECONDS + 1):
        shown = _read(link, place).boot.get(TARGET)
        if shown == wanted:
            return
        if look == READ_BACK_SECONDS or pace.is_over:
            break
        pace.pause()
    raise Failure("late", f"it still shows {str(shown)[:40]} as {TARGET}")
