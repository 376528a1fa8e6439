"""An upload that is killed at any moment is finished by the same command: one set, all active."""

import hashlib
import itertools
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bakery.openstack.connection import connect
from bakery.openstack.glance import records
from bakery.openstack.glance.images import Images
from tests.conftest import BAKERY
from tests.openstack.glance import publishing
from tests.processes import killed_after, moments
from tests.services.openstack import Project

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

MIB = 1 << 20
SEED = 20150310
ENDS_SECONDS = 120
ROLES = ("kernel", "ramdisk", "base")


@pytest.fixture
def images(cloud: Project, monkeypatch: pytest.MonkeyPatch) -> Images:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    return Images(connect("member"))


def words(build: Path, name: str, *options: str) -> list[str | Path]:
    return [BAKERY, "upload", build, "-q", "--name", name, *options]


def run(argv: list[str | Path], env: dict[str, str]) -> None:
    done = subprocess.run(argv, env=os.environ | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def assert_one_set(images: Images, build: Path, name: str, *, raw: bool) -> None:
    """Exactly one image of each role, active, with the right bytes; then they are deleted."""
    bears = {f"{name}-kernel", f"{name}-ramdisk", name}
    found = {}
    for image in images.all():
        if image.name.removesuffix(".new") in bears:
            assert image.role not in found, f"two of {image.role}"
            found[image.role] = image
    assert set(found) == set(ROLES)
    for role, image in found.items():
        assert image.status == records.ACTIVE
        assert image.properties[records.SHA512] == image.hash_value
        assert records.SENT not in image.properties
        if raw or role != "base":
            content = (build / f"made-{role}").read_bytes()
            assert image.hash_value == hashlib.sha512(content).hexdigest()
    assert found["base"].properties[records.KERNEL_ID] == found["kernel"].id
    assert found["base"].properties[records.RAMDISK_ID] == found["ramdisk"].id
    for image in found.values():
        images.delete(image.id)


@pytest.mark.parametrize(
    ("options", "kills"),
    [
        pytest.param((), 6, id="ami"),
        pytest.param((), 32, id="ami-often", marks=pytest.mark.full),
        pytest.param(("--as", "partition", "--compress"), 3, id="partition"),
        pytest.param(
            ("--as", "partition", "--compress"), 8, id="partition-often", marks=pytest.mark.full
        ),
    ],
)
def test_killed_at_moments_of_each_part_and_run_again(images, cloud, tmp_path, options, kills):
    build = publishing.made(tmp_path / "made", data=16 * MIB, size=96 * MIB)
    raw = not options
    started = time.monotonic()
    run(words(build, "whole", *options), cloud.env())
    whole = time.monotonic() - started
    assert_one_set(images, build, "whole", raw=raw)

    when = moments(kills, 0.1, whole, SEED)
    hits, left, spread = 0, set(), 4 if raw else 2
    for turn in range(kills * 4):
        name = f"turn{turn}"
        hits += killed_after(next(when), words(build, name, *options), cloud.env())
        left |= {(image.role, image.status) for image in images.published() if name in image.name}
        run(words(build, name, *options), cloud.env())
        assert_one_set(images, build, name, raw=raw)
        if hits >= kills and len(left) >= spread:
            break
    assert hits >= kills
    assert len(left) >= spread, f"the kills did not spread over the upload: {left}"


def test_killed_twice_before_it_is_run_to_its_end(images, cloud, tmp_path):
    build = publishing.made(tmp_path / "made", data=16 * MIB, size=96 * MIB)
    for seconds in itertools.islice(moments(5, 0.3, 2.0, SEED), 5):
        killed_after(seconds, words(build, "often"), cloud.env())
    run(words(build, "often"), cloud.env())
    assert_one_set(images, build, "often", raw=True)


def test_a_killed_replacement_ends_with_one_visible_image_of_the_name(images, cloud, tmp_path):
    old = publishing.made(tmp_path / "old", name="made")
    new = publishing.made(tmp_path / "new", name="made", data=9 * MIB, size=40 * MIB)
    run(words(old, "os"), cloud.env())
    before = {image.id for image in images.published()}
    for seconds in itertools.islice(moments(6, 0.3, 2.0, SEED), 6):
        killed_after(seconds, words(new, "os", "--replace"), cloud.env())
        assert len(images.named("os")) <= 1
    run(words(new, "os", "--replace"), cloud.env())
    (visible,) = images.named("os")
    assert visible.id not in before
    assert visible.status == records.ACTIVE
    hidden = [image for image in images.published() if image.hidden and image.role == "base"]
    assert [image.id in before for image in hidden] == [True]


def end_of(process: subprocess.Popen[str]) -> str:
    """What it says until it ends; one that does not end says where each of its threads stands."""
    try:
        return process.communicate(timeout=ENDS_SECONDS)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        pytest.fail(f"interrupted, it does not end: {process.communicate()[1]}")


def test_interrupted_by_the_user_it_says_so_and_goes_on_next_time(images, cloud, tmp_path):
    build = publishing.made(tmp_path / "made", data=64 * MIB, size=400 * MIB)
    process = subprocess.Popen(
        words(build, "stopped"),
        env=os.environ | cloud.env() | {"PYTHONFAULTHANDLER": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not any(
        image.role == "base" and image.status == records.SAVING for image in images.published()
    ):
        pass
    process.send_signal(signal.SIGINT)
    said = end_of(process)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    run(words(build, "stopped"), cloud.env())
    assert_one_set(images, build, "stopped", raw=True)
