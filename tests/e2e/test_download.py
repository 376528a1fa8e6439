"""What was published comes back: the same files, whole or not at all; from a real Glance."""

import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bakery.disk import extents
from bakery.disk.extents import Extent
from bakery.host.workdir import FOLDER
from bakery.manifest import manifest
from bakery.manifest.manifest import Artifact
from bakery.openstack.glance import embedded, records
from tests.conftest import BAKERY
from tests.openstack.glance.publishing import (
    MIB,
    SHAPES,
    artifact,
    build,
    files,
    made,
    upload,
    write_manifest,
)
from tests.services.openstack import Project
from tests.services.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("services")]

BY_DEFAULT = {"ami", "partition-qcow2", "whole-disk-raw"}
"""Of the shapes: each kind of base once, and each disk format."""


@pytest.fixture(scope="module")
def tiny_builds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("builds")
    whole = build(folder, "--layout", "disk", name="whole")
    return {"partition": build(folder), "whole-disk": whole}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("made") / "made")


class Shared(NamedTuple):
    """A project in which `folder` is published, for tests that change nothing on the server."""

    project: Project
    base: str


@pytest.fixture(scope="module")
def shared(services, folder):
    project = services.fresh_project()
    return Shared(project, upload(project, folder)["base"])


@pytest.fixture
def download(bakery, cloud, tmp_path):
    """Run `bakery download NAME -o tmp/out OPTIONS`."""

    def run(name="made", *options, project=cloud):
        return bakery("download", name, "-o", tmp_path / "out", *options, env=project.env())

    return run


@pytest.fixture
def glance(cloud, monkeypatch):
    """The image service in this process, to put things in it that bakery never would."""
    from bakery.openstack.glance.images import Images

    for name, value in cloud.env().items():
        monkeypatch.setenv(name, value)
    return Images.of_cloud(None)


def partial(output: Path, image_id: str, content: bytes) -> Path:
    """What a killed download leaves: the first bytes of an image."""
    path = output / FOLDER / "download" / f"{image_id}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def data_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return extents.total(extents.of_file(file.fileno()))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(shape, marks=[] if shape in BY_DEFAULT else [pytest.mark.full])
        for shape in SHAPES
    ],
)
def test_each_shape_comes_back_file_by_file_and_sparse(
    shape, tiny_builds, download, cloud, tmp_path
):
    source = tiny_builds["whole-disk" if "whole" in shape else "partition"]
    upload(cloud, source, *SHAPES[shape])
    done = download(source.name)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert files(out) == files(source)
    assert len(files(out)) == 4
    assert not (out / FOLDER).exists()
    base = f"{source.name}-base"
    assert data_bytes(out / base) <= data_bytes(source / base) < (out / base).stat().st_size / 10


def test_a_build_published_under_another_name_keeps_its_own_file_names(
    folder, download, cloud, tmp_path
):
    upload(cloud, folder, "--name", "Ümlaut / 100% of, it")
    done = download("Ümlaut / 100% of, it")
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "out") == files(folder)


def test_a_second_download_fetches_nothing(folder, download, shared, services):
    assert download(project=shared.project).returncode == 0
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        again = download(project=shared.project)
        assert "is up to date" in again.stdout
        assert told(download("made", "--json", project=shared.project))["fetched_bytes"] == 0
        assert proxy.received_bytes == 0


def test_only_what_is_missing_or_altered_is_fetched_again(
    folder, download, shared, services, tmp_path
):
    assert download(project=shared.project).returncode == 0
    (tmp_path / "out/made-kernel").unlink()
    (tmp_path / "out/made-ramdisk").write_bytes(b"altered")
    done = told(download("made", "--json", project=shared.project))
    assert done["ways"] == {"kernel": "fetched", "ramdisk": "fetched"}
    assert done["fetched_bytes"] == 600 + 700
    assert files(tmp_path / "out") == files(folder)


def test_a_file_that_a_killed_run_had_whole_is_put_in_place(folder, download, shared, tmp_path):
    assert download(project=shared.project).returncode == 0
    gathered = tmp_path / "out" / FOLDER / "download"
    gathered.mkdir(parents=True)
    (tmp_path / "out/made-base").rename(gathered / "made-base")
    (gathered / "another.part").write_bytes(b"of another build")
    assert told(download("made", "--json", project=shared.project))["fetched_bytes"] == 0
    assert files(tmp_path / "out") == files(folder)
    assert not (tmp_path / "out" / FOLDER).exists()


