"""Archives read back with cpio(1)."""

import subprocess

from bakery.node.ramdisk import cpio


def listed(archive: bytes) -> list[str]:
    done = subprocess.run(
        ["cpio", "-itvn", "--quiet"], input=archive, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return [" ".join(line.split()) for line in done.stdout.decode().splitlines()]


def packed(tree: dict[str, cpio.Member]) -> bytes:
    return b"".join(cpio.pack(tree))


TREE = {
    "init": cpio.file(b"#!/bin/sh\n", executable=True),
    "usr/lib/a": cpio.file(b"abc"),
    "bin": cpio.link("usr/bin"),
    "dev/console": cpio.character_device(5, 1),
}


def test_every_kind_of_file_is_read_back_with_its_folders():
    rows = [line.replace("Jan 1 1970 ", "") for line in listed(packed(TREE))]
    assert rows == [
        "lrwxrwxrwx 1 0 0 7 bin -> usr/bin",
        "drwxr-xr-x 2 0 0 0 dev",
        "crw------- 1 0 0 5, 1 dev/console",
        "-rwxr-xr-x 1 0 0 10 init",
        "drwxr-xr-x 2 0 0 0 usr",
        "drwxr-xr-x 2 0 0 0 usr/lib",
        "-rw-r--r-- 1 0 0 3 usr/lib/a",
    ]


def test_contents_are_read_back(tmp_path):
    tree = {f"d{n}/f": cpio.file(bytes([n]) * n) for n in range(9)}
    subprocess.run(["cpio", "-id", "--quiet"], input=packed(tree), cwd=tmp_path, check=True)
    assert {n: (tmp_path / f"d{n}/f").read_bytes() for n in range(9)} == {
        n: bytes([n]) * n for n in range(9)
    }


def test_an_archive_is_as_the_kernel_reads_it():
    """Documentation/driver-api/early-userspace/buffer-format.rst: 13 fields of 8 digits."""
    archive = packed({"a": cpio.link("target"), "b/c": cpio.character_device(5, 1)})
    seen = []
    while archive:
        assert archive.startswith(b"070701")
        fields = [int(archive[at : at + 8], 16) for at in range(6, 110, 8)]
        size, name_size = fields[6], fields[11]
        name = archive[110 : 110 + name_size]
        start = -(-(110 + name_size) // 4) * 4
        end = -(-(start + size) // 4) * 4
        assert not any(archive[110 + name_size : start] + archive[start + size : end])
        seen.append((name, fields[:6], archive[start : start + size], fields[7:11], fields[12]))
        archive = archive[end:]
    assert seen == [
        (b"a\0", [1, 0o120777, 0, 0, 1, 0], b"target", [0, 0, 0, 0], 0),
        (b"b\0", [2, 0o040755, 0, 0, 2, 0], b"", [0, 0, 0, 0], 0),
        (b"b/c\0", [3, 0o020600, 0, 0, 1, 0], b"", [0, 0, 5, 1], 0),
        (b"TRAILER!!!\0", [0, 0, 0, 0, 1, 0], b"", [0, 0, 0, 0], 0),
    ]


def test_the_order_of_the_files_makes_no_difference():
    assert packed(TREE) == packed(dict(reversed(TREE.items())))
