"""The deploy ramdisk on a machine, against a conductor that knows the protocol alone."""

import pytest

from tests.node.agent.conductor import Call, conductor, knock, made, on_disk, qemu_io, targets
from tests.node.agent.machine import ADDRESS, IQN, KEY, MAC, NODE_ID, SERVER, TOKEN, node

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ramdisk")]

MIB = 1 << 20
VIRTIO = "virtio-blk-pci,drive={n},serial=S-{n}"
SATA = "ide-hd,drive={n},bus=ide.0,serial=W1"
SCSI = "virtio-scsi-pci -device scsi-hd,drive={n},serial=W2"


@pytest.fixture(scope="session")
def ramdisk(tmp_path_factory, bakery):
    folder = tmp_path_factory.mktemp("ramdisk")
    done = bakery("ramdisk", "-o", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def folder(tmp_path):
    """What a node has: two blank disks, and a TFTP server with its token."""
    (tmp_path / "tftp").mkdir()
    (tmp_path / "tftp" / f"token-{NODE_ID}").write_text(f"{TOKEN}\n")
    for number, size in enumerate((256, 512)):
        with (tmp_path / f"disk-{number}").open("wb") as file:
            file.truncate(size * MIB)
    return tmp_path


def arguments(port: int, extra: str = "") -> str:
    return (
        f"disk=sda,vda iscsi_target_iqn={IQN} deployment_id={NODE_ID} deployment_key={KEY}"
        f" ironic_api_url=http://{SERVER}:{port} boot_option=netboot troubleshoot=0 {extra}"
    )


def check_deploy_info(call: Call, error: str, **more: str) -> None:
    assert call.path == f"/v1/nodes/{NODE_ID}/vendor_passthru/pass_deploy_info"
    assert call.headers["X-Auth-Token"] == TOKEN
    assert call.headers["Content-Type"] == "application/json"
    assert call.body == {"address": ADDRESS, "key": KEY, "iqn": IQN, "error": error} | more


@pytest.mark.parametrize("trusting", [False, True])
def test_what_is_written_over_the_network_is_on_the_nodes_disk(ramdisk, folder, trusting):
    pxelinux = f"ip={ADDRESS}:{SERVER}:{SERVER}:255.255.255.0 BOOTIF=01-{MAC.replace(':', '-')}"
    extra = f"{pxelinux} bakery_trust_wire=1" if trusting else pxelinux
    with (
        conductor() as double,
        node(ramdisk, folder, arguments(double.port, extra), [VIRTIO]) as machine,
    ):
        which = {"macs": MAC, "serial": "", "disk_model": "", "disk_serial": "S-d0"}
        which["disk_bytes"] = str(256 * MIB)
        check_deploy_info(double.call(), "", **which, **({} if trusting else {"chap": "both"}))
        assert IQN in targets(machine.iscsi)
        if not trusting:
            assert qemu_io(machine.iscsi, IQN, "write -P 0x66 0 4k").returncode != 0
            knock(machine.notice)
            machine.wait_for("not the conductor's word")
        on_disk(
            machine.iscsi,
            IQN,
            "write -P 0x11 0 8M",
            f"write -P 0x5a {255 * MIB} 1M",
            "write -z -u 1M 6M",
            "flush",
            key="" if trusting else KEY,
        )
        knock(machine.notice, "done" if trusting else f"done {made(KEY, 'done')}")
        assert machine.ended() == 0
        assert "notice: done" in machine.console
        assert TOKEN not in machine.console
        assert KEY not in machine.console.partition("agent [")[2]
    content = (folder / "disk-0").read_bytes()
    expected = bytearray(256 * MIB)
    expected[0 : 8 * MIB] = b"\x11" * (8 * MIB)
    expected[1 * MIB : 7 * MIB] = bytes(6 * MIB)
    expected[255 * MIB :] = b"\x5a" * MIB
    assert content == bytes(expected)


def test_a_disk_that_is_too_small_is_told_to_the_api_and_on_the_console(ramdisk, folder):
    hint = 'root_device="size=>= 100"'
    with (
        conductor() as double,
        node(ramdisk, folder, arguments(double.port, hint), [VIRTIO], nic="e1000") as machine,
    ):
        error = (
            "no disk matches the root device hints (size >= 100);"
            " there are: /dev/vda (0.25 GiB 0x1af4 S-d0)"
        )
        check_deploy_info(double.call(), error)
        machine.wait_for(f"ERROR: {error}")
        machine.wait_for("the node waits to be switched off")
        assert machine.process.poll() is None


def test_several_disks_that_match_are_refused_and_troubleshoot_gives_a_shell(ramdisk, folder):
    extra = "troubleshoot=1 root_device=model=%3Cin%3E%20harddisk"
    devices = [SATA, SCSI]
    with (
        conductor() as double,
        node(ramdisk, folder, arguments(double.port, extra), devices, nic="e1000e") as machine,
    ):
        call = double.call()
        check_deploy_info(call, call.body["error"])
        assert call.body["error"].startswith("2 disks match the root device hints")
        machine.wait_for("A shell, for troubleshooting")
        machine.type("echo $((6 * 7)) is $(ls -d /proc/1/cwd)\n")
        machine.wait_for("42 is /proc/1/cwd")
        machine.type("exit\n")
        assert machine.ended() == 0
