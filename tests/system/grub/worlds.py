"""Disks for GRUB's scripts, made of what a test says they hold."""

from collections.abc import Iterable, Mapping

from bakery.system import grub, kargs
from bakery.system.grub import Kind, Platform, edit


class Disks:
    """Devices with files, by name: `{"hd0,gpt2": {"/boot/grub/grub.cfg": b"…"}}`.

    `found` says which device a search comes to: `{("fs-uuid", "1234"): "hd0,gpt2"}`. A search for
    a file looks at all devices in their order.
    """

    def __init__(
        self,
        devices: Mapping[str, Mapping[str, bytes]],
        found: Mapping[tuple[Kind, str], str] | None = None,
        platform: Platform = "efi",
    ) -> None:
        self.devices = devices
        self.found = found or {}
        self.platform: Platform = platform

    def read(self, device: str, path: str) -> bytes | None:
        return self.devices.get(device, {}).get(path)

    def is_file(self, device: str, path: str) -> bool:
        return path in self.devices.get(device, {})

    def is_directory(self, device: str, path: str) -> bool:
        start = path.rstrip("/") + "/"
        return device in self.devices and (
            start == "/" or any(name.startswith(start) for name in self.devices[device])
        )

    def names(self, device: str, path: str) -> tuple[str, ...]:
        start = path.rstrip("/") + "/"
        files = self.devices.get(device, {})
        inside = (name.removeprefix(start) for name in files if name.startswith(start))
        return tuple(dict.fromkeys(name.partition("/")[0] for name in inside))

    def find(self, kind: Kind, value: str) -> str | None:
        if kind == "file":
            return next((name for name, files in self.devices.items() if value in files), None)
        return self.found.get((kind, value))


def run(
    text: str | bytes, files: Mapping[str, bytes] | Iterable[str] = (), **start: str
) -> grub.Menu:
    """What a grub.cfg in /boot/grub of one disk comes to, beside these files."""
    named = dict(files) if isinstance(files, Mapping) else dict.fromkeys(files, b"x")
    script = text.encode() if isinstance(text, str) else text
    disk = {"/boot/grub/grub.cfg": script, "/k": b"kernel", "/i": b"initrd", **named}
    world = Disks({"hd0,gpt2": disk}, {("fs-uuid", "1234"): "hd0,gpt2"})
    return grub.run(world, {"root": "hd0,gpt2", "prefix": "(hd0,gpt2)/boot/grub", **start})


def edited(text: bytes, menu: grub.Menu, kernel: str, change: kargs.Change) -> bytes:
    """A grub.cfg with the arguments changed of every entry of its menu that starts a kernel."""
    found = (e.linux.place for e in menu.entries if e.linux and e.linux.file.path == kernel)
    scripts = {place for place in found if place.kind == "script"}
    for place in sorted(scripts, key=lambda place: place.start, reverse=True):
        text = edit.change_args(text, place, change)
    return text
