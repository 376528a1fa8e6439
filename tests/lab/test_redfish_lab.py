"""A running lab's BMCs over Redfish, from where the lab is reached."""

import msgspec
import pytest

from bakery.bmc.access import open_bmc
from bakery.bmc.bmc import Identity
from bakery.host.errors import BakeryError
from tests.lab.labs import fresh, lab_up

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bmc")]


def test_each_node_answers_for_itself_by_the_labs_own_authority(tmp_path):
    with lab_up(tmp_path / "lab", "--nodes", "2", "--memory", "256") as lab:
        for node in lab.nodes:
            bmc = open_bmc(lab.redfish(node), firmware=node.firmware, enter=lab.enter)
            assert bmc.power() == "off"
            assert bmc.identity() == Identity(None, (node.mac,))
        bmc.boot_from("network")
        assert [fresh(lab, node.name).boot for node in lab.nodes] == ["disk", "network"]
        other = msgspec.structs.replace(
            lab.redfish(lab.nodes[0]), password=lab.nodes[1].bmc.password
        )
        with pytest.raises(BakeryError, match="denies login as 'admin'"):
            open_bmc(other, enter=lab.enter).power()
        stranger = msgspec.structs.replace(lab.redfish(lab.nodes[0]), verify_ca=True)
        with pytest.raises(BakeryError, match="is not trusted"):
            open_bmc(stranger, enter=lab.enter).power()
    assert not (tmp_path / "lab").exists()
