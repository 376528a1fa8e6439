"""The arrays of an mdadm.conf, by the UUID that blkid gives their members."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system import fstab, mdadm

CONF = b"""# mdadm.conf
HOMEHOST <system>
ARRAY /dev/md/0  metadata=1.2 UUID=3749f528:5d5a2d2b:f0ee4da9:b6a4c1d2 name=a:0
array /dev/md1 uuid=3749F528:5D5A2D2B:F0EE4DA9:B6A4C1D3\r
ARRAY <ignore> UUID=abc
ARRAY /dev/md2 devices=/dev/sda1,/dev/sdb1
MAILADDR root
"""


def test_arrays_are_named_by_their_members():
    assert [(m.makes, m.device, m.line) for m in mdadm.mentions(CONF)] == [
        ("/dev/md/0", "UUID=3749f528-5d5a-2d2b-f0ee-4da9b6a4c1d2", 3),
        ("/dev/md1", "UUID=3749f528-5d5a-2d2b-f0ee-4da9b6a4c1d3", 4),
        ("<ignore>", "UUID=abc", 5),
    ]
    assert all(m.optional and m.use == "array" for m in mdadm.mentions(CONF))


def test_an_array_that_is_taken_out_is_a_comment():
    new = fstab.changed(CONF, {3: None})
    assert len(new) == len(CONF)
    assert [m.line for m in mdadm.mentions(new)] == [4, 5]


def test_a_file_out_of_all_proportion_is_refused():
    with pytest.raises(BakeryError, match=r"mdadm\.conf holds"):
        mdadm.mentions(b"\n" * 20_000)
