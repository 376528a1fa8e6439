"""What can go wrong with an upload: one clear line, and the same command works afterwards."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.host import report
from bakery.manifest import manifest
from bakery.openstack.glance import pieces, publish, unchanged
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.transfer import Patience
from tests import tiny
from tests.conftest import BAKERY, Bakery
from tests.openstack.glance import publishing
from tests.services.api import Glance
from tests.services.openstack import Project, Services
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

MIB = 1 << 20


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publishing.made(tmp_path_factory.mktemp("faults") / "made")


@pytest.fixture
def proxy(services: Services) -> Iterator[Proxy]:
    with Proxy(services.image_url) as running, running.in_front_of(services):
        yield running


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 1) -> None:
    """The command failed with one line for the reason and at most one for the way out."""
    assert done.returncode == code, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("bakery: ")]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in said[0]


def works(bakery: Bakery, cloud: Project, build: Path, *options: str) -> None:
    """The upload ends well, and leaves exactly one active image of each role."""
    done = bakery("upload", build, *options, env=cloud.env())
    assert done.returncode == 0, done.stderr
    listed = Glance(cloud, cloud.image_url).all()
    assert sorted(image["disk_format"] for image in listed) == ["aki", "ami", "ari"]
    assert {image["status"] for image in listed} == {"active"}


def test_no_such_cloud(bakery, cloud, build):
    done = bakery("upload", build, "--cloud", "nowhere", env=cloud.env())
    refused(done, "no cloud is called 'nowhere'")
    assert "admin, member" in done.stderr


def test_no_cloud_at_all(bakery, build, tmp_path):
    env = {"OS_CLIENT_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path), "OS_CLOUD": ""}
    done = bakery("upload", build, env=env, cwd=tmp_path)
    refused(done, "cannot log in")
    assert "--cloud NAME" in done.stderr


def test_a_wrong_password(bakery, cloud, build, tmp_path):
    wrong = tmp_path / "clouds.yaml"
    text = cloud.clouds_yaml.read_text()
    wrong.write_text(text.replace("password: not-a-secret", "password: wrong"))
    done = bakery("upload", build, env={"OS_CLIENT_CONFIG_FILE": str(wrong), "OS_CLOUD": "member"})
    refused(done, "cannot log in to member", "password")
    works(bakery, cloud, build)


def test_nobody_at_the_address(bakery, cloud, build, services, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/v3"
        wrong = tmp_path / "clouds.yaml"
        wrong.write_text(cloud.clouds_yaml.read_text().replace(services.auth_url, nowhere))
        env = {"OS_CLIENT_CONFIG_FILE": str(wrong), "OS_CLOUD": "member"}
        refused(bakery("upload", build, env=env), "cannot log in to member", "nothing answers")


def test_a_clouds_yaml_that_is_none(bakery, build, tmp_path):
    wrong = tmp_path / "clouds.yaml"
    wrong.write_text("clouds: [\n")
    done = bakery("upload", build, env={"OS_CLIENT_CONFIG_FILE": str(wrong), "OS_CLOUD": "a"})
    refused(done, "no cloud is called 'a'")
    assert "know: none" in done.stderr


def test_not_permitted_to_publish_to_everyone_nothing_is_sent_or_left(bakery, cloud, build, proxy):
    done = bakery("upload", build, "--public", env=cloud.env())
    refused(done, "not permitted", "publicize_image", "nothing of this build")
    assert proxy.sent_bytes == 0
    assert cloud.images() == []
    works(bakery, cloud, build)


def test_making_it_public_later_is_refused_before_anything_is_sent(bakery, cloud, build, proxy):
    works(bakery, cloud, build)
    sent = proxy.sent_bytes
    done = bakery("upload", build, "--public", env=cloud.env())
    refused(done, "not permitted", "kernel (aki)", "is active")
    assert proxy.sent_bytes == sent


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        pytest.param(500, "POST", "/v2/images", marks=pytest.mark.full),
        pytest.param(500, "GET", "/v2/images/", marks=pytest.mark.full),
        (500, "PUT", "/file"),
        (503, "PUT", "/file"),
    ],
)
def test_the_service_fails(bakery, cloud, build, proxy, status, method, path):
    proxy.fail(status, method, path)
    done = bakery("upload", build, env=cloud.env())
    refused(done, "not available" if status == 503 else "HTTP 500", "on the server now")
    assert "run the same command again" in done.stderr
    works(bakery, cloud, build)


def test_a_service_that_is_busy_for_a_moment_is_asked_again(bakery, cloud, build, proxy):
    proxy.fail(503, "GET", "/v2/images/")
    proxy.fail(503, "POST", "/v2/images")
    works(bakery, cloud, build)


def test_the_service_fails_at_the_last_update(bakery, cloud, build, proxy):
    proxy.fail(500, "PATCH", "/v2/images/", times=1)
    done = bakery("upload", build, env=cloud.env())
    refused(done, "HTTP 500", "kernel (aki)", "is active")
    works(bakery, cloud, build)


def test_the_connection_is_cut_in_the_middle_of_the_base(bakery, cloud, build, proxy):
    proxy.cut_sending(20 * MIB, times=3)  # kernel and ramdisk are smaller
    done = bakery("upload", build, env=cloud.env())
    refused(done, "the connection was lost", "base (ami)", "kernel (aki)", "is active")
    assert proxy.sent_bytes > 20 * MIB
    proxy.mend()
    works(bakery, cloud, build)


def test_the_connection_is_cut_again_and_again(bakery, cloud, build, proxy):
    for after in (1, 100, 1 * MIB, 27 * MIB):
        proxy.cut_sending(after, times=3)
        refused(bakery("upload", build, env=cloud.env()), "the connection was lost")
        proxy.mend()
    works(bakery, cloud, build)


def test_glance_is_killed_while_it_takes_the_base(bakery, tmp_path, monkeypatch):
    build = publishing.made(tmp_path / "made", data=32 * MIB, size=300 * MIB)
    with Services(tmp_path / "os") as services:
        cloud = services.fresh_project()
        process = subprocess.Popen(
            [BAKERY, "upload", build, "-q"],
            env=os.environ | cloud.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and not _has_a_large_file(services.store):
            pass
        services.glance.kill()
        _, said = process.communicate()
        assert process.returncode == 1
        assert "it does not answer" in said
        assert "Traceback" not in said
        services.start_glance()
        # Glance has left its record in `saving` for good. That shows after a while without a sign
        # of life, here a short one.
        for key, value in cloud.env().items():
            monkeypatch.setenv(key, value)
        _publish(build, Patience(still=2.0))
        works(bakery, cloud, build)


def _publish(build: Path, patience: Patience) -> None:
    text = next(build.glob("*.manifest.json")).read_bytes()
    parts = pieces.parts(manifest.load(build), text, pieces.PublishOptions())
    stamps = unchanged.verified([*parts.companions, parts.base])
    order = publish.PublishRequest(parts=parts, stamps=stamps)
    publish.publish(Images.of_cloud(None), order, report.silent(), patience=patience)


def _has_a_large_file(store: Path) -> bool:
    return any(file.stat().st_size > 4 * MIB for file in store.iterdir())


def test_the_quota_is_exceeded(bakery, build, tmp_path):
    with Services(tmp_path / "os", quota_bytes=8 * MIB) as services:
        cloud = services.fresh_project()
        done = bakery("upload", build, env=cloud.env())
        refused(done, "quota", "base (ami)", "kernel (aki)", "is active")
        assert "more quota" in done.stderr


def test_the_disk_of_the_server_is_full(bakery, build, tmp_path):
    with Services(tmp_path / "os", store_bytes=8 * MIB) as services:
        cloud = services.fresh_project()
        done = bakery("upload", build, env=cloud.env())
        refused(done, "full", "base (ami)", "kernel (aki)", "is active")


@pytest.mark.parametrize(
    "role",
    [
        *(pytest.param(role, marks=pytest.mark.full) for role in ("kernel", "ramdisk")),
        "base",
    ],
)
def test_a_file_that_was_changed_since_the_build(bakery, cloud, build, proxy, tmp_path, role):
    copy = tmp_path / "copy"
    shutil.copytree(build, copy)
    with (copy / f"made-{role}").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    done = bakery("upload", copy, env=cloud.env())
    refused(done, f"made-{role} is not what its manifest describes", "nothing was sent")
    assert proxy.sent_bytes == 0
    assert cloud.images() == []


def test_a_file_that_became_shorter(bakery, cloud, build, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(build, copy)
    os.truncate(copy / "made-base", 1000)
    refused(bakery("upload", copy, env=cloud.env()), "made-base is not what its manifest")


def test_a_base_that_check_refuses(bakery, cloud, tmp_path, proxy):
    build = publishing.made(tmp_path / "made")
    base = build / "made-base"
    qcow2 = tmp_path / "with-backing"
    tiny.run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-b", "/etc/passwd",
                        "-F", "raw", qcow2, "1M")  # fmt: skip
    base.write_bytes(qcow2.read_bytes())
    publishing.write_manifest(build, "made")
    refused(bakery("upload", build, env=cloud.env()), "made-base is refused")
    assert proxy.sent_bytes == 0
    assert cloud.images() == []


def test_a_folder_without_a_build(bakery, cloud, tmp_path):
    refused(bakery("upload", tmp_path, env=cloud.env()), "no finished build")


def test_shapes_that_cannot_be(bakery, cloud, build, tmp_path):
    done = bakery("upload", build, "--as", "whole-disk", env=cloud.env())
    refused(done, "layout pv cannot be published as whole-disk")
    disk = tmp_path / "disk"
    shutil.copytree(build, disk)
    publishing.write_manifest(disk, "made", layout="disk", firmware=("bios",))
    done = bakery("upload", disk, "--as", "ami", env=cloud.env())
    refused(done, "layout disk cannot be published as ami")
    assert manifest.load(disk).manifest.layout == "disk"
    assert cloud.images() == []
