"""What a BMC is asked, and what its answers mean: a BMC in this process in place of pyghmi's."""

import io
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from pyghmi.exceptions import IpmiException

from bakery.bmc import ipmi_session, ipmi_worker
from bakery.bmc.answer import Answer
from bakery.bmc.ipmi_worker import Request

ACCESS: dict[str, Any] = {
    "address": "192.0.2.7",
    "port": 623,
    "username": "admin",
    "password": "secret",
}
# IPMI v2.0, table 28-3 and 28-4
CHASSIS, STATUS, CONTROL, BOOT_OPTIONS = 0, 1, 2, 8
STORAGE = 10
OFF, ON = 0, 1


class Bmc:
    """A node that changes its power `slow` looks after it was told to.

    `refuses` are the completion codes of the next commands, `fails` what every one ends with, and
    `denies` what the next logins end with.
    """

    def __init__(self, *, power=OFF, slow=0, fails=None, denies=(), refuses=()):
        self.power, self.slow, self.fails = power, slow, fails
        self.denies, self.refuses = list(denies), list(refuses)
        self.wanted = power
        self.asked: list[tuple[int, list[int]]] = []
        self.slept: list[float] = []
        self.logins = self.logouts = 0

    def log_in(self, *words):
        assert words[:4] == ("192.0.2.7", 623, "admin", "secret")
        self.logins += 1
        if self.denies:
            raise self.denies.pop(0)
        return self

    def logout(self, sessionok):
        assert not sessionok, "nobody waits for the answer"
        self.logouts += 1

    def raw_command(self, netfn, command, data):
        assert netfn == (STORAGE if command in (0x10, 0x11) else CHASSIS)
        self.asked.append((command, data))
        if self.fails is not None:
            raise self.fails
        answer = {"netfn": 1, "command": command, "code": 0, "data": b""}
        if self.refuses:
            return answer | {"code": self.refuses.pop(0)}
        if command == CONTROL:
            (self.wanted,) = data
        if command != STATUS:
            return answer
        if self.slow <= 0:
            self.power = self.wanted
        self.slow -= self.power != self.wanted
        return answer | {"data": bytes([0x60 | self.power, 0, 0])}


@pytest.fixture
def perform(monkeypatch):
    """Has an order carried out by a BMC; time passes only while somebody sleeps."""

    def call(bmc, **order):
        clock = SimpleNamespace(monotonic=lambda: sum(bmc.slept), sleep=bmc.slept.append)
        monkeypatch.setattr(ipmi_worker, "repair", lambda: None)
        monkeypatch.setattr(ipmi_worker, "time", clock)
        monkeypatch.setattr(ipmi_session, "time", clock)
        monkeypatch.setattr(ipmi_session, "Session", bmc.log_in)
        return ipmi_worker.perform(Request(**ACCESS, **order))

    return call


@pytest.mark.parametrize(("power", "told"), [(OFF, "off"), (ON, "on")])
def test_power_is_asked_and_nothing_is_changed(perform, power, told):
    bmc = Bmc(power=power)
    assert perform(bmc) == Answer(power=told)
    assert bmc.asked == [(STATUS, [])]


@pytest.mark.parametrize(("power", "order", "told"), [(OFF, ON, "on"), (ON, OFF, "off")])
def test_a_node_is_switched_once_and_looked_at_until_it_is_so(perform, power, order, told):
    bmc = Bmc(power=power, slow=3)
    assert perform(bmc, power=told) == Answer(power=told)
    assert [asked for asked in bmc.asked if asked[0] == CONTROL] == [(CONTROL, [order])]
    assert bmc.slept == [ipmi_worker.ASK_AGAIN_SECONDS] * 3


@pytest.mark.parametrize(("power", "told"), [(ON, "on"), (OFF, "off")])
def test_a_node_that_is_so_already_is_left_alone(perform, power, told):
    bmc = Bmc(power=power)
    assert perform(bmc, power=told) == Answer(power=told)
    assert bmc.asked == [(STATUS, [])] * 2


def test_a_node_that_does_not_follow_in_time_is_told_as_late(perform):
    bmc = Bmc(slow=10**6)
    assert perform(bmc, power="on", seconds=5) == Answer(kind="late")
    assert sum(bmc.slept) == 5


@pytest.mark.parametrize(
    ("persistent", "firmware", "flags"),
    [(False, "bios", 0x80), (True, "bios", 0xC0), (False, "uefi", 0xA0), (True, "uefi", 0xE0)],
)
@pytest.mark.parametrize(("device", "number"), [("network", 1), ("disk", 2), ("cd", 5)])
def test_a_boot_device_is_set_and_power_left_alone(
    perform, device, number, persistent, firmware, flags
):
    """IPMI v2.0, table 28-14."""
    bmc = Bmc()
    assert perform(bmc, device=device, persistent=persistent, firmware=firmware) == Answer()
    assert bmc.asked == [
        (BOOT_OPTIONS, [3, 8]),
        (BOOT_OPTIONS, [5, flags, number << 2, 0, 0, 0]),
    ]