def test_a_file_that_an_earlier_run_holds_damaged_never_takes_the_place_of_a_good_one(
    folder, download, shared, tmp_path
):
    assert download(project=shared.project).returncode == 0
    gathered = tmp_path / "out" / FOLDER / "download"
    gathered.mkdir(parents=True)
    (gathered / "made-kernel").write_bytes(b"damaged")
    (gathered / "made-base").write_bytes(b"damaged")
    (tmp_path / "out/made-base").unlink()
    assert download(project=shared.project).returncode == 0
    assert files(tmp_path / "out") == files(folder)


def test_changed_kernel_arguments_bring_a_new_manifest_and_no_bytes(download, cloud, tmp_path):
    source = made(tmp_path / "source")
    upload(cloud, source)
    assert download().returncode == 0
    write_manifest(source, "made", kernel_args=("ro", "quiet"))
    upload(cloud, source)
    assert told(download("made", "--json"))["fetched_bytes"] == 0
    assert files(tmp_path / "out") == files(source)


def test_another_build_in_the_folder_gives_way_whole(
    folder, tiny_builds, download, cloud, tmp_path
):
    upload(cloud, folder)
    upload(cloud, tiny_builds["partition"])
    assert download("tiny").returncode == 0
    assert download("made").returncode == 0
    assert files(tmp_path / "out") == files(folder)


def test_of_several_images_of_one_name_the_ids_are_told_and_either_is_had_by_id(
    folder, download, cloud, tmp_path
):
    first = upload(cloud, folder)["base"]
    second = upload(cloud, folder, "--as", "partition")["base"]
    done = download()
    assert done.returncode == 1
    assert "2 images are called 'made'" in done.stderr
    assert first in done.stderr
    assert second in done.stderr
    assert told(download(second, "--json"))["base"] == second


def test_a_hidden_image_is_had_by_its_id_alone(folder, download, cloud, glance, tmp_path):
    base = upload(cloud, folder)["base"]
    glance.update(glance.get(base), hidden=True)
    done = download()
    assert done.returncode == 1
    assert "no image is called 'made'" in done.stderr
    assert not (tmp_path / "out").exists()
    assert told(download(base, "--json"))["base"] == base


def test_an_image_that_bakery_did_not_publish_is_refused(download, cloud, tmp_path, folder):
    cloud.client(
        *("image", "create", "made", "--disk-format", "raw", "--container-format", "bare"),
        *("--file", folder / "made-kernel"),
    )
    done = download()
    assert done.returncode == 1
    assert "was not published by bakery" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_kernel_alone_is_not_a_build(folder, download, cloud):
    ids = upload(cloud, folder)
    for name in ("made-kernel", ids["kernel"]):
        done = download(name)
        assert done.returncode == 1
        assert "is only the kernel of a build" in done.stderr


def test_an_upload_that_is_not_finished_is_told(download, glance):
    said = {records.ROLE: records.BASE}
    glance.create(str(uuid.uuid4()), "made", "raw", "bare", "private", said)
    done = download()
    assert done.returncode == 1
    assert "is queued: its upload was not finished" in done.stderr


def test_a_kernel_that_is_gone_is_told_by_its_id(folder, download, cloud, glance, tmp_path):
    kernel = upload(cloud, folder)["kernel"]
    glance.delete(kernel)
    done = download()
    assert done.returncode == 1
    assert (
        f"the kernel of made is gone from this cloud: image {kernel} no longer exists"
        in done.stderr
    )
    assert not (tmp_path / "out").exists()


def test_the_same_kernel_published_otherwise_serves_as_well(
    folder, download, cloud, glance, tmp_path
):
    first = upload(cloud, folder)
    upload(cloud, folder, "--name", "twin")
    glance.delete(first["kernel"])
    assert download().returncode == 0
    assert files(tmp_path / "out") == files(folder)


