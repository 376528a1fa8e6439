"""Archives read back with cpio(1)."""

import subprocess

from bakery.ramdisk import cpio


def listed(archive: bytes) -> list[str]:
    done = subprocess.run(
        ["cpio", "-itvn", "--quiet"], input=archive, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return [" ".join(line.split()) for line in done.stdout.decode().splitlines()]


def packed(tree: dict[str, cpio.Entry]) -> bytes:
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


def test_the_order_of_the_files_makes_no_difference():
    assert packed(TREE) == packed(dict(reversed(TREE.items())))
