"""What a layout carries is told by where the bytes lie."""

import typing

import pytest

from bakery.disk.volumes.volumes import Survey, Volume, VolumeGroup
from bakery.image.carried import carried
from bakery.system.device_names import Kind
from tests.image.test_left_behind import CARRIED, GROUP, LVHOME, LVROOT, SURVEY, SYSTEMS


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_layout_carries_the_volumes_whose_bytes_are_in_it(system):
    layout, root = SYSTEMS[system]
    found = carried(SURVEY, layout, root)
    assert {v.device for v in SURVEY.volumes if found.has(v, SURVEY)} == CARRIED[system]


def test_a_group_on_the_bare_disk_travels_whole_and_so_does_what_has_no_known_place():
    group = VolumeGroup("vg", "", 1, (0,), GROUP.volumes)
    thin = Volume("/dev/vg/thin", 10, ())
    survey = Survey(80, None, (group,), (LVROOT, LVHOME, thin))
    found = carried(survey, "pv", LVROOT)
    assert all(found.has(volume, survey) for volume in survey.volumes)
    assert not carried(survey, "lv", LVROOT).has(thin, survey)


@pytest.mark.parametrize(
    ("layout", "kept"),
    [("pv", {"uuid", "label", "mapped"}), ("lv", {"uuid", "label"})],
)
def test_names_that_the_partition_table_gave_die_with_it(layout, kept):
    found = carried(SURVEY, layout, LVROOT)
    kinds = set(typing.get_args(Kind)) - {"unknown", "none"}
    assert {kind for kind in kinds if found.keeps(kind)} == kept
    assert all(map(carried(SURVEY, "disk", LVROOT).keeps, kinds))