def test_a_folder_with_other_peoples_files_is_left_alone(folder, download, shared, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/letter").write_text("dear")
    done = download(project=shared.project)
    assert done.returncode == 1
    assert "holds files that are not part of a bakery build: letter" in done.stderr
    assert files(tmp_path / "out") == {"letter": b"dear"}


def test_bytes_that_changed_in_the_store_are_refused_and_nothing_is_left(
    folder, download, cloud, services, tmp_path
):
    base = upload(cloud, folder)["base"]
    with (services.store / base).open("r+b") as file:
        file.seek(10 * MIB)
        file.write(b"!")
    done = download()
    assert done.returncode == 1
    assert f"image {base} does not hold the bytes that Glance received" in done.stderr
    assert not list((tmp_path / "out").glob("made*"))


def test_a_link_to_another_kernel_is_seen_by_the_manifests_digest(
    folder, download, cloud, glance, tmp_path
):
    ids = upload(cloud, folder)
    other = made(tmp_path / "other", name="other")
    (other / "other-kernel").write_bytes(b"KERNEL" * 100)
    write_manifest(other, "other")
    wrong = upload(cloud, other)["kernel"]
    glance.update(glance.get(ids["base"]), properties={records.KERNEL_ID: wrong})
    done = download()
    assert done.returncode == 1
    assert f"the kernel in Glance (image {wrong}) is not the one that was published" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("disk_format", ["raw", pytest.param("qcow2", marks=pytest.mark.full)])
def test_a_base_of_another_size_is_refused_before_it_is_fetched(
    folder, download, cloud, glance, services, tmp_path, disk_format
):
    base = glance.get(
        upload(cloud, folder, "--as", "partition", "--disk-format", disk_format)["base"]
    )
    source = shutil.copytree(folder, tmp_path / "source", ignore=shutil.ignore_patterns(FOLDER))
    said = {name: artifact(source / f"made-{name}") for name in ("kernel", "ramdisk")}
    shorter = {**said, "base": Artifact(8 << 20, "sha256-1m:00")}
    lying = write_manifest(source, "made", artifacts=shorter)
    glance.update(base, properties=embedded.pack(manifest.encode(lying)))
    done = download()
    assert done.returncode == 1
    assert "is not the one that was published: " in done.stderr
    assert "not 8388608" in done.stderr
    assert not list(tmp_path.glob("out/made*"))
    assert not list((tmp_path / "out" / FOLDER).rglob("*.part"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (embedded.HEAD, "zlib:16000000:1", "its manifest is damaged"),
        pytest.param(
            f"{embedded.HEAD}_1", "AAAA", "its manifest is damaged", marks=pytest.mark.full
        ),
        (embedded.SHA256, "00", "it does not have the digest"),
    ],
)
def test_a_damaged_manifest_is_refused(
    folder, download, cloud, glance, tmp_path, name, value, reason
):
    base = glance.get(upload(cloud, folder)["base"])
    glance.update(base, properties={name: value})
    done = download()
    assert done.returncode == 1
    assert f"bakery: image made ({base.id}): " in done.stderr
    assert reason in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"{}", "is not a bakery manifest", marks=pytest.mark.full),
        (b"[" * 100_000, "is not a bakery manifest"),
        pytest.param(b'"../../etc/cron.d/x"', "is not a bakery manifest", marks=pytest.mark.full),
    ],
)
def test_a_hostile_manifest_is_refused(folder, download, cloud, glance, tmp_path, text, reason):
    base = glance.get(upload(cloud, folder)["base"])
    glance.update(base, properties=embedded.pack(text))
    done = download()
    assert done.returncode == 1
    assert reason in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_manifest_that_names_files_elsewhere_is_refused(
    folder, download, cloud, glance, tmp_path
):
    base = glance.get(upload(cloud, folder)["base"])
    text = (folder / "made.manifest.json").read_bytes().replace(b'"made"', b'"../made"')
    glance.update(base, properties=embedded.pack(text))
    done = download()
    assert done.returncode == 1
    assert "'../made', which is not a file name" in done.stderr
    assert not list(tmp_path.glob("made*"))


def test_a_part_that_is_here_is_not_fetched_again(folder, download, shared, services, tmp_path):
    kept = 4 * MIB + 12_345
    whole = (folder / "made-base").read_bytes()
    partial(tmp_path / "out", shared.base, whole[:kept])
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        done = told(download("made", "--json", project=shared.project))
        assert done["fetched_bytes"] == 600 + 700 + len(whole) - kept
        assert proxy.received_bytes < len(whole) - kept + MIB
    assert files(tmp_path / "out") == files(folder)
    assert not (tmp_path / "out" / FOLDER).exists()


