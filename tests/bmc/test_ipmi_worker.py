"""What a BMC is asked, and what its answers mean: a BMC in this process in place of pyghmi's."""

import io
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from pyghmi.exceptions import IpmiException
from pyghmi.ipmi import command

from bakery.bmc import ipmi_worker
from bakery.bmc.ipmi_worker import Answer, Request

ACCESS: dict[str, Any] = {
    "address": "192.0.2.7",
    "port": 623,
    "username": "admin",
    "password": "secret",
}
# IPMI v2.0, table 28-3 and 28-4
CHASSIS, STATUS, CONTROL = 0, 1, 2
OFF, ON = 0, 1


class Bmc:
    """A node that changes its power `slow` looks after it was told to."""

    def __init__(self, *, power=OFF, slow=0, fails=None, denies=None):
        self.power, self.slow, self.fails, self.denies = power, slow, fails, denies
        self.wanted = power
        self.asked: list[tuple[int, list[int]]] = []
        self.devices: list[tuple[str, bool]] = []
        self.slept: list[float] = []

    def log_in(self, **words):
        assert words == {"bmc": "192.0.2.7", "port": 623, "userid": "admin", "password": "secret"}
        if self.denies is not None:
            raise self.denies
        return self

    def raw_command(self, netfn, command, data):
        assert netfn == CHASSIS
        self.asked.append((command, data))
        if self.fails is not None:
            raise self.fails
        if command == CONTROL:
            (self.wanted,) = data
            return {"data": b""}
        if self.slow <= 0:
            self.power = self.wanted
        self.slow -= self.power != self.wanted
        return {"data": bytes([0x60 | self.power, 0, 0])}

    def set_bootdev(self, device, persist):
        if self.fails is not None:
            raise self.fails
        self.devices.append((device, persist))


@pytest.fixture
def perform(monkeypatch):
    """Has an order carried out by a BMC; time passes only while somebody sleeps."""

    def call(bmc, **order):
        clock = SimpleNamespace(monotonic=lambda: sum(bmc.slept), sleep=bmc.slept.append)
        monkeypatch.setattr(ipmi_worker, "time", clock)
        monkeypatch.setattr(command, "Command", bmc.log_in)
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


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize(("device", "told"), [("network", "network"), ("disk", "hd")])
def test_a_boot_device_is_set_and_power_left_alone(perform, device, told, persistent):
    bmc = Bmc()
    assert perform(bmc, device=device, persistent=persistent) == Answer()
    assert (bmc.devices, bmc.asked) == ([(told, persistent)], [])


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("timeout", "no-answer"),
        ("Session no longer connected", "no-answer"),
        ("Insufficient privilege", "refused"),
    ],
)
@pytest.mark.parametrize("order", [{}, {"power": "on"}, {"device": "disk"}])
def test_an_order_that_fails_is_told_by_its_kind(perform, words, kind, order):
    assert perform(Bmc(fails=IpmiException(words)), **order) == Answer(kind=kind, words=words)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IpmiException(""), Answer(kind="no-answer")),
        (IpmiException("None"), Answer(kind="no-answer")),
        (IpmiException("timeout"), Answer(kind="no-answer")),
        (IpmiException("Session failed to initialize"), Answer(kind="no-answer")),
        (IpmiException("Incorrect password"), Answer(kind="denied", words="Incorrect password")),
        (OSError(113, "No route to host"), Answer(kind="no-answer", words="No route to host")),
        (OSError("odd"), Answer(kind="no-answer", words="odd")),
    ],
)
def test_a_login_that_fails_is_told_by_its_kind(perform, error, told):
    bmc = Bmc(denies=error)
    assert perform(bmc, power="on") == told
    assert bmc.asked == []


@pytest.mark.parametrize("answer", [{"data": b""}, {"error": "Node busy"}])
def test_an_answer_that_says_nothing_is_a_refusal(perform, monkeypatch, answer):
    bmc = Bmc()
    monkeypatch.setattr(bmc, "raw_command", lambda **_: answer)
    assert perform(bmc).kind == "refused"


def test_an_order_comes_on_standard_input_and_its_answer_goes_to_standard_output(monkeypatch):
    asked = Request(**ACCESS, device="disk", persistent=True)
    out = io.BytesIO()
    monkeypatch.setattr(ipmi_worker, "perform", lambda request: Answer(words=str(request == asked)))
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(msgspec.json.encode(asked))))
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=out))
    assert ipmi_worker.main() == 0
    assert msgspec.json.decode(out.getvalue(), type=Answer) == Answer(words="True")
