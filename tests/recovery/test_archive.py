"""A recovery archive: what goes in comes out, and what does not go in whole is not there."""

import io
import os
import random
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.recovery.open import opened
from bakery.recovery.seal import sealing
from tests.recovery import pairs
from tests.recovery.pairs import files, member, read, sealed, tar

EVERYTHING = (
    (member("etc", tarfile.DIRTYPE, mode=0o755, uid=0, gid=0), b""),
    (member("etc/shadow", mode=0o640, uid=0, gid=42, mtime=1.25), b"root:*:"),
    (member("etc/empty", mode=0o7777, uid=4294967294), b""),
    (member("etc/again", tarfile.LNKTYPE, linkname="etc/shadow"), b""),
    (member("etc/mtab", tarfile.SYMTYPE, linkname="/proc/self/mounts"), b""),
    (member("var/" + "deep/" * 60 + "n" * 255, mtime=-5), b"below folders that have no member"),
    (member("odd\n\udcff name", pax_headers={"SCHILY.xattr.user.é": "\udcff=\n\0"}), b"x" * 513),
    (member("v" * 200, pax_headers={"BAKERY.note": "of our own"}), b"y" * 512),
)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_goes_in_comes_out(pair, tmp_path):
    content = tar(EVERYTHING)
    archive = sealed(tmp_path / "a", content, pair, step=777)
    assert read(archive, pair) == content
    with (
        opened(archive, pair.private) as stream,
        tarfile.open(fileobj=stream, mode="r|") as found,
    ):
        members = {info.name: (info, found.extractfile(info)) for info in found if info.isreg()}
    assert members["odd\n\udcff name"][0].pax_headers["SCHILY.xattr.user.é"] == "\udcff=\n\0"
    assert (members["etc/shadow"][0].mtime, members["etc/shadow"][0].gid) == (1.25, 42)


def test_an_archive_is_its_owners_alone_and_nothing_is_beside_it(age, tmp_path):
    archive = sealed(tmp_path / "a", files(("secret", b"swordfish" * 99)), age)
    assert archive.stat().st_mode & 0o7777 == 0o600
    assert left(tmp_path) == ["a"]
    assert b"swordfish" not in archive.read_bytes()


def test_two_archives_of_the_same_share_nothing(pair, tmp_path):
    content = files(("a", b"b"))
    one, two = (sealed(tmp_path / name, content, pair).read_bytes() for name in "ab")
    assert one[-64:] != two[-64:]


def test_a_tar_without_members_is_one(pair, tmp_path):
    assert read(sealed(tmp_path / "a", tar(()), pair), pair) == tar(())


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    contents=st.dictionaries(
        st.text(
            st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1
        ).filter(lambda name: name not in (".", "..") and len(name.encode()) < 256),
        st.binary(max_size=3000),
        max_size=5,
    ),
    step=st.integers(1, 5000),
)
def test_any_files_come_back(age, tmp_path_factory, contents, step):
    content = files(*contents.items())
    archive = sealed(tmp_path_factory.mktemp("any") / "a", content, age, step)
    with (
        opened(archive, age.private) as stream,
        tarfile.open(fileobj=stream, mode="r|") as found,
    ):
        assert {i.name: (found.extractfile(i) or io.BytesIO()).read() for i in found} == contents


def test_a_tar_that_breaks_off_leaves_nothing(age, tmp_path):
    with pytest.raises(KeyboardInterrupt), sealing(tmp_path / "a", age.public) as stream:
        stream.write(files(("a", b"b")))
        raise KeyboardInterrupt
    assert left(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 512, 1024, 1500, 1536])
def test_a_tar_without_its_end_is_not_sealed(age, tmp_path, kept):
    content = files(("a", b"b"))
    with pytest.raises(BakeryError, match="would not be a recovery archive that can be restored"):
        sealed(tmp_path / "a", content[:kept], age)
    assert left(tmp_path) == []


def test_what_could_not_be_restored_is_not_sealed(age, tmp_path):
    with pytest.raises(BakeryError, match=r"member 'dev/sda' is a block device"):
        sealed(tmp_path / "a", tar([(member("dev/sda", tarfile.BLKTYPE), b"")]), age)
    assert left(tmp_path) == []


def test_an_archive_that_is_there_is_not_written_over(age, tmp_path):
    (tmp_path / "a").write_text("all that is left")
    with pytest.raises(BakeryError, match="is there already"):
        sealed(tmp_path / "a", files(("a", b"b")), age)
    assert (tmp_path / "a").read_text() == "all that is left"


