"""A build brought back from the stand-in; from a real Glance in tests/e2e/test_download.py."""

import errno
import hashlib
import os
import shutil
import subprocess

import pytest

from bakery.host import report
from bakery.host.errors import BakeryError
from bakery.manifest import manifest
from bakery.openstack.glance import download, handover, pieces, publish, records, unchanged
from tests.openstack.glance import publishing, standin

FILES = ("made-base", "made-kernel", "made-ramdisk", "made.manifest.json")


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return publishing.made(
        tmp_path_factory.mktemp("download") / "made", data=2 << 20, size=12 << 20
    )


@pytest.fixture
def service():
    with standin.running() as (images, glance):
        yield images, glance


def published(images, build, **options):
    """The ids of the build's images by role."""
    text = next(build.glob("*.manifest.json")).read_bytes()
    parts = pieces.parts(manifest.load(build), text, pieces.PublishOptions(**options))
    stamps = unchanged.verified([*parts.companions, parts.base])
    request = publish.PublishRequest(parts=parts, stamps=stamps)
    return {one.role: one.id for one in publish.publish(images, request, report.silent()).images}


def pulled(images, output, sink=lambda _event: None):
    return download.pull(images, "made", output, report.Report(sink))


def fetches(glance):
    return [line for line in glance.requests if line.startswith("GET") and line.endswith("/file")]


@pytest.mark.parametrize("options", [{}, {"shape": "partition"}])
def test_what_was_published_comes_back_and_a_second_run_fetches_nothing(
    service, build, tmp_path, options
):
    images, glance = service
    ids = published(images, build, **options)
    made = pulled(images, tmp_path / "out")
    assert publishing.files(tmp_path / "out") == publishing.files(build)
    assert made.base_id == ids["base"]
    assert made.ways == dict.fromkeys(("base", "kernel", "ramdisk"), "fetched")
    assert not (tmp_path / "out/.bakery").exists()
    before = len(fetches(glance))
    again = pulled(images, tmp_path / "out")
    assert (again.ways, again.fetched_bytes) == ({}, 0)
    assert len(fetches(glance)) == before


def test_a_build_is_on_the_disk_before_its_manifest_says_so(service, build, tmp_path, on_disk):
    images, _ = service
    published(images, build)
    output = tmp_path / "out"
    pulled(images, output)
    for name in FILES:
        on_disk.assert_durable(output / name)
    names = [path.name for _, path, _ in on_disk.named if path.parent == output]
    assert sorted(names) == sorted(FILES)
    assert names[-1] == "made.manifest.json"


@pytest.mark.parametrize("role", ["kernel", "base"])
def test_a_file_that_is_damaged_here_is_fetched_again_and_no_other(service, build, tmp_path, role):
    images, glance = service
    ids = published(images, build)
    pulled(images, tmp_path / "out")
    before = len(fetches(glance))
    with (tmp_path / f"out/made-{role}").open("r+b") as file:
        file.write(b"!")
    assert pulled(images, tmp_path / "out").ways == {role: "fetched"}
    assert fetches(glance)[before:] == [f"GET /v2/images/{ids[role]}/file"]
    assert publishing.files(tmp_path / "out") == publishing.files(build)


@pytest.mark.parametrize("role", ["kernel", "base"])
def test_other_bytes_than_were_published_are_refused_and_leave_nothing(
    service, build, tmp_path, role
):
    images, glance = service
    record = glance.records[published(images, build)[role]]
    record.content = bytes([record.content[0] ^ 1]) + record.content[1:]
    record.fields["os_hash_value"] = hashlib.sha512(record.content).hexdigest()
    with pytest.raises(BakeryError, match=f"the {role} in Glance .* is not the one"):
        pulled(images, tmp_path / "out")
    left = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.endswith(".part")]
    assert not (tmp_path / "out/made.manifest.json").exists()


def test_what_an_earlier_run_gathered_is_not_fetched_again(service, build, tmp_path):
    images, glance = service
    ids = published(images, build)
    gathered = tmp_path / "out/.bakery/download"
    gathered.mkdir(parents=True)
    content = (build / "made-base").read_bytes()
    (gathered / f"{ids['base']}.part").write_bytes(content[: 1 << 20])
    (gathered / "made-kernel").write_bytes((build / "made-kernel").read_bytes())
    events: list[report.Event] = []
    made = pulled(images, tmp_path / "out", events.append)
    assert set(made.ways) == {"base", "ramdisk"}
    assert made.fetched_bytes == len(content) - (1 << 20) + len(
        (build / "made-ramdisk").read_bytes()
    )
    assert [event.text for event in events if "earlier" in event.text] == [
        f"{1 << 20} bytes are here from an earlier run"
    ]
    assert publishing.files(tmp_path / "out") == publishing.files(build)
    assert ids["kernel"] not in "".join(fetches(glance))


