import errno
import fcntl
import os
import subprocess

import pytest

from bakery.disk import extents
from bakery.host.errors import BakeryError
from bakery.openstack.glance import handover
from bakery.openstack.glance.handover import NotHere, Store
from bakery.openstack.glance.records import Image, Location
from tests.durability import state

ID = "7d1f3a52-0b0a-4c61-8d8e-3e8f5c1f2b10"
CONTENT = b"base" * 5000 + bytes(1 << 20) + b"end" * 999
SIZE = len(CONTENT)


@pytest.fixture
def mount(tmp_path):
    folder = tmp_path / "store" / "images"
    folder.mkdir(parents=True)
    (folder / ID).write_bytes(CONTENT)
    return folder


def image(url="", metadata=None, size=SIZE):
    locations = (Location(url, metadata or {}),) if url else ()
    return Image(id=ID, status="active", size_bytes=size, locations=locations)


def shown(mount, **metadata):
    told = {"id": "s1", "mountpoint": str(mount)} | metadata
    return image(f"file://{mount}/{ID}", told)


def read(image, named=()):
    with handover.held(image, named) as held:
        return b"".join(handover.pieces(held))


def test_a_location_that_glance_shows_leads_to_the_file(mount):
    assert read(shown(mount)) == CONTENT


def test_a_mount_point_above_the_stores_folder_serves_as_well(mount):
    assert read(shown(mount, mountpoint=str(mount.parent))) == CONTENT


def test_a_store_the_user_names_needs_no_location(mount):
    assert read(image(), [Store("s1", str(mount))]) == CONTENT
    assert read(image(), [Store("s1", str(mount.parent))]) == CONTENT


def test_a_store_of_the_same_id_may_be_mounted_elsewhere_here(mount):
    told = {"id": "s1", "mountpoint": "/srv/glance"}
    assert read(image(f"file:///srv/glance/{ID}", told), [Store("s1", str(mount))]) == CONTENT


