"""A machine's serial number, out of the inventory that its BMC keeps.

Source: IPMI v2.0 rev. 1.1, 34.1 Get FRU Inventory Area Info, 34.2 Read FRU Data; IPMI Platform
Management FRU Information Storage Definition v1.0 rev. 1.3, 8 Common Header, 12 Product Info.
"""

from collections.abc import Callable

GET_AREA_INFO, READ_DATA = 0x10, 0x11
OWN_FRU = 0  # the one of the machine that the BMC sits in
PIECE_BYTES = 32  # what every BMC can send at once
HEADER_BYTES, AREA_INFO_BYTES = 8, 3
BY_WORDS = 0x01

Ask = Callable[[int, list[int]], bytes]
"""Gives a storage command, with its data, and returns what the answer has."""


def product_serial(ask: Ask) -> str | None:
    """The product's serial number; None where there is none that can be read as text."""
    from pyghmi.exceptions import PyghmiException
    from pyghmi.ipmi.fru import FRU

    inventory = _inventory(ask)
    if len(inventory) < HEADER_BYTES:
        return None
    try:
        serial = (FRU(rawdata=inventory).info or {}).get("Serial Number")
    except (PyghmiException, ArithmeticError, LookupError, TypeError, ValueError):
        return None  # malformed: nothing in it is to be believed
    if not isinstance(serial, str) or not serial.isprintable():
        return None
    return serial.strip() or None


def _inventory(ask: Ask) -> bytes:
    """All of it, as far as it says it goes; nothing where it counts in words."""
    info = ask(GET_AREA_INFO, [OWN_FRU])
    if len(info) < AREA_INFO_BYTES or info[2] & BY_WORDS:
        return b""
    size = int.from_bytes(info[:2], "little")
    found = b""
    while len(found) < size:
        at, count = len(found), min(PIECE_BYTES, size - len(found))
        answer = ask(READ_DATA, [OWN_FRU, at & 0xFF, at >> 8, count])
        if not answer or not answer[0]:
            break
        piece = answer[1 : 1 + count]
        if not piece:
            break
        found += piece
    return found
