"""The services are real: what they are asked for holds, and they end with who started them."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.processes import has_ended
from tests.services.api import Glance
from tests.services.openstack import ADMIN, Project, Services

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

MIB = 1 << 20
DATA = os.urandom(3 * MIB)


@pytest.fixture
def glance(cloud: Project, services: Services) -> Glance:
    return Glance(cloud, services.image_url)


def memory_peak(pid: int) -> int:
    """The most memory a process ever had, in bytes (proc(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(pid)


def test_the_real_client_stores_an_image_and_gets_it_back(cloud, services, tmp_path):
    (tmp_path / "image").write_bytes(DATA)
    words = ("--disk-format", "raw", "--container-format", "bare", "--file", tmp_path / "image")
    cloud.client("image", "create", *words, "it")
    shown = json.loads(cloud.client("image", "show", "-f", "json", "it").stdout)
    assert shown["status"] == "active"
    assert shown["owner"] == cloud.id
    assert shown["properties"]["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert (services.store / shown["id"]).read_bytes() == DATA
    cloud.client("image", "save", "--file", tmp_path / "back", "it")
    assert (tmp_path / "back").read_bytes() == DATA


def test_projects_do_not_see_each_others_images(cloud, services, glance):
    glance.new("mine")
    assert [image["name"] for image in cloud.images()] == ["mine"]
    assert services.fresh_project().images() == []


def test_only_the_administrator_may_publish_to_everyone(cloud):
    words = ("image", "create", "--public", "open")
    assert "403" in cloud.client(*words, check=False).stderr.decode()
    cloud.client(*words, cloud=ADMIN)
    cloud.client("image", "delete", "open", cloud=ADMIN)


@pytest.mark.parametrize("key", ["kernel_id", "ramdisk_id"])
def test_an_id_that_is_no_uuid_is_refused(glance, key):
    glance.new(**{key: "6b2c1f5e-8f0a-4d3b-9a52-0d2f4d5c0a11"})
    with pytest.raises(AssertionError, match=key):
        glance.new(**{key: "vmlinuz"})


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_any_length_takes_the_same_memory(services, glance, chunked):
    size = 256 * MIB
    before = memory_peak(services.glance.pid)
    image = glance.new()
    body = (bytes(MIB) for _ in range(size // MIB)) if chunked else bytes(size)
    assert glance.send(image, body) == http.HTTPStatus.NO_CONTENT
    assert glance.show(image)["size"] == size
    assert memory_peak(services.glance.pid) - before < 64 * MIB
    glance.ask("DELETE", f"/v2/images/{image}")


def test_a_body_cut_short_is_not_taken_for_the_whole_and_the_image_takes_another(glance):
    def broken():
        yield DATA
        raise InterruptedError

    image = glance.new()
    with pytest.raises(InterruptedError):
        glance.send(image, broken())
    glance.send_when_free(image, DATA)
    assert glance.fetch(image) == DATA


# e2e/test_upload_faults.py kills one under an upload.
@pytest.mark.full
def test_a_glance_that_was_killed_comes_back_where_it_was(tmp_path):
    with Services(tmp_path / "os") as services:
        glance = Glance(services.fresh_project(), services.image_url)
        image = glance.new()
        glance.send(image, DATA)
        services.glance.kill()
        with pytest.raises(OSError):
            glance.fetch(image)
        services.start_glance()
        assert glance.fetch(image) == DATA


# In test_developer.py they come up again with what they had.
@pytest.mark.full
def test_a_folder_that_was_used_before_still_has_its_images(tmp_path):
    with Services(tmp_path / "os") as services:
        project = services.project("demo")
        image = Glance(project, services.image_url).new("kept")
    with Services(tmp_path / "os") as services:
        assert services.project("demo").images() == [{"id": image, "name": "kept"}]


# e2e/test_upload_faults.py exceeds one.
@pytest.mark.full
def test_a_quota_bounds_what_is_stored(tmp_path):
    with Services(tmp_path / "os", quota_bytes=MIB) as services:
        glance = Glance(services.fresh_project(), services.image_url)
        assert glance.send(glance.new(), DATA) == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE


# e2e/test_upload_faults.py fills one.
@pytest.mark.full
def test_a_small_disk_gets_full(tmp_path):
    with Services(tmp_path / "os", store_bytes=MIB) as services:
        glance = Glance(services.fresh_project(), services.image_url)
        status, words = glance.ask(
            "PUT", f"/v2/images/{glance.new()}/file", DATA, "application/octet-stream"
        )
        assert status == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert b"not enough disk space" in words
        assert glance.send(glance.new(), DATA[: MIB // 2]) == http.HTTPStatus.NO_CONTENT


# e2e/test_download_handover.py takes files by them.
@pytest.mark.full
def test_locations_are_shown_with_the_metadata_of_the_store(tmp_path):
    store = tmp_path / "os" / "images"
    metadata = tmp_path / "metadata.json"
    metadata.write_text(json.dumps({"id": "here", "mountpoint": str(store)}))
    with Services(tmp_path / "os", locations=True, metadata_file=metadata) as services:
        glance = Glance(services.fresh_project(), services.image_url)
        image = glance.new()
        glance.send(image, DATA)
        (location,) = glance.show(image)["locations"]
        assert location["url"] == f"file://{store / image}"
        assert location["metadata"]["mountpoint"] == str(store)


STARTER = """
import sys, time
from pathlib import Path
from tests.services.openstack import Services
with Services(Path(sys.argv[1]), store_bytes=int(sys.argv[2]) or None) as services:
    print(services.keystone_server.pid, services.glance.pid, flush=True)
    time.sleep(600)
"""


# With a disk of its own there is one process more between them.
@pytest.mark.parametrize("store_bytes", [pytest.param(0, marks=pytest.mark.full), MIB])
def test_the_services_end_with_a_process_that_is_killed(tmp_path, store_bytes):
    argv = [sys.executable, "-c", STARTER, str(tmp_path / "os"), str(store_bytes)]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pids = [int(word) for word in starter.stdout.readline().split()]
        starter.send_signal(signal.SIGKILL)
        assert len(pids) == 2
        assert all(has_ended(pid) for pid in pids)


ALONE = """
import sys
from pathlib import Path
from tests.services.openstack import Services
with Services(Path(sys.argv[1])) as services:
    print(services.fresh_project().images())
"""


def test_once_installed_they_need_no_network(tmp_path, services):
    cage = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--"]
    done = subprocess.run(
        [*cage, sys.executable, "-c", ALONE, tmp_path / "os"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
