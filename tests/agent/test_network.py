from bakery.agent.kernel_args import Address
from bakery.agent.network import interfaces, parse_lease


def test_a_lease_is_read_from_what_udhcpc_gives():
    text = "ip=10.0.0.5\nsubnet=255.255.255.0\nrouter=10.0.0.1 10.0.0.2\nsiaddr=10.0.0.3\n"
    assert parse_lease(text) == Address("10.0.0.5", "10.0.0.3", "10.0.0.1", "255.255.255.0")


def test_without_a_boot_server_the_dhcp_server_is_asked_for_files():
    text = "ip=10.0.0.5\nsubnet=255.0.0.0\nsiaddr=0.0.0.0\ntftp=$(reboot)\nserverid=10.0.0.1\n"
    assert parse_lease(text) == Address("10.0.0.5", "10.0.0.1", "", "255.0.0.0")


def test_what_a_server_invents_is_no_lease():
    for text in ("", "ip=10.0.0.5", "subnet=255.0.0.0", "ip=a\nsubnet=255.0.0.0", "no\nlines"):
        assert parse_lease(text) is None


def test_interfaces_are_those_with_hardware_behind_them(tmp_path):
    for name, kind, hardware in (("eth0", 1, True), ("lo", 772, False), ("br0", 1, False)):
        base = tmp_path / "class/net" / name
        base.mkdir(parents=True)
        (base / "type").write_text(f"{kind}\n")
        (base / "address").write_text("52:54:00:AB:00:01\n")
        if hardware:
            (base / "device").mkdir()
    assert interfaces(str(tmp_path)) == {"eth0": "52:54:00:ab:00:01"}
