from pathlib import Path

import pytest

from bakery.build.recipe.request import is_recipe


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("lab.toml", True),
        ("a/b.toml", True),
        ("lab.qcow2", False),
        ("toml", False),
        (".toml", False),
    ],
)
def test_a_recipe_is_told_by_its_name(name, recipe):
    assert is_recipe(Path(name)) is recipe