@pytest.mark.parametrize("words", ["timeout", "Session no longer connected"])
@pytest.mark.parametrize("order", [{}, {"power": "on"}, {"device": "disk"}])
def test_a_session_that_is_lost_is_no_answer(perform, words, order):
    bmc = Bmc(fails=IpmiException(words))
    assert perform(bmc, silence=0, **order) == Answer(kind="no-answer", words=words)
    assert bmc.logouts == bmc.logins == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IpmiException(""), Answer(kind="no-answer")),
        (IpmiException("None"), Answer(kind="no-answer")),
        (IpmiException("timeout"), Answer(kind="no-answer")),
        (IpmiException("Session failed to initialize"), Answer(kind="no-answer")),
        (IpmiException("Incorrect password"), Answer(kind="denied", words="Incorrect password")),
        (OSError(113, "No route to host"), Answer(kind="unreachable", words="No route to host")),
        (OSError("odd"), Answer(kind="unreachable", words="odd")),
    ],
)
def test_a_login_that_fails_is_told_by_its_kind(perform, error, told):
    bmc = Bmc(denies=[error])
    assert perform(bmc, power="on", silence=0) == told
    assert (bmc.asked, bmc.logins) == ([], 1)


@pytest.mark.parametrize(
    "words",
    [
        "Insufficient resources to create new session (wait for existing sessions to timeout)",
        "Insufficient resources to create a session at the requested role",
        "Node Busy while trying to get channel authentication capabalities",
        "BMC initialization in progress while requesting privelege level 4 for b'admin'",
        "No available login slots",
    ],
)
def test_a_login_that_may_pass_is_tried_again_and_again_less_often(perform, words):
    bmc = Bmc(denies=[IpmiException(words)] * 5)
    assert perform(bmc) == Answer(power="off")
    assert (bmc.slept, bmc.logins) == ([1, 2, 4, 5, 5], 6)
    bmc = Bmc(denies=[IpmiException(words)] * 99)
    assert perform(bmc, seconds=10) == Answer(kind="busy", words=words)
    assert sum(bmc.slept) == 12


def test_what_passes_is_tried_for_as_long_as_the_request_may_take(perform):
    bmc = Bmc(refuses=[0xC0, 0xC3, 0xD2, 0xD5])
    assert perform(bmc, power="on") == Answer(power="on")
    assert (bmc.logins, bmc.slept) == (1, [1.0] * 4)
    bmc = Bmc(refuses=[0xC0] * 99)
    assert perform(bmc, power="on", seconds=7) == Answer(kind="busy", words="Node Busy (C0h)")
    assert sum(bmc.slept) == 7


def test_a_command_that_is_refused_for_good_is_given_once(perform):
    bmc = Bmc(refuses=[0xC1])
    assert perform(bmc) == Answer(kind="refused", words="Invalid command (C1h)")
    assert (bmc.asked, bmc.logouts) == ([(STATUS, [])], 1)


def test_only_the_boot_flags_have_to_be_taken(perform):
    assert perform(Bmc(refuses=[0x80]), device="disk") == Answer()
    refused = perform(Bmc(refuses=[0, 0x80]), device="disk")
    assert refused == Answer(kind="refused", words="Parameter not supported (80h)")


def test_an_answer_that_says_nothing_is_a_refusal(perform, monkeypatch):
    bmc = Bmc()
    monkeypatch.setattr(bmc, "raw_command", lambda **_: {"code": 0, "data": b""})
    assert perform(bmc) == Answer(kind="refused", words="an empty answer")


def test_an_order_comes_on_standard_input_and_its_answer_goes_to_standard_output(monkeypatch):
    asked = Request(**ACCESS, device="disk", persistent=True)
    out = io.BytesIO()
    monkeypatch.setattr(ipmi_worker, "perform", lambda request: Answer(words=str(request == asked)))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(msgspec.json.encode(asked))))
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=out))
    assert ipmi_worker.main() == 0
    assert msgspec.json.decode(out.getvalue(), type=Answer) == Answer(words="True")


def test_the_serial_number_is_read_and_nothing_is_changed(perform, monkeypatch):
    bmc = Bmc()
    monkeypatch.setattr(ipmi_worker, "product_serial", lambda ask: ask(0x10, [0]) and "CZ1234")
    monkeypatch.setattr(bmc, "raw_command", answers(bmc, {"code": 0, "data": b"1"}))
    assert perform(bmc, identify=True) == Answer(serial="CZ1234")
    assert bmc.asked == [(0x10, [0])]


def test_a_bmc_without_an_inventory_tells_no_serial_number(perform):
    assert perform(Bmc(refuses=[0xC1]), identify=True) == Answer()
    assert perform(Bmc(refuses=[0xC0] * 99), identify=True, seconds=9).kind == "busy"


def answers(bmc, answer):
    def raw_command(netfn, command, data):
        assert netfn == STORAGE
        bmc.asked.append((command, data))
        return {"netfn": netfn + 1, "command": command} | answer

    return raw_command
