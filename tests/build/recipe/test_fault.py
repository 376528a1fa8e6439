from pathlib import Path

import pytest

from bakery.build.recipe.fault import Fault, dotted

LAB = Path("lab.toml")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(7, ("kernel_args", "append", 2), "no"), "lab.toml:7: kernel_args.append: no"),
        (Fault(1, (), "no"), "lab.toml:1: no"),
        (Fault(0, ("name",), "no"), "lab.toml: name: no"),
    ],
)
def test_a_fault_names_file_line_and_key(fault, message):
    error = fault.error(LAB)
    assert (error.message, error.hint) == (message, "")
    assert Fault(1, (), "no", "do").error(LAB).hint == "do"


def test_keys_are_written_as_in_toml():
    assert dotted(("a", 0, "b-C_1")) == "a.b-C_1"
    assert dotted(("a b", "")) == "'a b'.''"
    assert dotted(("k" * 64,)) == "k" * 64
    assert dotted(("k" * 65,)) == f"'{'k' * 65}'"
