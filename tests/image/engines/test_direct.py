"""The direct engine: what it changes, what it refuses, what it leaves behind.

What both engines must answer alike is in contract.py.
"""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.disk.extents import Extent
from bakery.disk.volumes.volumes import Volume
from bakery.host import qmp, sandbox, tools
from bakery.host.errors import BakeryError
from bakery.host.report import Event, Report, silent
from bakery.image.engines import cell, direct, hazards
from bakery.image.engines.base import CannotServe, DirectoryEntry, FileMissing
from bakery.image.engines.direct import DirectEngine
from tests import processes
from tests.disk.volumes import pvs
from tests.image.engines import disks
from tests.image.engines.disks import DEVICES, FSTAB, LARGE, MIB, Disk

pytestmark = [
    pytest.mark.skipif(direct.why_not() is not None, reason=str(direct.why_not())),
    pytest.mark.xdist_group("direct"),
]

NEW = FSTAB.replace(b"LABEL=boot /boot", b"# no more /boot.")
USER = "1000"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    return disks.make(tmp_path_factory.mktemp("disk"))


@pytest.fixture(params=["caged", "uncaged"])
def confinement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test that takes this runs with the cage and without."""
    if request.param == "uncaged":
        monkeypatch.setattr(cell, "confined", lambda: False)
    elif not sandbox.available():
        pytest.skip("bubblewrap does not work here")
    return str(request.param)


@pytest.fixture
def engine(disk: Disk, tmp_path: Path, confinement: str) -> Iterator[DirectEngine]:
    with opened(disk.qcow2, tmp_path / "work") as engine:
        yield engine


def opened(image: Path, work: Path, image_format: str = "qcow2") -> DirectEngine:
    work.mkdir()
    return DirectEngine(image, image_format, work, silent())


def volume(engine: DirectEngine, device: str) -> Volume:
    found = engine.survey().volume(device)
    assert found is not None
    return found


def flat(image: Path, target: Path) -> bytes:
    """All bytes of a disk, overlay included, as qemu-img copies it."""
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, target], check=True)
    data = target.read_bytes()
    target.unlink()
    return data


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_survey_tells_of_every_partition(engine: DirectEngine, disk: Disk):
    survey = engine.survey()
    assert survey.size_bytes == disk.raw.stat().st_size
    assert {v.device: v.type for v in survey.volumes} == {d: kind for kind, d in DEVICES.items()}
    assert volume(engine, DEVICES["ext4"]).label == "one two"


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_an_edit_changes_those_bytes_of_the_file_that_differ_and_no_other(
    kind, disk: Disk, tmp_path: Path, confinement: str
):
    before = digest(disk.qcow2)
    with opened(disk.qcow2, tmp_path / "work") as engine:
        place = volume(engine, DEVICES[kind])
        assert engine.cannot_edit(place, "/etc/fstab") is None
        engine.replace(place, "/link/fstab", FSTAB, NEW)
        assert engine.read_file(place, "/etc/fstab") == NEW
        assert engine.read_file(place, "/etc/copy") == FSTAB
    old, new = disk.raw.read_bytes(), flat(engine.overlay, tmp_path / "flat")
    changed = bytearray(old)
    for extent in engine.written:
        assert old[extent.offset : extent.end] != new[extent.offset : extent.end]
        changed[extent.offset : extent.end] = new[extent.offset : extent.end]
    assert bytes(changed) == new
    assert sum(extent.length for extent in engine.written) == sum(
        a != b for a, b in zip(FSTAB, NEW, strict=True)
    )
    assert old.count(FSTAB) - new.count(FSTAB) == 1
    assert digest(disk.qcow2) == before
    assert names(tmp_path / "work") == ["overlay.qcow2"]


def test_several_edits_stand_in_one_overlay(engine: DirectEngine, tmp_path: Path):
    for kind in ("ext4", "xfs"):
        place = volume(engine, DEVICES[kind])
        engine.replace(place, "/etc/fstab", FSTAB, NEW)
        engine.replace(place, "/etc/fstab", NEW, FSTAB[::-1])
        engine.replace(place, "/large", LARGE, LARGE[::-1])
    engine.close()
    new = flat(engine.overlay, tmp_path / "flat")
    assert new.count(FSTAB[::-1]) == 2
    assert new.count(LARGE[::-1]) == 2


def test_no_file_changes_its_length(engine: DirectEngine):
    place = volume(engine, DEVICES["ext4"])
    with pytest.raises(CannotServe, match="length"):
        engine.replace(place, "/etc/fstab", FSTAB, NEW + b"x")
    assert engine.written == []


def test_btrfs_is_read_and_not_edited(engine: DirectEngine):
    place = volume(engine, DEVICES["btrfs"])
    assert engine.read_file(place, "/large") == LARGE
    assert engine.cannot_edit(place, "/etc/fstab") == (
        "/etc/fstab: btrfs keeps checksums of its data, so no byte can be changed in place"
    )
    with pytest.raises(CannotServe, match="checksums"):
        engine.replace(place, "/etc/fstab", FSTAB, NEW)


def test_an_ext4_whose_journal_is_still_to_be_replayed_is_not_edited(disk: Disk, tmp_path: Path):
    image = tmp_path / "disk.raw"
    image.write_bytes(disk.raw.read_bytes()[: 40 * MIB])
    part = tmp_path / "part"
    part.write_bytes(image.read_bytes()[MIB : 33 * MIB])
    subprocess.run(["debugfs", "-w", "-R", "feature needs_recovery", part], check=True)
    bare = opened(part, tmp_path / "work", "raw")
    with bare as engine:
        place = volume(engine, "/dev/sda")
        assert engine.read_file(place, "/etc/fstab") == FSTAB
        assert engine.cannot_edit(place, "/etc/fstab") == f"/etc/fstab: {hazards.REPLAY}"


def test_an_ext4_that_keeps_small_files_in_their_inodes_is_told_as_unknown(
    disk: Disk, tmp_path: Path
):
    tree = disk.raw.parent / "tree"
    options = ("-O", "inline_data", "-I", "512")
    part = disks.filesystem("ext4", tree, tmp_path / "inline", *options)
    with opened(part, tmp_path / "work", "raw") as engine:
        place = volume(engine, "/dev/sda")
        assert place.type == "ext4"
        with pytest.raises(CannotServe, match="do not know the filesystem of /dev/sda"):
            engine.list_directory(place, "/")
        with pytest.raises(CannotServe, match="do not know the filesystem of /dev/sda"):
            engine.read_file(place, "/etc/fstab")
        assert "do not know" in str(engine.cannot_edit(place, "/etc/fstab"))


def test_files_on_a_volume_in_two_pieces_are_read_and_edited(tmp_path: Path):
    """The root volume of tests/disk/pvs/split: extents 0, 1, 6 and 7, of 1 MiB."""
    content = bytes(range(256)) * (5 * MIB // 2 // 256)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(content)
    part = tmp_path / "part"
    with part.open("wb") as file:
        file.truncate(4 * MIB)
    subprocess.run(
        ["mkfs.ext4", "-q", "-O", "^has_journal", "-d", tmp_path / "tree", part], check=True
    )
    image = tmp_path / "disk.raw"
    whole = pvs.load("split").ljust(pvs.SIZE_BYTES, b"\0")
    data = part.read_bytes()
    pieces = (data[: 2 * MIB], whole[3 * MIB : 7 * MIB], data[2 * MIB :])
    image.write_bytes(whole[:MIB] + b"".join(pieces) + whole[9 * MIB :])
    new = content.replace(b"\x07", b"\x70")
    with opened(image, tmp_path / "work", "raw") as engine:
        place = volume(engine, "/dev/atomicos/root")
        assert (place.type, place.size_bytes) == ("ext4", 4 * MIB)
        assert place.place == (Extent(MIB, 2 * MIB), Extent(7 * MIB, 2 * MIB))
        assert engine.list_directory(place, "/")[0] == DirectoryEntry("file", is_directory=False)
        assert engine.read_file(place, "/file") == content
        engine.replace(place, "/file", content, new)
        assert engine.read_file(place, "/file") == new
        assert {extent.offset < 3 * MIB for extent in engine.written} == {True, False}
    flattened = flat(engine.overlay, tmp_path / "flat")
    joined = flattened[MIB : 3 * MIB] + flattened[7 * MIB : 9 * MIB]
    assert len(joined) == len(data)
    assert sum(a != b for a, b in zip(joined, data, strict=True)) == content.count(b"\x07")
    assert flattened[3 * MIB : 7 * MIB] == whole[3 * MIB : 7 * MIB]


def test_a_copy_that_fails_leaves_what_was_there(engine: DirectEngine, tmp_path: Path):
    target = tmp_path / "target"
    target.write_text("kept")
    with pytest.raises(FileMissing):
        engine.copy_out(volume(engine, DEVICES["xfs"]), "/nothing", target, 1 << 30)
    assert target.read_text() == "kept"
    assert names(tmp_path) == ["target", "work"]


def test_what_a_qcow2_names_as_its_backing_file_is_not_read(
    disk: Disk, tmp_path: Path, confinement: str
):
    image = tmp_path / "image.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b"]
    subprocess.run([*create, disk.raw, image], check=True)
    with opened(image, tmp_path / "work") as engine:
        survey = engine.survey()
        assert (survey.size_bytes, survey.table) == (disk.raw.stat().st_size, None)
        (bare,) = survey.volumes
        assert (bare.device, bare.type) == ("/dev/sda", "")


def test_a_qcow2_with_its_data_in_another_file_is_refused(tmp_path: Path, confinement: str):
    image = tmp_path / "image.qcow2"
    options = f"data_file={tmp_path}/data,data_file_raw=on"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", options]
    subprocess.run([*create, image, "1M"], check=True)
    with pytest.raises(BakeryError, match="keeps its data in another file"):
        opened(image, tmp_path / "work")


@pytest.mark.parametrize("image_format", ["qcow2", "vmdk", "vdi"])
def test_what_is_no_image_is_refused_by_its_name(image_format, tmp_path: Path, confinement: str):
    image = tmp_path / "image"
    image.write_bytes(b"no image at all\n" * 4096)
    with pytest.raises(BakeryError, match=f"{image} cannot be opened as {image_format}"):
        opened(image, tmp_path / "work", image_format)


@pytest.mark.parametrize("name", [b"two words, and: more", b"k\xc3\xa4se", b"not \xff text"])
def test_the_name_of_the_image_can_be_any(name, disk: Disk, tmp_path: Path):
    image = tmp_path / os.fsdecode(name)
    os.link(disk.qcow2, image)
    with opened(image, tmp_path / "work") as engine:
        assert engine.read_file(volume(engine, DEVICES["xfs"]), "/etc/fstab") == FSTAB
    assert b"one two" in flat(engine.overlay, tmp_path / "flat")


def test_a_disk_of_any_size_gets_an_overlay(tmp_path: Path):
    image = tmp_path / "huge.qcow2"
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M"]
    subprocess.run([*create, image, "100T"], check=True)
    with opened(image, tmp_path / "work") as engine:
        assert engine.survey().size_bytes == 100 << 40
    assert engine.overlay.stat().st_size < 64 * MIB


def test_every_program_that_meets_the_image_is_bounded(disk: Disk, tmp_path: Path):
    with waiting(disk, tmp_path / "work", "caged") as process:
        (daemon,) = [
            pid
            for pid in descendants(process.pid)
            if processes.of(pid, "comm").startswith(b"qemu-storage")
        ]
        limits = Path(f"/proc/{daemon}/limits").read_text().splitlines()
        process.kill()
    for name in ("Max address space", "Max cpu time", "Max file size"):
        (line,) = [line for line in limits if line.startswith(name)]
        assert "unlimited" not in line


def test_without_a_cage_a_report_says_so(disk: Disk, tmp_path: Path, confinement: str):
    told: list[Event] = []
    (tmp_path / "work").mkdir()
    with DirectEngine(disk.qcow2, "qcow2", tmp_path / "work", Report(told.append)):
        assert [event.kind for event in told] == ["note"] * (confinement == "uncaged")


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch):
    find = tools.find
    monkeypatch.setattr(tools, "find", lambda name: None if name == "grub-fstest" else find(name))
    reason = direct.why_not()
    assert reason is not None
    assert reason.startswith("grub-fstest not installed")


WAITING = """
import sys
from pathlib import Path
from bakery.image.engines import cell
from bakery.image.engines.direct import DirectEngine
from bakery.host.report import silent
image, work, confinement = sys.argv[1:]
if confinement == "uncaged":
    cell.confined = lambda: False
