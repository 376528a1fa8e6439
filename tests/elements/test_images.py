"""Images by the real diskimage-builder, kept in the user's cache, each followed to its login.

The first time, diskimage-builder takes some minutes for each.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.test_deploy import built, lab
from tests.elements import dib

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("elements"), pytest.mark.timeout(3600)]
ELEMENT = {name: dib.ELEMENTS / name for name in dib.NAMES}


@pytest.fixture(scope="module")
def host() -> Path:
    """What disk-image-create left: host.qcow2, and its build in host.build."""
    made_from = [ELEMENT["ostree-host"], ELEMENT["bakery-netboot"]]
    words = ["-n", "-u", "debian-minimal", "ostree-host", "bakery-netboot"]
    return dib.made("host", made_from, "disk-image-create", *words)


@pytest.fixture(scope="module")
def deploy() -> Path:
    """What ramdisk-image-create left: deploy.kernel and deploy.initramfs."""
    made_from = [
        ELEMENT["bakery-deploy"],
        *(REPOSITORY / "bakery/node" / part for part in ("agent", "ramdisk")),
    ]
    words = ["--ramdisk-element", "bakery-deploy", "debian-minimal"]
    return dib.made("deploy", made_from, "ramdisk-image-create", *words)


def test_an_image_has_the_layout_of_the_atomic_host(bakery, host):
    done = bakery("inspect", host / "host.qcow2", "--json")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    volumes = [(volume["device"], volume["type"]) for volume in seen["survey"]["volumes"]]
    assert volumes == [
        ("/dev/sda1", "ext4"),
        ("/dev/sda2", "LVM2_member"),
        ("/dev/atomicos/root", "xfs"),
    ]
    (entry,) = seen["entries"]
    assert (entry["id"], entry["stateroot"]) == ("ostree-1-debian-atomic", "debian-atomic")
    assert "root=/dev/mapper/atomicos-root" in entry["args"]
    assert (entry["kernel"]["volume"], entry["root"]) == ("/dev/sda1", "/dev/atomicos/root")
    assert seen["virtual_size_bytes"] == (1 + 300 + 1 + 3072) << 20


def test_an_image_comes_with_what_bakery_makes_of_it(bakery, host, tmp_path):
    names = ["host-base", "host-kernel", "host-ramdisk", "host.manifest.json"]
    assert sorted(path.name for path in (host / "host.build").glob("host*")) == names
    done = bakery("build", host / "host.qcow2", "-o", tmp_path / "again", "--name", "host")
    assert done.returncode == 0, done.stderr
    beside, again = (
        json.loads((folder / names[-1]).read_text())
        for folder in (host / "host.build", tmp_path / "again")
    )
    assert beside == again  # with the digests of all the files


def test_an_image_by_diskimage_builder_is_proved(bakery, host, tmp_path):
    console = tmp_path / "console"
    done = bakery("prove", host / "host.build", "--json", "--console", console, timeout=1000)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["reached"] == "login"
    assert "FAILED" not in console.read_text(errors="replace")  # no unit did, up to there


# The same agent deploys nodes from bakery's own ramdisk in tests/e2e/test_deploy.py.
@pytest.mark.full
def test_a_ramdisk_by_diskimage_builder_deploys_a_node(bakery, sample, deploy, tmp_path):
    ramdisk = tmp_path / "ramdisk"
    ramdisk.mkdir()
    shutil.copy(deploy / "deploy.kernel", ramdisk / "deploy-kernel")
    shutil.copy(deploy / "deploy.initramfs", ramdisk / "deploy-ramdisk")
    image = built(bakery, sample, tmp_path, "pv")
    with lab(bakery, tmp_path / "lab") as there:
        done = there.deploy(image, "--ramdisk", str(ramdisk))
        assert done.returncode == 0, done.stderr
        (outcome,) = json.loads(done.stdout)
        console = there.console()
        assert (outcome["state"], outcome["attempts"]) == ("running", 1), console[-3000:]
        assert console.index("is exported as") < console.rindex("login:")


def test_a_tree_without_its_packages_is_named(bakery, tmp_path):
    (tmp_path / "tree").mkdir()
    done = bakery("ramdisk", "--root", tmp_path / "tree", "-o", tmp_path / "out", "-q")
    assert done.returncode == 1
    assert "the program 'tgtadm' is not installed in" in done.stderr
