import uuid
from pathlib import Path

import pytest

from bakery.host.errors import UsageError
from bakery.lab.node import Files, Hardware, boot_order, disk_size, qemu
from bakery.vm.firmware import FlashFile, Uefi


def words(boot, **parts) -> list[str]:
    hardware = Hardware(number=3, uuid=uuid.UUID(int=5), **parts)
    files = Files(Path("/lab/node-3"))
    return qemu(hardware, files, tap="tap3", boot=boot, accel="tcg", uefi=None, paused=False)


def device(argv: list[str], kind: str) -> dict[str, str]:
    """The options of the first device whose model begins with `kind`."""
    models = [argv[n + 1] for n, word in enumerate(argv) if word == "-device"]
    found = next(model for model in models if model.startswith(kind))
    return dict(option.split("=", 1) for option in found.split(",")[1:])


@pytest.mark.parametrize(
    ("boot", "order"),
    [
        ("disk", ["virtio-blk", "virtio-net", "ide-cd"]),
        ("network", ["virtio-net", "virtio-blk", "ide-cd"]),
        ("cd", ["ide-cd", "virtio-blk", "virtio-net"]),
    ],
)
def test_what_the_node_boots_from_has_the_lowest_boot_index(boot, order):
    argv = words(boot)
    assert sorted(order, key=lambda model: int(device(argv, model)["bootindex"])) == order
    assert len({device(argv, model)["bootindex"] for model in order}) == len(order)


@pytest.mark.parametrize("now", ["disk", "network", "cd"])
@pytest.mark.parametrize("then", ["disk", "network", "cd"])
def test_no_two_devices_have_one_place_while_the_order_is_changed(now, then):
    places = dict(boot_order(now))
    for name, index in boot_order(then).items():
        places[name] = index
        assert len(set(places.values())) == len(places)


def test_a_node_of_which_nothing_is_said_has_two_gibibytes_of_memory():
    assert words("disk")[words("disk").index("-m") + 1] == "2048M"


def test_a_node_has_its_own_name_card_and_disk_number():
    argv = words("disk", nic="e1000", memory_mib=300, cpus=3)
    assert device(argv, "e1000")["mac"] == "52:54:00:4c:00:03"
    assert device(argv, "virtio-blk")["serial"] == "node-3"
    assert argv[argv.index("-uuid") + 1] == "00000000-0000-0000-0000-000000000005"
    assert argv[argv.index("-m") + 1] == "300M"
    assert argv[argv.index("-smp") + 1] == "3"
    assert "-no-reboot" not in argv


def test_a_uefi_node_has_its_own_variables_and_another_node_none():
    uefi = Uefi(FlashFile("/code"), FlashFile("/variables"))
    hardware = Hardware(number=3, uuid=uuid.UUID(int=5), firmware="uefi")
    files = Files(Path("/lab/node-3"))
    argv = qemu(hardware, files, tap="tap3", boot="disk", accel="tcg", uefi=uefi, paused=False)
    assert any('"filename": "/lab/node-3/variables.fd"' in word for word in argv)
    assert not any("variables" in word for word in words("disk"))


def test_a_nodes_cable_console_and_monitor_are_its_keepers():
    argv = words("disk")
    assert argv[argv.index("-netdev") + 1].startswith("tap,id=cable,ifname=tap3,")
    chardevs = [argv[n + 1] for n, word in enumerate(argv) if word == "-chardev"]
    assert chardevs == ["socket,id=console,fd=0", "socket,id=monitor,fd=1"]
    assert argv[argv.index("-mon") + 1] == "chardev=monitor,mode=control"
    assert argv[: argv.index("--")] == [
        *("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"),
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10G", 10 << 30),
        ("3m", 3 << 20),
        ("2GiB", 2 << 30),
        ("1T", 1 << 40),
        ("1048576", 1 << 20),
        ("64T", 64 << 40),
    ],
)
def test_a_size_is_read_in_powers_of_1024(text, size):
    assert disk_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        "-1G",
        "1.5G",
        "1X",
        "1GG",
        "0",
        "1048577",
        "1048064",
        str((64 << 40) + 512),
        "99999999T",
        "\u0661G",
        "1" * 40,
    ],
)
def test_what_is_no_size_of_a_disk_is_refused(text):
    with pytest.raises(UsageError):
        disk_size(text)
