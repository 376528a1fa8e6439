"""A BMC of the lab over Redfish: held against DMTF's judge, and asked by our own client."""

import base64
import json
import re
import subprocess
import sys
import threading
import time

import pytest

from bakery.bmc import redfish
from bakery.bmc.bmc import Identity, NotOffered
from bakery.host.errors import BakeryError
from bakery.lab import authority
from bakery.lab import redfish_resources as resources
from bakery.lab.orders import Orders
from bakery.lab.redfish_bmc import MOST_SESSIONS, RedfishBmc
from bakery.lab.redfish_server import Place, serving
from tests.bmc.redfish_service import SHARED
from tests.lab.machines import until

USER, PASSWORD = "admin", "secret"
LOGIN = json.dumps({"UserName": USER, "Password": PASSWORD}).encode()
BASIC = {"authorization": f"Basic {base64.b64encode(b'admin:secret').decode()}"}
BOOT = "BootSourceOverride"


@pytest.fixture
def orders():
    return Orders()


@pytest.fixture
def bmc(node, orders):
    """Answers in this thread, where the node is: what it is told to do is done at once."""
    orders.give = lambda act: act()
    return RedfishBmc(node, orders)


@pytest.fixture
def wire(node, orders, tmp_path):
    """The BMC's address, with the authority's file; its orders wait for this thread."""
    certificates = authority.make(tmp_path, ["127.0.0.1"])
    place = Place(RedfishBmc(node, orders), "127.0.0.1", 0)
    with serving([place], certificates) as (port,):
        yield f"https://127.0.0.1:{port}", str(certificates.ca)


def served(orders, call):
    """What a call in another thread returns; the node's orders are carried out here meanwhile."""
    found: list[object] = []

    def run():
        try:
            found.append(call())
        except BakeryError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        orders.carry_out()
        time.sleep(0.01)
    if isinstance(found[0], BakeryError):
        raise found[0]
    return found[0]


def asked(bmc, method, path, document=None, **headers):
    body = b"" if document is None else json.dumps(document).encode()
    return bmc.answer(method, path, headers=BASIC | headers, body=body)


def message(reply):
    return reply.body["error"]["@Message.ExtendedInfo"][0]["MessageId"].rpartition(".")[2]


