"""Disks as sysfs shows them, in trees with the folders and links that Linux makes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bakery.node.agent import disks

GIB = 1 << 30
PCI = "pci0000:00/0000:00:1f.2"


def add(
    sys: Path, name: str, place: str, files: Mapping[str, bytes | str], size: int = 4 * GIB
) -> None:
    """A disk of `size` bytes whose device folder is `devices/PLACE`; `files` lie below the disk."""
    device = sys / "devices" / place
    base = device / "block" / name
    base.mkdir(parents=True)
    (base / "device").symlink_to(device)
    (sys / "block").mkdir(exist_ok=True)
    (sys / "block" / name).symlink_to(base)
    basic: dict[str, bytes | str] = {"size": str(size // 512), "ro": "0", "queue/rotational": "0"}
    for path, content in {**basic, **files}.items():
        target = base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())


def only(sys: Path) -> disks.Disk:
    (disk,) = disks.find(str(sys))
    return disk


def test_a_virtio_disk_is_told_with_its_serial_and_place(tmp_path):
    add(tmp_path, "vda", "pci0000:00/0000:00:04.0/virtio1", {"serial": "S1"})
    disk = only(tmp_path)
    assert (disk.name, disk.device, disk.size) == ("vda", "/dev/vda", 4 * GIB)
    assert (disk.serial, disk.rotational) == ("S1", False)
    assert disk.by_path == "/dev/disk/by-path/pci-0000:00:04.0"
    assert (disk.hctl, disk.wwn) == ("", "")


def test_an_ata_disk_is_told_by_its_pages_and_its_port(tmp_path):
    files: dict[str, bytes | str] = {
        "device/model": "Big Disk        ",
        "device/vendor": "ATA     ",
        "device/type": "0",
        "device/wwid": "naa.5000c5001234abcd",
        "device/vpd_pg80": b"\x00\x80\x00\x07WD-1234",
        "queue/rotational": "1",
    }
    add(tmp_path, "sda", f"{PCI}/ata5/host4/target4:0:0/4:0:0:0", files)
    port = tmp_path / "devices" / PCI / "ata5/ata_port/ata5"
    port.mkdir(parents=True)
    (port / "port_no").write_text("1\n")
    disk = only(tmp_path)
    assert (disk.model, disk.vendor, disk.serial) == ("Big Disk", "ATA", "WD-1234")
    assert (disk.wwn, disk.hctl) == ("0x5000c5001234abcd", "4:0:0:0")
    assert disk.by_path == "/dev/disk/by-path/pci-0000:00:1f.2-ata-1"
    assert disk.rotational


def test_a_disk_behind_a_raid_adapter_has_a_scsi_path(tmp_path):
    place = "pci0000:00/0000:00:03.0/0000:03:00.0/host2/target2:2:0/2:2:0:1"
    add(tmp_path, "sda", place, {"device/type": "0"})
    assert only(tmp_path).by_path == "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:2:0:1"


def test_an_nvme_disk_is_told_by_its_controller(tmp_path):
    place = "pci0000:00/0000:00:05.0/nvme/nvme0"
    files = {"device/serial": "N1", "device/model": "NVMe 9", "wwid": "eui.0025385", "nsid": "1"}
    add(tmp_path, "nvme0n1", place, files)
    disk = only(tmp_path)
    assert (disk.serial, disk.model, disk.wwn) == ("N1", "NVMe 9", "eui.0025385")
    assert disk.by_path == "/dev/disk/by-path/pci-0000:00:05.0-nvme-1"


@pytest.mark.parametrize(
    ("name", "files", "size"),
    [
        ("loop0", {}, GIB),
        ("sr0", {}, GIB),
        ("ram0", {}, GIB),
        ("dm-0", {}, GIB),
        ("md127", {}, GIB),
        ("sdb", {}, 0),
        ("sdc", {"ro": "1"}, GIB),
        ("sdd", {"device/type": "5"}, GIB),
        ("nvme0c0n1", {"hidden": "1"}, GIB),
        ("sde", {"size": "many"}, GIB),
    ],
)
def test_what_cannot_be_written_is_no_disk(tmp_path, name, files, size):
    add(tmp_path, name, f"{PCI}/x", files, size)
    assert disks.find(str(tmp_path)) == []


def test_a_machine_without_block_devices_has_no_disks(tmp_path):
    assert disks.find(str(tmp_path)) == []


def test_disks_come_in_the_order_of_their_names(tmp_path):
    for name in ("vdb", "vda", "sda"):
        add(tmp_path, name, f"pci0000:00/{name}", {})
    assert [disk.name for disk in disks.find(str(tmp_path))] == ["sda", "vda", "vdb"]


def test_this_machines_own_disks_can_be_read():
    for disk in disks.find():
        assert disk.size > 0
        assert str(disk).startswith(f"/dev/{disk.name} (")


class Clock:
    """Stands for `time` in the module; what is due happens while it sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.due and self.due[0][0] <= self.now:
            self.due.pop(0)[1]()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(disks, "time", clock)
    return clock


