"""Whether an image may be handed to a conductor, and what it is.

Everything is told by content. First bytes are read by bakery alone; QEMU and sfdisk see an image
only when nothing speaks against it so far, and only inside a cage that holds this one file.
docs/check.md lists the findings.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple, Self

import msgspec

from bakery.disk import blockdevs
from bakery.disk.findings import CheckReport, Finding
from bakery.disk.formats import detect, peek, qcow2, qcow2_map, second_opinion, vdi, vhd, vmdk
from bakery.disk.formats.detect import Ends, ImageFormat
from bakery.disk.volumes import partitions
from bakery.disk.volumes.volumes import PartitionTable
from bakery.host.errors import BakeryError, MissingTool
from bakery.host.run import CommandFailed, Completed
from bakery.host.sandbox import Cage, run_confined

__all__ = ["CheckReport", "Finding", "ImageFormat", "check", "check_with_table", "identify"]

VIRTUAL_SIZE_LIMIT_BYTES = (16 << 40) - (1 << 20)
"""ext4 holds no larger file (mkfs.ext4, blocks of 4 KiB): such a disk cannot become raw there."""
SECTOR_BYTES = 512
EXPANSION_LIMIT = 128
EXPANSION_FLOOR_BYTES = 1 << 30
OUTPUT_LIMIT_BYTES = 1 << 20
DOUBTS_SHOWN = 8
NODE_NAME = re.compile(r"qemu-img: (Could not open )?('json:.*?': )?")
CHECKED_BY_QEMU = ("vmdk", "vhdx", "vdi")


class _Info(msgspec.Struct, frozen=True, rename={"size": "virtual-size"}):
    size: Annotated[int, msgspec.Meta(ge=0)]


class Subject(NamedTuple):
    """The image being looked at: where it is, open, its first and last bytes, its kind."""

    path: Path
    file: BinaryIO
    ends: Ends
    kind: str

    @classmethod
    def of(cls, path: Path, file: BinaryIO) -> Self:
        """Read the ends of an open file; links on the way to it are resolved."""
        ends = detect.read_ends(file)
        return cls(Path(os.path.realpath(path)), file, ends, detect.sniff(ends))

    @property
    def blockdev(self) -> blockdevs.BlockDevice:
        """The image as a QEMU node that follows nothing the image names."""
        return blockdevs.image(self.path, self.kind)


def identify(path: Path) -> ImageFormat:
    """The format and size of an image, for QEMU to be told; it is never left to guess.

    Raises BakeryError for what no image may be: no regular file, no known format, data in
    other files, encryption, a damaged header.
    """
    try:
        with detect.open_regular(path) as file:
            subject = Subject.of(path, file)
            for finding in [*_kind_findings(subject), *_header_findings(subject)]:
                if finding.severity == "refuse":
                    raise BakeryError(f"{path.name}: {finding.message}", finding.hint)
            return ImageFormat(subject.kind, _virtual_size(subject))
    except CommandFailed as error:
        found = _unreadable_by_qemu(error)
        raise BakeryError(f"{path.name}: {found.message}") from error
    except OSError as error:
        raise BakeryError(f"{path} cannot be read: {error.strerror}") from error


def check(
    path: Path, *, claimed: str = "", with_partitions: bool = True, with_openstack: bool = True
) -> CheckReport:
    """Look an image over; never raises for what is wrong with the image itself.

    `claimed` is the format the user names (`qcow2`, `vhd`, …). A caller that looks at the
    partition table itself leaves it out here, and so the two programs this starts. Without
    OpenStack's opinion, 0.1 s of imports are spared.
    """
    return check_with_table(path, claimed, (with_partitions, with_openstack))[0]


def check_with_table(
    path: Path, claimed: str = "", depth: tuple[bool, bool] = (True, True)
) -> tuple[CheckReport, PartitionTable | None]:
    """As `check`, and the partition table that was seen; None where there is none to go by."""
    try:
        with detect.open_regular(path) as file:
            return _check(path, Subject.of(path, file), claimed, depth)
    except MissingTool:
        raise
    except BakeryError as error:
        found = Finding.refuse("unreadable", error.message, hint=error.hint)
    except OSError as error:
        found = Finding.refuse("unreadable", f"{path} cannot be read: {error.strerror}")
    return CheckReport("", 0, (found,)), None


def _check(
    path: Path, subject: Subject, claimed: str, depth: tuple[bool, bool]
) -> tuple[CheckReport, PartitionTable | None]:
    """Each step looks only at what the steps before it have nothing against."""
    with_partitions, with_openstack = depth
    table = None
    found = [
        *_claim_findings(path, claimed, subject.kind),
        *_kind_findings(subject),
        *_header_findings(subject),
    ]
    size = 0 if _refused(found) else _size(subject, found)
    if with_openstack and not _refused(found):
        found += second_opinion.findings(subject.file, subject.kind)
    if with_partitions and not _refused(found):
        content, table = _content(subject, size)
        found += content
    return CheckReport(subject.kind, size, tuple(dict.fromkeys(found))), table


def _size(subject: Subject, found: list[Finding]) -> int:
    """The size of the disk in bytes, 0 where it cannot be told; what speaks against it is added."""
    try:
        size = _virtual_size(subject)
    except CommandFailed as error:
        found.append(_unreadable_by_qemu(error))
        return 0
    found += _size_findings(subject, size)
    return size


def _refused(found: list[Finding]) -> bool:
    return any(finding.severity == "refuse" for finding in found)


def _claim_findings(path: Path, claimed: str, kind: str) -> list[Finding]:
    """The format that was named, or that the file's name claims, against its content."""
    cves = ("CVE-2024-40767", "CVE-2026-24708")
    wanted = detect.CLAIMS.get(claimed, claimed)
    if wanted and wanted != kind:
        text = f"the image is {kind} by its content, not {claimed} as stated"
        return [Finding.refuse("format-mismatch", text, *cves)]
    named = detect.claimed(path.name)
    if not wanted and named and named != kind and kind in detect.SUPPORTED:
        text = f"the file is named {path.suffix}, but is {kind} by its content"
        hint = f"rename it, or state its format: --format {kind}"
        return [Finding.refuse("format-mismatch", text, *cves, hint=hint)]
    return []


