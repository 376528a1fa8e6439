"""TripleO's words, kind by kind; whole files of them are in test_nodes_file.py."""

import pytest

from bakery.openstack.ironic.instackenv import MARK, translated
from bakery.openstack.ironic.problems import Problems, Spot

USUAL = {"pm_addr": "10.0.0.1", "pm_user": "admin", "pm_password": "p"}


def read(**entry):
    problems = Problems()
    found = translated(Spot(problems, "n"), entry)
    return found, " / ".join(map(str, problems.found))


@pytest.mark.parametrize(
    ("word", "driver", "prefix"),
    [
        *(("ipmi", "ipmi", "ipmi"), ("pxe_ipmitool", "ipmi", "ipmi"), ("idrac", "idrac", "drac")),
        *(("pxe_drac", "idrac", "drac"), ("ilo", "ilo", "ilo"), ("pxe_ilo", "ilo", "ilo")),
        *(("irmc", "irmc", "irmc"), ("pxe_irmc", "irmc", "irmc")),
        ("xclarity", "xclarity", "xclarity"),
    ],
)
def test_a_bmc_is_reached_by_its_drivers_own_words(word, driver, prefix):
    found, wrong = read(pm_type=word, pm_port="7", **USUAL)
    assert (wrong, found["driver"]) == ("", driver)
    assert found["driver_info"] == {
        f"{prefix}_address": "10.0.0.1",
        f"{prefix}_username": "admin",
        f"{prefix}_password": "p",
        f"{prefix}_port": "7",
    }


@pytest.mark.parametrize(
    ("word", "needed"),
    [
        ("ipmi", ["pm_addr"]),
        ("redfish", ["pm_addr", "pm_system_id"]),
        ("idrac", ["pm_addr", "pm_user", "pm_password"]),
        ("ilo", ["pm_addr", "pm_user", "pm_password"]),
        *(("fake_pxe", []), ("fake", []), ("manual-management", []), ("fake-hardware", [])),
    ],
)
def test_each_kind_needs_its_own_details(word, needed):
    _, wrong = read(pm_type=word)
    assert wrong == " / ".join(f"n: {key}: is missing" for key in needed)


@pytest.mark.parametrize(
    ("word", "driver"), [("fake_agent", "manual-management"), ("fake-hardware", "fake-hardware")]
)
def test_what_nothing_manages_has_no_details(word, driver):
    found, wrong = read(pm_type=word)
    assert (found, wrong) == ({"driver": driver, "resource_class": "baremetal"}, "")


def test_a_kind_that_is_none_is_told_by_the_word_that_was_meant():
    assert read(pm_type="iddrac") == ({}, "n: pm_type: 'iddrac' is unknown; did you mean 'idrac'?")


def test_a_drivers_own_words_and_ironics_fields_stay_as_they_are():
    found, wrong = read(
        **{MARK: "ipmi", "ipmi_bridging": "single", "name": "a", "resource_class": "big"},
        pm_addr="x",
        boot_interface="pxe",
        uuid="u",
        conductor_group="g",
    )
    assert wrong == ""
    assert found == {
        "driver": "ipmi",
        "resource_class": "big",
        "name": "a",
        "boot_interface": "pxe",
        "uuid": "u",
        "conductor_group": "g",
        "driver_info": {"ipmi_address": "x", "ipmi_bridging": "single"},
    }


def test_the_deploy_images_are_those_of_a_rescue_as_well():
    found, _ = read(pm_type="fake", kernel_id="k", ramdisk_id="r")
    assert found["driver_info"] == {
        "deploy_kernel": "k",
        "rescue_kernel": "k",
        "deploy_ramdisk": "r",
        "rescue_ramdisk": "r",
    }


def test_a_profile_is_a_capability_beside_others():
    found, _ = read(pm_type="fake", capabilities="a:b", profile="control")
    assert found["properties"] == {"capabilities": {"a": "b", "profile": "control"}}
    found, wrong = read(pm_type="fake", profile=["x"])
    assert found["properties"] == {"capabilities": {"profile": "?"}}
    assert "profile: must be text" in wrong


def test_empty_words_say_nothing():
    found, wrong = read(pm_type="fake", capabilities="", root_device=None, platform="", _comment=1)
    assert (found, wrong) == ({"driver": "fake-hardware", "resource_class": "baremetal"}, "")


def test_a_platform_is_kept_and_needs_its_architecture():
    found, wrong = read(pm_type="fake", platform="SNB", arch="x86_64")
    assert (found["extra"], wrong) == ({"tripleo_platform": "SNB"}, "")
    found, wrong = read(pm_type="fake", platform="SNB")
    assert (found["extra"], wrong) == (
        *({"tripleo_platform": "SNB"}, "n: platform: needs arch beside it"),
    )


def test_ports_come_before_the_older_macs():
    found, _ = read(pm_type="fake", ports=[{"address": "a"}], mac=["b", "c"])
    assert found["ports"] == [{"address": "a"}, {"address": "b"}, {"address": "c"}]
    assert read(pm_type="fake", mac=["b"])[0]["ports"] == [{"address": "b"}]
    assert read(pm_type="fake", ports=[])[0]["ports"] == []
    assert "ports" not in read(pm_type="fake")[0]
