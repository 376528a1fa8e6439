import pytest

from bakery.node.agent.choose import check_sectors, choose, looked_for, paths
from bakery.node.agent.disks import Disk
from bakery.node.agent.errors import AgentError

GIB = 1 << 30
SMALL = Disk("sda", 4 * GIB, rotational=False, serial="A")
LARGE = Disk("sdb", 8 * GIB, rotational=True, serial="B")
NAMES = "cciss/c0d0,sda,hda,vda"


def test_the_only_disk_is_taken_whatever_its_name():
    assert choose([LARGE], "", NAMES) is LARGE
    assert choose([LARGE], "", "") is LARGE


def test_hints_choose_among_several():
    assert choose([SMALL, LARGE], "size=>= 8", NAMES) is LARGE
    assert choose([SMALL, LARGE], "serial=a", NAMES) is SMALL


def test_hints_hold_for_an_only_disk_too():
    with pytest.raises(AgentError, match=r"no disk matches .*size >= 8.*/dev/sda \(4 GiB A\)"):
        choose([SMALL], "size=>= 8", NAMES)


def test_several_that_match_are_refused_by_name():
    with pytest.raises(AgentError, match=r"2 disks match .*/dev/sda.*/dev/sdb"):
        choose([SMALL, LARGE], "size=> 1", NAMES)


def test_several_without_a_hint_are_refused():
    with pytest.raises(AgentError, match="2 disks and no root device hint says which"):
        choose([SMALL, LARGE], "", NAMES)


def test_one_name_in_the_argument_disk_is_a_choice():
    assert choose([SMALL, LARGE], "", "sdb") is LARGE
    assert choose([SMALL, LARGE], "", "/dev/sdb") is LARGE


def test_a_name_that_is_not_there_is_refused_among_several():
    with pytest.raises(AgentError, match=r"no disk sdc; there are: /dev/sda"):
        choose([SMALL, LARGE], "", "sdc")


def test_a_name_that_is_not_there_is_refused_though_another_disk_is():
    with pytest.raises(AgentError, match=r"no disk sdc; there are: /dev/sda"):
        choose([SMALL], "", "sdc")


@pytest.mark.parametrize(
    ("root_device", "wanted", "disks", "told"),
    [
        ("", NAMES, [], "missing"),
        ("", NAMES, [SMALL], "open"),
        ("", "sdb", [SMALL], "missing"),
        ("", "sdb", [SMALL, LARGE], "there"),
        ("serial=b", "", [SMALL], "missing"),
        ("serial=b", "", [SMALL, LARGE], "there"),
        ("serial=s== b,size=8", "", [LARGE], "there"),
        ("serial=<in> b", "", [LARGE], "open"),
        ("serial=s!= a", "", [LARGE], "open"),
        ("serial=<or> a <or> b", "", [LARGE], "open"),
        ("size=>= 8", "", [SMALL], "missing"),
        ("size=>= 8", "", [LARGE], "open"),
        ("rotational=true", "", [LARGE], "open"),
        ("name=/dev/sda", "", [SMALL], "there"),
    ],
)
def test_hints_that_name_one_disk_are_told_from_those_another_may_fit(
    root_device, wanted, disks, told
):
    assert looked_for(root_device, wanted)(disks) == told


def test_a_hint_that_cannot_be_read_is_not_waited_for():
    with pytest.raises(AgentError, match="is not known"):
        looked_for("colour=blue", "")


def test_a_disk_too_small_for_the_image_is_no_candidate():
    assert choose([SMALL, LARGE], "", NAMES, 5 * GIB) is LARGE
    assert choose([SMALL, LARGE], "size=> 1", NAMES, 5 * GIB) is LARGE
    assert choose([SMALL], "", NAMES, 4 * GIB) is SMALL
    assert looked_for("", NAMES, 5 * GIB)([SMALL]) == "missing"
    assert looked_for("rotational=false", "", 5 * GIB)([SMALL]) == "missing"
    assert looked_for("serial=a", "", 5 * GIB)([SMALL]) == "there"
    for root_device, wanted in (("", NAMES), ("serial=a", ""), ("", "sda")):
        with pytest.raises(AgentError, match=r"large enough for the image; there are: /dev/sda"):
            choose([SMALL], root_device, wanted, 5 * GIB)


def test_what_no_system_fits_on_is_no_candidate_whatever_the_image():
    tiny = Disk("sdc", 32 << 20, rotational=False)
    assert choose([SMALL, tiny], "", NAMES) is SMALL
    with pytest.raises(AgentError, match="large enough"):
        choose([tiny], "", NAMES)


PATH = Disk("sda", 8 * GIB, rotational=False, serial="L1", hctl="1:0:0:0", wwid="naa.6001")
OTHER_PATH = PATH._replace(name="sdb", hctl="2:0:0:0")


def test_the_paths_of_one_wwid_are_one_disk():
    assert choose([PATH, OTHER_PATH], "", NAMES) is PATH
    assert choose([PATH, OTHER_PATH], "serial=l1", NAMES) is PATH
    assert choose([PATH, OTHER_PATH], "hctl=2:0:0:0", NAMES) is OTHER_PATH
    assert choose([PATH, OTHER_PATH], "", "sdb") is OTHER_PATH
    assert paths(OTHER_PATH, [PATH, OTHER_PATH, LARGE]) == ["sdb", "sda"]
    with pytest.raises(AgentError, match="2 disks and no root device hint"):
        choose([PATH, OTHER_PATH, SMALL], "", NAMES)


@pytest.mark.parametrize(
    ("one", "changed"),
    [
        (PATH, {"wwid": "naa.6002"}),
        (PATH, {"serial": "L2"}),
        (PATH, {"size": 9 * GIB}),
        (PATH, {"model": "other"}),
        (PATH._replace(wwid=""), {}),
        (PATH._replace(wwid="naa.0000000000000000"), {}),
    ],
)
def test_disks_that_an_adapter_gives_one_number_are_several(one, changed):
    other = one._replace(name="sdb", **changed)
    assert paths(one, [one, other]) == ["sda"]
    with pytest.raises(AgentError, match="2 disks and no root device hint"):
        choose([one, other], "", NAMES)


def test_a_node_without_disks_says_so():
    with pytest.raises(AgentError, match="no disk that can be written"):
        choose([], "size=1", NAMES)


def test_a_refusal_names_a_few_disks_alone():
    many = [Disk(f"sd{letter}", GIB, rotational=True) for letter in "abcdefghijkl"]
    with pytest.raises(AgentError, match="and 4 more"):
        choose(many, "", "")


def test_a_whole_disk_is_for_disks_of_its_own_sectors_alone():
    large = SMALL._replace(sector=4096)
    check_sectors(SMALL, 512)
    check_sectors(large, 4096)
    check_sectors(large, 0)
    for disk, wanted in ((SMALL, 4096), (large, 512)):
        with pytest.raises(AgentError, match=rf"disk of {wanted}-byte sectors .* would not boot"):
            check_sectors(disk, wanted)
