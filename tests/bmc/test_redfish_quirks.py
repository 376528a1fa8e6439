import inspect
import itertools

import pytest

from bakery.bmc import redfish_quirks
from bakery.bmc.redfish_quirks import MAKERS, STANDARD, TARGETS, quirks_of


@pytest.mark.parametrize(
    ("manufacturer", "maker"),
    [
        ("Supermicro", "supermicro"),
        ("SuperMicro Computer", "supermicro"),
        ("HPE", "hpe"),
        ("Dell Inc.", "dell"),
        (" Dell Inc.", "dell"),
    ],
)
def test_a_maker_is_known_by_what_his_systems_call_him(manufacturer, maker):
    assert quirks_of(manufacturer) is dict(MAKERS)[maker]


@pytest.mark.parametrize("manufacturer", ["Contoso", "", None, 7, "not Dell"])
def test_others_keep_to_the_standard(manufacturer):
    assert quirks_of(manufacturer) is STANDARD


def test_each_maker_stands_once_and_beside_the_standard():
    assert len(dict(MAKERS)) == len(MAKERS)
    assert all(quirks != STANDARD for _, quirks in MAKERS)
    for (one, _), (other, _) in itertools.permutations(MAKERS, 2):
        assert not one.startswith(other)


def test_each_line_has_its_source():
    """A value that differs from the standard's has a comment right above it, or above its maker."""
    table = inspect.getsource(redfish_quirks).partition("MAKERS:")[2].splitlines()
    values = [
        number for number, line in enumerate(table)
        if line.strip().startswith(("mode=", "repeats_enabled=", "targets=", '("'))
        and "Quirks(" not in line.strip()[:2]
    ]  # fmt: skip
    lines = [number for number in values if "=" in table[number]]
    assert len(lines) >= 5
    assert all(table[number - 1].strip().startswith("#") for number in lines)


def test_the_devices_of_the_standard_are_had_by_all():
    assert set(TARGETS) == {"network", "http", "cd", "disk"}
