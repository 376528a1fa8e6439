"""What a machine tells of itself, out of a sysfs that a test lays out."""

from bakery.node.agent import machine
from bakery.node.agent.disks import Disk

DISK = Disk("sda", 1 << 40, rotational=False, model="ACME  ", serial="D1")


def lay_out(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_cards_number_and_disk_are_told(tmp_path):
    lay_out(
        tmp_path,
        {
            "class/net/eth1/type": "1\n", "class/net/eth1/address": "52:54:00:AA:00:02\n",
            "class/net/eth1/device/x": "", "class/net/eth0/type": "1\n",
            "class/net/eth0/address": "52:54:00:aa:00:01\n", "class/net/eth0/device/x": "",
            "class/net/lo/type": "772\n", "class/net/lo/address": "00:00:00:00:00:00\n",
            "class/dmi/id/product_serial": " S1 \n",
        },
    )  # fmt: skip
    assert machine.told(DISK, str(tmp_path)) == {
        "macs": "52:54:00:aa:00:01,52:54:00:aa:00:02",
        "serial": "S1",
        "disk_model": "ACME",
        "disk_serial": "D1",
        "disk_bytes": str(1 << 40),
    }


def test_what_a_machine_does_not_know_is_empty_and_texts_are_bounded(tmp_path):
    lay_out(tmp_path, {"class/net/none": "", "class/dmi/id/product_serial": "S" * 10000})
    told = machine.told(Disk("vda", 512, rotational=False), str(tmp_path))
    assert (told["macs"], told["disk_model"], told["disk_bytes"]) == ("", "", "512")
    assert len(told["serial"]) == machine.LIMIT