def validator(url, folder):
    """The judge's exit code, and what it said."""
    schemas = SHARED / "csdl"
    if not schemas.is_dir():
        pytest.skip(f"no schemas to hold it against: {schemas} is not there")
    config = folder / "validator.ini"
    config.write_text(f"[Authentication]\nuser = {USER}\npassword = {PASSWORD}\n")
    words = [
        sys.executable, "-c",
        "from redfish_service_validator.console_scripts import main; main()",
        "--config", config, "--rhost", url, "--schema_directory", schemas,
        "--logdir", folder / "logs", "--skipschema",
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_dmtfs_validator_finds_no_error(wire, node, tmp_path):
    url, _ca = wire
    node.boot_from("network")
    code, text = validator(url, tmp_path)
    assert code == 0, text
    counts = re.findall(r"\|\D*(\d+)\D*\|\D*(\d+)\D*\|\D*(\d+)\D*\|\D*(\d+)\D*\|", text)
    passed, warned, failed, _absent = map(int, counts[-1])
    assert (warned, failed) == (0, 0), text
    assert passed > 200, text
    visited = {line.split()[1].rstrip("./") for line in text.splitlines() if "Validating /" in line}
    assert set(resources._RESOURCES) <= visited


def test_dmtfs_validator_finds_what_is_wrong(wire, monkeypatch, tmp_path):
    """The control: it has schemas, and does look."""
    url, _ca = wire
    monkeypatch.setitem(resources.HEALTHY, "Health", "Fine")
    code, text = validator(url, tmp_path)
    assert code == 1, text


def test_our_client_switches_a_node_and_sees_it(wire, orders, node):
    url, ca = wire
    one = redfish.Bmc(url, "", USER, PASSWORD, verify_ca=ca, firmware="bios")
    assert served(orders, one.power) == "off"
    served(orders, one.power_on)
    assert node.on
    served(orders, lambda: one.boot_from("network"))
    assert node.override == ("network", False)
    served(orders, lambda: one.boot_from("disk", persistent=True))
    assert node.override == ("disk", True)
    served(orders, lambda: one.boot_from("cd"))
    assert node.override == ("cd", False)
    assert served(orders, one.identity) == Identity(None, (node.hardware.mac,))
    served(orders, one.power_off)
    assert not node.on
    with pytest.raises(NotOffered):
        served(orders, lambda: one.boot_from("http"))
    uefi = redfish.Bmc(url, "", USER, PASSWORD, verify_ca=ca, firmware="uefi")
    with pytest.raises(NotOffered, match="it offers Legacy"):
        served(orders, lambda: uefi.boot_from("network"))


def test_our_client_puts_a_medium_in_and_takes_it_out(wire, orders, node, monkeypatch):
    url, ca = wire
    monkeypatch.setattr("bakery.lab.drive.checked", lambda place: place)
    one = redfish.Bmc(url, "/redfish/v1/Systems/1", USER, PASSWORD, verify_ca=ca)
    for image in ("http://192.0.2.1/one.iso", "https://192.0.2.1/two.iso"):
        served(orders, lambda image=image: one.insert_media(image))
        assert node.media == image
    served(orders, one.eject_media)
    served(orders, one.eject_media)
    assert node.media == ""


def test_a_medium_that_cannot_be_read_is_refused(wire, orders, node):
    url, ca = wire
    one = redfish.Bmc(url, "", USER, PASSWORD, verify_ca=ca)
    with pytest.raises(BakeryError, match=r"refuses to insert .*cannot be reached"):
        served(orders, lambda: one.insert_media("http://127.0.0.1:9/node.iso"))
    assert node.media == ""


def test_a_wrong_password_is_told(wire, orders):
    url, ca = wire
    for auth_type in ("session", "basic"):
        one = redfish.Bmc(url, "", USER, "guess", verify_ca=ca, auth_type=auth_type)
        with pytest.raises(BakeryError, match="denies login as 'admin'"):
            served(orders, one.power)


def test_nothing_is_shown_to_a_stranger_but_the_way_in(bmc):
    for path in ("/redfish", "/redfish/v1/", "/redfish/v1/odata", "/redfish/v1/$metadata"):
        assert bmc.answer("GET", path).status == 200
    for path in resources._RESOURCES:
        if path != resources.ROOT:
            assert bmc.answer("GET", path).status == 401
    assert bmc.answer("POST", resources.RESET, body=b'{"ResetType": "On"}').status == 401
    assert bmc.answer("GET", resources.SYSTEM, headers={"x-auth-token": ""}).status == 401
    for word in ("Basic", "Basic !", "Basic " + base64.b64encode(b"\xff").decode(), "Bearer x"):
        assert bmc.answer("GET", resources.SYSTEM, headers={"authorization": word}).status == 401


def test_a_session_is_good_until_it_is_closed(bmc):
    reply = bmc.answer("POST", resources.SESSIONS, body=LOGIN, client="192.0.2.9")
    token, place = reply.headers["X-Auth-Token"], reply.headers["Location"]
    assert (reply.status, reply.body["ClientOriginIPAddress"]) == (201, "192.0.2.9")
    assert token not in json.dumps(reply.body)
    holder = {"x-auth-token": token}
    assert bmc.answer("GET", place, headers=holder).status == 200
    assert place in json.dumps(asked(bmc, "GET", resources.SESSIONS).body)
    assert bmc.answer("DELETE", place, headers=holder).status == 204
    assert bmc.answer("GET", resources.SYSTEM, headers=holder).status == 401
    assert asked(bmc, "GET", place).status == 404


def test_sessions_are_bounded_and_end_by_themselves(bmc, monkeypatch):
    for _ in range(MOST_SESSIONS):
        assert bmc.answer("POST", resources.SESSIONS, body=LOGIN).status == 201
    full = bmc.answer("POST", resources.SESSIONS, body=LOGIN)
    assert (full.status, message(full)) == (503, "SessionLimitExceeded")
    assert "Retry-After" in full.headers
    later = time.monotonic() + resources.SESSION_SECONDS + 1
    monkeypatch.setattr("bakery.lab.redfish_bmc.time.monotonic", lambda: later)
    assert bmc.answer("POST", resources.SESSIONS, body=LOGIN).status == 201


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"UserName": "admin"}', b'{"UserName": "admin", "Password": 7}',
     b'{"UserName": "root", "Password": "secret"}', b"[" * 60000],
)  # fmt: skip
def test_what_is_no_login_opens_no_session(bmc, body):
    assert bmc.answer("POST", resources.SESSIONS, body=body).status in (400, 401)
    assert asked(bmc, "GET", resources.SESSIONS).body["Members"] == []


