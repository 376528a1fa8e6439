"""`bakery upload` against a real Keystone and a real Glance, seen there and by the real client."""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bakery.manifest import manifest
from bakery.openstack.connection import connect
from bakery.openstack.glance import embedded
from bakery.openstack.glance.images import Images
from bakery.openstack.glance.records import Image
from tests import tiny
from tests.conftest import BAKERY, Bakery
from tests.openstack.glance import publishing
from tests.services.api import Glance
from tests.services.openstack import Project
from tests.services.proxy import Proxy
from tests.services.settings import REGION
from tests.watch import files_with, watching

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

MIB = 1 << 20
MEMORY_LIMIT_BYTES = 150 * MIB
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
ARGS = f"root=UUID={tiny.ROOT_UUID} ro console=ttyS0"


@dataclass(frozen=True)
class Builds:
    """Builds of the tiny image, all named `tiny`: `args` has one kernel argument more, `base`
    has other bytes in its root filesystem, `disk` is the whole disk."""

    plain: Path
    args: Path
    base: Path
    disk: Path


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    folder = tmp_path_factory.mktemp("builds")
    image = tiny.make(folder)
    (folder / "changed").mkdir()
    changed = tiny.make(folder / "changed", root={**tiny.ROOT, "etc/motd": b"changed\n"})

    def build(name: str, source: Path, *options: str) -> Path:
        words: list[str | Path] = [BAKERY, "build", source, "-q", "-o", folder / name, *options]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return folder / name

    return Builds(
        build("plain", image),
        build("args", image, "--karg-append", "quiet"),
        build("base", changed),
        build("disk", image, "--layout", "disk"),
    )


def uploaded(bakery: Bakery, cloud: Project, build: Path, *options: str) -> dict[str, object]:
    """What `bakery upload --json` answers, its images by role under `images`."""
    done = bakery("upload", build, "--json", *options, env=cloud.env())
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    images = answer["images"]
    assert isinstance(images, list)
    return answer | {"images": {image["role"]: image for image in images}}


def ids(answer: dict[str, object]) -> dict[str, str]:
    images = answer["images"]
    assert isinstance(images, dict)
    return {role: image["id"] for role, image in images.items()}


def shown(cloud: Project, image: str) -> dict[str, Any]:
    """The image of that id, or the visible one of that name, as Glance shows it."""
    (found,) = (
        there
        for there in Glance(cloud, cloud.image_url).all()
        if image == there["id"] or (image == there["name"] and not there["os_hidden"])
    )
    return found


def shown_by_client(cloud: Project, image: str) -> dict[str, Any]:
    """An image as the real client shows it, its properties beside its fields."""
    answer: dict[str, Any] = json.loads(cloud.client("image", "show", "-f", "json", image).stdout)
    properties: dict[str, Any] = answer.pop("properties")
    return properties | answer


def images_of(cloud: Project, monkeypatch: pytest.MonkeyPatch) -> Images:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    return Images(connect("member"))


def by_role(images: Images) -> dict[str, list[Image]]:
    found: dict[str, list[Image]] = {}
    for image in images.published():
        found.setdefault(image.role, []).append(image)
    return found


def test_an_ami_names_the_kernel_and_the_ramdisk_that_were_sent(bakery, cloud, builds):
    made = ids(uploaded(bakery, cloud, builds.plain))
    build = manifest.load(builds.plain)
    base = shown_by_client(cloud, "tiny")
    assert base["id"] == made["base"]
    assert base["kernel_id"] == made["kernel"]
    assert base["ramdisk_id"] == made["ramdisk"]
    assert base["os_command_line"] == ARGS
    assert (base["disk_format"], base["container_format"]) == ("ami", "ami")
    assert (base["os_distro"], base["min_disk"], base["visibility"]) == ("tiny", 1, "private")
    assert base["bakery_layout"] == build.manifest.layout
    assert base["bakery_source_digest"] == build.manifest.source.digest
    assert base["bakery_deployment"] == "tiny"
    assert build.manifest.deployment is not None
    assert base["bakery_kernel_version"] == build.manifest.deployment.kernel_version
    text = next(builds.plain.glob("*.manifest.json")).read_bytes()
    assert base["bakery_manifest_sha256"] == hashlib.sha256(text).hexdigest()
    assert embedded.unpack({k: str(v) for k, v in base.items()}) == text
    for role, form in (("kernel", "aki"), ("ramdisk", "ari")):
        image = shown_by_client(cloud, made[role])
        assert (image["disk_format"], image["container_format"]) == (form, form)
        assert image["status"] == "active"


