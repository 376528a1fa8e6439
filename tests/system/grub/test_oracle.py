"""bakery's reading of GRUB's scripts against GRUB itself, on configurations made by chance."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from bakery.host.errors import BakeryError
from bakery.system import grub, kargs
from bakery.system.grub.files import tidied
from bakery.system.grub.loading import handed_on
from tests.system.grub import disks, oracle, scripts
from tests.system.grub.oracle import Started

ROOT = "hd0,msdos1"
HEAD = f"set timeout=0\nexport timeout\nset root={ROOT}\n"
# Waiting for keys and for fallbacks costs time, and no processor.
AT_ONCE = 16
STARTED_SHARE = 0.7


class Compared(NamedTuple):
    """What both make of one configuration."""

    seed: int
    text: str
    real: Started | None
    ours: Started | None


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> disks.Disk:
    return disks.make(tmp_path_factory.mktemp("disk"))


def compared(seeds: Iterable[int], disk: disks.Disk, folder: Path) -> Iterator[Compared]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda seed: both(seed, disk, folder / str(seed)), seeds)


def both(seed: int, disk: disks.Disk, folder: Path) -> Compared:
    folder.mkdir()
    script = scripts.Script(seed, str(folder))
    texts = {**script.files, "grub.cfg": HEAD + script.text}
    for name, text in texts.items():
        (folder / name).write_text(oracle.PRELUDE + text if name == "grub.cfg" else text)
    real = oracle.asked(folder, disk.device_map)
    plain = {
        f"{folder}/{name}": text.replace(scripts.BOOT_LINE, "").encode()
        for name, text in texts.items()
    }
    ours = by_bakery(disk.world(plain), str(folder))
    return Compared(seed, script.text, as_read(real) if real else None, ours)


def by_bakery(world: grub.World, folder: str) -> Started | None:
    start = {"root": "host", "prefix": f"(host){folder}", "grub_platform": "emu"}
    menu = grub.run(world, start, f"(host){folder}/grub.cfg", has_wildcards=True)
    entry = menu.first
    if entry is None or not (entry.linux or entry.chainloader):
        return None
    args = entry.linux.args if entry.linux else ()
    missing = "is not there" in entry.problem
    return Started(
        linux=str(entry.linux.file) if entry.linux else "",
        args=args if not entry.problem or missing else ("refused",),
        initrds=tuple(map(str, entry.initrds)),
        missing=missing,
        chainloader=str(entry.chainloader or ""),
    )


def as_read(real: Started) -> Started:
    """What GRUB said, put as a reader of it puts it."""
    args = [handed_on(arg) for arg in real.args if arg]
    try:
        kargs.validate(args)
    except BakeryError:
        args, real = ["refused"], real._replace(missing=False)
    return Started(
        linux=in_full(real.linux),
        args=tuple(args),
        initrds=tuple(map(in_full, real.initrds)),
        missing=real.missing,
        chainloader=in_full(real.chainloader),
    )


def in_full(name: str) -> str:
    device, bracket, path = name.partition(")")
    return f"{device}){tidied(path)}" if bracket else name


def assert_alike(seeds: range, disk: disks.Disk, folder: Path) -> None:
    found = list(compared(seeds, disk, folder))
    different = [one for one in found if one.real != one.ours]
    told = [f"seed {one.seed}: GRUB {one.real}, bakery {one.ours}" for one in different]
    assert not different, "\n".join([*told, different[0].text])
    # The comparison is of something: most of these menus do start an entry.
    assert sum(one.real is not None for one in found) > STARTED_SHARE * len(found)


def test_what_starts_is_what_grub_itself_would_start(disk: disks.Disk, tmp_path: Path) -> None:
    assert_alike(range(260), disk, tmp_path)


@pytest.mark.full
def test_what_starts_is_what_grub_itself_would_start_over_and_over(
    disk: disks.Disk, tmp_path: Path
) -> None:
    assert_alike(range(1000, 4000), disk, tmp_path)


def test_the_oracle_says_what_it_is_asked(disk: disks.Disk, tmp_path: Path) -> None:
    text = "menuentry a { linux /vmlinuz-1 x 'y  z'\n initrd /initrd-1 (hd0,msdos2)/initrd-4\n"
    script = oracle.PRELUDE + HEAD + text + oracle.BOOT + "\n}\n"
    (tmp_path / "grub.cfg").write_text(script)
    assert oracle.asked(tmp_path, disk.device_map) == Started(
        linux="(hd0,msdos1)/vmlinuz-1",
        args=("x", "y  z"),
        initrds=("(hd0,msdos1)/initrd-1", "(hd0,msdos2)/initrd-4"),
    )
    (tmp_path / "grub.cfg").write_text(script.replace("vmlinuz-1", "nope"))
    assert oracle.asked(tmp_path, disk.device_map) is None