def test_of_several_stores_the_one_that_holds_the_file_is_taken(mount, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert read(image(), [Store("s0", str(empty)), Store("s1", str(mount))]) == CONTENT


def test_nothing_is_tried_where_there_is_no_word_of_a_file():
    assert not handover.is_shown(image(), ())
    assert not handover.is_shown(image("rbd://fsid/images/x/snap"), ())
    assert not handover.is_shown(image(f"file:///srv/{ID}"), ())


def test_a_word_of_a_file_is_seen(mount):
    assert handover.is_shown(shown(mount), ())
    assert handover.is_shown(image(), [Store("s1", "/srv")])


@pytest.mark.parametrize(
    "metadata",
    [
        {"mountpoint": 1},
        {"mountpoint": "relative"},
        {"mountpoint": "/a\0b"},
        {"id": None},
        {"mountpoint": "/elsewhere"},
    ],
)
def test_metadata_that_leads_nowhere_is_no_way_in(mount, metadata):
    with pytest.raises(NotHere):
        read(shown(mount, **metadata))


@pytest.mark.parametrize(
    "url", ["file://[", "file:///etc/passwd", "file:///%00", "http://x/y", "file:///" + "a" * 9000]
)
def test_a_url_that_leads_elsewhere_is_no_way_in(url):
    with pytest.raises(NotHere):
        read(image(url, {"id": "s1", "mountpoint": "/"}))


def test_a_path_that_climbs_out_of_the_mount_point_is_refused(mount):
    (mount / "inner").mkdir()
    url = f"file://{mount}/inner/../{ID}"
    with pytest.raises(NotHere, match="leads out of"):
        read(image(url, {"id": "s1", "mountpoint": str(mount / "inner")}))


def test_a_link_out_of_the_mount_point_is_refused(mount, tmp_path):
    (tmp_path / ID).write_bytes(CONTENT)
    (mount / ID).unlink()
    (mount / ID).symlink_to(tmp_path / ID)
    with pytest.raises(NotHere, match="leads out of"):
        read(shown(mount))


def test_a_name_that_is_not_the_images_id_is_refused(mount):
    (mount / "other").write_bytes(CONTENT)
    with pytest.raises(NotHere, match="not named by its id"):
        read(image(f"file://{mount}/other", {"id": "s1", "mountpoint": str(mount)}))


def test_a_file_of_another_size_is_not_the_image(mount):
    (mount / ID).write_bytes(b"short")
    with pytest.raises(NotHere, match=f"5 bytes, not {len(CONTENT)}"):
        read(shown(mount))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_at_once(mount, make):
    (mount / ID).unlink()
    make(mount / ID)
    with pytest.raises(NotHere):
        read(shown(mount))


def test_a_file_that_becomes_shorter_meanwhile_is_told(mount):
    with (
        handover.held(shown(mount), ()) as held,
        pytest.raises(BakeryError, match="shrank"),
    ):
        os.truncate(mount / ID, 10)
        list(handover.pieces(held))


def test_a_copy_has_the_same_bytes_and_leaves_the_zeros_out(mount, tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "_cloned", refusing)
    told = []
    with handover.held(shown(mount), ()) as held:
        how = handover.take(held, tmp_path / "base", progress=lambda *p: told.append(p))
    assert how == "copy"
    assert (tmp_path / "base").read_bytes() == CONTENT
    assert (tmp_path / "base").stat().st_nlink == 1
    with (tmp_path / "base").open("rb") as file:
        assert extents.total(extents.of_file(file.fileno())) < 64 << 10
    assert told[-1] == (len(CONTENT), len(CONTENT))


def refusing(*_arguments):
    raise OSError(errno.EOPNOTSUPP, "no such thing here")


def test_a_hard_link_is_made_only_where_it_was_asked_for(mount, tmp_path):
    with handover.held(shown(mount), ()) as held:
        assert handover.take(held, tmp_path / "one") != "link"
        assert handover.take(held, tmp_path / "two", link=True) == "link"
    assert not (tmp_path / "one").samefile(mount / ID)
    assert (tmp_path / "two").samefile(mount / ID)


def test_a_link_is_of_the_file_that_was_looked_at(mount, tmp_path):
    with handover.held(shown(mount), ()) as held:
        (mount / ID).rename(mount / "aside")
        (mount / ID).write_bytes(b"exchanged")
        assert handover.take(held, tmp_path / "base", link=True) == "link"
    assert (tmp_path / "base").read_bytes() == CONTENT


def test_a_full_disk_is_no_reason_to_try_the_next_way(mount, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handover, "_cloned", full)
    with handover.held(shown(mount), ()) as held, pytest.raises(OSError, match="No space left"):
        handover.take(held, tmp_path / "base")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a filesystem")
def test_where_the_filesystem_shares_blocks_the_file_is_a_reflink(tmp_path):
    disk, folder = tmp_path / "disk", tmp_path / "mnt"
    folder.mkdir()
    with disk.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, folder], check=True)
    try:
        (folder / ID).write_bytes(CONTENT)
        with handover.held(shown(folder), ()) as held:
            assert handover.take(held, folder / "base") == "reflink"
        with (folder / "base").open("r+b") as file:
            file.write(b"written later")
        assert (folder / ID).read_bytes() == CONTENT
    finally:
        subprocess.run(["umount", folder], check=True)


def test_the_metadata_file_is_one_object_or_a_list(tmp_path):
    path = tmp_path / "store.json"
    path.write_text('{"id": "a", "mountpoint": "/srv/a"}')
    assert handover.stores(path) == (Store("a", "/srv/a"),)
    path.write_text('[{"id": "a", "mountpoint": "/a"}, {"id": "b", "mountpoint": "/b", "x": 1}]')
    assert handover.stores(path) == (Store("a", "/a"), Store("b", "/b"))


@pytest.mark.parametrize(
    "text", ["", "[", "1", '{"id": "a"}', '[{"mountpoint": "/a"}]', "[" * 100_000, "\udcff"]
)
def test_a_metadata_file_of_another_form_is_refused(tmp_path, text):
    path = tmp_path / "store.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BakeryError, match="is not store metadata"):
        handover.stores(path)


