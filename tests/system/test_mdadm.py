"""The arrays of an mdadm.conf, by the UUID that blkid gives their members."""

import pytest

from bakery.host.errors import BakeryError
from bakery.system import mdadm

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
    new = mdadm.without(CONF, [3])
    assert len(new) == len(CONF)
    assert [m.line for m in mdadm.mentions(new)] == [4, 5]


CONTINUED = b"""HOMEHOST <system>
ARRAY /dev/md0 metadata=1.2
   # where it was made

\tname=a:0
   UUID=3749f528:5d5a2d2b:f0ee4da9:b6a4c1d2 # and no uuid=0:0:0:0
arr /dev/md1
 UUID=3749f528:5d5a2d2b:f0ee4da9:b6a4c1d3
#ARRAY /dev/md2 UUID=abc
AR /dev/md3 UUID=abc
ARRAYS /dev/md4 UUID=abc
"""


def test_a_line_goes_on_where_the_next_begins_with_a_blank():
    assert [(m.makes, m.device[-2:], m.line) for m in mdadm.mentions(CONTINUED)] == [
        ("/dev/md0", "d2", 2),
        ("/dev/md1", "d3", 7),
    ]
    assert mdadm.mentions(b" ARRAY /dev/md0 UUID=abc\n") == (), "it goes on from nothing"


def test_an_array_is_taken_out_with_all_its_lines():
    """What stayed of it would go on from the line before."""
    new = mdadm.without(CONTINUED, [2])
    assert len(new) == len(CONTINUED)
    assert [m.makes for m in mdadm.mentions(new)] == ["/dev/md1"]
    assert (b"name=a:0" in new, b"where it was made" in new) == (False, True)
    assert next(mdadm._entries(new)).words == [b"HOMEHOST", b"<system>"]


def test_a_file_out_of_all_proportion_is_refused():
    with pytest.raises(BakeryError, match=r"mdadm\.conf holds"):
        mdadm.mentions(b"\n" * 20_000)
