import contextlib
import os
import pty
import select
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bakery.host import tools
from bakery.host.errors import MissingTool
from bakery.lab import control
from bakery.lab.keeper import Settings
from bakery.samples.variants import VARIANTS
from tests.cli.inside import document, refusal, told
from tests.conftest import BAKERY
from tests.lab.labs import UP_SECONDS, attached, command, lab_up

LEAVE = b"\x1d"


@pytest.fixture
def lab(tmp_path):
    with lab_up(tmp_path / "lab", "--memory", "256") as lab:
        yield lab


@contextlib.contextmanager
def viewing(words, **streams: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A viewer that does not outlive the block: by itself it stays as long as the lab."""
    with subprocess.Popen(words, **streams) as viewer:  # type: ignore[call-overload]
        try:
            yield viewer
        finally:
            viewer.kill()


def read_until(descriptor: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        assert select.select([descriptor], [], [], UP_SECONDS)[0], seen
        seen += os.read(descriptor, 65536)
    return seen


@pytest.mark.slow
def test_two_are_attached_to_one_console_and_either_leaves_by_itself(lab, tmp_path):
    words = [BAKERY, "lab", "console", "--lab", tmp_path / "lab", "1"]
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    pipe = subprocess.PIPE
    with (
        viewing(words, stdin=pipe, stdout=pipe, stderr=pipe) as piped,
        viewing(words, stdin=slave, stdout=slave, stderr=slave) as terminal,
    ):
        assert piped.stdin
        assert piped.stdout
        assert piped.stderr
        read_until(piped.stderr.fileno(), b"attached to node-1 (off); Ctrl-] detaches")
        read_until(master, b"Ctrl-] detaches")
        access = lab.node("1").bmc
        ipmi = ("ipmitool", "-I", "lanplus", "-H", access.address, "-p", str(access.port))
        login = ("-U", access.username, "-P", access.password)
        for order in (("chassis", "bootdev", "pxe"), ("power", "on")):
            done = command(tmp_path / "lab", "run", "--", *ipmi, *login, *order)
            assert done.returncode == 0, done.stderr
        for descriptor in (piped.stdout.fileno(), master):
            read_until(descriptor, b"Press Ctrl-B for the iPXE command line")
        os.write(master, b"\x02")
        for descriptor in (piped.stdout.fileno(), master):
            read_until(descriptor, b"iPXE>")
        os.write(master, LEAVE)
        read_until(master, b"detached from node-1")
        assert terminal.wait(UP_SECONDS) == 0
        assert termios.tcgetattr(slave) == before
        for key in b"echo one-is-still-here":  # iPXE loses keys that come faster than it looks
            piped.stdin.write(bytes([key]))
            piped.stdin.flush()
            read_until(piped.stdout.fileno(), bytes([key]))
        piped.stdin.write(b"\r")
        piped.stdin.flush()
        read_until(piped.stdout.fileno(), b"\none-is-still-here")
        piped.stdin.write(LEAVE)
        piped.stdin.flush()
        assert piped.wait(UP_SECONDS) == 0
    os.close(master)
    os.close(slave)


@pytest.mark.slow
def test_a_console_ends_with_its_lab_and_says_so(lab, tmp_path):
    words = [BAKERY, "lab", "console", "--lab", tmp_path / "lab", "node-1"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as viewer:
        assert viewer.stderr
        read_until(viewer.stderr.fileno(), b"Ctrl-] detaches")
        assert command(tmp_path / "lab", "down").returncode == 0
        assert b"the console of node-1 has ended" in viewer.stderr.read()
        assert viewer.wait(UP_SECONDS) == 1


@pytest.mark.slow
def test_a_command_on_the_labs_network_ends_as_it_does(lab, tmp_path):
    assert command(tmp_path / "lab", "run", "--", "sh", "-c", "exit 7").returncode == 7
    assert "192.168.77.1" in command(tmp_path / "lab", "run", "ip", "-br", "address").stdout
    assert command(tmp_path / "lab", "run", "--", "sh", "-c", "kill -9 $$").returncode == 137
    here = command(tmp_path / "lab", "run", "pwd")
    assert here.stdout.strip() == str(Path.cwd())


@pytest.mark.slow
def test_a_node_that_is_not_there_is_refused_with_those_that_are(lab, tmp_path):
    done = command(tmp_path / "lab", "console", "9")
    assert (done.returncode, done.stderr) == (
        1,
        "bakery: the lab has no node '9'\n  it has node-1\n",
    )
    with attached(lab.node("node-1")) as viewer:
        assert viewer.seen == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--nodes", "0"), "Invalid value for '--nodes'"),
        (("up", "--nodes", "65"), "Invalid value for '--nodes'"),
        (("up", "--firmware", "coreboot"), "Invalid value for '--firmware'"),
        (("up", "--disk", "ten"), "'ten' is not the size of a disk"),
        (("up", "--disk", "65T"), "a disk of 65T cannot be had"),
        (("up", "--address", "192.168.77.1"), "too small or too large"),
        (("up", "--address", "nowhere"), "is not an IPv4 address"),
        (("up", "--address", "127.0.0.1/8"), "is not the address of a machine"),
        (("run",), "Missing argument 'COMMAND…'"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage_and_makes_nothing(tmp_path, words, said):
    done = command(tmp_path / "lab", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [("status",), ("console", "1"), ("run", "true")])
def test_without_a_lab_the_way_to_one_is_named(tmp_path, words):
    done = command(tmp_path / "lab", *words)
    assert done.returncode == 1
    assert done.stderr == f"bakery: no lab is up in {tmp_path / 'lab'}\n  bakery lab up\n"


def test_without_programs_the_line_that_installs_them_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "find", lambda _program: None)
    settings = Settings(1, "bios", "virtio", 1 << 20, 512, "10.0.0.1/24", "tcg")
    with pytest.raises(MissingTool) as missing:
        control.up(tmp_path / "lab", settings)
    assert {"iproute2", "qemu-system-x86"} <= set(missing.value.hint.split())


@pytest.fixture
def made(monkeypatch):
    """The images that were to be made; none is."""
    calls = []
    info = SimpleNamespace(
        about="a sample", kernel_version="6.1", root_filesystem="xfs", root_device="vda2",
        password="bakery",
    )  # fmt: skip

    def make_image(out, variant, cache, _report):
        calls.append((out, variant, cache))
        return info

    monkeypatch.setattr("bakery.samples.image.make_image", make_image)
    monkeypatch.setattr("bakery.samples.cache.default_cache", lambda: Path("/usual"))
    return calls


def test_a_sample_image_is_told_with_how_to_log_in(made, tmp_path):
    assert told("lab", "image", "a.qcow2").splitlines() == [
        "a.qcow2: a sample",
        "  kernel 6.1, xfs on vda2",
        "  log in as root with the password 'bakery'",
    ]
    told("lab", "image", "a.qcow2", "--variant", "plain", "--cache", tmp_path)
    assert made == [
        (Path("a.qcow2"), "default", Path("/usual")),
        (Path("a.qcow2"), "plain", tmp_path),
    ]


def test_the_variants_are_listed_and_nothing_is_made(made):
    lines = told("lab", "image", "--list", "a.qcow2").splitlines()
    assert [line.split()[0] for line in lines] == [variant.name for variant in VARIANTS]
    assert lines[0] == f"{VARIANTS[0].name:<16} {VARIANTS[0].about}"
    assert document("lab", "image", "--list")[0] == {
        "variant": VARIANTS[0].name, "about": VARIANTS[0].about
    }  # fmt: skip
    assert made == []


def test_an_image_needs_a_name(made):
    error = refusal("lab", "image")
    assert (error.message, error.exit_code) == ("no OUT given for the image", 2)
    assert made == []
