"""An entry told in words: kernel, initrds and arguments, as SYSLINUX and systemd-boot have it."""

from typing import Protocol

from bakery.disk.volumes.volumes import Volume
from bakery.host.errors import BakeryError
from bakery.image.boot.entry import ArgPlace, BootEntry, ImageFile, Loader
from bakery.image.reader import Reader
from bakery.system import kargs


class Plain(Protocol):
    """What is asked of a loader's own entry."""

    @property
    def kind(self) -> str:
        """`linux`, or what else it starts."""

    @property
    def title(self) -> str:
        """Empty where it has none."""

    @property
    def initrds(self) -> tuple[str, ...]:
        """Paths on its volume."""

    @property
    def devicetree(self) -> str:
        """Empty where it brings none."""

    @property
    def arguments(self) -> kargs.Args:
        """BakeryError where they are none."""


def read(
    reader: Reader,
    volume: Volume,
    entry: Plain,
    *,
    name: str,
    identity: str,
    program: str,
    config: ImageFile,
    loader: Loader,
    places: tuple[ArgPlace, ...],
) -> BootEntry:
    """The entry with its files on `volume`; what starts no Linux alone has a problem.

    `name` is the loader's own for it, `program` the path of what it starts.
    """
    args: kargs.Args = ()
    problem = ""
    try:
        args = entry.arguments
    except BakeryError as error:
        problem = error.message
    if entry.kind != "linux":
        problem = f"the boot entry {name} starts another program, {program}"
    elif entry.devicetree:
        problem = f"the boot entry {name} brings a device tree, {entry.devicetree}"
    return BootEntry(
        id=identity,
        title=entry.title or name,
        kernel=ImageFile(volume.name, reader.spelled(volume, program)),
        initrds=tuple(ImageFile(volume.name, reader.spelled(volume, i)) for i in entry.initrds),
        args=args,
        config=config,
        loader=loader,
        places=places,
        problem=problem,
    )