engine = DirectEngine(Path(image), "qcow2", Path(work), silent())
root = engine.survey().volume("/dev/sda1")
engine.read_file(root, "/etc/fstab")
print("open", flush=True)
sys.stdin.read()
engine.close()
"""


def waiting(disk: Disk, work: Path, confinement: str) -> subprocess.Popen[bytes]:
    """A process with an open session, which it closes when its input ends."""
    work.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, disk.qcow2, work, confinement],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_session_leaves_no_process_and_no_mount(
    number, disk: Disk, tmp_path: Path, confinement: str
):
    work = tmp_path / "work"
    with waiting(disk, work, confinement) as process:
        started = descendants(process.pid)
        process.send_signal(number)
    assert started
    assert all(processes.has_ended(pid) for pid in started)
    assert str(work) not in Path("/proc/self/mountinfo").read_text()


def test_a_session_ends_when_its_worker_is_killed(disk: Disk, tmp_path: Path, confinement: str):
    others = set(processes.started_with("confined_worker.py"))  # a shared fixture may hold one
    with opened(disk.qcow2, tmp_path / "work") as engine:
        place = volume(engine, DEVICES["ext4"])
        workers = set(processes.started_with("confined_worker.py")) - others
        mine = [pid for pid in workers if pid in descendants(os.getpid())]
        assert mine
        for pid in mine:
            with contextlib.suppress(ProcessLookupError):  # it ended with the one before
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(BakeryError, match=r"has died|ended|exited"):
            engine.read_file(place, "/etc/fstab")
        with pytest.raises(BakeryError):
            engine.close()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def descendants(pid: int) -> list[int]:
    """The living processes below `pid` (proc(5), /proc/PID/task/TID/children)."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    children = [int(word) for word in text.split()]
    return children + [below for child in children for below in descendants(child)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not sandbox.available(), reason="bubblewrap does not work here")
