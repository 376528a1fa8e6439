"""What is the guestfs engine's own; what it shares with the other stands in contract.py."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bakery import tools
from bakery.engines import appliance, guestfs_files
from bakery.engines.base import Entry
from bakery.engines.guestfs import GuestfsEngine
from bakery.errors import BakeryError
from bakery.report import Event, Report, silent
from tests.engines.contract import digest

MIB = 1 << 20
TEXT = b"UUID=1 /boot ext4 defaults 0 0\n"
PATIENCE_SECONDS = 120
HOLD = """
import sys, time
from pathlib import Path
from bakery import sandbox
from bakery.engines.guestfs import GuestfsEngine
from bakery.report import silent
image, work, caged = sys.argv[1:]
if not int(caged):
    sandbox.available = lambda: False
engine = GuestfsEngine(Path(image), "raw", Path(work), silent())
place = engine.survey().volume("/dev/sda")
engine.replace(place, "/etc/fstab", engine.read_file(place, "/etc/fstab"), b"changed")
print("ready", flush=True)
time.sleep(3600)
"""


def ext4(path: Path, tree: Path, size: int = 32 * MIB) -> Path:
    """An ext4 filesystem that fills a raw disk and holds the files of `tree`."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path], check=True)
    return path


def debugfs(path: Path, *requests: str) -> str:
    """What debugfs(8) answers, writing allowed."""
    script = "\n".join(requests).encode()
    argv = ["debugfs", "-w", "-f", "-", str(path)]
    done = subprocess.run(argv, input=script, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


def raw(overlay: Path, target: Path) -> Path:
    """The disk an overlay stands for, as a raw file."""
    subprocess.run(["qemu-img", "convert", "-O", "raw", overlay, target], check=True)
    return target


def waited_for(condition: Callable[[], bool]) -> bool:
    """Whether `condition` came true before patience ended.

    Orphans are this process's (tests/leftovers.py) and are reaped: libguestfs' recovery process
    looks whether its parent is there, and a zombie is.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        time.sleep(0.05)
    return condition()


def processes_that_name(path: Path) -> list[int]:
    """The processes with `path` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(path) in words and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "fstab").write_bytes(TEXT)
    return folder


@pytest.fixture
def disk(tree: Path, tmp_path: Path) -> Path:
    return ext4(tmp_path / "disk.raw", tree)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_session_that_is_asked_nothing_starts_no_appliance(disk: Path, work: Path):
    events: list[Event] = []
    with GuestfsEngine(disk, "raw", work, Report(events.append)) as engine:
        assert processes_that_name(work) == []
    assert events == []
    assert list(work.iterdir()) == [engine.overlay]
    subprocess.run(["qemu-img", "compare", "-q", "-F", "raw", engine.overlay, disk], check=True)


def test_the_overlay_names_its_backing_format_so_that_nothing_is_probed(disk: Path, work: Path):
    engine = GuestfsEngine(disk, "raw", work, silent())
    info = subprocess.run(["qemu-img", "info", engine.overlay], capture_output=True, check=True)
    assert b"backing file format: raw" in info.stdout
    engine.close()


@pytest.mark.parametrize("source_format", ["qcow2", "vmdk"])
def test_a_source_that_is_not_of_its_format_is_refused_at_once(
    disk: Path, work: Path, source_format: str
):
    with pytest.raises(BakeryError, match=rf"disk\.raw cannot be opened as {source_format}"):
        GuestfsEngine(disk, source_format, work, silent())
    assert list(work.iterdir()) == []


def test_without_guestfish_the_package_is_named(
    disk: Path, work: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tools, "missing", list)
    with (
        GuestfsEngine(disk, "raw", work, silent()) as engine,
        pytest.raises(BakeryError, match="guestfish is not installed") as caught,
    ):
        engine.survey()
    assert "guestfs" in caught.value.hint


