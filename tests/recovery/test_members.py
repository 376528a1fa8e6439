"""Tars that must not be restored, sealed well: who has the public key can make such archives."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bakery.host.errors import BakeryError
from bakery.recovery import members, packing
from bakery.recovery.members import ROOM, Members, Room
from bakery.recovery.open import opened
from tests.recovery.pairs import Pair, files, forged, member, tar

LINK, HARD, FOLDER = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
GOOD = files(("etc/a", b"b" * 600), ("etc/c", b""))
Named = tuple[str, str, bytes]


def records(**extra: str) -> bytes:
    """A tar with one file, and these records before it as tarfile writes them."""
    return tar(
        [(member("a", pax_headers={k.replace("__", "."): v for k, v in extra.items()}), b"")]
    )


def raw_records(content: bytes, size: int | None = None) -> bytes:
    """The same, with an extended header of just these bytes."""
    size = len(content) if size is None else size
    header = member("x", b"x", size=size).tobuf(tarfile.USTAR_FORMAT)
    return header + content.ljust(-(-len(content) // 512) * 512, b"\0") + files(("a", b""))


def patched(at: int, new: bytes, *, right: bool = True) -> bytes:
    """GOOD with other bytes in its first header, whose checksum is right again or not."""
    header = bytearray(GOOD[:512])
    header[at : at + len(new)] = new
    return bytes(checked(header) if right else header) + GOOD[512:]


def checked(header: bytearray) -> bytearray:
    """A header with its checksum made right."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return header


def one(*infos: tarfile.TarInfo) -> bytes:
    """A tar of members without contents."""
    return tar((info, b"") for info in infos)


def paths() -> Iterator[Named]:
    """Paths that lead out, or that no Linux has."""
    yield "up", "leads upward", files(("../etc/shadow", b"x"))
    yield "up inside", "leads upward", files(("a/../../etc/shadow", b"x"))
    yield "up at the end", "leads upward", one(member("a/..", FOLDER))
    yield "absolute", "is an absolute path", patched(0, b"/etc/shadow\0")
    yield "absolute by record", "is an absolute path", raw_records(b"20 path=/etc/passwd\n")
    yield (
        "up by record",
        "leads upward",
        raw_records(b"20 path=../../passwd\n".replace(b"20", b"21")),
    )
    yield "two slashes", "is not a plain path", files(("a//b", b""))
    yield "dot", "is not a plain path", files(("./a", b""))
    yield "the root", "is not a plain path", one(member(".", FOLDER))
    yield "no name", "is not a plain path", patched(0, bytes(100))
    yield "a file as a folder", "is not a plain path", files(("a/", b""))
    yield "a long name", "longer path", files(("a" * 256, b""))
    yield "a long path", "longer path", files(("a/" * 2100 + "a", b""))
    yield "NUL by record", "senseless", raw_records(b"12 path=a\0b\n")
    yield "twice", "is there twice", files(("a", b""), ("a", b""))
    yield "folder and file", "is there twice", one(member("a", FOLDER), member("a"))
    yield "a folder twice", "is there twice", one(member("a", FOLDER), member("a", FOLDER))
    yield (
        "a folder in use, then a link",
        "is there twice",
        one(member("a/b"), member("a", LINK, linkname="/")),
    )


