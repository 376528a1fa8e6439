import pytest

from bakery.openstack.ironic import root_device

GIB = 1 << 30
SMALL = {"name": "/dev/sda", "size": 10 * GIB, "rotational": True, "model": "Old", "wwn": "0x1"}
LARGE = {
    "name": "/dev/nvme0n1",
    "size": 100 * GIB,
    "rotational": False,
    "serial": "S9",
    "model": "X",
}


@pytest.mark.parametrize(
    "wanted",
    [
        {"size": 100},
        {"size": ">= 50"},
        {"rotational": False},
        {"rotational": "false", "serial": "s9"},
        {"model": "<in> x"},
        {"serial": "<or> a <or> S9"},
        {"name": "/dev/sdx"},  # may be another after the next start
        {"by_path": "/dev/disk/by-path/x"},
        {"size": "=> 3"},  # Ironic's own validation says so
    ],
)
def test_a_disk_that_is_as_wanted_is_no_problem(wanted):
    assert root_device.problem(wanted, [SMALL, LARGE], 6 * GIB) == ""


@pytest.mark.parametrize(
    "wanted", [{"size": 99}, {"model": "Y"}, {"rotational": True, "size": 100}]
)
def test_hints_that_no_disk_matches_are_told_with_the_disks(wanted):
    told = root_device.problem(wanted, [SMALL, LARGE], 6 * GIB)
    assert told.startswith("no disk in its inventory matches root_device (")
    assert "/dev/sda (10 GiB Old), /dev/nvme0n1 (100 GiB X S9)" in told


def test_the_disk_that_is_wanted_may_be_too_small():
    told = root_device.problem({"rotational": True}, [SMALL, LARGE], 10 * GIB + 1)
    assert told.startswith("no disk that root_device allows (rotational == true) can hold")
    assert "11 GiB: /dev/sda" in told
    assert root_device.problem({"rotational": True}, [SMALL, LARGE], 10 * GIB) == ""


@pytest.mark.parametrize("found", [[], [{"name": "/dev/sda"}], [{"size": "12"}], [{"size": True}]])
def test_an_inventory_without_disks_says_nothing(found):
    assert root_device.problem({"size": 5}, found, GIB) == ""


def test_without_a_hint_that_tells_every_disk_may_be_taken():
    told = root_device.problem({"name": "sda"}, [SMALL], 10 * GIB + 1)
    assert told == "no disk can hold the image, 11 GiB: /dev/sda (10 GiB Old)"
    assert root_device.problem({"name": "sda"}, [SMALL, LARGE], 10 * GIB + 1) == ""


def test_every_hint_has_to_match_and_a_disk_is_told_without_blanks_around():
    padded = {"name": "sda", "size": 10 * GIB, "serial": " A ", "model": None}
    assert root_device.problem({"serial": "s== a", "size": 10}, [padded], GIB) == ""
    assert "/dev/sda (10 GiB A)" in root_device.problem({"serial": "b"}, [padded], GIB)
    told = root_device.problem({"serial": "a", "size": 11}, [padded], GIB)
    assert " and " in told


@pytest.mark.parametrize("size", [0, -1, 1.5, None])
def test_a_disk_without_a_size_is_none(size):
    assert root_device.problem({"serial": "a"}, [{"name": "sda", "size": size}], GIB) == ""
