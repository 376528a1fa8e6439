"""Real firmware starts the deploy ramdisk from a node's virtual drive, by HTTP and nothing else."""

import contextlib
import json
import shutil
import subprocess
import sys

import pytest

from bakery.lab import network
from bakery.netboot.wire_events import Http, read_log
from bakery.vm.firmware import find_uefi
from tests.conftest import REPOSITORY
from tests.lab.media_host import ADDRESS, KEY, NODE, OWN, SECONDS, SECRET, TOKEN

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("namespaces")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, bakery):
    made = tmp_path_factory.mktemp("media")
    done = bakery("ramdisk", "-o", made / "ramdisk")
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize(
    "firmware",
    [
        "bios",
        pytest.param("uefi", marks=pytest.mark.skipif(find_uefi() is None, reason="needs OVMF")),
    ],
)
def test_a_node_boots_its_medium_and_reports_with_its_secrets(folder, firmware):
    words = [*network.entrance(), sys.executable, "-m", "tests.lab.media_host"]
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / "node-1")
    done = subprocess.run(
        [*words, folder, firmware],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS + 60,
        check=False,
    )
    console = (folder / "node-1/console.log").read_text(errors="replace")
    assert done.returncode == 0, (done.stderr, console[-2000:])
    told = json.loads(done.stdout)
    assert (told["on"], told["fault"]) == (True, "")
    report = told["reports"][0]
    assert report["from"] == report["address"] == str(ADDRESS.ip)
    assert (report["key"], report["token"], report["error"]) == (KEY, TOKEN, "")
    assert NODE in report["iqn"]
    assert "BOOT_IMAGE=/boot/kernel.img" in console, "the kernel tells its command line"
    for secret in (KEY, TOKEN, SECRET):
        assert secret not in console
    requests = [entry.event for entry in read_log(folder / "wire.jsonl")]
    read = [event for event in requests if isinstance(event, Http) and "media" in event.path]
    assert {event.client for event in read} == {OWN}
    assert {event.path for event in read} == {"/media/******/node-1.iso"}
    assert {event.method for event in read} == {"GET", "HEAD"}
    assert 206 in {event.status for event in read}, "it reads by ranges"
