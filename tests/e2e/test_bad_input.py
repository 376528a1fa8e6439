"""Bad input gets one clear line, exit code 1, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tiny
from tests.conftest import BAKERY, Bakery

BootFiles = dict[str, bytes]


def without(name: str) -> BootFiles:
    return {path: content for path, content in tiny.BOOT.items() if path != name}


def text_file(folder: Path) -> Path:
    path = folder / "letter.qcow2"
    path.write_text("Dear conductor,\n" * 1000)
    return path


def truncated(folder: Path) -> Path:
    path = tiny.make(folder)
    os.truncate(path, path.stat().st_size * 2 // 3)
    return path


def no_boot(folder: Path) -> Path:
    return tiny.make(folder, boot={"readme": b"empty"})


def no_kernel(folder: Path) -> Path:
    return tiny.make(folder, boot=without("vmlinuz-6.1"))


def no_initrd(folder: Path) -> Path:
    entry = b"\n".join(x for x in tiny.ENTRY.encode().splitlines() if not x.startswith(b"initrd"))
    return tiny.make(folder, boot={**tiny.BOOT, "loader/entries/tiny.conf": entry})


def missing_initrd(folder: Path) -> Path:
    return tiny.make(folder, boot=without("initrd-6.1"))


def empty_kernel(folder: Path) -> Path:
    return tiny.make(folder, boot={**tiny.BOOT, "vmlinuz-6.1": b""})


def two_roots(folder: Path) -> Path:
    return tiny.make(folder, second_root=True)


def no_such_root(folder: Path) -> Path:
    entry = tiny.ENTRY.replace(tiny.ROOT_UUID, "00000000-0000-4000-8000-000000000000")
    return tiny.make(folder, boot={**tiny.BOOT, "loader/entries/tiny.conf": entry.encode()})


def hostile_argument(folder: Path) -> Path:
    entry = tiny.ENTRY.encode().replace(b"console=ttyS0", b"console=ttyS0\x1b]0;owned")
    return tiny.make(folder, boot={**tiny.BOOT, "loader/entries/tiny.conf": entry})


def luks(folder: Path) -> Path:
    """The root partition is a LUKS container."""
    raw = folder / "luks.raw"
    container = folder / "container"
    with container.open("wb") as file:
        file.truncate(tiny.ROOT_SIZE)
    tiny.run(
        "cryptsetup",
        "luksFormat",
        "-q",
        "--type",
        "luks2",
        "--pbkdf",
        "pbkdf2",
        "--pbkdf-force-iterations",
        "1000",
        "--key-file",
        "/dev/stdin",
        container,
        stdin="secret",
    )
    with raw.open("wb") as file:
        file.truncate(tiny.DISK_SIZE)
    table = "label: dos\n" + "".join(
        f"start={start // 512},size={size // 512},type=83\n"
        for start, size in ((tiny.BOOT_START, tiny.BOOT_SIZE), (tiny.ROOT_START, tiny.ROOT_SIZE))
    )
    tiny.run("sfdisk", "-q", raw, stdin=table)
    tiny.filesystem(folder, raw, tiny.BOOT_START, tiny.BOOT_SIZE, tiny.BOOT)
    with raw.open("r+b") as file:
        file.seek(tiny.ROOT_START)
        file.write(container.read_bytes())
    return tiny.qcow2(raw)


def beyond_the_disk(folder: Path) -> Path:
    """The second partition ends far behind the disk's last sector (MBR entry 2, bytes 12-15)."""
    raw = folder / "raw"
    image = tiny.make(folder)
    tiny.run("qemu-img", "convert", "-O", "raw", image, raw)
    with raw.open("r+b") as file:
        file.seek(446 + 16 + 12)
        file.write((1 << 30).to_bytes(4, "little"))
    return tiny.qcow2(raw.rename(folder / "beyond.raw"))


CASES: list[tuple[Callable[[Path], Path], str]] = [
    (text_file, "partition table|filesystem|format"),
    (truncated, "truncated|beyond|end of the file|short"),
    (no_boot, "no boot entry was found"),
    (no_kernel, r"/vmlinuz-6\.1, which is not on /dev/sda1"),
    (no_initrd, "names no initrd"),
    (missing_initrd, r"/initrd-6\.1, which is not on /dev/sda1"),
    (empty_kernel, "kernel of tiny is an empty file"),
    (two_roots, "2 root filesystems"),
    (no_such_root, "matches no volume of this image"),
    (hostile_argument, "no boot entry was found|printable"),
    (luks, "LUKS"),
    (beyond_the_disk, "partition 2"),
]


@pytest.mark.parametrize(("make", "words"), CASES, ids=[case[0].__name__ for case in CASES])
def test_it_is_refused_in_one_clear_line_and_leaves_nothing(
    bakery: Bakery, tmp_path: Path, make: Callable[[Path], Path], words: str
):
    import re

    (tmp_path / "in").mkdir()
    image = make(tmp_path / "in")
    done = bakery("build", image, "-o", tmp_path / "out", "-q")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("bakery: ")]
    assert re.search(words, line), line
    assert not (tmp_path / "out").exists()
    assert done.stdout == ""


def test_the_json_answer_carries_the_reason(bakery: Bakery, tmp_path: Path):
    done = bakery("build", text_file(tmp_path), "-o", tmp_path / "out", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]


def test_a_missing_image_and_a_wrong_option_have_their_own_codes(bakery: Bakery, tmp_path: Path):
    assert bakery("build", tmp_path / "none.qcow2").returncode == 1
    assert bakery("build").returncode == 2
    assert bakery("build", tmp_path / "none.qcow2", "--layout", "zfs").returncode == 2


def test_karg_of_two_lines_is_refused(bakery: Bakery, tmp_path: Path):
    image = tiny.make(tmp_path)
    done = bakery("build", image, "-o", tmp_path / "out", "--karg-append", "a\nb")
    assert done.returncode == 1
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_named_and_nothing_is_left(bakery: Bakery, tmp_path: Path):
    (tmp_path / "in").mkdir()
    image = tiny.make(tmp_path / "in", root={**tiny.ROOT, "var/big": os.urandom(12 << 20)})
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=8m none {small} && {BAKERY} build {image} -o {small}/out -q;"
        f" echo code=$?; ls -A {small}"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "code=1" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-1] == "code=1", "something was left on the full disk"
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("bakery: ")]
    assert "full" in line or "No space left" in line


def interrupted(image: Path, output: Path, number: signal.Signals) -> tuple[int, str]:
    """A build that gets a signal once its image has been read: its exit code, and what it told.

    A busy machine may let it end first; the exit code is 0 then.
    """
    process = subprocess.Popen(
        [BAKERY, "build", image, "-o", output], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (output / ".bakery/source.json").exists() and time.monotonic() < deadline:
        if process.poll() is not None:
            break
        time.sleep(0.002)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    return process.returncode, told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_says_so_cleans_up_and_goes_on(
    bakery: Bakery, tmp_path: Path, number: signal.Signals
):
    (tmp_path / "in").mkdir()
    image = tiny.make(tmp_path / "in")
    for attempt in range(10):
        output = tmp_path / f"out-{attempt}"
        code, told = interrupted(image, output, number)
        if code != 0:
            break
    assert code == 128 + number, "0: each build ended before it could be interrupted"
    assert "Traceback" not in told
    assert not (output / ".bakery" / "tmp").exists()
    assert not list(output.glob("tiny*"))
    again = bakery("build", image, "-o", output, "-v")
    assert again.returncode == 0
    assert "source" not in again.stderr, "what was read was read again"
