import pytest

from bakery.node.agent import kernel_args
from bakery.node.agent.errors import AgentError
from bakery.node.agent.kernel_args import check, given, parse
from bakery.node.agent.static import Address

# As Ironic's template and pxelinux's `ipappend 3` write it.
IRONIC = " ".join(
    (
        "selinux=0 disk=cciss/c0d0,sda,hda,vda",
        "iscsi_target_iqn=iqn-1be26c0b-03f2-4d2e-ae87-c02d7f33c123",
        "deployment_id=1be26c0b-03f2-4d2e-ae87-c02d7f33c123",
        "deployment_key=0123456789ABCDEFGHIJKLMNOPQRSTUV",
        "ironic_api_url=http://192.168.77.1:6385/ troubleshoot=0 text console=ttyS0",
        "boot_option=netboot root_device=wwn=123456,model=big%20disk",
        "BOOTIF=01-52-54-00-AB-cd-01",
        "ip=192.168.77.21:192.168.77.1:192.168.77.254:255.255.255.0",
    )
)


def test_every_argument_of_ironics_template_is_understood():
    settings = parse(IRONIC)
    check(settings)
    assert settings.disk == "cciss/c0d0,sda,hda,vda"
    assert settings.iqn == "iqn-1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
    assert settings.deployment_id == "1be26c0b-03f2-4d2e-ae87-c02d7f33c123"
    assert settings.deployment_key == "0123456789ABCDEFGHIJKLMNOPQRSTUV"
    assert settings.api_url == "http://192.168.77.1:6385"
    assert settings.boot_option == "netboot"
    assert settings.root_device == "wwn=123456,model=big%20disk"
    assert not settings.troubleshoot
    assert not settings.trusts_wire
    assert settings.mac == "52:54:00:ab:cd:01"
    assert settings.address == Address(
        "192.168.77.21", "192.168.77.1", "192.168.77.254", "255.255.255.0"
    )


def test_ipxe_gives_the_interface_as_a_plain_mac():
    assert parse("BOOTIF=52:54:00:ab:cd:01").mac == "52:54:00:ab:cd:01"


@pytest.mark.parametrize("text", ["", "01-52-54", "zz-52-54-00-ab-cd-01", "eth0"])
def test_an_interface_that_is_no_mac_counts_as_none(text):
    assert parse(f"BOOTIF={text}").mac == ""


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("troubleshoot", True),
        ("troubleshoot=1", True),
        ("troubleshoot=true", True),
        ("troubleshoot=0", False),
        ("troubleshoot=False", False),
        ("text", False),
    ],
)
def test_troubleshoot_can_be_switched_on_and_off(text, on):
    assert parse(f"quiet {text} console=ttyS0").troubleshoot is on


@pytest.mark.parametrize("text", ["", "ip=dhcp", "ip=:::"])
def test_without_an_address_dhcp_is_asked(text):
    assert (parse(text).address, parse(text).fault) == (None, "")


@pytest.mark.parametrize("text", ["ip=1.2.3:4:5:6", "ip=192.168.1.2:192.168.1.1:192.168.1.1:"])
def test_an_address_that_is_not_whole_is_a_fault(text):
    assert parse(text).address is None
    assert parse(text).fault.startswith("ip= has ")


def test_what_is_secret_comes_beside_the_command_line_and_counts_more(tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_args, "CMDLINE", str(tmp_path / "cmdline"))
    monkeypatch.setattr(kernel_args, "SECRETS_FILE", str(tmp_path / "secrets"))
    (tmp_path / "cmdline").write_text("disk=sda deployment_key=OLD\n")
    assert (given().disk, given().deployment_key, given().token) == ("sda", "OLD", "")
    (tmp_path / "secrets").write_text("deployment_key=NEW bakery_token=TOKEN\n")
    assert (given().disk, given().deployment_key, given().token) == ("sda", "NEW", "TOKEN")


def test_a_missing_server_or_gateway_leaves_the_address():
    assert parse("ip=10.0.0.5:::255.0.0.0").address == Address("10.0.0.5", "", "", "255.0.0.0")
    assert parse("ip=10.0.0.5:x:0.0.0.0:255.0.0.0:host:eth0").address == Address(
        "10.0.0.5", "", "", "255.0.0.0"
    )


def test_quotes_hold_a_value_with_spaces_together():
    assert parse('root_device="size=>= 10,model=big disk" quiet').root_device == (
        "size=>= 10,model=big disk"
    )


def test_the_last_of_two_arguments_counts():
    assert parse("disk=sda disk=vda").disk == "vda"


@pytest.mark.parametrize("name", ["iscsi_target_iqn", "deployment_id", "deployment_key"])
def test_an_argument_that_is_needed_is_missed_by_name(name):
    line = " ".join(word for word in IRONIC.split() if not word.startswith(name))
    with pytest.raises(AgentError, match=f"{name} is missing"):
        check(parse(line))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iscsi_target_iqn", "disk-1"),
        ("iscsi_target_iqn", "iqn-" + "a" * 300),
        ("iscsi_target_iqn", "iqn-;reboot"),
        ("deployment_id", "../../etc/passwd"),
        ("deployment_key", 'a"b'.replace('"', "{")),
    ],
)
def test_a_value_that_cannot_be_is_refused(name, value):
    with pytest.raises(AgentError, match=f"{name} is malformed"):
        check(parse(f"{IRONIC} {name}={value}"))


def test_both_forms_of_target_names_pass():
    for iqn in ("iqn-1be2", "iqn.2008-10.org.openstack:1be26c0b-03f2-4d2e-ae87-c02d7f33c123"):
        check(parse(f"{IRONIC} iscsi_target_iqn={iqn}"))


@pytest.mark.parametrize(
    ("given", "sectors"), [("", 0), ("bakery_sectors=4096", 4096), ("bakery_sectors=4k", 0)]
)
def test_the_sectors_of_the_images_disk_are_a_number(given, sectors):
    assert parse(given).sector_bytes == sectors


@pytest.mark.parametrize(
    ("given", "least"),
    [
        ("", 0),
        ("bakery_bytes=6442450944", 6 << 30),
        ("bakery_bytes=6G", 0),
        ("bakery_bytes=" + "9" * 17, 0),
    ],
)
def test_how_large_a_disk_has_to_be_is_a_number(given, least):
    assert parse(given).least_bytes == least