def test_a_reset_is_carried_out(bmc, node, machines):
    def reset(kind):
        return asked(bmc, "POST", resources.RESET, {"ResetType": kind})

    assert message(reset("ForceRestart")) == "GeneralError"
    assert (reset("On").status, node.on) == (204, True)
    assert reset("PowerCycle").status == 204
    assert (len(machines.asked), node.on) == (2, True)
    assert (reset("ForceRestart").status, reset("GracefulShutdown").status) == (204, 204)
    until(lambda: "system_powerdown" in node._files.messages.read_text())
    assert "system_reset" in node._files.messages.read_text()
    assert (reset("ForceOff").status, node.on) == (204, False)
    assert message(reset("Nmi")) == "ActionParameterValueNotInList"
    assert message(asked(bmc, "POST", resources.RESET)) == "ActionParameterMissing"
    extra = {"ResetType": "On", "Now": True}
    assert message(asked(bmc, "POST", resources.RESET, extra)) == "ActionParameterNotSupported"
    assert not node.on


def test_a_node_that_cannot_be_switched_on_is_told_with_its_fault(bmc, node):
    node._files.disk.unlink()
    node._files.folder.rename(node._files.folder.with_name("away"))
    reply = asked(bmc, "POST", resources.RESET, {"ResetType": "On"})
    assert (reply.status, message(reply)) == (400, "GeneralError")
    assert node.fault
    node._files.folder.with_name("away").rename(node._files.folder)


@pytest.mark.parametrize(
    ("boot", "override", "shown"),
    [
        ({"Target": "Pxe", "Enabled": "Once"}, ("network", False), ("Pxe", "Once")),
        ({"Target": "Cd", "Enabled": "Continuous"}, ("cd", True), ("Cd", "Continuous")),
        ({"Target": "Hdd"}, (None, True), ("Hdd", "Disabled")),
        ({"Enabled": "Once"}, (None, True), ("None", "Disabled")),
        ({"Target": "None", "Enabled": "Once"}, (None, True), ("None", "Disabled")),
        ({"Target": "Pxe", "Enabled": "Once", "Mode": "Legacy"}, ("network", False),
         ("Pxe", "Once")),
    ],
)  # fmt: skip
def test_what_is_tried_first_is_set_and_shown(bmc, node, boot, override, shown):
    change = {"Boot": {BOOT + name: value for name, value in boot.items()}}
    assert asked(bmc, "PATCH", resources.SYSTEM, change).status == 204
    assert node.override == override
    told = asked(bmc, "GET", resources.SYSTEM).body["Boot"]
    assert (told[f"{BOOT}Target"], told[f"{BOOT}Enabled"]) == shown


