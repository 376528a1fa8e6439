"""The devices that the settings of an initramfs name, which are baked into it when it is made.

initramfs-tools keeps `RESUME=` and `ROOT=` of initramfs.conf(5) and of the files in conf.d; dracut
keeps the arguments of `kernel_cmdline` and waits for what `add_device` names (dracut.conf(5)). Both
are read as shell does, an assignment a line.
"""

import re
from collections.abc import Iterator

from bakery.system import boot_devices
from bakery.system.fstab import bounded
from bakery.system.mention import Mention

_TOOLS = re.compile(rb"[ \t]*(?:export[ \t]+)?(RESUME|ROOT)=(.*)")
_DRACUT = re.compile(rb"[ \t]*(kernel_cmdline|add_device)\+?=(.*)")
_NONE = ("", "none", "auto", "probe")
_QUOTES = "\"'"


def tools_mentions(text: bytes) -> tuple[Mention, ...]:
    """What initramfs-tools bakes in; BakeryError where the file is out of proportion."""
    bounded(text, "the settings of an initramfs")
    found = _assigned(text, _TOOLS)
    return tuple(_mention(value, line) for _, value, line in found if value not in _NONE)


def dracut_mentions(text: bytes) -> tuple[Mention, ...]:
    """What dracut bakes in; BakeryError where the file is out of proportion."""
    bounded(text, "the settings of an initramfs")
    return tuple(
        _mention(device, line)
        for key, value, line in _assigned(text, _DRACUT)
        for device in _devices(key, value)
    )


def _devices(key: str, value: str) -> list[str]:
    words = tuple(value.split())
    if key == "add_device":
        return list(words)
    return [mention.device for mention in boot_devices.mentions(words)]


def _assigned(text: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[str, str, int]]:
    for number, row in enumerate(text.split(b"\n"), 1):
        if found := pattern.match(row):
            value = found[2].decode("utf-8", "backslashreplace").strip()
            quote = value[:1] if value[:1] in _QUOTES else ""
            plain = value[1:].partition(quote)[0] if quote else value.partition(" #")[0]
            yield found[1].decode(), plain.strip(), number


def _mention(device: str, line: int) -> Mention:
    return Mention(device=device, use="initramfs", optional=True, line=line)