def links() -> Iterator[Named]:
    """Links that lead out, or nowhere."""
    out = member("a", LINK, linkname="/etc")
    yield "below a link", "below a link", one(out, member("a/passwd"))
    yield "a folder below a link", "below a link", one(out, member("a/b", FOLDER))
    yield "deep below a link", "below a link", one(out, member("a/b/c/d"))
    yield "a link below a link", "below a link", one(out, member("a/b", LINK, linkname="c"))
    yield (
        "a hard link below a link",
        "below a link",
        one(out, member("f"), member("a/b", HARD, linkname="f")),
    )
    yield "below a file", "below a link or a file", one(member("a"), member("a/b"))
    yield (
        "below a hard link",
        "below a link or a file",
        one(member("f"), member("a", HARD, linkname="f"), member("a/b")),
    )
    yield "a link to nothing", "without a possible target", one(member("a", LINK, linkname=""))
    yield "a long link", "without a possible target", one(member("a", LINK, linkname="b" * 4096))
    no = "hard link to no file"
    yield "a hard link to nothing", no, one(member("a", HARD, linkname="b"))
    yield "a hard link to what comes", no, one(member("a", HARD, linkname="b"), member("b"))
    yield "a hard link to itself", no, one(member("a", HARD, linkname="a"))
    yield "a hard link out", no, one(member("a", HARD, linkname="../../etc/shadow"))
    yield "a hard link to the root's", no, one(member("a", HARD, linkname="/etc/shadow"))
    yield "a hard link to a folder", no, one(member("d", FOLDER), member("a", HARD, linkname="d"))
    yield "a hard link to a link", no, one(out, member("b", HARD, linkname="a"))
    yield "a hard link around", no, one(member("d/f"), member("a", HARD, linkname="d/../d/f"))
    yield "a link with contents", "has contents", patched(156, b"2")
    yield "a folder with contents", "has contents", patched(156, b"5")


def kinds() -> Iterator[Named]:
    """Members that are neither files nor folders nor links."""
    for kind, reason in members.KINDS.items():
        yield f"kind {kind!r}", f"is {reason}", patched(156, kind)
    for kind in (b"8", b"A", b"D", b"M", b"N", b"V", b"X", b"\xff"):
        yield f"kind {kind!r}", "of the unknown kind", patched(156, kind)
    yield "a device", "is a character device", one(member("null", tarfile.CHRTYPE, devmajor=1))
    yield "a FIFO", "is a FIFO", one(member("pipe", tarfile.FIFOTYPE))


def headers() -> Iterator[Named]:
    """Headers that say what cannot be, or not what they are taken for."""
    yield "a wrong checksum", "is damaged", patched(0, b"other", right=False)
    yield "a number that is none", "is damaged", patched(124, b"12x45670000\0")
    yield "GNU's format", "not in POSIX format", tar([(member("a"), b"")], tarfile.GNU_FORMAT)
    yield "no format", "not in POSIX format", patched(257, bytes(8))
    yield "a size below zero", "size or owner", patched(124, b"\xff" * 12)
    yield "an endless size", "cut short", patched(124, b"\x80" + b"\x7f" * 11)
    yield "an owner below zero", "size or owner", patched(108, b"\xff" * 8)
    yield "the owner nobody is", "size or owner", patched(108, b"\x80\0\0\0\xff\xff\xff\xff")
    yield "a mode", "an impossible mode", patched(100, b"0100644\0")
    yield "a size by record", "cut short", raw_records(b"23 size=99999999999999\n")
    yield "an owner by record", "size or owner", raw_records(b"18 uid=4294967295\n")
    yield "an owner that is none", "senseless", records(uid="-1")
    yield "a time that is none", "senseless", records(mtime="nan")
    yield "a time of floats", "senseless", records(mtime="1e400")
    yield (
        "GNU's sparse file",
        "has an extended header 'GNU.sparse.",
        records(GNU__sparse__major="1"),
    )
    yield "a character set", "senseless", raw_records(b"21 hdrcharset=latin1\n")
    yield "an unknown record", "has an extended header 'SUN.devmajor'", records(SUN__devmajor="1")
    yield "a record twice", "twice", raw_records(b"10 path=a\n" * 2)
    yield "a global header", "a global header", patched(156, b"g")
    yield "two extended headers", "follow each other", raw_records(b"10 path=a\n")[:1024] * 2
    yield "no records", "takes 0 bytes", raw_records(b"")
    yield (
        "a record after its end",
        "larger than it says",
        raw_records(b"10 path=a\n19 path=/etc/shadow\n", 10),
    )
    yield "a short record", "malformed", raw_records(b"hello\n")
    yield "a record too long", "wrong length", raw_records(b"99 path=a\n")
    yield "a record too short", "wrong length", raw_records(b"8 path=a\n")
    yield "a record of no length", "malformed", raw_records(b"0 path=a\n")
    yield "a record's end", "wrong length", raw_records(b"10 path=abc")
    yield "a giant extended header", "takes 1048577 bytes", raw_records(bytes(1048577))
    yield "an endless extended header", "takes 8589934591 bytes", raw_records(b"", (1 << 33) - 1)
    yield "a giant record", "takes", records(**{"SCHILY.xattr.user.a": "a" * (1 << 20)})


