"""`bakery ramdisk`, as a user runs it."""

import hashlib
import json
import stat
import subprocess
from pathlib import Path

import pytest
import zstandard

from bakery.host import tools
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.report import Event, Report, silent
from bakery.node.ramdisk import cpio, kernel, modules, programs
from bakery.node.ramdisk import make as make_module
from bakery.node.ramdisk.kernel import Kernel
from bakery.node.ramdisk.make import _write, contents, make
from bakery.node.ramdisk.modules import Modules
from bakery.node.ramdisk.system import System

LIMIT_BYTES = 30 << 20


@pytest.mark.slow
@pytest.mark.xdist_group("ramdisk")
def test_two_builds_are_the_same_bytes_and_small(bakery, tmp_path):
    answers = []
    for name in ("one", "two"):
        done = bakery("ramdisk", "-o", tmp_path / name, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout))
    first, second = answers
    for file in ("deploy-kernel", "deploy-ramdisk"):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two
    ramdisk = (tmp_path / "one/deploy-ramdisk").read_bytes()
    assert first["ramdisk_sha256"] == hashlib.sha256(ramdisk).hexdigest()
    assert first["ramdisk_bytes"] == len(ramdisk) < LIMIT_BYTES
    assert first["kernel_sha256"] == second["kernel_sha256"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "deploy-kernel",
        "deploy-ramdisk",
    ]
    listed = subprocess.run(
        f"zstd -dc {tmp_path}/one/deploy-ramdisk | cpio -it --quiet",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {"init", "dev/console", "usr/sbin/tgtd", "usr/bin/busybox"} <= set(listed)
    assert not [path for path in listed if path.endswith(".py")]
    assert str(tmp_path).encode() not in ramdisk


def test_a_kernel_that_is_not_there_is_refused(bakery, tmp_path):
    done = bakery("ramdisk", "-o", tmp_path / "out", "--kernel", "9.9", "-q")
    assert done.returncode == 1
    assert "the kernel 9.9 is not installed" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(bakery, tmp_path):
    (tmp_path / "file").write_text("")
    done = bakery("ramdisk", "-o", tmp_path / "file" / "out", "-q")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "ramdisk:" not in done.stderr.partition("bakery:")[0]


@pytest.mark.parametrize(
    ("program", "package"), [("tgtd", "tgt"), ("busybox", "busybox-static"), ("zstd", "zstd")]
)
def test_a_program_that_is_missing_is_told_with_its_package(
    monkeypatch, tmp_path, program, package
):
    there = tools.find
    monkeypatch.setattr(tools, "find", lambda name: None if name == program else there(name))
    with pytest.raises(MissingTool, match=program) as caught:
        make(tmp_path / "out", silent())
    assert package in caught.value.hint.split()
    assert not (tmp_path / "out").exists()


def test_kernel_and_ramdisk_are_on_the_disk_before_they_have_their_names(tmp_path, on_disk):
    _write(tmp_path, {"deploy-kernel": b"kernel", "deploy-ramdisk": b"ramdisk"})
    for name in ("deploy-kernel", "deploy-ramdisk"):
        on_disk.assert_durable(tmp_path / name)


@pytest.fixture(scope="module")
def tree():
    """The files of a ramdisk with one module."""
    drivers = Modules({"kernel/a.ko": b"module"}, {"modules.dep": "kernel/a.ko:\n"})
    return contents(System(), Kernel("6.1", Path("/kernel"), Path("/modules")), drivers)


def test_the_modules_are_in_the_kernels_own_folder(tree):
    place = "usr/lib/modules/6.1"
    assert tree[f"{place}/kernel/a.ko"].content == b"module"
    assert tree[f"{place}/modules.dep"].content == b"kernel/a.ko:\n"


def test_the_agent_and_its_interpreter_are_there_compiled(tree):
    assert not [path for path in tree if path.endswith(".py")]
    agent = {Path(path).stem for path in tree if "/agent/" in path and path.endswith(".pyc")}
    sources = Path(make_module.__file__).parent.parent / "agent"
    assert agent == {path.stem for path in sources.glob("*.py")}
    interpreter = tree["usr/bin/python3"].content.decode()
    assert tree[f"usr/bin/{interpreter}"].content.startswith(b"\x7fELF")


def test_busybox_is_one_file_and_a_link_for_each_of_its_programs(tree):
    assert tree["usr/bin/busybox"].content.startswith(b"\x7fELF")
    links = [path for path, entry in tree.items() if entry.content == b"busybox"]
    assert {"usr/bin/sh", "usr/bin/udhcpc", "usr/bin/modprobe"} <= set(links)
    assert "usr/bin/busybox" not in links


def test_what_the_agent_starts_or_loads_comes_with_its_libraries(tree):
    names = {Path(path).name for path in tree}
    assert {"tgtd", "tgtadm", "udp-receiver", "libzstd.so.1", "libcrypto.so.3"} <= names
    assert {"libc.so.6", "ld-linux-x86-64.so.2"} <= names
    assert not [path for path in tree if path.split("/")[0] in programs.FOLDERS and "/" in path]


def test_the_kernel_finds_its_first_program_its_console_and_its_folders(tree):
    here = Path(make_module.__file__).parent
    for path, name in (("init", "init"), ("usr/lib/agent/lease", "lease")):
        assert tree[path].content == (here / name).read_bytes()
        assert stat.S_IMODE(tree[path].mode) == 0o755
    assert (tree["dev/console"].device, stat.S_ISCHR(tree["dev/console"].mode)) == ((5, 1), True)
    assert tree["var/run"].content == b"/run"
    assert all(stat.S_ISDIR(tree[name].mode) for name in make_module.FOLDERS)


def test_the_same_system_gives_the_same_files(tree):
    python = make_module._python(System())
    assert all(tree[path] == entry for path, entry in python.items())


def test_without_python_in_the_system_the_way_to_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(make_module, "PYTHON", tmp_path / "python3")
    with pytest.raises(BakeryError, match=r"there is no .*python3 in /") as caught:
        make_module._python(System())
    assert caught.value.hint == "sudo apt-get install python3"


@pytest.fixture
def little(monkeypatch, tmp_path):
    """A kernel with one module, and a ramdisk of one file."""
    image = tmp_path / "vmlinuz"
    image.write_bytes(b"kernel")
    chosen = Kernel("6.1", image, tmp_path)
    drivers = Modules({"k/tg3.ko": b"\0firmware=none/tg3.bin\0"}, {})
    monkeypatch.setattr(kernel, "find", lambda *_: chosen)
    monkeypatch.setattr(modules, "choose", lambda _folder: drivers)
    monkeypatch.setattr(make_module, "contents", lambda *_: {"init": cpio.file(b"#!/bin/sh\n")})


def test_what_was_made_is_told_as_it_lies_there(little, tmp_path):
    events: list[Event] = []
    made = make(tmp_path / "deep/out", Report(events.append))
    assert made.kernel.read_bytes() == b"kernel"
    packed = made.ramdisk.read_bytes()
    unpacked = zstandard.ZstdDecompressor().decompress(packed, max_output_size=1 << 20)
    assert unpacked.startswith(b"070701") and b"#!/bin/sh\n" in unpacked
    assert (made.kernel_version, made.modules, made.firmware_lacking) == ("6.1", 1, ("tg3",))
    assert (made.kernel_bytes, made.ramdisk_bytes) == (6, len(packed))
    assert made.unpacked_bytes == len(unpacked)
    assert made.kernel_sha256 == hashlib.sha256(b"kernel").hexdigest()
    assert made.ramdisk_sha256 == hashlib.sha256(packed).hexdigest()
    told = [(event.step, event.text) for event in events if event.kind == "finished"]
    assert [step for step, _ in told] == ["kernel", "files", "ramdisk"]
    assert told[0][1] == "6.1, 1 modules"
    assert told[1][1].startswith("1 files, 0.0 MiB")
    assert sorted(path.name for path in made.kernel.parent.iterdir()) == [
        "deploy-kernel",
        "deploy-ramdisk",
    ]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(BakeryError, match="none cannot be written: No such file"):
        _write(tmp_path / "none", {"deploy-kernel": b"kernel"})