def test_an_ordinary_user_without_kvm_and_loop_devices_can_do_it_all(disk: Disk, tmp_path: Path):
    """A user without capabilities, with a /dev that holds nothing but the usual and fuse."""
    code = f"""
import os, sys
from pathlib import Path
from bakery.image.engines.direct import DirectEngine
from bakery.host.report import silent
assert os.geteuid() == {USER}
assert not Path("/dev/kvm").exists() and not Path("/dev/loop0").exists()
with DirectEngine(Path(sys.argv[1]), "qcow2", Path(sys.argv[2]), silent()) as engine:
    place = engine.survey().volume("/dev/sda2")
    engine.replace(place, "/etc/fstab", {FSTAB!r}, {NEW!r})
    print(engine._view.cell.confined)
"""
    words = ["bwrap", "--unshare-user", "--uid", USER, "--gid", USER, "--cap-drop", "ALL"]
    words += ["--bind", "/", "/", "--dev", "/dev"]
    words += ["--dev-bind", "/dev/fuse", "/dev/fuse", sys.executable, "-c", code]
    with tempfile.TemporaryDirectory() as folder:
        image = shutil.copy(disk.qcow2, folder)
        done = subprocess.run(
            [*words, image, folder],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(direct.__file__).parents[3],
        )
        assert (done.stdout, done.stderr) == ("True\n", "")
        assert flat(Path(folder, "overlay.qcow2"), tmp_path / "flat").count(NEW) == 1


@pytest.mark.parametrize("caged", [True, False])
def test_a_daemon_that_ends_at_once_is_told_without_waiting(
    monkeypatch: pytest.MonkeyPatch, caged: bool
):
    if not caged:
        monkeypatch.setattr(cell, "confined", lambda: False)
    with cell.Cell([], cell.Command(["true"])) as opened:
        monitor = qmp.Monitor(opened.talk)
        with pytest.raises(BakeryError, match="ended unexpectedly"):
            monitor.receive()
