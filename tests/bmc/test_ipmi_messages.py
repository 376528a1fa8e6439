"""What a user is told of a BMC's answer; a shell in place of the program that asks the BMC."""

import msgspec
import pytest

from bakery.bmc.answer import Answer
from bakery.bmc.bmc import Identity
from bakery.bmc.ipmi import NAME_LIMIT_BYTES, PASSWORD_LIMIT_BYTES, Bmc
from bakery.host.errors import BakeryError


def bmc(script, **more):
    """A BMC whose every order ends as the shell script does."""
    enter = lambda _words: ["sh", "-c", script]  # noqa: E731
    return Bmc("192.0.2.7", 623, "admin", "secret", enter=enter, seconds=5, **more)


def answering(**answer):
    text = msgspec.json.encode(Answer(**answer)).decode()
    return bmc(f"cat > /dev/null; printf '%s' '{text}'")


def told(call):
    with pytest.raises(BakeryError) as caught:
        call()
    return caught.value.message


def test_an_answer_is_the_nodes_power():
    assert answering(power="on").power() == "on"
    assert answering(power="off").power() == "off"
    assert "did not say" in told(answering().power)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("denied", "the BMC at 192.0.2.7 port 623 denies login as 'admin': words"),
        ("refused", "the BMC at 192.0.2.7 port 623 refuses to switch the node on: words"),
        (
            "late",
            "the BMC at 192.0.2.7 port 623 did not switch the node on within 5 s: words",
        ),
        ("no-answer", "the BMC at 192.0.2.7 port 623 does not answer: words"),
        ("unreachable", "the BMC at 192.0.2.7 port 623 cannot be reached: words"),
        (
            "busy",
            "the BMC at 192.0.2.7 port 623 was not ready to switch the node on within 5 s: words",
        ),
    ],
)
def test_each_kind_of_failure_has_its_message(kind, message):
    assert told(answering(kind=kind, words="words").power_on) == message


def test_a_message_says_what_was_asked():
    refusing = answering(kind="refused")
    assert told(refusing.power).endswith("refuses to report the node's power")
    assert told(refusing.power_off).endswith("refuses to switch the node off")
    assert told(lambda: refusing.boot_from("disk")).endswith("refuses to boot from disk")
    assert told(refusing.identity).endswith("refuses to tell the node's serial number")


def test_what_ipmi_cannot_do_is_refused_with_the_way_out():
    """And without asking: the shell would fail."""
    silent = bmc("exit 3")
    for call in (
        lambda: silent.boot_from("http"),
        lambda: silent.insert_media("http://192.0.2.1/x.iso"),
        silent.eject_media,
    ):
        with pytest.raises(BakeryError, match=r"the BMC at 192.0.2.7 port 623 .*IPMI") as refused:
            call()
        assert "redfish_address" in refused.value.hint


def test_the_serial_number_identifies_the_machine():
    assert answering(serial="CZ1234").identity() == Identity("CZ1234", None)
    assert answering().identity() == Identity(None, None)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "cannot be talked to"),
        ("echo nonsense", "does not answer"),
        ("kill -9 $$", "does not answer"),
    ],
)
def test_a_program_that_fails_is_told(script, message):
    assert message in told(bmc(script).power)


def test_an_order_holds_what_was_asked_and_comes_on_standard_input(tmp_path):
    keep = bmc(f"cat > {tmp_path}/order; printf '{{}}'")
    keep.boot_from("network", persistent=True)
    order = msgspec.json.decode((tmp_path / "order").read_bytes())
    assert (order["device"], order["persistent"], order["power"]) == ("network", True, None)
    assert (order["password"], order["firmware"]) == ("secret", "uefi")
    assert (order["seconds"], order["silence"]) == (5, 30)
    keep.boot_from("disk")
    order = msgspec.json.decode((tmp_path / "order").read_bytes())
    assert (order["device"], order["persistent"]) == ("disk", False)
    keep.power_off()
    assert msgspec.json.decode((tmp_path / "order").read_bytes())["power"] == "off"


@pytest.mark.parametrize(
    ("username", "password", "fits"),
    [
        ("n" * NAME_LIMIT_BYTES, "p" * PASSWORD_LIMIT_BYTES, True),
        ("n" * (NAME_LIMIT_BYTES + 1), "", False),
        ("", "p" * (PASSWORD_LIMIT_BYTES + 1), False),
        ("é" * (NAME_LIMIT_BYTES // 2 + 1), "", False),
    ],
)
def test_names_and_passwords_are_as_long_as_ipmi_has_room_for(username, password, fits):
    assert (NAME_LIMIT_BYTES, PASSWORD_LIMIT_BYTES) == (16, 20)  # IPMI v2.0, 13.20 and 22.30
    if fits:
        Bmc("192.0.2.7", 623, username, password)
    else:
        assert "long" in told(lambda: Bmc("192.0.2.7", 623, username, password))