def _kind_findings(subject: Subject) -> list[Finding]:
    """What speaks against a file by the marks it carries."""
    ends, kind = subject.ends, subject.kind
    kinds = detect.image_kinds(ends)
    if ends.size == 0:
        return [Finding.refuse("empty", "the file is empty")]
    if detect.is_packed(kind):
        hint = detect.unpacking(kind, ends.head)
        return [Finding.refuse("packed", f"the image is packed with {kind}", hint=hint)]
    if kind == "luks":
        return [Finding.refuse("encrypted", "the image is encrypted (LUKS)")]
    if kind == "vmdk-descriptor":
        text = "the file is a VMDK descriptor: its data is in other files, which it names"
        return [Finding.refuse("outside-extents", text, "CVE-2022-47951", "CVE-2024-40767")]
    if len(kinds) > 1:
        text = f"the file is several things at once: {', '.join(kinds)}"
        return [Finding.refuse("polyglot", text, "CVE-2024-40767")]
    if kind == "qcow":
        text = "qcow of version 1 is not supported"
        hint = "make it qcow2 where you trust it: qemu-img convert -f qcow -O qcow2 IMAGE NEW"
        return [Finding.refuse("unsupported-format", text, hint=hint)]
    if kind not in detect.SUPPORTED:
        taken = ", ".join(detect.SUPPORTED)
        hint = f"bakery accepts {taken}"
        return [
            Finding.refuse("unsupported-format", f"the format {kind} is not supported", hint=hint)
        ]
    if kind == "raw" and not detect.looks_like_a_disk(ends.head):
        text = "the file is not a disk image: no known format, partition table or filesystem"
        return [Finding.refuse("no-image", text)]
    return []


def _header_findings(subject: Subject) -> list[Finding]:
    """What a format's header says against the image, read without any program's help."""
    try:
        match subject.kind:
            case "qcow2":
                return qcow2.findings(_qcow2_header(subject))
            case "vmdk":
                return vmdk.findings(subject.file)
            case "vpc":
                return vhd.findings(subject.ends)
            case "vdi":
                return vdi.findings(subject.ends)
    except BakeryError as error:
        text = f"the {subject.kind} header is broken: {error.message}"
        return [Finding.refuse("bad-header", text, "CVE-2014-0143", "CVE-2014-0144")]
    return []


def _qcow2_header(subject: Subject) -> qcow2.Header:
    return qcow2.parse(subject.ends.head[: qcow2.HEAD_BYTES])


def _virtual_size(subject: Subject) -> int:
    """The size of the disk in bytes; CommandFailed where QEMU cannot open the image."""
    if subject.kind == "raw":
        return subject.ends.size
    if subject.kind == "qcow2":
        # QEMU's driver counts whole sectors and leaves the rest off.
        return _qcow2_header(subject).virtual_size_bytes // SECTOR_BYTES * SECTOR_BYTES
    return _told_size(_qemu_img(subject, "info").stdout)


def _told_size(printed: bytes) -> int:
    """What `qemu-img info` says of the disk's size; the image may have made it say anything."""
    try:
        return msgspec.json.decode(printed, type=_Info).size
    except (msgspec.DecodeError, RecursionError) as error:
        raise BakeryError(f"qemu-img tells of the image what makes no sense: {error}") from None


