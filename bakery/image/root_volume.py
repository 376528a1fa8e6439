"""Which volume of an image its kernel arguments call the root filesystem."""

from bakery.disk.volumes.volumes import LUKS, Volume
from bakery.host.errors import BakeryError
from bakery.image.reader import Reader
from bakery.image.sealed import READ_ONLY, refuse_read_only, refuse_sealed
from bakery.image.subvolumes import mounted_with
from bakery.system import boot_devices, device_names, kargs

# Discoverable Partitions Specification: the types of a root filesystem that is found by its type.
ROOT_TYPES = (
    "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",  # x86-64
    "44479540-F297-41B2-9AF7-D131D5F0458A",  # x86
    "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",  # arm64
    "69DAD710-2CE4-4E3C-B16C-21A1D49ABED3",  # arm
)


def root_volume(
    entry_id: str, args: tuple[str, ...], reader: Reader, roots: tuple[str, ...]
) -> Volume:
    """The volume that `root=` leads to, else the one whose partition says so, else the only one.

    `roots` are the names of trees that look like a root filesystem. Of a btrfs it is the subvolume
    that `rootflags=` names, or the default one.
    BakeryError, in which the boot entry is named by its id, where there is none or several, or
    the system is one that cannot leave its disk.
    """
    refuse_sealed(entry_id, args)
    wanted = next((m.device for m in boot_devices.mentions(args) if m.use == "root"), "")
    if wanted:
        # The disk that the root is on is this one, whatever it is called.
        disk = device_names.disk_of(wanted)
        named = list(device_names.named(wanted, reader.survey, disk))
        named = named or list(_opened(wanted, args, reader))
        if not named:
            _refuse_unplaced(wanted, entry_id, reader)
            locked = [v.device for v in reader.survey.volumes if v.type == LUKS]
            more = (
                f"; {', '.join(locked)} is encrypted (LUKS): --luks-key-file opens it"
                if locked
                else ""
            )
            raise BakeryError(f"root={wanted} in {entry_id} matches no volume of this image{more}")
    else:
        devices = {name.partition("[")[0] for name in roots}
        looking = [v for v in reader.survey.volumes if v.device in devices]
        # What is only ever read is not looked into, and may be the root all the same.
        looking = looking or [v for v in reader.survey.volumes if v.type in READ_ONLY]
        typed = _by_type(reader)
        named = [v for v in looking if v.device in typed] or looking
    if len(named) != 1:
        listed = ", ".join(volume.device for volume in named)
        what = f"{len(named)} root filesystems ({listed})" if named else "no root"
        raise BakeryError(f"the image holds {what}, and {entry_id} does not say which one to use")
    refuse_read_only(entry_id, named[0])
    return mounted_with(named[0], (kargs.value(args, "rootflags") or "").split(","))


def _refuse_unplaced(wanted: str, entry_id: str, reader: Reader) -> None:
    """Raise BakeryError where `root=WANTED` is a logical volume that no bytes can be told of."""
    for lv in (lv for group in reader.survey.groups for lv in group.volumes):
        if lv.unusable and wanted in (lv.device, lv.mapper):
            raise BakeryError(f"root={wanted} in {entry_id} cannot be read: {lv.unusable}")


def _opened(wanted: str, args: tuple[str, ...], reader: Reader) -> tuple[Volume, ...]:
    """What is in the LUKS that the arguments have opened under that name of device-mapper's."""
    name = device_names.parsed(wanted)
    opened = (m for m in boot_devices.mentions(args) if m.use == "unlock" and m.makes == name.value)
    found = [v for m in opened for v in device_names.named(m.device, reader.survey)]
    devices = {f"{device_names.MAPPER}luks-{volume.uuid}" for volume in found}
    return tuple(v for v in reader.survey.volumes if v.device in devices)


def answers(wanted: str, volume: Volume, reader: Reader) -> bool:
    """Whether a name means this volume."""
    return volume in device_names.named(wanted, reader.survey)


def _by_type(reader: Reader) -> tuple[str, ...]:
    """The devices of the partitions whose type is that of a root, in the table's order."""
    table = reader.survey.table
    partitions = table.partitions if table else ()
    return tuple(p.device for p in partitions if p.type.upper() in ROOT_TYPES)
