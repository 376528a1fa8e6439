"""What is the guestfs engine's own, by a real appliance."""

import contextlib
import io
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

from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.image.engines import appliance
from bakery.image.engines.base import DirectoryEntry, FileMissing, Removal, Taking
from bakery.image.engines.guestfs import GuestfsEngine
from tests.disk.volumes import btrfses
from tests.image.engines.conftest import TEXT, ext4
from tests.image.engines.contract import digest

PATIENCE_SECONDS = 120
HOLD = """
import sys, time
from pathlib import Path
from bakery.host import sandbox
from bakery.image.engines.guestfs import GuestfsEngine
from bakery.host.report import silent
image, work, caged = sys.argv[1:]
if not int(caged):
    sandbox.confined = lambda: False
engine = GuestfsEngine(Path(image), "raw", Path(work), silent())
place = engine.survey().volume("/dev/sda")
engine.replace(place, "/etc/fstab", engine.read_file(place, "/etc/fstab"), b"changed")
print("ready", flush=True)
time.sleep(3600)
"""


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
        assert DirectoryEntry("etc", is_directory=True) in engine.list_directory(place, "/")
        for folder in ("/lines", "/bytes"):
            with pytest.raises(BakeryError, match="not plain text"):
                engine.list_directory(place, folder)
        with pytest.raises(BakeryError, match="/huge in /dev/sda holds more than"):
            engine.copy_out(place, "/huge", target, 1 << 30)
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


@pytest.mark.slow
@pytest.mark.full  # tests/build/scrub/test_scrubbed.py keeps and restores on the default sample
def test_what_is_taken_out_of_subvolumes_is_kept_and_put_back_where_it_was(tmp_path: Path):
    """Out of a system, a subvolume in it, and a snapshot of it that is read-only."""
    keep = io.BytesIO()
    with opened_btrfs(tmp_path / "whole", btrfses.load("system")) as engine:
        (whole,) = engine.survey().volumes
        system = whole.at(btrfses.SUBVOLUMES[0])
        release = "/usr/lib/os-release"
        places = [(system, release), (system, "/nested/inside"), (whole.mounted, release)]
        takings = tuple(Taking(volume, path, "remove") for volume, path in places)
        assert engine.scrub(Removal(takings, (whole,), (), ()), keep) == set()
    scrubbed = raw(engine.overlay, tmp_path / "scrubbed.raw").read_bytes()
    assert all(text in btrfses.load("system") for text in (btrfses.RELEASE, INSIDE))
    assert not any(text in scrubbed for text in (btrfses.RELEASE, INSIDE))
    with opened_btrfs(tmp_path / "scrubbed", scrubbed) as engine:
        (again,) = engine.survey().volumes
        assert again.subvolumes == btrfses.SUBVOLUMES
        for volume, path in places:
            with pytest.raises(FileMissing):
                engine.read_file(volume, path)
        assert engine.read_file(system, "/large/zstd") == btrfses.LARGE
        keep.seek(0)
        engine.restore(keep, (again,))
        for volume, path in places:
            assert engine.read_file(volume, path) == btrfses.FILES[path[1:]]
        with pytest.raises(BakeryError, match="Read-only file system"):
            engine.replace(whole.mounted, release, btrfses.RELEASE, btrfses.RELEASE[::-1])


INSIDE = btrfses.FILES["nested/inside"]


def opened_btrfs(folder: Path, data: bytes) -> GuestfsEngine:
    folder.mkdir()
    (folder / "disk.raw").write_bytes(data)
    (folder / "work").mkdir()
    return GuestfsEngine(folder / "disk.raw", "raw", folder / "work", silent())