@pytest.mark.parametrize("path", ["etc", "", "/a\nb", "/a\0b", "/\x1b[2J", "/\udcff"])
def test_a_path_that_is_not_plain_text_from_the_root_is_refused(path: str):
    with pytest.raises(BakeryError):
        guestfs_files.inside(path)


def test_a_path_is_never_taken_for_a_device_of_the_appliance():
    assert guestfs_files.inside("/dev/sda1") == "/./dev/sda1"


@pytest.mark.slow
def test_an_appliance_that_does_not_start_is_told_with_its_reason(
    disk: Path, work: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = appliance.environment

    def broken(*args, **kwargs):
        return plain(*args, **kwargs) | {"LIBGUESTFS_HV": "/bin/false"}

    monkeypatch.setattr(appliance, "environment", broken)
    engine = GuestfsEngine(disk, "raw", work, silent())
    with pytest.raises(BakeryError, match=r"the libguestfs appliance did not start: .*/bin/false"):
        engine.survey()
    engine.close()


@pytest.fixture
def odd_disk(tree: Path, tmp_path: Path) -> Path:
    """A bare filesystem, its journal marked dirty, with names nobody should have to read."""
    (tree / "lines").mkdir()
    (tree / "lines" / "a\nname: b").write_text("")
    (tree / "bytes").mkdir()
    (tree / "bytes" / os.fsdecode(b"\xff")).write_text("")
    with (tree / "huge").open("wb") as file:
        file.truncate(1 << 40)
    disk = ext4(tmp_path / "odd.raw", tree)
    debugfs(disk, "feature needs_recovery")
    return disk


@pytest.mark.slow
def test_a_bare_dirty_filesystem_is_read_and_not_a_byte_of_it_changes(
    odd_disk: Path, tmp_path: Path
):
    work = tmp_path / "a: b,c='\"\\x ☃"
    work.mkdir()
    events: list[Event] = []
    target = tmp_path / "copied"
    with GuestfsEngine(odd_disk, "raw", work, Report(events.append)) as engine:
        survey = engine.survey()
        (place,) = survey.volumes
        assert (survey.table, place.device, place.type) == (None, "/dev/sda", "ext4")
        assert engine.read_file(place, "/etc/fstab") == TEXT
        assert Entry("etc", is_directory=True) in engine.list_directory(place, "/")
        for folder in ("/lines", "/bytes"):
            with pytest.raises(BakeryError, match="not plain text"):
                engine.list_directory(place, folder)
        with pytest.raises(BakeryError, match="claims 1099511627776 bytes"):
            engine.copy_out(place, "/huge", target)
    assert not target.exists()
    assert [path.name for path in work.iterdir()] == ["overlay.qcow2"]
    subprocess.run(["qemu-img", "compare", "-q", "-F", "raw", engine.overlay, odd_disk], check=True)
    assert [event.kind for event in events] == ["started", "finished"]
    assert {event.step for event in events} == {"appliance"}


@pytest.mark.slow
def test_an_edit_keeps_everything_about_a_file_but_its_text(tree: Path, work: Path, tmp_path: Path):
    for name in ("same", "shorter", "longer", "emptied"):
        (tree / name).write_bytes(TEXT)
    disk = ext4(tmp_path / "edit.raw", tree)
    label = "system_u:object_r:etc_t:s0"
    before = {}
    for name in ("same", "shorter", "longer", "emptied"):
        debugfs(
            disk,
            f"ea_set /{name} security.selinux {label}",
            f"ea_set /{name} user.note kept",
            f"set_inode_field /{name} uid 12",
            f"set_inode_field /{name} mode 0100640",
            f"set_inode_field /{name} mtime 20140102030405",
        )
        before[name] = about(disk, name)
        assert label in before[name]["attributes"]
    texts = {"same": TEXT[::-1], "shorter": b"x\n", "longer": TEXT * 400, "emptied": b""}
    with GuestfsEngine(disk, "raw", work, silent()) as engine:
        (place,) = engine.survey().volumes
        for name, text in texts.items():
            engine.replace(place, f"/{name}", TEXT, text)
    after = raw(engine.overlay, tmp_path / "after.raw")
    subprocess.run(["e2fsck", "-fn", after], check=True, capture_output=True)
    for name, text in texts.items():
        assert about(after, name) == before[name]
        assert debugfs_cat(after, name) == text


def about(disk: Path, name: str) -> dict[str, str]:
    """Inode, mode, owner, modification time and extended attributes of a file in an ext4."""
    told = debugfs(disk, f"stat /{name}")
    words = told.split()
    fields = {key: words[words.index(f"{key}:") + 1] for key in ("Inode", "Mode", "User", "Group")}
    fields["mtime"] = next(line for line in told.splitlines() if line.strip().startswith("mtime"))
    return fields | {
        "attributes": told.partition("Extended attributes:")[2].partition("Inode checksum")[0]
    }


def debugfs_cat(disk: Path, name: str) -> bytes:
    argv = ["debugfs", "-R", f"cat /{name}", str(disk)]
    return subprocess.run(argv, capture_output=True, check=True).stdout


@pytest.mark.slow
def test_a_damaged_filesystem_is_told_in_one_line(disk: Path, work: Path):
    with disk.open("r+b") as file:  # the group descriptors, in block 2 of 1024 bytes or block 1
        file.seek(2048)
        file.write(b"\xff" * 8192)
    with GuestfsEngine(disk, "raw", work, silent()) as engine:
        (place,) = engine.survey().volumes
        with pytest.raises(BakeryError, match="/dev/sda cannot be mounted: ") as caught:
            engine.list_directory(place, "/")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.slow
def test_the_first_session_of_a_machine_makes_its_appliance_in_the_cage(
    disk: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with GuestfsEngine(disk, "raw", work, silent()) as engine:
        (place,) = engine.survey().volumes
        assert engine.read_file(place, "/etc/fstab") == TEXT
    assert list((tmp_path / "cache").rglob("appliance.d/root"))


@pytest.mark.slow
def test_an_appliance_that_dies_ends_the_session_and_its_overlay(disk: Path, work: Path):
    engine = GuestfsEngine(disk, "raw", work, silent())
    (place,) = engine.survey().volumes
    qemu = [pid for pid in processes_that_name(work) if b"-serial" in words_of(pid)]
    assert qemu
    for pid in qemu:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(BakeryError):
        engine.read_file(place, "/etc/fstab")
    with pytest.raises(BakeryError):
        engine.read_file(place, "/etc/fstab")
    with pytest.raises(BakeryError):
        engine.close()
    assert list(work.iterdir()) == []


def words_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.fixture(params=[True, False], ids=["caged", "bare"])
def held(
    request: pytest.FixtureRequest, disk: Path, work: Path
) -> Iterator[tuple[subprocess.Popen[bytes], bool]]:
    """A bakery that holds a session open, an edit in it."""
    argv = [sys.executable, "-c", HOLD, str(disk), str(work), str(int(request.param))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process, request.param
        process.kill()


@pytest.mark.slow
def test_a_killed_bakery_leaves_no_appliance(
    disk: Path, work: Path, held: tuple[subprocess.Popen[bytes], bool]
):
    process, caged = held
    before = digest(disk)
    words = b"".join(words_of(pid) for pid in processes_that_name(work))
    sockets = re.search(rb"path=(/tmp/libguestfs\w+)/", words)
    assert sockets
    process.kill()
    process.wait()
    assert waited_for(lambda: processes_that_name(work) == [])
    assert {path.name for path in work.iterdir()} == {"overlay.qcow2", "guestfs"}
    folder = Path(os.fsdecode(sockets[1]))
    if caged:
        assert not folder.exists()
    else:  # what the documentation says may be left
        shutil.rmtree(folder, ignore_errors=True)
    assert digest(disk) == before