def _qemu_img(subject: Subject, verb: str) -> Completed:
    """Ask qemu-img about the image, in a cage that holds nothing else."""
    return run_confined(
        ["qemu-img", verb, "--output=json", blockdevs.name(subject.blockdev)],
        Cage(read=(subject.path,), limits=peek.LIMITS),
        timeout=peek.TIMEOUT_SECONDS,
        env=peek.ENVIRONMENT,
        output_limit=OUTPUT_LIMIT_BYTES,
    )


def _size_findings(subject: Subject, size: int) -> list[Finding]:
    """Disks that are too large, files that are too short, and small files with huge content."""
    if size > VIRTUAL_SIZE_LIMIT_BYTES:
        text = f"the disk would be {size} bytes; at most {VIRTUAL_SIZE_LIMIT_BYTES} can be written"
        return [Finding.refuse("virtual-size", text, "CVE-2015-5162")]
    if size < SECTOR_BYTES:
        return [Finding.refuse("empty", f"the disk has {size} bytes")]
    if subject.kind == "qcow2":
        return _table_walk_findings(subject)
    if subject.kind == "vmdk" and (found := vmdk.truncation(subject.file)):
        return found
    if subject.kind in CHECKED_BY_QEMU:
        try:
            _qemu_img(subject, "check")
        except CommandFailed as error:
            reason = error.tail.partition(" / ")[0]
            return [Finding.refuse("bad-tables", f"the image is damaged: {reason}")]
    return []


def _table_walk_findings(subject: Subject) -> list[Finding]:
    try:
        stored = qcow2_map.stored_bytes(subject.file, _qcow2_header(subject))
    except qcow2_map.Truncated as error:
        return [Finding.refuse("truncated", error.message, hint="fetch the image again")]
    except BakeryError as error:
        return [Finding.refuse("bad-tables", error.message, "CVE-2014-0143")]
    length = subject.ends.size
    if stored > EXPANSION_FLOOR_BYTES and stored > EXPANSION_LIMIT * length:
        text = f"the image is a bomb: {length} bytes that expand to {stored}"
        return [Finding.refuse("bomb", text, "CVE-2015-5162")]
    return []


def _content(subject: Subject, size: int) -> tuple[list[Finding], PartitionTable | None]:
    """What the disk itself holds: its partition table, and no other image in its first bytes."""
    try:
        if subject.kind == "raw":
            return _table(subject.path, size)
        with tempfile.TemporaryDirectory(prefix="bakery-check-") as scratch:
            look = peek.Peek(subject.path, subject.blockdev, size, Path(scratch))
            inner = _inner_findings(look.edges())
            return (inner, None) if inner else _table(look.disk, size)
    except CommandFailed as error:
        return [_unreadable_by_qemu(error)], None
    except MissingTool:
        raise
    except BakeryError as error:
        return [Finding.refuse("virtual-size", error.message)], None


def _inner_findings(head: bytes) -> list[Finding]:
    """An image inside the image: whoever writes the disk out and lets QEMU guess opens it."""
    inner = detect.sniff(Ends(head, b"", len(head)))
    if inner == "luks":
        return [Finding.refuse("encrypted", "the disk in the image is encrypted (LUKS)")]
    if inner != "raw" and not detect.is_packed(inner):
        text = f"the disk in the image is itself an image ({inner})"
        return [Finding.refuse("image-within", text, "CVE-2024-40767", "CVE-2026-24708")]
    if not detect.looks_like_a_disk(head):
        text = "the disk holds no partition table and no filesystem that is known"
        return [Finding.warn("blank", text)]
    return []


def _table(disk: Path, size: int) -> tuple[list[Finding], PartitionTable | None]:
    """What speaks against the partition table of a disk that is a file, and the table."""
    try:
        table = peek.partition_table(disk, size)
    except CommandFailed:
        raise
    except BakeryError as error:
        return [Finding.refuse("partition-table", error.message)], None
    doubts = partitions.problems(table, size) if table else []
    if table and partitions.is_boot_sector(table, size, _head(disk)):
        return [], None
    return doubts[:DOUBTS_SHOWN], table


def _head(disk: Path) -> bytes:
    with disk.open("rb") as file:
        return file.read(detect.HEAD_BYTES)


def _unreadable_by_qemu(error: CommandFailed) -> Finding:
    # QEMU puts the name it was given before the reason, and the name holds the whole node.
    reason = NODE_NAME.sub("", error.tail) or error.message
    return Finding.refuse("unreadable-by-qemu", f"the image cannot be read: {reason}")