@pytest.mark.parametrize("mountpoint", ["", "relative", "/a\\u0000"])
def test_a_mount_point_that_is_no_absolute_path_is_refused(tmp_path, mountpoint):
    path = tmp_path / "store.json"
    path.write_text(f'{{"id": "a", "mountpoint": "{mountpoint}"}}')
    with pytest.raises(BakeryError, match="which is not an absolute path"):
        handover.stores(path)


def test_a_metadata_file_without_end_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "store.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(BakeryError, match="is not store metadata: larger"):
        handover.stores(path)


def test_a_metadata_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BakeryError, match="cannot be read: No such file"):
        handover.stores(tmp_path / "none")


def test_where_the_user_names_stores_no_other_is_used(mount, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(NotHere):
        read(shown(mount), [Store("other", str(elsewhere))])
    assert read(shown(mount), [Store("s1", str(mount))]) == CONTENT


def test_the_first_reason_is_told_where_none_leads_to_the_file(mount, tmp_path):
    (mount / ID).write_bytes(b"short")
    with pytest.raises(NotHere, match="5 bytes, not"):
        read(shown(mount), [Store("s1", str(mount)), Store("s2", str(tmp_path))])
    with pytest.raises(NotHere, match="no store that is mounted here is known to hold it"):
        read(image())


def test_what_is_shared_is_not_copied_as_well(mount, tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "_cloned", lambda _source, path: path.write_bytes(b"shared"))
    told = []
    with handover.held(shown(mount), ()) as held:
        how = handover.take(held, tmp_path / "base", progress=lambda *p: told.append(p))
    assert (how, told, (tmp_path / "base").read_bytes()) == ("reflink", [], b"shared")


def test_a_copy_is_on_the_disk(mount, tmp_path, monkeypatch, on_disk):
    monkeypatch.setattr(handover, "_cloned", refusing)
    with handover.held(shown(mount), ()) as held:
        handover.take(held, tmp_path / "base")
    assert on_disk.synced[-1][1] == state((tmp_path / "base").stat())


@pytest.mark.parametrize("code", sorted(handover.CANNOT))
def test_a_way_that_is_not_there_is_passed_over(mount, tmp_path, monkeypatch, code):
    def fails(*_arguments, **_more):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", fails)
    monkeypatch.setattr(fcntl, "ioctl", fails)
    with handover.held(shown(mount), ()) as held:
        assert handover.take(held, tmp_path / "base", link=True) == "copy"
    assert (tmp_path / "base").read_bytes() == CONTENT


def test_no_file_stays_open(mount, tmp_path):
    def open_files():
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    before = open_files()
    with handover.held(shown(mount), ()) as held:
        assert open_files() == before + 1
        handover.take(held, tmp_path / "one")
        handover.take(held, tmp_path / "two", link=True)
    with pytest.raises(NotHere):
        read(image(f"file://{mount}/{ID}", {"id": "s1", "mountpoint": str(mount)}, size=1))
    assert open_files() == before


def test_a_metadata_file_may_be_as_large_as_the_limit(tmp_path):
    path = tmp_path / "store.json"
    text = '{"id": "a", "mountpoint": "/srv/a"}'
    path.write_text(text.ljust(handover.METADATA_LIMIT_BYTES))
    assert handover.stores(path) == (Store("a", "/srv/a"),)
    path.write_text(text.ljust(handover.METADATA_LIMIT_BYTES + 1))
    with pytest.raises(BakeryError, match="larger"):
        handover.stores(path)


def test_why_a_path_leads_to_no_file_is_told(mount):
    (mount / ID).unlink()
    with pytest.raises(NotHere, match="is not here: No such file"):
        read(shown(mount))
    nowhere = f"file://{mount}/%00/{ID}"
    with pytest.raises(NotHere, match="is not here: no path of this machine"):
        read(image(nowhere, {"id": "s1", "mountpoint": str(mount)}))
