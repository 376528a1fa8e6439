"""The releases' own numbers, and what is told of a place that a release does not have."""

import pytest

from bakery.host.errors import BakeryError
from bakery.openstack.ironic import releases

# Each API's newest version, 1.N, from the release notes of Ironic.
SPOKEN = [
    *(("queens", 38), ("rocky", 46), ("stein", 56), ("train", 58), ("ussuri", 65)),
    *(("victoria", 68), ("wallaby", 72), ("xena", 78), ("zed", 80), ("2023.1", 82)),
    *(("2023.2", 87), ("2024.1", 90), ("2024.2", 93), ("2025.1", 96), ("2025.2", 101)),
]


@pytest.mark.parametrize(("release", "minor"), SPOKEN)
def test_a_release_is_known_by_the_version_it_speaks(release, minor):
    assert releases.by_api(minor) == release
    assert releases.by_api(minor - 1) != release or release == "queens"


def test_what_speaks_less_or_more_than_any_is_the_first_or_the_last():
    assert releases.by_api(1) == "queens"
    assert releases.by_api(1000) == "2025.2"


def test_a_release_is_named_in_any_case_and_by_default_the_newest():
    assert releases.known("Train") == "train"
    assert releases.known("") == releases.NEWEST == "2026.2"
    with pytest.raises(BakeryError, match="no OpenStack release 'tain'") as caught:
        releases.known("tain")
    assert "2026.2" in caught.value.hint


def test_a_node_boots_by_the_network_as_long_as_there_is_such_a_thing():
    assert releases.default_deploy("yoga") == "netboot"
    assert releases.default_deploy("zed") == "ramdisk"
    assert releases.place("conf", "yoga").deploy == "netboot"
    assert releases.place("conf", "zed").deploy == "ramdisk"
    assert releases.place("node", "yoga", deploy="ramdisk").deploy == "ramdisk"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("conf", "zed", "pxe", "netboot"), "network boot of partition images ended with Yoga"),
        (("conf", "queens", "pxe", "ramdisk"), "the ramdisk deploy interface came with Rocky"),
        (("node", "wallaby", "pxe", "netboot"), "they do since Xena (Ironic 18.2)"),
        (("node", "rocky", "redfish-virtual-media", "ramdisk"), "they do since Train"),
        (("node", "2026.2", "ilo-virtual-media", "ramdisk"), "they did until 2026.1"),
        (("conf", "train", "redfish-virtual-media", "ramdisk"), "no release has that"),
    ],
)
def test_where_arguments_do_not_reach_a_node_the_reason_is_told(asked, words):
    with pytest.raises(BakeryError) as caught:
        releases.place(*asked)
    assert words in caught.value.message
    assert asked[2] in caught.value.message


def test_what_there_is_instead_is_told_for_the_same_boot_interface_first():
    with pytest.raises(BakeryError) as caught:
        releases.place("conf", "train", "redfish-virtual-media", "ramdisk")
    assert caught.value.hint == (
        "use --for ironic-conf --release train --boot redfish-virtual-media --deploy netboot "
        "(all nodes of the conductor), or "
        "--for node --release train --boot redfish-virtual-media --deploy ramdisk"
    )
    with pytest.raises(BakeryError) as caught:
        releases.place("conf", "juno", "redfish-virtual-media", "netboot")
    assert caught.value.hint.startswith("use --for ironic-conf --release juno --boot pxe ")


@pytest.mark.parametrize(
    ("fact", "since", "before"),
    [
        (releases.ORDER_OF_PLACES, "xena", "wallaby"),
        (releases.DEFAULT_TOKEN, "zed", "yoga"),
        (releases.NODE_GRAMMAR, "2025.1", "2024.2"),
        (releases.CONF_GRAMMAR, "2026.2", "2026.1"),
        (releases.RAMDISK_DEPLOY, "rocky", "queens"),
    ],
)
def test_a_fact_holds_from_its_release_on(fact, since, before):
    assert fact.holds(since)
    assert fact.holds(releases.NEWEST)
    assert not fact.holds(before)


def test_a_fact_that_ended_holds_no_longer():
    assert releases.NETBOOT.holds("juno")
    assert releases.AGENT_OPTION.holds("mitaka")
    assert not releases.AGENT_OPTION.holds("newton")


def test_a_release_has_one_place_for_each_question_at_most():
    for release in releases.ORDER:
        held = [(one.form, one.boot, one.deploy) for one in releases.PLACES if one.holds(release)]
        assert len(held) == len(set(held))


def test_every_boot_interface_and_deploy_is_one_of_the_places():
    assert {one.boot for one in releases.PLACES} == set(releases.BOOTS)
    assert {one.deploy for one in releases.PLACES} == set(releases.DEPLOYS)


def test_a_nodes_own_arguments_replace_the_configured_ones_but_for_one():
    adding = [one for one in releases.PLACES if one.adds]
    assert [(one.form, one.boot, one.since) for one in adding] == [("node", "pxe", "rocky")]
