"""A BMC that speaks Redfish as its users have it: its name, its words, and the program it runs."""

from typing import Any

import msgspec
import pytest

from bakery.bmc.answer import Answer
from bakery.bmc.bmc import Identity, NotOffered
from bakery.bmc.redfish import Bmc
from bakery.host.errors import BakeryError
from tests.bmc.redfish_service import PASSWORD, USER, Service, refused, serving, standard

SYSTEM = "/redfish/v1/Systems/1"


def bmc(script="exit 3", **more):
    """A BMC whose every order ends as the shell script does."""
    enter = lambda _words: ["sh", "-c", script]  # noqa: E731
    usual: dict[str, Any] = {
        "username": "admin",
        "password": "secret",
        "enter": enter,
        "seconds": 5,
    }
    return Bmc("192.0.2.7", **(usual | more))


def answering(**answer):
    text = msgspec.json.encode(Answer(**answer)).decode()
    return bmc(f"cat > /dev/null; printf '%s' '{text}'")


def told(call):
    with pytest.raises(BakeryError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "https://192.0.2.7"),
        ("bmc-1.example:8443", "https://bmc-1.example:8443"),
        ("https://bmc-1.example/", "https://bmc-1.example"),
        ("https://[2001:db8::7]:443", "https://[2001:db8::7]:443"),
        ("2001:db8::7", "https://[2001:db8::7]"),
    ],
)
def test_an_address_is_https_unless_it_says_otherwise(address, name):
    assert Bmc(address).name == f"the BMC at {name}"
    assert Bmc(address, SYSTEM).name == f"the BMC at {name}{SYSTEM}"


@pytest.mark.parametrize(
    "address",
    [
        "", "https://", "ftp://192.0.2.7", "192.0.2.7:port", "192.0.2.7:0", "192.0.2.7:99999",
        "https://[2001:db8", "https://192.0.2.7/redfish/v1", "192.0.2.7?x", "bmc\n-1", "file:///etc",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_bmc_is_refused(address):
    refusal = told(lambda: Bmc(address))
    assert "redfish_address" in refusal.message
    assert refusal.hint


def test_a_password_in_an_address_is_refused_and_not_shown():
    refusal = told(lambda: Bmc("https://admin:hunter2@192.0.2.7"))
    assert "hunter2" not in refusal.message + refusal.hint
    assert "redfish_password" in refusal.hint


@pytest.mark.parametrize(
    "system", ["Systems/1", "//evil.example/x", "/redfish v1", "/a\r\nX: y", "https://evil/x"]
)
def test_what_is_no_path_of_a_system_is_refused(system):
    assert "redfish_system_id" in told(lambda: Bmc("192.0.2.7", system)).message


def test_a_password_does_not_go_in_the_clear_unless_that_is_accepted():
    refusal = told(lambda: Bmc("http://192.0.2.7"))
    assert "in the clear" in refusal.message
    for no in (False, "false", "False", "no", "0"):
        assert Bmc("http://192.0.2.7", verify_ca=no).name == "the BMC at http://192.0.2.7"


def test_certificates_are_checked_by_what_is_named(tmp_path):
    order = tmp_path / "order"

    def verify(verify_ca):
        bmc(f"cat > {order}; printf '{{}}'", verify_ca=verify_ca).power_on()
        return msgspec.json.decode(order.read_bytes())["verify"]

    file = tmp_path / "ca.pem"
    file.touch()
    assert [verify(value) for value in (True, "True", "yes", False, "off", str(file))] == [
        True, True, True, False, False, str(file),
    ]  # fmt: skip
    assert "redfish_verify_ca" in told(lambda: Bmc("192.0.2.7", verify_ca="/no/such.pem")).hint


@pytest.mark.parametrize(
    ("call", "order", "asked"),
    [
        (lambda one: one.power(), "power", "report the node's power"),
        (lambda one: one.power_on(), "on", "switch the node on"),
        (lambda one: one.power_off(), "off", "switch the node off"),
        (lambda one: one.boot_from("cd"), "boot", "have the node boot from cd"),
        (
            lambda one: one.boot_from("disk", persistent=True),
            "boot",
            "have the node boot from disk at every start",
        ),
        (
            lambda one: one.insert_media("http://192.0.2.1/x.iso"),
            "insert",
            "insert the medium of http://192.0.2.1/…",
        ),
        (lambda one: one.eject_media(), "eject", "eject the node's virtual media"),
        (lambda one: one.identity(), "identify", "tell which machine it is in"),
    ],
)
def test_a_request_holds_what_was_asked_and_a_message_says_it(tmp_path, call, order, asked):
    with pytest.raises(BakeryError):
        call(bmc(f"cat > {tmp_path}/order; exit 3"))
    request = msgspec.json.decode((tmp_path / "order").read_bytes())
    assert (request["order"], request["password"]) == (order, "secret")
    refusal = told(lambda: call(answering(kind="refused", words="words")))
    assert refusal.message == f"the BMC at https://192.0.2.7 refuses to {asked}: words"


def test_what_is_not_offered_can_be_told_from_what_failed():
    refusal = told(lambda: answering(kind="not-offered", words="w", hint="h").boot_from("cd"))
    assert isinstance(refusal, NotOffered)
    assert refusal.message.endswith("cannot have the node boot from cd: w")
    assert refusal.hint == "h"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://192.0.2.1/x.iso", "http://", "x.iso", "http://192.0.2.1/a\nb"],
)
def test_what_is_no_url_of_an_image_is_refused(url):
    assert "is not the http or https URL" in told(lambda: bmc().insert_media(url)).message


def test_a_password_in_the_url_of_an_image_is_refused_and_not_shown():
    refusal = told(lambda: bmc().insert_media("http://me:hunter2@192.0.2.1/x.iso"))
    assert "hunter2" not in refusal.message + refusal.hint


def test_an_answer_is_the_nodes():
    assert answering(power="on").power() == "on"
    assert "did not say" in told(answering().power).message
    assert answering(serial="S", macs=("m",)).identity() == Identity("S", ("m",))


def test_the_program_does_it_on_the_wire_with_the_password_in_no_argument(tmp_path):
    seen: list[str] = []

    def enter(argv):
        seen.extend(map(str, argv))
        return argv

    with serving(Service(standard()), tmp_path) as service:
        one = Bmc(service.url, SYSTEM, USER, PASSWORD, verify_ca=service.ca, enter=enter)
        one.boot_from("network")
        one.power_on()
        assert one.power() == "on"
        assert one.identity().serial == "SN-1"
        service.fault = lambda asked: (
            refused(401, "X", PASSWORD) if asked.method == "POST" else None
        )
        wrong = Bmc(service.url, SYSTEM, USER, "guess", verify_ca=service.ca)
        refusal = told(wrong.power)
        assert refusal.message.startswith(
            f"the BMC at {service.url}{SYSTEM} denies login as 'admin'"
        )
        assert "guess" not in repr(refusal) + repr(vars(wrong))
    assert seen and not any(PASSWORD in word for word in seen)
    assert PASSWORD not in repr(vars(one))
