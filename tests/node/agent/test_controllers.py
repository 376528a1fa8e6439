"""How long adapters may still find disks, by sysfs trees with the folders and links Linux makes."""

from pathlib import Path

import pytest

from bakery.node.agent import controllers
from bakery.node.agent.controllers import EMPTY_SECONDS, QUICK_SECONDS, UNKNOWN_SECONDS

NVME, SATA, IDE, RAID, SAS, VIRTIO = (
    "0x010802", "0x010601", "0x010180", "0x010400", "0x010700", "0x010000",
)  # fmt: skip
NETWORK = "0x020000"


class Machine:
    """A node's /sys."""

    def __init__(self, sys: Path) -> None:
        self.sys = sys
        (sys / "block").mkdir()

    def adapter(self, name: str, kind: str, *, driver: bool = True) -> Path:
        folder = self.sys / "devices/pci0000:00" / name
        folder.mkdir(parents=True)
        (folder / "class").write_text(f"{kind}\n")
        if driver:
            (folder / "driver").symlink_to("/")
        self._on_bus("pci", folder, name)
        return folder

    def reader(self) -> Path:
        folder = self.sys / "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"
        folder.mkdir(parents=True)
        (folder / "bInterfaceClass").write_text("08\n")
        self._on_bus("usb", folder, "1-1:1.0")
        return folder

    def disk(self, adapter: Path, place: str) -> None:
        folder = adapter / place
        folder.mkdir(parents=True)
        (self.sys / "block" / folder.name).symlink_to(folder)

    def _on_bus(self, bus: str, folder: Path, name: str) -> None:
        devices = self.sys / "bus" / bus / "devices"
        devices.mkdir(parents=True, exist_ok=True)
        (devices / name).symlink_to(folder)

    @property
    def seconds(self) -> float:
        return controllers.settle_seconds(str(self.sys))


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def test_disks_that_have_an_adapter_each_are_all_there(machine):
    machine.disk(machine.adapter("0000:00:04.0", VIRTIO), "virtio1/block/vda")
    machine.disk(machine.adapter("0000:01:00.0", NVME), "nvme/nvme0/nvme0n1")
    machine.adapter("0000:00:05.0", NETWORK)
    assert machine.seconds == QUICK_SECONDS


@pytest.mark.parametrize("kind", [SATA, IDE])
def test_ports_of_ata_have_been_looked_at_with_or_without_a_disk(machine, kind):
    adapter = machine.adapter("0000:00:1f.2", kind)
    assert machine.seconds == QUICK_SECONDS
    machine.disk(adapter, "ata1/host0/target0:0:0/0:0:0:0/block/sda")
    assert machine.seconds == QUICK_SECONDS


@pytest.mark.parametrize("kind", [RAID, SAS, VIRTIO])
def test_an_adapter_that_searches_by_itself_is_waited_for(machine, kind):
    """Behind NVMe, whose disk is there at once."""
    machine.disk(machine.adapter("0000:01:00.0", NVME), "nvme/nvme0/nvme0n1")
    adapter = machine.adapter("0000:03:00.0", kind)
    assert machine.seconds == EMPTY_SECONDS
    machine.disk(adapter, "host2/target2:2:0/2:2:0:0/block/sda")
    assert machine.seconds == UNKNOWN_SECONDS


def test_an_adapter_without_a_driver_finds_nothing(machine):
    machine.disk(machine.adapter("0000:01:00.0", NVME), "nvme/nvme0/nvme0n1")
    machine.adapter("0000:03:00.0", RAID, driver=False)
    assert machine.seconds == QUICK_SECONDS


def test_an_adapter_is_not_taken_for_another_whose_name_begins_alike(machine):
    adapter = machine.adapter("0000:03:00.1", SAS)
    machine.adapter("0000:03:00.10", SAS)
    machine.disk(adapter, "host2/target2:2:0/2:2:0:0/block/sda")
    assert machine.seconds == EMPTY_SECONDS


def test_usb_takes_a_moment_to_look(machine):
    machine.disk(machine.adapter("0000:01:00.0", NVME), "nvme/nvme0/nvme0n1")
    reader = machine.reader()
    assert machine.seconds == UNKNOWN_SECONDS
    machine.disk(reader, "host6/target6:0:0/6:0:0:0/block/sdb")
    assert machine.seconds == QUICK_SECONDS


def test_a_machine_that_tells_nothing_is_given_time(tmp_path, machine):
    assert machine.seconds == controllers.settle_seconds(str(tmp_path / "none")) == UNKNOWN_SECONDS


def test_this_machine_can_be_asked():
    assert controllers.settle_seconds() >= QUICK_SECONDS
