"""Bech32, in which age writes its keys (BIP 173, without its limit on length)."""

ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
CHECKSUM_LETTERS = 6


def decode(text: str) -> tuple[str, bytes]:
    """The prefix in lower case, and the bytes; ValueError for what is no Bech32."""
    if text not in (text.lower(), text.upper()) or not text.isascii():
        raise ValueError("its letters are of both cases")
    prefix, one, letters = text.lower().rpartition("1")
    if not one or not prefix or len(letters) < CHECKSUM_LETTERS:
        raise ValueError("it is cut short")
    values = [ALPHABET.find(letter) for letter in letters]
    if -1 in values:
        raise ValueError("a letter in it is none of Bech32's")
    if checksum([*expanded(prefix), *values]) != 1:
        raise ValueError("its checksum is wrong")
    return prefix, _bytes_of(values[:-CHECKSUM_LETTERS])


def expanded(prefix: str) -> list[int]:
    """A prefix as the checksum counts it."""
    codes = [ord(letter) for letter in prefix]
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def checksum(values: list[int]) -> int:
    """BIP 173's polymod over numbers of five bits."""
    result = 1
    for value in values:
        top = result >> 25
        result = (result & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(GENERATOR):
            result ^= term if top >> bit & 1 else 0
    return result


def _bytes_of(fives: list[int]) -> bytes:
    number = 0
    for five in fives:
        number = number << 5 | five
    spare = len(fives) * 5 % 8
    if spare > 4 or number & ((1 << spare) - 1):
        raise ValueError("it does not end on a byte")
    return (number >> spare).to_bytes(len(fives) * 5 // 8, "big")
