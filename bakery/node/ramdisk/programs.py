"""Programs of a system's distribution, with the shared libraries they need."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bakery.host.errors import BakeryError
from bakery.node.ramdisk import cpio
from bakery.node.ramdisk.system import System

# What ldd(1) prints: `libz.so.1 => /lib/libz.so.1 (0x…)`, and the loader's own path alone.
LIBRARY = re.compile(r"^\t(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
MISSING = re.compile(r"^\t(\S+) => not found$", re.MULTILINE)
FOLDERS = ("bin", "sbin", "lib", "lib64")


def merged(path: Path) -> str:
    """A path's place in the ramdisk, where /bin, /sbin, /lib and /lib64 are links into /usr."""
    place = str(path).lstrip("/")
    return f"usr/{place}" if place.split("/")[0] in FOLDERS else place


def base_folders() -> dict[str, cpio.Member]:
    """The links that make it so."""
    return {name: cpio.link(f"usr/{name}") for name in FOLDERS}


def with_libraries(system: System, programs: Iterable[Path]) -> dict[str, cpio.Member]:
    """Programs and shared objects, and every library the loader would load for them."""
    wanted = {path: path for path in programs}
    for path in list(wanted):
        wanted |= {library: library for library in _libraries(system, path)}
    return {
        merged(path): cpio.file(system.place(path).read_bytes(), executable=True) for path in wanted
    }


def _libraries(system: System, path: Path) -> Iterator[Path]:
    printed = system.run(["ldd", path], check=False).text
    lost = MISSING.search(printed)
    if lost:
        raise BakeryError(f"{path} needs the library {lost[1]}, which is not installed")
    yield from (Path(found) for found in LIBRARY.findall(printed))


def library(system: System, name: str) -> Path:
    """Where the loader finds a shared library (ldconfig(8)); BakeryError where it does not."""
    known = system.run(["/sbin/ldconfig", "-p"]).text
    found = re.search(
        rf"^\t{re.escape(name)} \(libc6,x86-64[^)]*\) => (/\S+)$", known, re.MULTILINE
    )
    if not found:
        raise BakeryError(f"the library {name} is not installed")
    return Path(found[1])