def arrive(sys: Path, name: str) -> Callable[[], None]:
    return lambda: add(sys, name, f"pci0000:00/{name}", {})


def test_disks_that_were_there_all_the_while_are_not_waited_for_again(tmp_path, clock):
    arrive(tmp_path, "vda")()
    arrivals = disks.Arrivals(str(tmp_path))
    clock.now += 0.7  # the network came up
    assert [disk.name for disk in arrivals.wait(settle=1.0)] == ["vda"]
    assert clock.now == pytest.approx(101.0, abs=disks.POLL_SECONDS)
    assert arrivals.wait(settle=1.0) and clock.now < 101.2


def test_a_disk_that_comes_late_puts_the_end_off(tmp_path, clock):
    arrive(tmp_path, "sda")()
    arrivals = disks.Arrivals(str(tmp_path))
    clock.due = [(100.9, arrive(tmp_path, "sdb")), (101.8, arrive(tmp_path, "sdc"))]
    assert [disk.name for disk in arrivals.wait(settle=1.0)] == ["sda", "sdb", "sdc"]
    assert clock.now == pytest.approx(102.8, abs=2 * disks.POLL_SECONDS)


def test_the_first_disk_may_take_long_and_none_is_told_in_the_end(tmp_path, clock):
    arrivals = disks.Arrivals(str(tmp_path))
    clock.due = [(130.0, arrive(tmp_path, "sda"))]
    assert [disk.name for disk in arrivals.wait(patience=60.0, settle=1.0)] == ["sda"]
    empty = disks.Arrivals(str(tmp_path / "nothing"))
    began = clock.now
    assert empty.wait(patience=60.0) == []
    assert clock.now - began == pytest.approx(60.0, abs=2 * disks.POLL_SECONDS)


@pytest.mark.parametrize(
    "behind",
    [
        "usb1/1-1/1-1:1.0/host5/target5:0:0/5:0:0:0",
        "host5/port-5:0/end_device-5:0/target5:0:0/5:0:0:0",
        "host5/rport-5:0-0/target5:0:0/5:0:0:0",
    ],
)
def test_a_disk_behind_another_wire_has_no_path_of_ours(tmp_path, behind):
    add(tmp_path, "sda", f"{PCI}/{behind}", {"device/type": "0"})
    assert (only(tmp_path).by_path, only(tmp_path).hctl) == ("", "5:0:0:0")


@pytest.mark.parametrize(
    ("told", "sector"), [({}, 512), ({"queue/logical_block_size": "4096"}, 4096)]
)
def test_a_disk_tells_the_sectors_that_its_tables_count_in(tmp_path, told, sector):
    add(tmp_path, "vda", "pci0000:00/0000:00:04.0/virtio1", told)
    assert only(tmp_path).sector == sector