@pytest.mark.parametrize("role", ["kernel", "ramdisk", "base"])
def test_what_the_server_has_is_what_the_build_has(bakery, cloud, builds, role):
    made = ids(uploaded(bakery, cloud, builds.plain))
    content = (builds.plain / f"tiny-{role}").read_bytes()
    image = shown(cloud, made[role])
    assert image["os_hash_value"] == hashlib.sha512(content).hexdigest()
    assert image["bakery_sha512"] == image["os_hash_value"]
    assert image["size"] == len(content)


@pytest.mark.parametrize(
    ("options", "form"),
    [
        ((), "qcow2"),
        pytest.param(("--compress",), "qcow2", marks=pytest.mark.full),
        pytest.param(("--disk-format", "raw"), "raw", marks=pytest.mark.full),
    ],
    ids=["default", "compressed", "raw"],
)
def test_a_partition_image_has_both_ids_and_the_same_bytes(
    bakery, cloud, builds, tmp_path, options, form
):
    made = ids(uploaded(bakery, cloud, builds.plain, "--as", "partition", *options))
    base = shown(cloud, made["base"])
    assert (base["disk_format"], base["container_format"]) == (form, "bare")
    assert (base["kernel_id"], base["ramdisk_id"]) == (made["kernel"], made["ramdisk"])
    cloud.client("image", "save", "--file", tmp_path / "image", made["base"])
    tiny.run("qemu-img", "convert", "-f", form, "-O", "raw", tmp_path / "image", tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == (builds.plain / "tiny-base").read_bytes()
    assert not list((builds.plain / ".bakery").glob("upload*"))


def test_a_qcow2_sends_data_alone(bakery, cloud, builds):
    answer = uploaded(bakery, cloud, builds.plain, "--as", "partition")
    build = manifest.load(builds.plain)
    base = build.manifest.artifacts["base"]
    assert answer["images"]["base"]["sent_bytes"] < base.size_bytes / 8  # type: ignore[index]


def test_a_whole_disk_has_no_ids_that_would_make_a_partition_of_it(bakery, cloud, builds):
    answer = uploaded(bakery, cloud, builds.disk)
    assert answer["shape"] == "whole-disk"
    base = shown(cloud, ids(answer)["base"])
    assert "kernel_id" not in base
    assert "ramdisk_id" not in base
    assert "os_command_line" not in base
    assert base["container_format"] == "bare"
    for role in set(ids(answer)) - {"base"}:
        assert base[f"bakery_{role}_id"] == ids(answer)[role]


def test_a_second_upload_sends_no_byte_and_changes_nothing(bakery, cloud, builds, services):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        first = uploaded(bakery, cloud, builds.plain)
        assert proxy.sent_bytes == first["sent_bytes"] > 0  # type: ignore[operator]
        before = len(proxy.requests)
        second = uploaded(bakery, cloud, builds.plain)
        assert proxy.sent_bytes == first["sent_bytes"]
        assert {line.split()[0] for line in proxy.requests[before:]} == {"GET"}
    assert ids(first) == ids(second)
    assert len(cloud.images()) == 3


def test_a_copy_of_the_build_elsewhere_is_the_same_build(bakery, cloud, builds, tmp_path):
    first = uploaded(bakery, cloud, builds.plain)
    shutil.copytree(builds.plain, tmp_path / "copy", ignore=shutil.ignore_patterns(".bakery"))
    second = uploaded(bakery, cloud, tmp_path / "copy")
    assert second["sent_bytes"] == 0
    assert ids(first) == ids(second)


def test_changed_kernel_arguments_are_updated_and_nothing_is_sent(bakery, cloud, builds, services):
    first = uploaded(bakery, cloud, builds.plain)
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        second = uploaded(bakery, cloud, builds.args)
        assert proxy.sent_bytes == 0
        patched = [line for line in proxy.requests if not line.startswith("GET ")]
        assert patched == [f"PATCH /v2/images/{ids(first)['base']}"]
    assert ids(first) == ids(second)
    base = shown(cloud, "tiny")
    assert base["os_command_line"] == ARGS + " quiet"
    text = next(builds.args.glob("*.manifest.json")).read_bytes()
    assert embedded.unpack({k: str(v) for k, v in base.items()}) == text


def test_a_changed_base_is_a_new_image_and_the_old_one_stays(bakery, cloud, builds, monkeypatch):
    first = uploaded(bakery, cloud, builds.plain)
    second = uploaded(bakery, cloud, builds.base)
    assert ids(second)["base"] != ids(first)["base"]
    assert ids(second)["kernel"] == ids(first)["kernel"]
    assert second["same_name"] == [ids(first)["base"]]
    found = by_role(images_of(cloud, monkeypatch))
    assert {role: len(images) for role, images in found.items()} == {
        "kernel": 1,
        "ramdisk": 1,
        "base": 2,
    }
    assert not any(image.hidden for image in found["base"])


def test_replace_gives_the_name_to_the_new_image_and_hides_the_old(bakery, cloud, builds):
    first = uploaded(bakery, cloud, builds.plain)
    second = uploaded(bakery, cloud, builds.base, "--replace")
    assert second["hidden"] == [ids(first)["base"]]
    assert shown(cloud, "tiny")["id"] == ids(second)["base"]
    assert shown(cloud, ids(first)["base"])["os_hidden"] is True
    third = uploaded(bakery, cloud, builds.plain, "--replace")  # and back
    assert third["sent_bytes"] == 0
    assert third["hidden"] == [ids(second)["base"]]
    assert shown(cloud, "tiny")["id"] == ids(first)["base"]


def test_replace_that_fails_leaves_the_name_with_the_old_image(bakery, cloud, builds, services):
    first = uploaded(bakery, cloud, builds.plain)
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.cut_sending(1 * MIB)
        done = bakery("upload", builds.base, "--replace", env=cloud.env())
    assert done.returncode == 1
    assert shown(cloud, "tiny")["id"] == ids(first)["base"]
    again = uploaded(bakery, cloud, builds.base, "--replace")
    assert shown(cloud, "tiny")["id"] == ids(again)["base"]
    assert shown(cloud, ids(first)["base"])["os_hidden"] is True


def test_a_deleted_image_is_published_again_under_another_id(bakery, cloud, builds):
    first = uploaded(bakery, cloud, builds.plain)
    cloud.client("image", "delete", ids(first)["base"], ids(first)["kernel"])
    second = uploaded(bakery, cloud, builds.plain)
    assert ids(second)["base"] != ids(first)["base"]
    assert ids(second)["ramdisk"] == ids(first)["ramdisk"]
    assert shown(cloud, "tiny")["kernel_id"] == ids(second)["kernel"]
    third = uploaded(bakery, cloud, builds.plain)
    assert third["sent_bytes"] == 0
    assert ids(third) == ids(second)


def test_an_image_that_was_renamed_and_relinked_by_hand_is_put_right(bakery, cloud, builds):
    made = ids(uploaded(bakery, cloud, builds.plain))
    wrong = ("--property", f"kernel_id={made['ramdisk']}", "--property", "os_command_line=x")
    cloud.client("image", "set", "--name", "other", *wrong, made["base"])
    answer = uploaded(bakery, cloud, builds.plain)
    assert answer["sent_bytes"] == 0
    base = shown(cloud, "tiny")
    assert base["kernel_id"] == made["kernel"]
    assert base["os_command_line"] == ARGS


@pytest.mark.parametrize(
    "options",
    [(), pytest.param(("--as", "partition"), marks=pytest.mark.full)],
    ids=["ami", "partition"],
)
def test_publishers_at_the_same_time_end_with_one_set(cloud, tmp_path, monkeypatch, options):
    build = publishing.made(tmp_path / "made")
    words = [BAKERY, "upload", build, "-q", *options]
    running = [
        subprocess.Popen(
            words,
            env=os.environ | cloud.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    found = by_role(images_of(cloud, monkeypatch))
    assert {role: len(images) for role, images in found.items()} == {
        "kernel": 1,
        "ramdisk": 1,
        "base": 1,
    }
    for images in found.values():
        assert images[0].status == "active"
        assert images[0].properties["bakery_sha512"] == images[0].hash_value


def test_memory_does_not_grow_with_the_base(cloud: Project, tmp_path: Path):
    build = publishing.made(tmp_path / "made", data=64 * MIB, size=600 * MIB)
    # A process begins with the peak of the one that it was forked from: a small one in between.
    words: list[str | Path] = [sys.executable, "-c", PEAK, BAKERY, "upload", build, "-q"]
    done = subprocess.run(words, env=os.environ | cloud.env(), capture_output=True, check=True)
    assert int(done.stderr.split()[-1]) * 1024 < MEMORY_LIMIT_BYTES


def test_properties_and_a_name_with_odd_characters_arrive(bakery, cloud, builds):
    name = 'in:a "b", c/é & <d>'
    words = ("--name", name, "--property", "os_version=1 2", "--property", "a/b~c=d=e")
    made = ids(uploaded(bakery, cloud, builds.plain, *words))
    base = shown(cloud, made["base"])
    assert base["name"] == name
    assert (base["os_version"], base["a/b~c"]) == ("1 2", "d=e")
    again = uploaded(bakery, cloud, builds.plain, *words)
    assert (again["sent_bytes"], ids(again)) == (0, made)


def test_an_administrator_may_publish_to_everyone(bakery, cloud, builds):
    done = bakery("upload", builds.plain, "--public", "--cloud", "admin", env=cloud.env())
    assert done.returncode == 0, done.stderr
    made = [image["id"] for image in cloud.images()]
    try:
        assert {shown(cloud, image)["visibility"] for image in made} == {"public"}
    finally:
        cloud.client("image", "delete", *made, cloud="admin")


def environment(cloud: Project) -> dict[str, str]:
    """A cloud, as its variables name it."""
    return {
        "OS_CLIENT_CONFIG_FILE": "/dev/null",
        "OS_CLOUD": "",
        "OS_AUTH_URL": cloud.auth_url,
        "OS_USERNAME": cloud.name,
        "OS_PASSWORD": cloud.password,
        "OS_PROJECT_NAME": cloud.name,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": REGION,
        "OS_IDENTITY_API_VERSION": "3",
    }


def test_the_environment_alone_names_the_cloud(bakery, cloud, builds):
    done = bakery("upload", builds.plain, env=environment(cloud))
    assert done.returncode == 0, done.stderr
    assert len(cloud.images()) == 3


def test_a_password_is_shown_and_kept_nowhere_while_a_build_goes_up_and_comes_back(
    bakery, services, builds, tmp_path
):
    cloud = services.fresh_project(password=secrets.token_hex(16))
    home = tmp_path / "home"
    home.mkdir()
    folder = shutil.copytree(builds.disk, tmp_path / "build")
    with watching() as watch:
        for number, env in enumerate((cloud.env(), environment(cloud))):
            env["HOME"] = str(home)
            up = bakery("upload", folder, "--json", "-v", env=env)
            assert up.returncode == 0, up.stderr
            base = ids({"images": {one["role"]: one for one in json.loads(up.stdout)["images"]}})
            words = ("download", base["base"], "-o", tmp_path / f"back-{number}", "--json", "-v")
            down = bakery(*words, env=env)
            assert down.returncode == 0, down.stderr
            for said in (up.stdout, up.stderr, down.stdout, down.stderr):
                assert cloud.password not in said
    assert watch.programs("\0upload\0") and watch.programs("\0download\0")
    # The two commands were given it in their environment; no program of theirs was.
    given = {b"OS_PASSWORD=" + cloud.password.encode()}
    for shown_words in watch.showed(cloud.password):
        holding = {one for one in shown_words.split(b"\0") if cloud.password.encode() in one}
        assert holding == given
    assert len(watch.showed(cloud.password)) <= 2
    assert files_with(cloud.password, tmp_path) == set()