def test_a_part_that_was_damaged_costs_a_fetch_and_no_more(folder, download, shared, tmp_path):
    partial(tmp_path / "out", shared.base, b"?" * MIB)
    assert download(project=shared.project).returncode == 0
    assert files(tmp_path / "out") == files(folder)


def test_a_connection_that_is_cut_is_taken_up_at_once(folder, download, shared, services, tmp_path):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.cut_receiving(3 * MIB, times=4)
        done = told(download("made", "--json", project=shared.project))
    assert done["fetched_bytes"] < (folder / "made-base").stat().st_size + 2 * MIB
    assert files(tmp_path / "out") == files(folder)


def test_a_connection_that_stays_cut_ends_in_words_and_the_next_run_goes_on(
    folder, download, shared, services, tmp_path
):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.cut_receiving(6 * MIB)  # the small files are not that long
        proxy.cut_receiving(1, times=1000)
        done = download(project=shared.project)
        assert done.returncode == 1
        assert "bytes are here" in done.stderr
        assert "run the same command again" in done.stderr
        assert not list((tmp_path / "out").glob("made*"))
        proxy.mend()
        assert download(project=shared.project).returncode == 0
    assert files(tmp_path / "out") == files(folder)


@pytest.mark.parametrize("status", [pytest.param(500, marks=pytest.mark.full), 503])
def test_a_server_that_fails_is_named_with_its_status(
    folder, download, shared, services, tmp_path, status
):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        proxy.fail(status, "GET", "/file", times=1000)
        done = download(project=shared.project)
    assert done.returncode == 1
    assert f"HTTP {status}" in done.stderr or "not available" in done.stderr
    assert not (tmp_path / "out").exists()


def on_a_small_disk(output: Path, size_bytes: int, cloud) -> subprocess.CompletedProcess[str]:
    """A download into a filesystem of that size, seen by it alone; what is there is kept then."""
    mounted = (
        f'mount -t tmpfs -o size={size_bytes} tmpfs "$1" && "$2" download made -o "$1/out";'
        ' code=$?; ls -A "$1/out"; exit $code'
    )
    output.mkdir()
    own = ("unshare", "--user", "--map-root-user", "--mount", "--")
    return subprocess.run(
        [*own, "sh", "-c", mounted, "sh", output, BAKERY],
        env=os.environ | cloud.env(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_disk_that_is_too_full_is_told_before_a_byte_is_fetched(
    folder, shared, services, tmp_path
):
    with Proxy(services.image_url) as proxy, proxy.in_front_of(services):
        done = on_a_small_disk(tmp_path / "small", 12 * MIB, shared.project)
        assert proxy.received_bytes == 0
    assert done.returncode == 1
    assert "is too full" in done.stderr
    assert "bytes are free" in done.stderr


def test_a_disk_that_fills_up_ends_in_words_and_keeps_what_came(cloud, tmp_path):
    source = made(tmp_path / "made", data=30 * MIB, size=40 * MIB)
    files_told = {name: artifact(source / f"made-{name}") for name in ("kernel", "ramdisk")}
    honest = artifact(source / "made-base")
    lying = Artifact(honest.size_bytes, honest.digest, "", (Extent(0, 4096),))
    write_manifest(source, "made", artifacts={**files_told, "base": lying})
    upload(cloud, source)
    done = on_a_small_disk(tmp_path / "small", 24 * MIB, cloud)
    assert done.returncode == 1
    assert "/out is full" in done.stderr
    assert "run the same command again" in done.stderr
    assert done.stdout.split() == [FOLDER]


def test_two_downloads_into_one_folder_do_not_disturb_each_other(
    folder, shared, services, tmp_path, download
):
    words = [BAKERY, "download", "made", "-o", tmp_path / "out"]
    both = [
        subprocess.Popen(
            words, env=os.environ | shared.project.env(), stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0 or "is running in" in said
    assert any(process.returncode == 0 for process in both)
    assert files(tmp_path / "out") == files(folder)
