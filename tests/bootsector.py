"""A boot sector that says something on the serial port: the smallest guest there is."""

import struct
from typing import Literal

SECTOR_BYTES = 512
LOADED_AT = 0x7C00
# The BIOS may have left a line of its own open.
LEAD = b"\r\n"
A_LINE = b"\1"
"""In a text: wait until a line was typed."""
ENDS = {"halt": bytes.fromhex("f4ebfd"), "reset": bytes.fromhex("b0fee664f4ebfd")}


def saying(text: bytes, then: Literal["halt", "reset"] = "halt") -> bytes:
    """One sector: prints `text` (no NUL) on COM1, then halts or resets the machine."""
    tail = ENDS[then]
    loop = bytes.fromhex(
        "ac"  # next: lodsb
        "84c0"  # test al, al
        "7426"  # jz past the loop
        "3c01"  # cmp al, A_LINE
        "7411"  # je line
        "88c4"  # mov ah, al
        "bafd03"  # mov dx, line status
        "ec"  # wait: in al, dx
        "a820"  # test al, transmitter empty
        "74fb"  # jz wait
        "88e0"  # mov al, ah
        "b2f8"  # mov dl, low byte of the data port
        "ee"  # out dx, al
        "ebe6"  # jmp next
        "bafd03"  # line: mov dx, line status
        "ec"  # typed: in al, dx
        "a801"  # test al, data ready
        "74fb"  # jz typed
        "b2f8"  # mov dl, low byte of the data port
        "ec"  # in al, dx
        "3c0a"  # cmp al, newline
        "75f1"  # jne line
        "ebd5"  # jmp next
    )
    head_bytes = 8
    text_at = LOADED_AT + head_bytes + len(loop) + len(tail)
    head = bytes.fromhex("fa31c08ed8be") + struct.pack("<H", text_at)
    code = head + loop + tail + LEAD + text + b"\0"
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"
