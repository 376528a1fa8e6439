"""What is asked for on a disk: the same is equal, and what cannot be is refused at once."""

from pathlib import Path

import msgspec
import pytest

from bakery.conductor.partition import Extras
from bakery.conductor.wanted import wanted
from bakery.host.errors import BakeryError
from tests.conductor import builds


def test_what_is_wanted_is_told_apart_by_what_is_in_the_config_drive(tmp_path):
    build, drive = builds.build(tmp_path / "build"), tmp_path / "drive"
    drive.write_bytes(b"one")
    first = wanted(build, Extras(0, 8, drive), "size=10")
    assert (first.build, first.swap_mib, first.root_device) == ("k1", 8, "size=10")
    assert wanted(build, Extras(0, 8, drive), "size=10") == first
    drive.write_bytes(b"two")
    assert wanted(build, Extras(0, 8, drive), "size=10") != first


@pytest.mark.parametrize("extras", [Extras(1), Extras(0, 1), Extras(0, 0, Path("/dev/null"))])
def test_what_a_whole_disk_has_no_room_for_is_refused_before_anything_starts(tmp_path, extras):
    with pytest.raises(BakeryError, match="no room for other partitions"):
        wanted(builds.build(tmp_path / "build", "disk"), extras, "")


def test_it_is_told_by_name_and_the_beginning_of_its_key(tmp_path):
    told = wanted(builds.build(tmp_path / "build"), Extras(7), "")
    assert (told.ephemeral_mib, told.swap_mib, told.config_drive) == (7, 0, "")
    assert str(told) == "sample (build k1)"
    assert str(msgspec.structs.replace(told, build="0123456789abcdef")) == (
        "sample (build 0123456789ab)"
    )


def test_a_config_drive_that_is_gone_is_told(tmp_path):
    drive = tmp_path / "drive"
    with pytest.raises(BakeryError, match="cannot be read: No such file"):
        wanted(builds.build(tmp_path / "build"), Extras(config_drive=drive), "")
