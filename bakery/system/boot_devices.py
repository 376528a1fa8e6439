"""The devices that kernel arguments name, and the arguments with others in their place.

Each of these is read in the initramfs, or by systemd on the way up: kernel-parameters.rst (root,
resume), dracut.cmdline(7) (rd.*, boot with fips), systemd-fstab-generator(8) (mount.usr, the
extra mounts), systemd-cryptsetup-generator(8) (luks.*), initramfs-tools(7), and Arch Linux's
mkinitcpio (cryptdevice).
"""

from collections.abc import Mapping

import msgspec

from bakery.system import kargs, mdadm
from bakery.system.fstab import OPTIONAL, tidy
from bakery.system.kargs import Args
from bakery.system.mention import Mention

# With these the root is looked for by its partition's type (systemd-gpt-auto-generator(8)).
FOUND_BY_TYPE = ("gpt-auto", "gpt-auto-force", "/dev/gpt-auto-root", "dissect")

_UNLOCKED = ("rd.luks.uuid", "luks.uuid", "rd_LUKS_UUID")
_UNLOCKED_AS = ("rd.luks.name", "luks.name")
_ACTIVATED = ("rd.lvm.vg", "rd.lvm.lv", "rd_LVM_VG", "rd_LVM_LV")
_ARRAYS = ("rd.md.uuid", "rd_MD_UUID")
# What tells more of a device, and means nothing without the argument that names it.
_COMPANIONS = {"resume": ("resume_offset", "resumeflags")}


def mentions(args: Args) -> tuple[Mention, ...]:
    """Every device that these arguments name, each with its place among them.

    Of several `root=` only the last counts, as for the kernel.
    """
    found: dict[str, Mention] = {}
    fips = kargs.value(args, "fips") == "1"
    for number, arg in enumerate(kargs.kernels_own(args)):
        key, text = kargs.halves(arg)
        mention = _mention(key, text, fips=fips)
        if key == "mount.usr" and mention:
            flags = kargs.value(args, "mount.usrflags") or ""
            mention = msgspec.structs.replace(mention, options=tuple(flags.split(",")))
        if mention:
            only = key in ("root", "boot")
            place = key if only else str(number)
            found[place] = msgspec.structs.replace(mention, line=number, key=key)
    return tuple(sorted(found.values(), key=lambda mention: mention.line))


def changed(args: Args, devices: Mapping[int, str | None]) -> Args:
    """`args` with other devices in these places; None takes the argument out.

    Of an argument with several parts the rest stays. What belonged to an argument that goes, goes
    with it; and where `root=` changes, every other `root=`.
    """
    keys = [kargs.key(arg) for arg in args]
    gone = {number for number, device in devices.items() if device is None}
    companions = {key for number in gone for key in _COMPANIONS.get(keys[number], ())}
    roots = [number for number in devices if keys[number] == "root"]
    own = len(kargs.kernels_own(args))
    kept = []
    for number, arg in enumerate(args):
        other_root = roots and keys[number] == "root" and number not in roots
        if number in gone or (number < own and (keys[number] in companions or other_root)):
            continue
        kept.append(_renamed(arg, devices[number] or "") if number in devices else arg)
    return kargs.validate(kept)


def _mention(key: str, text: str, *, fips: bool) -> Mention | None:
    """What one argument names, or None."""
    if not text:
        return None
    if key == "root" and text not in FOUND_BY_TYPE:
        return Mention(device=text, use="root")
    if key == "resume":
        return Mention(device=text, use="resume")
    if key == "mount.usr":
        return Mention(device=text, use="mount", point="/usr")
    if key == "boot" and fips:
        return Mention(device=text, use="fips")
    if key in ("systemd.mount-extra", "rd.systemd.mount-extra"):
        return _extra_mount(text)
    if key in ("systemd.swap-extra", "rd.systemd.swap-extra"):
        return Mention(device=text.partition(":")[0], use="swap")
    return _assembled(key, text)


def _assembled(key: str, text: str) -> Mention | None:
    """What the initramfs puts together before it looks for the root."""
    if key in _ACTIVATED:
        return Mention(device=text, use="lvm")
    if key in _ARRAYS:
        return Mention(device=f"UUID={mdadm.as_uuid(text)}", use="array")
    if key in _UNLOCKED:
        uuid = text.removeprefix("luks-")
        return Mention(device=f"UUID={uuid}", use="unlock", makes=f"luks-{uuid}")
    if key in _UNLOCKED_AS:
        uuid, _, name = text.partition("=")
        return Mention(device=f"UUID={uuid}", use="unlock", makes=name)
    if key == "cryptdevice":
        device, _, rest = text.partition(":")
        return Mention(device=device, use="unlock", makes=rest.partition(":")[0])
    return None


def _extra_mount(text: str) -> Mention | None:
    """`WHAT:WHERE[:TYPE[:OPTIONS]]`."""
    what, where, *more = [*text.split(":"), ""]
    options = more[1].split(",") if len(more) > 1 else []
    if not where:
        return None
    optional = not OPTIONAL.isdisjoint(options)
    point = tidy(where)
    return Mention(device=what, use="mount", point=point, optional=optional, options=(*options,))


def _renamed(arg: str, device: str) -> str:
    key, text = kargs.halves(arg)
    if ":" in text and key not in ("root", "resume", "mount.usr", "boot"):
        device += ":" + text.partition(":")[2]
    return f"{key}={device}"
