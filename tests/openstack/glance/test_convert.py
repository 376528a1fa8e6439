import fcntl
import os
import random
import shutil
import threading

import pytest

from bakery.host.errors import BakeryError
from bakery.host.run import CommandFailed
from bakery.openstack.glance import convert
from bakery.openstack.glance.convert import as_qcow2
from tests import tiny

MIB = 1 << 20


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "build" / "a,b-base"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(200 * MIB)
        file.seek(50 * MIB)
        file.write(random.Random(1).randbytes(MIB))
        file.seek(120 * MIB)
        file.write(b"text " * 100_000)
    return path


def quiet(_done, _total):
    pass


def test_the_qcow2_holds_the_same_disk_in_less(base, tmp_path):
    with as_qcow2(base, compress=False, progress=quiet) as made:
        assert made.stat().st_size < 4 * MIB
        tiny.run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", made, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == base.read_bytes()


def test_compressed_it_is_smaller_still(base):
    with as_qcow2(base, compress=False, progress=quiet) as made:
        plain = made.stat().st_size
    with as_qcow2(base, compress=True, progress=quiet) as made:
        assert made.stat().st_size < plain


@pytest.mark.parametrize("compress", [False, True])
def test_the_same_base_becomes_the_same_bytes(base, compress):
    contents = set()
    for _ in range(3):
        with as_qcow2(base, compress=compress, progress=quiet) as made:
            contents.add(made.read_bytes())
    assert len(contents) == 1


def test_nothing_of_it_stays_behind(base):
    with as_qcow2(base, compress=False, progress=quiet) as made:
        assert made.parent.parent == base.parent / ".bakery"
    assert [path.name for path in base.parent.iterdir()] == [base.name]
    with pytest.raises(ZeroDivisionError), as_qcow2(base, compress=False, progress=quiet):
        1 / 0  # noqa: B018 - any failure inside
    assert [path.name for path in base.parent.iterdir()] == [base.name]


def test_the_work_directory_of_a_build_is_left_as_it_was(base):
    work = base.parent / ".bakery"
    work.mkdir()
    (work / "source.json").write_text("{}")
    (work / "upload").mkdir()
    (work / "upload" / "half").write_text("what a killed upload left")
    with as_qcow2(base, compress=False, progress=quiet):
        pass
    assert [path.name for path in work.iterdir()] == ["source.json"]


def test_a_second_one_waits_for_the_first(base):
    order = []

    def second():
        with as_qcow2(base, compress=False, progress=quiet):
            order.append("second")

    with as_qcow2(base, compress=False, progress=quiet) as made:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(1.0)
        assert made.exists()
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_progress_ends_at_the_size_of_the_base(base):
    seen = []
    with as_qcow2(base, compress=False, progress=lambda done, total: seen.append((done, total))):
        pass
    assert seen[-1] == (200 * MIB, 200 * MIB)
    assert seen == sorted(seen)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_with_the_way_out(base):
    base.parent.chmod(0o500)
    try:
        with (
            pytest.raises(BakeryError, match="cannot be written") as caught,
            as_qcow2(base, compress=False, progress=quiet),
        ):
            pass
    finally:
        base.parent.chmod(0o700)
    assert "--disk-format raw" in caught.value.hint


def failing(words):
    def run(*_arguments, **_more):
        raise CommandFailed("qemu-img", "ended with 1", words)

    return run


def test_a_full_disk_is_told_with_the_way_out(base, monkeypatch):
    monkeypatch.setattr(convert, "run_confined", failing("x: No space left on device"))
    with (
        pytest.raises(BakeryError, match="is full: the base cannot become qcow2") as caught,
        as_qcow2(base, compress=False, progress=quiet),
    ):
        pass
    assert "--disk-format raw" in caught.value.hint
    assert [path.name for path in base.parent.iterdir()] == [base.name]


def test_another_failure_is_told_as_it_is(base, monkeypatch):
    monkeypatch.setattr(convert, "run_confined", failing("no such luck"))
    with (
        pytest.raises(CommandFailed, match="no such luck"),
        as_qcow2(base, compress=False, progress=quiet),
    ):
        pass


def test_a_folder_that_is_a_file_is_told_with_the_way_out(base):
    (base.parent / ".bakery").write_text("")
    with (
        pytest.raises(BakeryError, match="cannot be written: ") as caught,
        as_qcow2(base, compress=False, progress=quiet),
    ):
        pass
    assert "copy the build elsewhere" in caught.value.hint


def test_a_lock_that_another_one_removed_is_taken_anew(base, monkeypatch):
    folder, real, taken = base.parent / ".bakery", fcntl.flock, []

    def flock(descriptor, kind):
        real(descriptor, kind)
        taken.append(descriptor)
        if len(taken) == 1:
            shutil.rmtree(folder)

    monkeypatch.setattr(fcntl, "flock", flock)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with convert._locked(folder):
        assert len(taken) == 2
        assert (folder / "upload.lock").exists()
    assert not folder.exists()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
