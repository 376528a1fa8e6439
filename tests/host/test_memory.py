import resource

import pytest

from bakery.host import memory
from bakery.host.errors import BakeryError


def test_what_grows_beyond_the_bound_is_an_error_and_the_bound_goes():
    before = resource.getrlimit(resource.RLIMIT_AS)
    wanted = "the menu takes more memory than 67108864 bytes"
    with pytest.raises(BakeryError, match=wanted), memory.bounded(64 << 20, "the menu"):
        bytearray(256 << 20)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_stays_below_it_is_let_be():
    with memory.bounded(64 << 20, "the menu"):
        assert len(bytearray(16 << 20)) == 16 << 20


def test_a_bound_that_is_lower_already_stays():
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (64 << 30, before[1]))
    try:
        with memory.bounded(1 << 40, "the menu"):
            assert resource.getrlimit(resource.RLIMIT_AS)[0] == 64 << 30
        assert resource.getrlimit(resource.RLIMIT_AS)[0] == 64 << 30
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
