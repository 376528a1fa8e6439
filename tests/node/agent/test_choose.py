import pytest

from bakery.node.agent.choose import check_sectors, choose
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
