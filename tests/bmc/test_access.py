"""A BMC by the words of a nodes file."""

import msgspec
import pytest

from bakery.bmc import ipmi, redfish
from bakery.bmc.access import Access, IpmiAccess, RedfishAccess, open_bmc
from bakery.host.errors import BakeryError


def test_the_keys_are_those_of_a_nodes_driver_info():
    details = {
        "redfish_address": "https://bmc-1.example",
        "redfish_system_id": "/redfish/v1/Systems/1",
        "redfish_username": "admin",
        "redfish_password": "secret",
        "redfish_verify_ca": "/etc/ssl/rack.pem",
        "redfish_auth_type": "session",
    }
    found = msgspec.convert({"type": "redfish"} | details, Access)
    assert isinstance(found, RedfishAccess)
    assert list(msgspec.structs.asdict(found).values()) == list(details.values())
    details = {"ipmi_address": "192.0.2.7", "ipmi_username": "admin", "ipmi_password": "secret"}
    found = msgspec.convert({"type": "ipmi"} | details, Access)
    assert found == IpmiAccess("192.0.2.7", 623, "admin", "secret")


def test_a_certificate_is_checked_unless_told_otherwise():
    assert RedfishAccess("https://bmc-1.example").verify_ca is True


@pytest.mark.parametrize(
    "access",
    [
        IpmiAccess("192.0.2.7", 6230, "admin", "secret"),
        RedfishAccess("https://bmc-1.example", verify_ca=False),
    ],
)
def test_an_access_travels_between_two_processes(access):
    assert msgspec.json.decode(msgspec.json.encode(access), type=Access) == access


def test_a_bmc_that_speaks_ipmi_is_opened():
    bmc = open_bmc(IpmiAccess("192.0.2.7", 6230, "admin", "secret"))
    assert isinstance(bmc, ipmi.Bmc)
    assert bmc.name == "the BMC at 192.0.2.7 port 6230"


def test_a_bmc_that_speaks_redfish_is_opened(tmp_path):
    keep = ["sh", "-c", f"cat > {tmp_path}/order; printf '{{}}'"]
    access = RedfishAccess(
        "192.0.2.7", "/redfish/v1/Systems/1", "admin", "secret", False, "session"
    )
    bmc = open_bmc(access, firmware="bios", enter=lambda _argv: keep, seconds=7, silence_seconds=3)
    assert isinstance(bmc, redfish.Bmc)
    assert bmc.name == "the BMC at https://192.0.2.7/redfish/v1/Systems/1"
    bmc.boot_from("cd")
    order = msgspec.json.decode((tmp_path / "order").read_bytes())
    assert (order["origin"], order["system"]) == ("https://192.0.2.7", access.system_id)
    assert (order["username"], order["password"], order["verify"]) == ("admin", "secret", False)
    assert (order["auth_type"], order["device"], order["firmware"]) == ("session", "cd", "bios")
    assert (order["seconds"], order["silence"]) == (7, 3)


def test_what_was_asked_for_reaches_the_request(tmp_path):
    keep = ["sh", "-c", f"cat > {tmp_path}/order; printf '{{}}'"]
    bmc = open_bmc(
        IpmiAccess("192.0.2.7", 6230, "admin", "secret"),
        firmware="bios",
        enter=lambda _argv: keep,
        seconds=7,
        silence_seconds=3,
    )
    bmc.boot_from("disk")
    order = msgspec.json.decode((tmp_path / "order").read_bytes())
    assert (order["address"], order["port"], order["firmware"]) == ("192.0.2.7", 6230, "bios")
    assert (order["seconds"], order["silence"], order["password"]) == (7, 3, "secret")


def test_what_cannot_be_a_bmc_is_refused():
    with pytest.raises(BakeryError, match="20 bytes"):
        open_bmc(IpmiAccess("192.0.2.7", password="x" * 21))
