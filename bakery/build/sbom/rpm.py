"""rpm's database, read by rpm(8) itself, in a cage.

Three forms are about: rpmdb.sqlite (Fedora since 33, RHEL 9), Packages (Berkeley DB, what came
before; rpm reads it still, by `bdb_ro`) and Packages.db (`ndb`, openSUSE). Which of them an rpm can
read is settled when it is compiled; Debian's knows the first two. An rpm that does not know a form
goes on with an empty database, so what it says is read as well.
"""

from collections.abc import Iterator
from pathlib import Path

from bakery.build.sbom.packages import PACKAGES_LIMIT, Package, checked
from bakery.host import tools
from bakery.host.errors import BakeryError
from bakery.host.run import Arg, Limits, ending
from bakery.host.sandbox import Cage, run_confined

# file of the database → the backend that reads it (rpm, lib/backend/dbi.c)
BACKENDS = {"rpmdb.sqlite": "sqlite", "Packages": "bdb_ro", "Packages.db": "ndb"}
BESIDE = ("rpmdb.sqlite-wal",)
"""What SQLite has not yet taken over into its file."""

TAGS = (
    *("NAME", "EPOCH", "VERSION", "RELEASE", "ARCH"),
    *("LICENSE", "VENDOR", "SOURCERPM", "BUILDTIME"),
)
FIELD_END, RECORD_END = "\x1f", "\x1e"
NONE = "(none)"
KEYS = "gpg-pubkey"
"""rpm keeps the keys it trusts as packages of this name."""
TIMEOUT_SECONDS = 120.0
LIMITS = Limits(memory_bytes=2 << 30, cpu_seconds=60, file_bytes=1 << 30)
OUTPUT_LIMIT_BYTES = 64 << 20
SIZE_LIMIT_BYTES = 512 << 20


def read(folder: Path, file: str, origin: str) -> list[Package]:
    """The packages in a copy of a database: `file` in `folder`, which rpm may write to.

    BakeryError names `origin`, where it cannot be read.
    """
    if tools.find("rpm") is None:
        raise BakeryError(
            f"{origin} is a database of rpm, and rpm, which reads it, is not installed",
            "install it: apt-get install rpm",
        )
    form = "".join(f"%{{{tag}}}{FIELD_END}" for tag in TAGS) + RECORD_END
    argv: list[Arg] = ["rpm", "--define", f"_db_backend {BACKENDS[file]}", "--dbpath", folder]
    argv += ["--nosignature", "--nodigest", "-qa", "--queryformat", form]
    cage = Cage(write=(folder,), limits=LIMITS)
    done = run_confined(
        argv, cage, timeout=TIMEOUT_SECONDS, output_limit=OUTPUT_LIMIT_BYTES, check=False
    )
    complaint = done.stderr.decode("utf-8", "replace")
    if "_db_backend" in complaint or "dummy database" in complaint:
        raise BakeryError(
            f"{origin} is a database that the rpm of this machine cannot read ({BACKENDS[file]})",
            "make the bill of materials where rpm can: on a distribution like the image's",
        )
    if done.returncode or "error:" in complaint:
        reason = _first_error(complaint) or f"rpm {ending(done.returncode)}"
        raise BakeryError(f"{origin} cannot be read: {reason}")
    return _packages(done.stdout, origin)


def _first_error(complaint: str) -> str:
    line = next((line for line in complaint.splitlines() if "error:" in line), "")
    return line.partition("error:")[2].strip()[:200]


def _records(output: bytes) -> Iterator[str]:
    """The records one by one: each is small, however much there is of all."""
    start, end = 0, RECORD_END.encode()
    while (found := output.find(end, start)) >= 0:
        yield output[start:found].decode("utf-8", "replace")
        start = found + len(end)
    if start < len(output):
        yield ""  # the last was cut short


def _packages(output: bytes, origin: str) -> list[Package]:
    packages = []
    for number, record in enumerate(_records(output), 1):
        if not record or number > PACKAGES_LIMIT:
            raise BakeryError(
                f"{origin} does not give a valid list of packages, or too many of them"
            )
        words = record.split(FIELD_END, len(TAGS) + 1)
        if len(words) != len(TAGS) + 1:
            raise BakeryError(f"{origin}: package {number} holds control characters")
        fields = {
            tag: "" if word == NONE else checked(word, f"{origin}: the {tag} of package {number}")
            for tag, word in zip(TAGS, words, strict=False)
        }
        if fields["NAME"] != KEYS:
            packages.append(_package(fields, f"{origin}: package {number}"))
    return packages


def _package(fields: dict[str, str], where: str) -> Package:
    if not fields["NAME"] or not fields["VERSION"]:
        raise BakeryError(f"{where} has no name or no version")
    time = fields["BUILDTIME"]
    return Package(
        kind="rpm",
        name=fields["NAME"],
        version="-".join(filter(None, [fields["VERSION"], fields["RELEASE"]])),
        architecture=fields["ARCH"],
        epoch=fields["EPOCH"],
        source=fields["SOURCERPM"],
        vendor=fields["VENDOR"],
        license=fields["LICENSE"],
        time=int(time) if time.isascii() and time.isdigit() else 0,
    )