def test_what_an_earlier_run_gathered_of_another_build_is_thrown_away(service, build, tmp_path):
    images, _ = service
    published(images, build)
    gathered = tmp_path / "out/.bakery/download"
    gathered.mkdir(parents=True)
    (gathered / "made-kernel").write_bytes(b"of another build")
    (gathered / "other-kernel").write_bytes(b"of another build")
    assert set(pulled(images, tmp_path / "out").ways) == {"base", "kernel", "ramdisk"}
    assert not (tmp_path / "out/.bakery").exists()
    assert publishing.files(tmp_path / "out") == publishing.files(build)


@pytest.mark.parametrize("spare", [0, -1])
def test_a_disk_too_full_is_told_before_a_byte_is_fetched(
    service, build, tmp_path, monkeypatch, spare
):
    images, glance = service
    published(images, build)
    told = manifest.load(build).manifest
    needed = sum(sum(e.length for e in one.extents) for one in told.artifacts.values())
    free = needed + download.SPARE_BYTES + spare
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free))
    if spare < 0:
        with pytest.raises(BakeryError, match="too full"):
            pulled(images, tmp_path / "out")
        assert fetches(glance) == []
        assert not (tmp_path / "out").exists()
    else:
        pulled(images, tmp_path / "out")


def test_a_kernel_that_is_gone_is_taken_from_another_image_of_the_same_bytes(
    service, build, tmp_path
):
    images, glance = service
    ids = published(images, build)
    second = images.create(
        "7d1ef6c2-8f5e-4d26-8a43-0d2f4d5c0a11", "second", "aki", "aki", "private",
        images.get(ids["kernel"]).properties,
    )  # fmt: skip
    content = (build / "made-kernel").read_bytes()
    glance.begin(second.id)
    glance.end(second.id, content)
    images.delete(ids["kernel"])
    pulled(images, tmp_path / "out")
    assert (tmp_path / "out/made-kernel").read_bytes() == content


def test_a_server_that_counts_another_digest_is_believed_as_far_as_it_goes(
    service, build, tmp_path
):
    """What Glance counts is set by who runs it: `hashing_algorithm`."""
    images, glance = service
    ids = published(images, build)
    for image_id in ids.values():
        record = glance.records[image_id]
        digest = hashlib.sha256(record.content).hexdigest()
        record.fields |= {"os_hash_algo": "sha256", "os_hash_value": digest}
        record.fields.pop(records.SHA512)
    again = published(images, build)
    assert again == ids
    pulled(images, tmp_path / "out")
    assert publishing.files(tmp_path / "out") == publishing.files(build)


def test_an_image_whose_other_digest_does_not_fit_is_left_and_another_made(service, build):
    images, glance = service
    ids = published(images, build)
    glance.records[ids["base"]].fields |= {"os_hash_algo": "sha256", "os_hash_value": "00" * 32}
    again = published(images, build)
    assert again["base"] != ids["base"]
    assert again["kernel"] == ids["kernel"]
    assert ids["base"] in glance.records


def stored(images, build, folder, **options):
    """A store's folder that holds the images' files, as Glance's filesystem store does."""
    ids = published(images, build, **options)
    folder.mkdir()
    for image_id in ids.values():
        (folder / image_id).write_bytes(b"".join(images.fetch(image_id)))
    return ids


@pytest.mark.parametrize("options", [{}, {"shape": "partition"}])
def test_what_lies_in_a_store_that_is_mounted_here_is_taken_from_there(
    service, build, tmp_path, options
):
    images, glance = service
    stored(images, build, tmp_path / "store", **options)
    before = len(fetches(glance))
    stores = [handover.Store("s", str(tmp_path / "store"))]
    made = download.pull(images, "made", tmp_path / "out", report.silent(), stores=stores)
    assert set(made.ways) == {"kernel", "ramdisk", "base"}
    assert set(made.ways.values()) <= {"copy", "reflink"}
    assert made.fetched_bytes == 0
    assert len(fetches(glance)) == before
    assert publishing.files(tmp_path / "out") == publishing.files(build)


def test_a_link_is_made_only_where_it_was_asked_for(service, build, tmp_path):
    images, _ = service
    ids = stored(images, build, tmp_path / "store")
    stores = [handover.Store("s", str(tmp_path / "store"))]
    for link in (False, True):
        output = tmp_path / f"out-{link}"
        made = download.pull(images, "made", output, report.silent(), stores=stores, link=link)
        assert (made.ways["base"] == "link") is link
        assert (output / "made-base").samefile(tmp_path / "store" / ids["base"]) is link