def ends() -> Iterator[Named]:
    """Tars that do not end, or go on."""
    body = GOOD[:2048]
    yield "nothing", "does not end", b""
    yield "no end", "does not end", body
    yield "half an end", "has no end", body + bytes(512)
    yield "half a block", "cut short", body + bytes(700)
    yield "half the contents", "cut short", GOOD[:900]
    yield "another tar after it", "continues after its end", GOOD + GOOD
    yield "a member after a block of zeros", "continues", body + bytes(512) + GOOD
    yield "text after its end", "continues after its end", GOOD + b"x" * 512
    yield "many zeros", "continues after its end", GOOD + bytes(1 << 20)


GROUPS = {
    f"{group.__name__}: {name}": (reason, content)
    for group in (paths, links, kinds, headers, ends)
    for name, reason, content in group()
}


def check(content: bytes, step: int = 1 << 20, room: Room = ROOM) -> None:
    tape = Members(room)
    for at in range(0, len(content), step):
        tape.feed(content[at : at + step])
    tape.finish()


@pytest.mark.parametrize("name", GROUPS)
def test_a_tar_that_cannot_be_restored_safely_is_refused(name: str, age: Pair, tmp_path: Path):
    reason, content = GROUPS[name]
    archive = forged(tmp_path / "a", zstandard.compress(content), age)
    with pytest.raises(BakeryError, match=reason) as raised, opened(archive, age.private):
        pytest.fail("it was opened")
    assert raised.value.message.startswith(f"{archive} cannot be opened as a recovery archive: ")
    assert raised.value.hint == "it was not written by bakery: do not restore from it"
    assert len(raised.value.message.removeprefix(str(archive))) < 300


@given(step=st.integers(1, 2000))
def test_a_tar_is_judged_alike_however_it_is_cut(step: int):
    check(GOOD, step)
    for reason, content in (GROUPS["links: below a link"], GROUPS["ends: half the contents"]):
        with pytest.raises(BakeryError, match=reason):
            check(content, step)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_passes_is_what_tarfile_reads(data: st.DataObject):
    """No header can be changed so that tarfile sees what was not checked."""
    changed = bytearray(tar([(member("d", FOLDER), b""), (member("d/é" * 40), b"abc")]))
    headers = [at for at in range(0, len(changed), 512) if changed[at + 257 : at + 262] == b"ustar"]
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    for at in headers:
        changed[at : at + 512] = checked(changed[at : at + 512])
    try:
        check(bytes(changed))
    except BakeryError:
        return
    with tarfile.open(fileobj=io.BytesIO(bytes(changed)), mode="r|") as file:
        infos = file.getmembers()
    assert len(infos) == len({info.name for info in infos}) == 2
    for info in infos:
        assert info.isreg() or info.isdir() or info.issym()
        assert not info.name.startswith("/") and ".." not in info.name.split("/")


def test_as_many_paths_as_fit_into_memory():
    check(files(("a/b/c", b"")), room=Room(paths=3))
    with pytest.raises(BakeryError, match="more than 3 paths"):
        check(files(("a/b/c/d", b"")), room=Room(paths=3))
    with pytest.raises(BakeryError, match="take more than 1 MiB"):
        check(
            files(*((f"{number}/" + "n/" * 1000 + "n", b"") for number in range(2))),
            room=Room(names_bytes=1 << 20),
        )


