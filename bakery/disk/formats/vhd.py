"""VHD images (QEMU's `vpc`): the footer, and what in it speaks against the image.

Source: Microsoft, Virtual Hard Disk Image Format Specification, "Hard Disk Footer Format". The
footer is the last 512 bytes of the file, with a copy at the start where the disk is dynamic.
Integers are big-endian.
"""

import struct

from bakery.disk.findings import Finding
from bakery.disk.formats.detect import VHD_FOOTER, Ends

FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
FOOTER_BYTES = 512

_TYPE = struct.Struct(">60xI")


def findings(ends: Ends) -> list[Finding]:
    """What speaks against a file that carries a VHD footer at either end."""
    starts = ends.head.startswith(VHD_FOOTER)
    footer = ends.head[:FOOTER_BYTES] if starts else ends.tail
    if len(footer) < FOOTER_BYTES:
        return [Finding.refuse("bad-header", "the VHD is cut short in its footer")]
    (kind,) = _TYPE.unpack_from(footer)
    if kind == DIFFERENCING:
        text = "the image reads from another file: it is a differencing VHD"
        return [Finding.refuse("backing-file", text, "CVE-2024-44082")]
    if kind != (DYNAMIC if starts else FIXED):
        return [Finding.refuse("bad-header", f"a VHD of type {kind} is unknown")]
    if starts and ends.tail != footer:
        return [Finding.refuse("truncated", "the VHD is cut short: its end is not its footer")]
    return []
