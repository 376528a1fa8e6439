import pytest

from bakery.build.sbom.packages import TEXT_LIMIT, Installed, Package, checked
from bakery.host.errors import BakeryError


def package(time=0):
    return Package(kind="deb", name="a", version="1", architecture="all", time=time)


def test_the_newest_package_tells_the_time():
    assert Installed("x", "", (package(2), package(3), package())).newest == 3
    assert Installed("x", "", ()).newest == 0


def test_a_word_is_printable_and_bounded():
    assert checked("a" * TEXT_LIMIT, "it") == "a" * TEXT_LIMIT
    assert checked("", "it") == ""
    for word in ("a" * (TEXT_LIMIT + 1), "a\n", "\x1b"):
        with pytest.raises(BakeryError, match="it is not plain text"):
            checked(word, "it")
