"""A kernel for tests that says its own command line on the serial port, and ends the machine.

Linux, Documentation/arch/x86/boot.rst: a boot sector, one sector of setup code with its header, and
something to be loaded high. QEMU ends where a byte is written to its device `isa-debug-exit`.
"""

import struct

EXIT_PORT = 0xF4
_SECTOR_BYTES = 512
_HEADER_AT, _CODE_AT = 0x1F1, 0x270

_CODE = bytes.fromhex(
    "668b362802"  # mov esi, [command line]
    "6689f0"  # mov eax, esi
    "66c1e804"  # shr eax, 4
    "8ed8"  # mov ds, ax
    "83e60f"  # and si, 15
    "fc"  # cld
    "ac"  # next: lodsb
    "84c0"  # test al, al
    "7405"  # jz end
    "e80e00"  # call put
    "ebf6"  # jmp next
    "b00a"  # end: mov al, line feed
    "e80700"  # call put
    "baf400"  # mov dx, EXIT_PORT
    "ee"  # out dx, al
    "f4"  # halt: hlt
    "ebfd"  # jmp halt
    "88c4"  # put: mov ah, al
    "bafd03"  # mov dx, line status
    "ec"  # wait: in al, dx
    "a820"  # test al, transmitter empty
    "74fb"  # jz wait
    "88e0"  # mov al, ah
    "baf803"  # mov dx, data port
    "ee"  # out dx, al
    "c3"  # ret
)


def kernel() -> bytes:
    """The kernel's file; a boot program has to hand over a command line of its own."""
    image = bytearray(3 * _SECTOR_BYTES)
    head = struct.pack("<BHIHHHH", 1, 0, _SECTOR_BYTES // 16, 0, 0, 0, 0xAA55)
    jump = bytes((0xEB, _CODE_AT - 0x202))
    # Version 2.04; all but "loaded high" and where the kernel and its initrd may lie is nought.
    setup = struct.pack("<4sHIHHBBHI", b"HdrS", 0x204, 0, 0, 0, 0, 1, 0, 0x100000)
    setup += struct.pack("<IIIHHII", 0, 0, 0, 0, 0, 0, 0x37FFFFFF)
    header = head + jump + setup
    image[_HEADER_AT : _HEADER_AT + len(header)] = header
    image[_CODE_AT : _CODE_AT + len(_CODE)] = _CODE
    return bytes(image)
