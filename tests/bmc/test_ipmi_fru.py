"""Inventories as BMCs keep them: the bytes of each, read in pieces."""

import pytest

from bakery.bmc.ipmi_fru import GET_AREA_INFO, PIECE_BYTES, READ_DATA, product_serial

ENGLISH = 25


def text(words):
    """A field of 8-bit text (FRU Information Storage Definition, 13)."""
    return bytes([0xC0 | len(words)]) + words.encode("latin-1")


def inventory(*fields, board=b""):
    """A common header, a board area where one is given, and a product area with these fields."""
    at = (8 + len(board)) // 8
    area = bytes([1, 0, ENGLISH]) + b"".join(text(field) for field in fields) + b"\xc1"
    return bytes([1, 0, 0, 1 if board else 0, at, 0, 0, 0]) + board + area + bytes(8)


class Bmc:
    """Keeps an inventory; `says` is the size it claims."""

    def __init__(self, data, *, says=None, by_words=False, most=PIECE_BYTES):
        self.data, self.says, self.by_words, self.most = data, says, by_words, most
        self.asked = 0

    def ask(self, command, data):
        self.asked += 1
        assert data[0] == 0
        if command == GET_AREA_INFO:
            size = len(self.data) if self.says is None else self.says
            return size.to_bytes(2, "little") + bytes([self.by_words])
        assert command == READ_DATA
        at = data[1] | data[2] << 8
        piece = self.data[at : at + min(data[3], self.most)]
        return bytes([len(piece)]) + piece


USUAL = inventory("Maker", "Server", "M-1", "v2", "CZ1234 ", "asset", "file")


@pytest.mark.parametrize(
    ("bmc", "serial"),
    [
        (Bmc(USUAL), "CZ1234"),
        (Bmc(USUAL, most=5), "CZ1234"),
        (Bmc(USUAL, says=65535), "CZ1234"),
        (Bmc(inventory("Maker", "Server", "M-1", "v2", "", "asset", "file")), None),
        (Bmc(inventory("M", "S", "M-1", "v2", "\x1b[2J", "asset", "file")), None),
        (Bmc(USUAL, by_words=True), None),
        (Bmc(USUAL[:20]), None),
        (Bmc(bytes(64)), None),
        (Bmc(b"\xff" * 64), None),
        (Bmc(b""), None),
        (Bmc(USUAL, says=3), None),
    ],
)
def test_the_serial_number_is_the_products(bmc, serial):
    assert product_serial(bmc.ask) == serial
    assert bmc.asked < 40


def test_an_answer_that_is_empty_is_no_serial_number():
    assert product_serial(lambda _command, _data: b"") is None
