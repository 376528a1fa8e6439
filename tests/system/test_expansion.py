"""Few lines, many bytes: variables of a boot loader that grow, and are stopped while they do."""

import resource
import tracemalloc
from collections.abc import Iterator

import pytest

from bakery.host.errors import BakeryError
from bakery.system import bls, expansion
from tests.system.grub import worlds

BIG = {"a": "A" * (63 << 10)}
LITTLE_BYTES = 32 << 20
MANY = 100_000


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """No test here takes more than a few MiB, whatever its input asks for."""
    tracemalloc.start()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LITTLE_BYTES


def test_a_text_is_what_its_pieces_are_up_to_the_bound():
    assert expansion.joined(iter(["a", "", "b"])) == "ab"
    assert len(expansion.joined(["x"] * expansion.LIMIT_CHARACTERS)) == expansion.LIMIT_CHARACTERS
    with pytest.raises(BakeryError, match="grow into a text of over"):
        expansion.joined("x" * 1024 for _ in range(MANY))


@pytest.mark.parametrize("line", ["initrd {}", "initrd /i\noptions {}", "options root=a {}"])
@pytest.mark.parametrize("word", ["$a", "${a}", "$a "])
def test_a_bls_entry_does_not_grow_without_end(line, word):
    text = f"title t\nlinux /k\n{line.format(word * 20_000)}\n".encode()
    with pytest.raises(BakeryError, match="grow into a text of over"):
        bls.arguments(bls.parse(text, "a.conf", BIG), BIG)


MENU = "menuentry '{title}' {{\n linux /k {args}\n initrd {initrd}\n}}\n"
SHORT = {"title": "t", "args": "root=/dev/sda1", "initrd": "/i"}


@pytest.mark.parametrize("field", SHORT)
@pytest.mark.parametrize("word", ["$a", "$a ", '"$a" '])
def test_a_menu_entry_does_not_grow_without_end(field, word):
    title = field == "title"
    text = MENU.replace("'{title}'", '"{title}"' if '"' not in word else "{title}")
    bombs = text.format(**SHORT | {field: word.strip() if title else word * 2000}) * 12
    script = (bombs + MENU.format(**SHORT)).encode()
    if title:
        with pytest.raises(BakeryError, match="grow into a text of over"):
            worlds.run(script, **BIG)
    else:
        *bad, good = worlds.run(script, **BIG).entries
        assert all("grow into a text of over" in entry.problem for entry in bad)
        assert good.linux is not None


def test_variables_that_double_each_other_do_not_grow_without_end():
    lines = ["set v0=AAAAAAAA"] + [f"set v{n}=$v{n - 1}$v{n - 1}" for n in range(1, 64)]
    text = "\n".join(lines) + "\n" + MENU.format(**SHORT)
    with pytest.raises(BakeryError, match="grow into a text of over"):
        worlds.run(text)


def test_many_variables_of_middling_size_are_too_much_together():
    lines = [f"set v{n}=$a" for n in range(5000)]
    text = "\n".join(lines) + "\n" + MENU.format(**SHORT)
    with pytest.raises(BakeryError, match="out of all proportion"):
        worlds.run(text, a="A" * (8 << 10))