def test_a_place_that_cannot_be_written_is_named(age, tmp_path):
    with pytest.raises(BakeryError, match="none/a cannot be written: No such file"):
        sealed(tmp_path / "none" / "a", files(("a", b"b")), age)


def test_a_full_disk_is_named_and_leaves_nothing(age, tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(BakeryError, match=r"a cannot be written: file too large$"):
            sealed(tmp_path / "a", files(("a", random.Random(1).randbytes(3 << 20))), age)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(tmp_path) == []


HALF_SEALED = """
import sys, time
from pathlib import Path
from bakery.recovery.seal import sealing
from tests.recovery.pairs import files
content = files(("secret", b"swordfish!" * 400_000))
with sealing(Path(sys.argv[1]), Path(sys.argv[2])) as stream:
    stream.write(content)
    print("sealing", flush=True)
    time.sleep(600)
"""


def test_a_kill_leaves_no_archive_and_no_plain_text(age, tmp_path):
    argv = [sys.executable, "-c", HALF_SEALED, tmp_path / "a", age.public]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"sealing\n"
        process.kill()
    assert not (tmp_path / "a").exists()
    for path in tmp_path.iterdir():
        assert b"swordfish" not in path.read_bytes()
        with pytest.raises(BakeryError):
            read(path, age)


MEASURED = """
import io, random, resource, sys, tarfile
from pathlib import Path
from bakery.recovery.open import opened
from bakery.recovery.seal import sealing
from tests.recovery.pairs import Pair, member
path, public, private = map(Path, sys.argv[1:4])
mib = int(sys.argv[4])
class Content:
    def __init__(self):
        self.block = random.Random(1).randbytes(1 << 19) + bytes(1 << 19)
    def read(self, size):
        assert size <= len(self.block)
        return self.block[:size]
with sealing(path, public) as stream:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as file:
        file.addfile(member("big", size=mib << 20), Content())
total = 0
with opened(path, private) as stream:
    while piece := stream.read(1 << 20):
        total += len(piece)
assert total > mib << 20
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_archive(age, tmp_path):
    def peak_kib(mib: int) -> int:
        argv = [sys.executable, "-c", MEASURED, tmp_path / f"{mib}", *age, str(mib)]
        return int(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)

    assert peak_kib(300) < peak_kib(3) + (40 << 10)


def test_a_wrong_key_is_told(rsa, age, tmp_path):
    others = [age, rsa, pairs.x25519(tmp_path, "x"), pairs.rsa(tmp_path, "y")]
    for pair in (age, rsa):
        archive = sealed(tmp_path / "a", files(("a", b"b")), pair)
        for other in others:
            if other != pair:
                with pytest.raises(BakeryError, match=r"a cannot be opened .*: it was not sealed"):
                    read(archive, other)
        archive.unlink()


def test_a_file_altered_after_it_was_verified_gives_no_altered_byte(age, tmp_path):
    content = files(("a", random.Random(2).randbytes(1 << 20)))
    archive = sealed(tmp_path / "a", content, age)
    with opened(archive, age.private) as stream:
        assert stream.read(1000) == content[:1000]
        with archive.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"altered")
        found = b""
        with pytest.raises(BakeryError, match="altered or cut short"):
            while piece := stream.read(10_000):
                found += piece
    assert content[1000:].startswith(found)


def test_a_file_put_in_its_place_after_it_was_verified_is_not_read(age, tmp_path):
    content = files(("a", random.Random(2).randbytes(1 << 20)))
    archive = sealed(tmp_path / "a", content, age)
    other = sealed(tmp_path / "b", files(("b", b"")), age)
    with opened(archive, age.private) as stream:
        other.rename(archive)
        assert stream.read() == content


@pytest.mark.parametrize("kind", ["folder", "FIFO", "nothing"])
def test_what_is_no_file_is_told_at_once(age, tmp_path, kind):
    path = tmp_path / "a"
    if kind == "folder":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    started = time.monotonic()
    with pytest.raises(BakeryError, match=r"a is not a file|a cannot be read"):
        read(path, age)
    assert time.monotonic() - started < 5


def test_an_archive_is_on_the_disk_before_it_has_its_name(age, tmp_path, on_disk):
    on_disk.assert_durable(sealed(tmp_path / "a", files(("a", b"b")), age))
