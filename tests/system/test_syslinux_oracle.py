"""SYSLINUX itself, in a virtual machine, starts what `syslinux.read` says that it would."""

import posixpath
import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bakery.system import syslinux
from tests.system import linux_echo
from tests.system.programs import ENVIRONMENT, run

MODULES = Path("/usr/lib/syslinux/modules/bios")
FOLDER = "/boot"
KERNELS = ("/boot/k", "/k", "/boot/sub/k", *(f"/boot/{label}" for label in "abcdef"))
INITRDS = ("/boot/i", "/j", "/boot/sub/i")
NAMES = ("k", "/k", "../k", "sub/k", "sub//../k", "/boot/./k")
WORDS = ("root=/dev/sda1", "ro", "quiet", "console=ttyS0,115200n8", 'a="b c"', "xinitrd=i")
_SAID = re.compile(rb"BOOT_IMAGE=(\S*)([^\n]*)\n")


def _options(chance: random.Random) -> str:
    words = [chance.choice(WORDS) for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.3:
        words.insert(chance.randint(0, len(words)), "initrd=" + chance.choice(("i", "i,/j", "/j")))
    return " ".join(words)


def _label(name: str, chance: random.Random) -> list[str]:
    lines = [chance.choice(("label {}", "LABEL  {}", "\tLabel {}  ")).format(name)]
    more = [
        f"{chance.choice(('kernel', 'LINUX'))} {chance.choice(NAMES)} {_options(chance)}",
        f"append {chance.choice((_options(chance), '-'))}",
        f"initrd {chance.choice(('i', '/j', 'sub/i', 'i,/j'))}",
        "menu default",
        "menu hide",
        f"menu label {name} ^more",
        "text help\nlabel z\n endtext",
    ]
    odds = (0.8, 0.7, 0.4, 0.2, 0.1, 0.3, 0.1)
    chosen = [line for line, odd in zip(more, odds, strict=True) if chance.random() < odd]
    chance.shuffle(chosen)
    return lines + chosen


def _menu(labels: Sequence[str], chance: random.Random) -> list[str]:
    """Lines of labels, with submenus and options for all among them."""
    lines: list[str] = []
    depth = 0
    for name in labels:
        if chance.random() < 0.25:
            lines += [chance.choice(("menu separator", "append all", "# no", "menu title x"))]
        if chance.random() < 0.2:
            lines += [f"menu begin s{name}"]
            lines += ["menu default"] if chance.random() < 0.3 else []
            depth += 1
        lines += _label(name, chance)
        if depth and chance.random() < 0.5:
            lines += ["menu end"]
            depth -= 1
    return lines


def _configuration(chance: random.Random) -> dict[str, bytes]:
    """The files of a menu in which nobody is waited for, and something may start."""
    outer, inner = _menu("abcd", chance), _menu("ef", chance)
    start = [f"default {chance.choice('abcdef')} {_options(chance)}", "default menu.c32"]
    head = [chance.choice((start[0], start[0], start[1]))]
    head += ["ui menu.c32"] if chance.random() < 0.3 else []
    if "menu.c32" not in " ".join(head) and chance.random() < 0.4:
        # With it, menu.c32 stumbles over whatever has no label: a separator, a submenu.
        head += [f"ontimeout {chance.choice('abe')}"]
    head += [f"prompt {chance.randint(0, 1)}", "timeout 1", "serial 0 115200"]
    include = chance.choice(("include x.cfg", "menu include x.cfg Sub", "INCLUDE /boot/x.cfg"))
    outer.insert(chance.choice((0, len(outer))), include)
    chance.shuffle(head)
    files = {"syslinux.cfg": [*head, *outer], "x.cfg": inner}
    return {f"{FOLDER}/{name}": "\n".join(text).encode() + b"\n" for name, text in files.items()}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FAT that SYSLINUX starts from, with everything but a menu."""
    folder = tmp_path_factory.mktemp("syslinux")
    image, kernel = folder / "disk.img", folder / "kernel"
    kernel.write_bytes(linux_echo.kernel())
    run("mkfs.fat", "-F16", "-s1", "-C", image, "8192")
    run("mmd", "-i", image, f"::{FOLDER}", f"::{FOLDER}/sub")
    run("syslinux", "--install", "-d", FOLDER, image)
    for path in (*KERNELS, *INITRDS):
        run("mcopy", "-i", image, kernel, f"::{path}")
    for module in ("menu", "libutil", "libcom32"):
        run("mcopy", "-i", image, MODULES / f"{module}.c32", f"::{FOLDER}")
    return image


def _started(disk: Path, files: Mapping[str, bytes], scratch: Path) -> tuple[str, list[str]]:
    """The kernel that SYSLINUX started, and the words behind it."""
    image = scratch / "disk.img"
    image.write_bytes(disk.read_bytes())
    for path, content in files.items():
        (scratch / "file").write_bytes(content)
        run("mcopy", "-i", image, scratch / "file", f"::{path}")
    exit_device = f"isa-debug-exit,iobase={linux_echo.EXIT_PORT},iosize=1"
    machine = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-vga", "std"]
    machine += ["-m", "128", "-serial", "stdio", "-device", exit_device]
    machine += ["-drive", f"file={image},format=raw"]
    ended = subprocess.run(
        machine, env=ENVIRONMENT, capture_output=True, timeout=300, check=False, stdin=-3
    )
    match = _SAID.search(ended.stdout)
    assert match, (files, ended.stdout[-500:])
    path = posixpath.normpath(posixpath.join(FOLDER, match[1].decode()))
    return path, match[2].decode().split()


def _wanted(seed: int) -> tuple[dict[str, bytes], syslinux.Entry]:
    """A menu, and the kernel of it that is meant to start; of what starts none, the next."""
    for number in range(100):
        files = _configuration(random.Random(seed * 1000 + number))
        found = syslinux.read(f"{FOLDER}/syslinux.cfg", files.get)
        # menu.c32 6.04 loses labels over separators, which have none.
        text = b"".join(files.values())
        stumbles = b"menu.c32" in text and b"menu separator" in text
        chosen = found.chosen
        if chosen and chosen.kind == "linux" and not found.waits and not stumbles:
            return files, chosen
    raise AssertionError(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", (0, 2, 4, 5))
def test_syslinux_starts_what_is_said(disk: Path, tmp_path: Path, seed: int) -> None:
    _compare(disk, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.parametrize("seed", (1, 6, 8, 9))
def test_syslinux_starts_what_is_said_of_more_menus(disk: Path, tmp_path: Path, seed: int) -> None:
    _compare(disk, tmp_path, seed)


def _compare(disk: Path, scratch: Path, seed: int) -> None:
    files, entry = _wanted(seed)
    menu = files[f"{FOLDER}/syslinux.cfg"].decode()
    assert _started(disk, files, scratch) == (entry.kernel, entry.options.split()), menu
    assert all(path in INITRDS for path in entry.initrds)
