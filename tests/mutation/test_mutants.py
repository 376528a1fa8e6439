"""The mutants themselves: small, many kinds, and never where nothing can break."""

import ast

import pytest

from tests.conftest import REPOSITORY
from tests.mutation import sample
from tests.mutation.mutants import mutants, parses


def changes(source):
    return {mutant.applied(source) for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("x = a < b", "x = a <= b"),
        ("x = a <= b < c", "x = a <= b <= c"),
        ("x = a is not None", "x = a is None"),
        ("x = a not in b", "x = a in b"),
        ("x = a and b", "x = a or b"),
        ("x = a or (b and c)", "x = a or (b or c)"),
        ("x = not a", "x = (a)"),
        ("x = a[1:]", "x = a[2:]"),
        ("x = len(a) - 1", "x = len(a) + 1"),
        ("x = f(a, b=True)", "x = f(a, b=False)"),
        ("def f(a=3): pass", "def f(a=4): pass"),
        ("os.fsync(a)", "pass"),
        ("if a:\n    raise B", "if a:\n    pass"),
        ("if a:\n    return_ = 1\n", "if (not (a)):\n    return_ = 1\n"),
        (
            "def f():\n    if a:\n        return\n    b()",
            "def f():\n    if a:\n        pass\n    b()",
        ),
        ("x = min(a, b)", "x = max(a, b)"),
        ("é = 'é' if a < b else c", "é = 'é' if a <= b else c"),
        ("x = (a\n     and b)", "x = (a\n     or b)"),
    ],
)
def test_what_a_user_would_notice_is_changed(source, changed):
    assert changed in changes(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""A text of 3 words."""',
        "x = 'a' + 'b'",
        "x = f'{a:>3}'",
        "x: Literal[3]",
        "TIMEOUT_SECONDS = 3",
        "SIZE_LIMIT = 1 << 20",
        "x = f(a, timeout=3)",
        "class A(B, frozen=True): pass",
        "if TYPE_CHECKING:\n    a(1)",
    ],
)
def test_what_nobody_could_notice_is_left_alone(source):
    assert changes(source) == set()


def test_every_package_is_drawn_from_and_the_same_seed_draws_the_same():
    drawn = sample.draw(REPOSITORY, 7, 40)
    assert {one.package for one in drawn} == set(sample.modules(REPOSITORY))
    assert len({(one.module, one.line) for one in drawn}) == len(drawn)
    part = sample.draw(REPOSITORY, 7, 40, ["host"])
    assert part == [one for one in drawn if one.package == "host"]
    assert part != sample.draw(REPOSITORY, 8, 40, ["host"])
    for one in part:
        source = (REPOSITORY / one.module).read_text()
        changed = one.mutant.applied(source)
        assert parses(changed)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
