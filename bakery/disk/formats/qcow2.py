"""The header of a qcow2 image, read strictly, and what in it speaks against the image.

Source: QEMU, docs/interop/qcow2.txt. Integers are big-endian, offsets are bytes of the file.
The bounds on tables are those of QEMU's own driver (block/qcow2.h).
"""

import struct
from collections.abc import Iterator

import msgspec

from bakery.disk.findings import Finding
from bakery.host.errors import BakeryError
from bakery.host.printable import printable

MAGIC = b"QFI\xfb"
HEADER_V2_BYTES = 72
HEADER_V3_BYTES = 104
HEAD_BYTES = 64 << 10
"""Header, extensions and file names all lie in the first cluster; more than this is refused."""
CLUSTER_BITS = range(9, 22)
TABLE_ENTRY_BYTES = 8
L1_LIMIT_BYTES = 32 << 20
REFCOUNT_TABLE_LIMIT_BYTES = 8 << 20
REFCOUNT_ORDER_LIMIT = 6
SNAPSHOT_LIMIT = 65536
EXTENSION_LIMIT = 64
COMPRESSION_TYPES = {0: "zlib", 1: "zstd"}

INCOMPATIBLE = {
    0: "dirty",
    1: "corrupt",
    2: "external data file",
    3: "compression type",
    4: "extended L2 entries",
}
DIRTY, CORRUPT, DATA_FILE, COMPRESSION, EXTENDED_L2 = (1 << bit for bit in INCOMPATIBLE)

FEATURE_NAMES = 0x6803F857
DATA_FILE_NAME = 0x44415441
ENCRYPTION_HEADER = 0x0537BE77