def test_a_store_that_does_not_hold_a_file_is_passed_over_with_its_reason(service, build, tmp_path):
    images, _ = service
    ids = stored(images, build, tmp_path / "store")
    (tmp_path / "store" / ids["base"]).write_bytes(b"short")
    (tmp_path / "store" / ids["kernel"]).write_bytes(b"!" * len(b"kernel" * 100))
    stores = [handover.Store("s", str(tmp_path / "store"))]
    events: list[report.Event] = []
    with pytest.raises(BakeryError, match=r"the kernel in Glance .*its digest is not"):
        download.pull(images, "made", tmp_path / "out", report.Report(events.append), stores=stores)
    (tmp_path / "store" / ids["kernel"]).unlink()
    made = download.pull(
        images, "made", tmp_path / "out", report.Report(events.append), stores=stores
    )
    assert made.ways["base"] == made.ways["kernel"] == "fetched"
    assert any("the store's file is not used: " in event.text for event in events)
    assert publishing.files(tmp_path / "out") == publishing.files(build)


def exchanged(glance, image_id, content):
    """Have Glance hold other bytes of an image, and say so itself."""
    record = glance.records[image_id]
    record.content = content
    digest = hashlib.sha512(content).hexdigest()
    record.fields |= {"os_hash_value": digest, "size": len(content)}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-f", "qcow2", "-b", "/etc/passwd", "-F", "raw"], "is not the one that was published"),
        (["-f", "qcow2"], "a disk of 1048576 bytes, not"),
        (["-f", "vmdk"], "is not the one that was published"),
    ],
)
def test_a_qcow2_that_is_another_disk_is_refused(service, build, tmp_path, words, why):
    images, glance = service
    ids = published(images, build, shape="partition")
    other = tmp_path / "other"
    subprocess.run(["qemu-img", "create", "-q", *words, "-u", other, "1M"], check=True)
    exchanged(glance, ids["base"], other.read_bytes())
    with pytest.raises(BakeryError, match=why):
        pulled(images, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_qcow2_needs_room_for_itself_and_for_the_disk_in_it(
    service, build, tmp_path, monkeypatch
):
    images, _ = service
    ids = published(images, build, shape="partition")
    told = manifest.load(build).manifest
    needed = sum(sum(e.length for e in one.extents) for one in told.artifacts.values())
    needed += images.get(ids["base"]).size_bytes
    usage = shutil.disk_usage(tmp_path)
    free = needed + download.SPARE_BYTES
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free - 1))
    with pytest.raises(
        BakeryError, match=f"{free - 1} bytes are free, and the build needs {needed}"
    ):
        pulled(images, tmp_path / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=free))
    pulled(images, tmp_path / "out")


def test_what_was_begun_counts_as_room_and_what_a_store_has_needs_none(
    service, build, tmp_path, monkeypatch
):
    images, _ = service
    ids = stored(images, build, tmp_path / "store")
    gathered = tmp_path / "out/.bakery/download"
    gathered.mkdir(parents=True)
    content = (build / "made-base").read_bytes()
    (gathered / f"{ids['base']}.part").write_bytes(content)
    told = manifest.load(build).manifest
    needed = sum(sum(e.length for e in one.extents) for one in told.artifacts.values())
    free = needed + download.SPARE_BYTES - len(content)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=max(free, 0)))
    pulled(images, tmp_path / "out")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: usage._replace(free=download.SPARE_BYTES)
    )
    stores = [handover.Store("s", str(tmp_path / "store"))]
    download.pull(images, "made", tmp_path / "other", report.silent(), stores=stores)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk that holds .*out is full"),
        (errno.EDQUOT, "the disk that holds .*out is full"),
        (errno.EIO, "out: Input/output error"),
    ],
)
def test_a_disk_that_fails_is_told_with_the_folder(
    service, build, tmp_path, monkeypatch, code, words
):
    images, _ = service
    published(images, build)

    def fails(*_arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("bakery.openstack.glance.fetch.fetch", fails)
    with pytest.raises(BakeryError, match=words):
        pulled(images, tmp_path / "out")


def test_what_a_failed_run_gathered_stays_for_the_next(service, build, tmp_path, monkeypatch):
    images, glance = service
    published(images, build)
    with monkeypatch.context() as patched:
        patched.setattr(download._Pull, "install", lambda _self: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            pulled(images, tmp_path / "out")
    before = len(fetches(glance))
    assert pulled(images, tmp_path / "out").ways == {}
    assert len(fetches(glance)) == before
    assert publishing.files(tmp_path / "out") == publishing.files(build)
    assert not (tmp_path / "out/.bakery").exists()


def test_a_link_of_the_name_of_a_file_is_none_of_the_build(service, build, tmp_path):
    images, _ = service
    published(images, build)
    output = tmp_path / "out"
    pulled(images, output)
    (output / "made-kernel").unlink()
    (output / "made-kernel").symlink_to(build / "made-kernel")
    assert pulled(images, output).ways == {"kernel": "fetched"}
    assert not (output / "made-kernel").is_symlink()