def test_a_device_that_was_named_is_taken_when_it_is_enabled(bmc, node):
    asked(bmc, "PATCH", resources.SYSTEM, {"Boot": {f"{BOOT}Target": "Pxe"}})
    asked(bmc, "PATCH", resources.SYSTEM, {"Boot": {f"{BOOT}Enabled": "Once"}})
    assert node.override == ("network", False)
    asked(bmc, "PATCH", resources.SYSTEM, {"Boot": {f"{BOOT}Enabled": "Disabled"}})
    assert node.override == (None, True)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"Boot": {f"{BOOT}Target": "Usb"}}, "PropertyValueNotInList"),
        ({"Boot": {f"{BOOT}Mode": "UEFI"}}, "PropertyValueNotInList"),
        ({"Boot": {"BootOrder": []}}, "PropertyUnknown"),
        ({"Boot": {7: 7}}, "PropertyUnknown"),
        ({"Boot": []}, "PropertyUnknown"),
        ({"PowerState": "On"}, "PropertyNotWritable"),
        ([], "MalformedJSON"),
    ],
)
def test_a_change_that_cannot_be_is_refused(bmc, node, change, what):
    reply = asked(bmc, "PATCH", resources.SYSTEM, change)
    assert (reply.status, message(reply)) == (400, what)
    assert node.override == (None, True)


def test_a_change_of_what_was_another_before_is_refused(bmc, node):
    etag = asked(bmc, "GET", resources.SYSTEM).headers["ETag"]
    change = {"Boot": {f"{BOOT}Target": "Pxe", f"{BOOT}Enabled": "Once"}}
    assert asked(bmc, "PATCH", resources.SYSTEM, change, **{"if-match": etag}).status == 204
    assert asked(bmc, "PATCH", resources.SYSTEM, change, **{"if-match": etag}).status == 412


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({}, "ActionParameterMissing"),
        ({"Image": "ftp://x/y"}, "ActionParameterValueNotInList"),
        ({"Image": "/etc/shadow"}, "ActionParameterValueNotInList"),
        ({"Image": 7}, "ActionParameterValueNotInList"),
        ({"Image": "http://x/y", "TransferProtocolType": "HTTPS"}, "ActionParameterValueNotInList"),
        ({"Image": "http://x/y", "TransferProtocolType": "NFS"}, "ActionParameterNotSupported"),
        ({"Image": "http://x/y", "Inserted": False}, "ActionParameterNotSupported"),
        ({"Image": "http://x/y", "WriteProtected": False}, "ActionParameterNotSupported"),
        ({"Image": "http://x/y", "Password": "p"}, "ActionParameterNotSupported"),
    ],
)
def test_a_medium_that_cannot_be_had_is_refused(bmc, node, parameters, what):
    reply = asked(bmc, "POST", resources.INSERT, parameters)
    assert (reply.status, message(reply)) == (400, what)
    assert node.media == ""


def test_a_drive_that_is_full_takes_nothing(bmc, node, monkeypatch):
    monkeypatch.setattr("bakery.lab.drive.checked", lambda place: place)
    parameters = {"Image": "http://192.0.2.1/x.iso", "TransferProtocolType": "HTTP"}
    assert asked(bmc, "POST", resources.INSERT, parameters).status == 204
    drive = asked(bmc, "GET", resources.DRIVE).body
    assert (drive["Image"], drive["Inserted"], drive["ConnectedVia"]) == (
        "http://192.0.2.1/x.iso", True, "URI",
    )  # fmt: skip
    full = asked(bmc, "POST", resources.INSERT, parameters)
    assert (full.status, message(full)) == (409, "ResourceInUse")
    assert asked(bmc, "POST", resources.EJECT).status == 204
    assert node.media == ""


def test_other_methods_and_places_are_refused(bmc):
    reply = asked(bmc, "POST", resources.SYSTEM)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, PATCH")
    assert asked(bmc, "DELETE", resources.ACCOUNT).status == 405
    assert asked(bmc, "PATCH", resources.ACCOUNT, {"Password": "x"}).status == 405
    assert asked(bmc, "GET", "/redfish/v1/Systems/2").status == 404
    assert asked(bmc, "GET", "/etc/passwd").status == 404


def test_an_order_that_is_not_taken_is_to_be_given_again(node, orders):
    orders._seconds = 0.01
    reply = asked(RedfishBmc(node, orders), "POST", resources.RESET, {"ResetType": "On"})
    assert (reply.status, message(reply)) == (503, "ServiceTemporarilyUnavailable")
