"""Package databases as the package managers themselves leave them."""

import contextlib
import dbm.ndbm
import shutil
import sqlite3
import struct
from pathlib import Path

from tests import tiny

STATUS = b"""\
Package: libc6
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Source: glibc
Version: 2.36-9+deb12u7
Description: GNU C Library
 Contains the standard libraries.
 .
 Status: not a field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: base-files
Status: hold ok installed
Architecture: all
Source: base (11)
Version: 1:12.4
"""
SPEC = """\
Name: {name}
{epoch}
Version: 1.0
Release: 3
Summary: for a test
License: {license}
Vendor: Bakers
BuildArch: noarch
%description
%files
"""
BUILT = 1_700_000_000


def rpm(folder: Path) -> Path:
    """A folder with rpmdb.sqlite: hello (SPDX licence, epoch 2), world (another licence)."""
    for name, epoch, license_words in (
        ("hello", "Epoch: 2", "GPL-2.0-or-later AND MIT"),
        ("world", "", "GPLv2+ and Redistributable"),
    ):
        spec = folder / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, epoch=epoch, license=license_words))
        tiny.run("rpmbuild", "--quiet", "--define", f"_topdir {folder}", "-bb", spec)
    base = folder / "db"
    packages = sorted((folder / "RPMS/noarch").iterdir())
    tiny.run("rpm", "--dbpath", base, "--initdb")
    words = ("--force-debian", "--justdb", "--nodeps", "--ignorearch", "--ignoreos")
    tiny.run("rpm", "--dbpath", base, *words, "-i", *packages)
    with contextlib.closing(sqlite3.connect(base / "rpmdb.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    only = folder / "sqlite"
    only.mkdir()
    shutil.copy(base / "rpmdb.sqlite", only)
    return only


def berkeley(folder: Path, sqlite: Path) -> Path:
    """The same database as rpm kept it before: a hash of Berkeley DB, named Packages."""
    unwritten = f"file:{sqlite}/rpmdb.sqlite?immutable=1"
    with contextlib.closing(sqlite3.connect(unwritten, uri=True)) as connection:
        headers = connection.execute("SELECT hnum, blob FROM Packages").fetchall()
    folder.mkdir()
    with dbm.ndbm.open(str(folder / "Packages"), "n") as database:
        database[struct.pack("=I", 0)] = struct.pack("=I", len(headers))
        for number, header in headers:
            database[struct.pack("=I", number)] = header
    (folder / "Packages.db").rename(folder / "Packages")
    return folder
