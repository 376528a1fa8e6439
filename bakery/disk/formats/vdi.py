"""VDI images: what the header says against the image, and whether the file is whole.

Source: QEMU, block/vdi.c (VirtualBox keeps no public specification). Integers are
little-endian; offsets in the header are bytes of the file.
"""

import struct

from bakery.disk.findings import Finding
from bakery.disk.formats.detect import Ends

DYNAMIC, FIXED = 1, 2
HEADER_BYTES = 512

# Image type; place of the data; size of a block and of what goes with it; blocks stored.
_FIELDS = struct.Struct("<76xI264xI28xII4xI")


def findings(ends: Ends) -> list[Finding]:
    """What speaks against a file that carries the mark of a VDI."""
    if len(ends.head) < HEADER_BYTES:
        return [Finding.refuse("bad-header", "the VDI is cut short in its header")]
    kind, data_at, block, extra, stored = _FIELDS.unpack_from(ends.head)
    if kind not in (DYNAMIC, FIXED):
        text = f"the image reads from another file: a VDI of type {kind} is a part of one"
        return [Finding.refuse("backing-file", text, "CVE-2024-44082")]
    end = data_at + stored * (block + extra)
    if end > ends.size:
        text = f"the file is cut short: its blocks reach to byte {end}, it has {ends.size}"
        return [Finding.refuse("truncated", text, hint="fetch the image again")]
    return []
