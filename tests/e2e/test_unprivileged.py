"""A build needs no root, no KVM, no loop device, no device-mapper."""

import subprocess
from pathlib import Path

from bakery.manifest import manifest
from tests import tiny
from tests.conftest import BAKERY

# A user without any capability, who sees a /dev that holds nothing but the usual and FUSE.
NOBODY = (
    *("bwrap", "--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"),
    *("--bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
    *("--dev-bind", "/dev/fuse", "/dev/fuse", "--"),
)


def as_nobody(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NOBODY, *argv], capture_output=True, text=True, check=False)


def test_the_user_of_this_test_has_no_privilege_and_no_device():
    done = as_nobody("sh", "-c", "id -u; grep CapEff /proc/self/status; ls /dev")
    assert done.returncode == 0, done.stderr
    uid, capabilities, *devices = done.stdout.split("\n")
    assert uid == "1000"
    assert capabilities.split()[1].strip("0") == ""
    assert not {"kvm", "loop0", "loop-control", "mapper"} & set(devices)


def test_an_ordinary_user_builds_in_a_user_namespace(tmp_path: Path):
    image = tiny.make(tmp_path)
    done = as_nobody(BAKERY, "build", image, "-o", tmp_path / "out", "--engine", "direct")
    assert done.returncode == 0, done.stderr
    made = manifest.load(tmp_path / "out")
    assert made.kernel.read_bytes() == tiny.KERNEL
    assert made.manifest.engine == "direct"
    assert len(made.manifest.edits) == 1


def test_an_ordinary_user_inspects_and_checks(tmp_path: Path):
    image = tiny.make(tmp_path)
    for command in ("inspect", "check"):
        done = as_nobody(BAKERY, command, image)
        assert done.returncode == 0, done.stderr
