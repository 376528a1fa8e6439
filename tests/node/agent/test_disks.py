"""Disks as sysfs shows them, in trees with the folders and links that Linux makes."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bakery.node.agent import choose, controllers, disks

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
        ("mmcblk0boot0", {}, 4 << 20),
        ("mmcblk1boot1", {}, 4 << 20),
        ("mmcblk0rpmb", {}, 4 << 20),
        ("mmcblk0gp0", {}, GIB),
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


def test_an_emmc_is_a_disk(tmp_path):
    add(tmp_path, "mmcblk0", "pci0000:00/0000:00:1c.0/mmc_host/mmc0/mmc0:0001", {}, 8 * GIB)
    add(tmp_path, "mmcblk0boot0", "pci0000:00/0000:00:1c.0/mmc_host/mmc0/b", {}, 4 << 20)
    assert only(tmp_path).name == "mmcblk0"


USB = "pci0000:00/0000:00:14.0/usb1/1-1/1-1.3/1-1.3:1.0/host6/target6:0:0/6:0:0:0"


@pytest.mark.parametrize(
    ("vendor", "model", "counts"),
    [
        ("AMI", "Virtual HDisk0", False),
        ("ATEN", "Virtual Disk", False),
        ("iDRAC", "LCDRIVE", False),
        ("iDRAC", "OEMDRV", False),
        ("HPE", "Virtual Media", False),
        ("Linux", "File-Stor Gadget", False),
        ("HP iLO", "Internal SD-CARD", True),
        ("SanDisk", "Ultra", True),
    ],
)
def test_drives_that_a_bmc_makes_up_are_no_disks(tmp_path, vendor, model, counts):
    add(tmp_path, "sda", USB, {"device/vendor": vendor, "device/model": model, "device/type": "0"})
    assert bool(disks.find(str(tmp_path))) is counts


@pytest.mark.parametrize("model", ["Virtual disk", "Virtual Disk"])
def test_virtual_machines_have_disks_of_that_name(tmp_path, model):
    """VMware's and Hyper-V's, which are not on USB."""
    place = "pci0000:00/0000:03:00.0/host0/target0:0:0/0:0:0:0"
    add(tmp_path, "sda", place, {"device/model": model, "device/type": "0"})
    assert only(tmp_path).model == model


def identity(model: str) -> bytes:
    """VPD page 0x89 with a model: SAT-4, 12.4.2; ACS-4, 7.13.7; letters in swapped pairs."""
    letters = model.ljust(40).encode()
    swapped = b"".join(letters[n + 1 : n + 2] + letters[n : n + 1] for n in range(0, 40, 2))
    page = bytearray(572)
    page[:4] = b"\0\x89\x02\x38"
    page[60 + 54 : 60 + 94] = swapped
    return bytes(page)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (identity("SAMSUNG MZ7LH960HAJR-00005"), "SAMSUNG MZ7LH960HAJR-00005"),
        (identity("odd"), "odd"),
        (identity("x" * 40), "x" * 40),
        (identity(""), "SAMSUNG MZ7LH960"),
        (b"", "SAMSUNG MZ7LH960"),
        (identity("SAMSUNG MZ7LH960HAJR-00005")[:100], "SAMSUNG MZ7LH960"),
    ],
)
def test_a_model_is_told_whole_where_scsi_has_16_letters_of_it(tmp_path, page, told):
    files = {"device/model": "SAMSUNG MZ7LH960", "device/type": "0", "device/vpd_pg89": page}
    add(tmp_path, "sda", f"{PCI}/ata1/host0/target0:0:0/0:0:0:0", files)
    assert only(tmp_path).model == told


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


def test_what_is_missing_is_waited_for_though_other_disks_are_there(tmp_path, clock):
    """A disk behind an HBA, which its hint names, and one of NVMe before it."""
    arrive(tmp_path, "nvme0n1")()
    arrivals = disks.Arrivals(str(tmp_path))
    clock.due = [(140.0, arrive(tmp_path, "sda"))]
    wanted = choose.looked_for("name=/dev/sda", "")
    assert [disk.name for disk in arrivals.wait(wanted)] == ["nvme0n1", "sda"]
    assert clock.now == pytest.approx(141.0, abs=2 * disks.POLL_SECONDS)
    began = clock.now
    late = disks.Arrivals(str(tmp_path))
    assert len(late.wait(choose.looked_for("serial=none", ""))) == 2
    assert clock.now - began == pytest.approx(disks.DISK_SECONDS, abs=2 * disks.POLL_SECONDS)


def test_an_early_disk_is_not_all_while_others_may_come(tmp_path, clock, monkeypatch, capsys):
    monkeypatch.setattr(controllers, "settle_seconds", lambda _sys: 10.0)
    arrive(tmp_path, "nvme0n1")()
    arrivals = disks.Arrivals(str(tmp_path))
    clock.due = [(106.0, arrive(tmp_path, "sda")), (115.0, arrive(tmp_path, "sdb"))]
    assert [disk.name for disk in arrivals.wait()] == ["nvme0n1", "sda", "sdb"]
    assert clock.now == pytest.approx(125.0, abs=3 * disks.POLL_SECONDS)
    assert capsys.readouterr().out.count("waiting for disks, 10 s") == 1


def test_disks_that_come_and_go_are_not_looked_at_without_end(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(controllers, "settle_seconds", lambda _sys: 10.0)
    arrive(tmp_path, "sda")()
    arrivals = disks.Arrivals(str(tmp_path))
    clock.due = [(100.0 + 5 * n, arrive(tmp_path, f"sd{n}")) for n in range(1, 20)]
    assert len(arrivals.wait(patience=7.0)) == 5
    assert clock.now == pytest.approx(100 + disks.LONGEST * 7.0, abs=2 * disks.POLL_SECONDS)


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