_V2 = struct.Struct(">4sIQIIQIIQQIIQ")
_V3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")
_FEATURE = struct.Struct(">BB46s")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A qcow2 header. Sizes in bytes; `l1_entries` counts entries of eight bytes."""

    version: int
    virtual_size_bytes: int
    cluster_bits: int
    crypt_method: int
    l1_entries: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    refcount_order: int
    snapshots: int
    snapshots_offset: int
    backing_file: str
    """The name as the image holds it, shortened; `?` where it has a place but no name."""
    data_file: str
    incompatible: int
    compression: str
    feature_names: dict[int, str]
    """Names the image itself gives to incompatible feature bits; hostile text."""
    encryption_header: bool

    @property
    def cluster_bytes(self) -> int:
        """The unit of allocation."""
        return 1 << self.cluster_bits

    @property
    def l2_span_bytes(self) -> int:
        """The bytes of the disk that one L2 table maps, and so one entry of the L1 table."""
        entry = TABLE_ENTRY_BYTES * (2 if self.incompatible & EXTENDED_L2 else 1)
        return (self.cluster_bytes // entry) * self.cluster_bytes


class BadHeader(BakeryError):
    """The bytes are no qcow2 header that QEMU would take."""


def parse(head: bytes) -> Header:
    """The header in the first HEAD_BYTES (or all) of a file; raises BadHeader."""
    if len(head) < HEADER_V2_BYTES or not head.startswith(MAGIC):
        raise BadHeader("the file is too short for a qcow2 header")
    (_, version, backing_at, backing_length, cluster_bits, size, crypt, l1_entries, l1_at,
     refcounts_at, refcount_clusters, snapshots, snapshots_at) = _V2.unpack_from(head)  # fmt: skip
    if version not in (2, 3):
        raise BadHeader(f"qcow2 version {version} is unknown; 2 and 3 are supported")
    if cluster_bits not in CLUSTER_BITS:
        raise BadHeader(f"clusters of 2^{cluster_bits} bytes are outside 512 bytes to 2 MiB")
    incompatible, order, length, compression = _version_3(head, version)
    if length > 1 << cluster_bits:
        raise BadHeader(f"a header of {length} bytes is longer than a cluster")
    extensions = dict(_extensions(head, length, backing_at))
    header = Header(
        version=version,
        virtual_size_bytes=size,
        cluster_bits=cluster_bits,
        crypt_method=crypt,
        l1_entries=l1_entries,
        l1_offset=l1_at,
        refcount_table_offset=refcounts_at,
        refcount_table_clusters=refcount_clusters,
        refcount_order=order,
        snapshots=snapshots,
        snapshots_offset=snapshots_at,
        backing_file=_shown(head[backing_at : backing_at + backing_length]) if backing_at else "",
        data_file=_shown(extensions.get(DATA_FILE_NAME), missing=""),
        incompatible=incompatible,
        compression=COMPRESSION_TYPES.get(compression, f"type {compression}"),
        feature_names=_feature_names(extensions.get(FEATURE_NAMES, b"")),
        encryption_header=ENCRYPTION_HEADER in extensions,
    )
    _check_tables(header, compression)
    return header


def findings(header: Header) -> list[Finding]:
    """What the header says against the image."""
    found = [*_outside_files(header), *_features(header)]
    if header.crypt_method or header.encryption_header:
        kind = {1: "AES", 2: "LUKS"}.get(header.crypt_method, f"method {header.crypt_method}")
        found.append(Finding.refuse("encrypted", f"the image is encrypted ({kind})"))
    if header.incompatible & CORRUPT:
        found.append(Finding.refuse("corrupt", "the image is marked as corrupt"))
    if header.incompatible & DIRTY:
        found.append(
            Finding.warn("dirty", "the image was not closed properly: a machine may be using it")
        )
    if header.snapshots:
        text = f"the image holds {header.snapshots} internal snapshots, which will be lost"
        found.append(Finding.warn("internal-snapshots", text))
    return found


def _outside_files(header: Header) -> list[Finding]:
    found: list[Finding] = []
    if header.backing_file:
        text = f"the image reads from another file: backing file {header.backing_file!r}"
        cves = ("CVE-2015-5163", "CVE-2024-44082", "CVE-2024-40767")
        found.append(Finding.refuse("backing-file", text, *cves))
    if header.incompatible & DATA_FILE or header.data_file:
        text = f"the image keeps its data in another file: {header.data_file or '?'!r}"
        cves = ("CVE-2024-32498", "CVE-2024-4467", "CVE-2024-44082")
        found.append(Finding.refuse("data-file", text, *cves))
    return found


def _features(header: Header) -> list[Finding]:
    known = sum(1 << bit for bit in INCOMPATIBLE)
    unknown = header.incompatible & ~known
    found: list[Finding] = []
    if unknown:
        bits = [bit for bit in range(unknown.bit_length()) if unknown >> bit & 1]
        names = ", ".join(f"{b} ({header.feature_names.get(b, 'no name')})" for b in bits)
        text = f"the image needs unknown features: bits {names}"
        found.append(Finding.refuse("unknown-features", text))
    if header.incompatible & EXTENDED_L2:
        text = "the image has extended L2 entries, which OpenStack refuses"
        found.append(Finding.refuse("unknown-features", text))
    return found


def _version_3(head: bytes, version: int) -> tuple[int, int, int, int]:
    """Incompatible features, refcount order, header length, compression type."""
    if version == 2:
        return 0, 4, HEADER_V2_BYTES, 0
    if len(head) < HEADER_V3_BYTES:
        raise BadHeader("the file is too short for a qcow2 header")
    incompatible, _compatible, _autoclear, order, length = _V3.unpack_from(head, HEADER_V2_BYTES)
    if length < HEADER_V3_BYTES or length % 8 or length > len(head):
        raise BadHeader(f"a header length of {length} bytes is impossible")
    compression = head[HEADER_V3_BYTES] if length > HEADER_V3_BYTES else 0
    if bool(compression) != bool(incompatible & COMPRESSION):
        raise BadHeader("the compression type and its feature bit do not agree")
    return incompatible, order, length, compression


def _extensions(head: bytes, at: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each header extension, up to the end mark or the backing file's name."""
    for _ in range(EXTENSION_LIMIT):
        if at + _EXTENSION.size > min(len(head), stop or len(head)):
            return
        kind, length = _EXTENSION.unpack_from(head, at)
        if kind == 0:
            return
        at += _EXTENSION.size
        if length > len(head) - at:
            raise BadHeader("a header extension is longer than the header")
        yield kind, head[at : at + length]
        at += -(-length // 8) * 8
    raise BadHeader("the header lists too many extensions")


def _feature_names(table: bytes) -> dict[int, str]:
    whole = table[: len(table) // _FEATURE.size * _FEATURE.size]
    entries = _FEATURE.iter_unpack(whole)
    return {bit: _shown(name.rstrip(b"\0")) for kind, bit, name in entries if kind == 0}


def _check_tables(header: Header, compression: int) -> None:
    """Refuse what QEMU's driver refuses before it reads a table."""
    cluster = header.cluster_bytes
    needed = -(-header.virtual_size_bytes // header.l2_span_bytes)
    reasons = {
        f"the compression type {compression} is unknown": compression not in COMPRESSION_TYPES,
        f"a refcount order of {header.refcount_order} is too high": (
            header.refcount_order > REFCOUNT_ORDER_LIMIT
        ),
        "the L1 table is larger than 32 MiB": (
            header.l1_entries * TABLE_ENTRY_BYTES > L1_LIMIT_BYTES
        ),
        "the L1 table is too small for the disk": header.l1_entries < needed,
        "the L1 table does not start at a cluster": header.l1_offset % cluster != 0,
        "the refcount table is missing": (
            header.refcount_table_offset % cluster != 0 or header.refcount_table_clusters == 0
        ),
        "the refcount table is larger than 8 MiB": (
            header.refcount_table_clusters * cluster > REFCOUNT_TABLE_LIMIT_BYTES
        ),
        f"{header.snapshots} internal snapshots are too many": header.snapshots > SNAPSHOT_LIMIT,
        "the snapshot table does not start at a cluster": header.snapshots_offset % cluster != 0,
    }
    for reason, holds in reasons.items():
        if holds:
            raise BadHeader(reason)


def _shown(text: bytes | None, missing: str = "?", limit: int = 100) -> str:
    """Bytes of the image as text that can be printed."""
    if not text:
        return missing
    return printable(text, limit)