def compressed(*pieces: bytes, window_log: int = 0) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return b"".join(map(packer.compress, pieces)) + packer.flush()


GOOD_FRAME = zstandard.compress(GOOD)


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("cut short", b""),
        ("cannot be unpacked", GOOD),
        ("cut short", GOOD_FRAME[:-1]),
        ("cut short", compressed(GOOD)[:-3]),
        ("something follows", GOOD_FRAME + b"\0"),
        ("something follows", GOOD_FRAME + GOOD_FRAME),
        ("something follows", GOOD_FRAME + bytes(100_000)),
        ("something follows", GOOD_FRAME + b"\x50\x2a\x4d\x18\4\0\0\0skip"),
        ("something follows", b"\x50\x2a\x4d\x18\4\0\0\0skip" + GOOD_FRAME),
        ("cannot be unpacked", GOOD_FRAME[:-20] + b"damaged" + GOOD_FRAME[-13:]),
        ("too much memory|cannot be unpacked", compressed(GOOD, window_log=27)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_single_frame_is_refused(reason: str, content: bytes, age: Pair, tmp_path: Path):
    archive = forged(tmp_path / "a", content, age)
    with pytest.raises(BakeryError, match=reason), opened(archive, age.private):
        pytest.fail("it was opened")


def test_a_bomb_is_refused(age: Pair, tmp_path: Path):
    size = packing.FREE_BYTES + (1 << 30)
    header = member("a", size=size).tobuf(tarfile.PAX_FORMAT)
    block = bytes(64 << 20)
    content = compressed(header, *(block for _ in range(size // len(block))), bytes(10240))
    assert len(content) < 1 << 20
    archive = forged(tmp_path / "a", content, age)
    with pytest.raises(BakeryError, match="it unpacks to more than"), opened(archive, age.private):
        pytest.fail("it was opened")


def test_the_bounds_are_those_of_the_page():
    assert Room(1_000_000, 64 << 20) == ROOM
    check(files(("n" * 255, b"")))
    longest = "/".join(["p" * 255] * 15 + ["p" * 254, "q"])
    assert len(longest) == 4096
    check(files((longest.replace("/q", "q"), b"")))
    with pytest.raises(BakeryError, match="longer path"):
        check(files((longest, b"")))
    check(one(member("a", uid=4294967294, gid=4294967294, mode=0o7777)))
    check(one(member("a", LINK, linkname="b" * 4095)))


def test_paths_are_counted_with_the_folders_they_are_in():
    room = Room(paths=3, names_bytes=9)  # a, a/b and a/b/c: 1, 3 and 5 bytes
    check(files(("a/b/c", b"")), room=room)
    with pytest.raises(BakeryError, match="take more than 0 MiB"):
        check(files(("a/b/c", b"")), room=Room(paths=3, names_bytes=8))
    check(one(member("a/b/c"), member("a", FOLDER), member("a/b", FOLDER)), room=room)


def test_a_name_in_an_error_is_cut():
    for length, shown in ((80, "n" * 80), (81, "n" * 77 + "...")):
        with pytest.raises(BakeryError) as refused:
            check(files(("n" * length, b""), ("n" * length, b"")))
        assert refused.value.message == f"its member {shown!r} is there twice"


def test_as_many_zeros_as_fill_a_record_end_a_tar():
    body = GOOD[:2048]
    for blocks in (2, 21):
        check(body + bytes(512 * blocks))
    with pytest.raises(BakeryError, match="continues after its end"):
        check(body + bytes(512 * 22))
    check(raw_records(b"10 path=b\n"))
    largest = b"1048576 SCHILY.xattr.a="
    check(raw_records(largest + b"x" * ((1 << 20) - len(largest) - 1) + b"\n"))
