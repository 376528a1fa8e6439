"""Orders to a BMC over Redfish: what it is asked, in which order, and that no session stays."""

import signal
import subprocess
import sys

import msgspec
import pytest

from bakery.bmc.answer import Answer
from bakery.bmc.redfish_worker import Request
from tests.bmc.redfish_service import (
    PASSWORD,
    SESSIONS,
    USER,
    Service,
    Told,
    perform,
    refused,
    serving,
    silence,
    standard,
)
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("hasty")

SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"


@pytest.fixture
def bmc(tmp_path):
    with serving(Service(standard()), tmp_path) as service:
        yield service
        assert service.sessions == {}, "a session was left behind"


def test_power_is_asked_and_nothing_is_changed(bmc):
    assert perform(bmc) == Answer(power="off")
    bmc.tree[SYSTEM]["PowerState"] = "On"
    assert perform(bmc) == Answer(power="on")
    assert bmc.writes == []


@pytest.mark.parametrize(
    ("state", "power"), [("PoweringOn", "on"), ("PoweringOff", "on"), ("Paused", "on")]
)
def test_a_node_that_is_neither_is_not_off(bmc, state, power):
    bmc.tree[SYSTEM]["PowerState"] = state
    assert perform(bmc).power == power


def test_a_node_is_switched_once_and_looked_at_until_it_is_so(bmc):
    bmc.slow_power = 3
    assert perform(bmc, "on") == Answer(power="on")
    assert bmc.tree[SYSTEM]["PowerState"] == "On"
    assert perform(bmc, "off") == Answer(power="off")
    assert bmc.writes == [
        ("POST", RESET, {"ResetType": "On"}),
        ("POST", RESET, {"ResetType": "ForceOff"}),
    ]


def test_a_node_that_is_so_already_is_left_alone(bmc):
    assert perform(bmc, "off") == Answer(power="off")
    assert bmc.writes == []


def test_a_bmc_that_says_yes_and_does_nothing_is_told_apart(bmc):
    bmc.deaf = True
    assert perform(bmc, "on", seconds=2) == Answer(kind="late", words="it still says Off")
    bmc.tree[SYSTEM]["PowerState"] = "On"  # and is off
    assert perform(bmc, "off", seconds=2) == Answer(kind="late", words="it still says On")


def test_a_bmc_that_does_not_say_is_asked_again(bmc):
    told = iter([None, None])

    def fault(asked):
        if asked.path == SYSTEM and asked.method == "GET":
            return Told(200, bmc.tree[SYSTEM] | {"PowerState": next(told, "On")})
        return None

    bmc.fault = fault
    assert perform(bmc).power == "on"
    bmc.tree[SYSTEM]["PowerState"] = None
    bmc.fault = lambda _asked: None
    answer = perform(bmc, seconds=1)
    assert (answer.kind, answer.words) == ("late", "it does not say whether the node is on")


def test_an_order_that_is_refused_for_it_was_carried_out_is_carried_out(bmc):
    def fault(asked):
        if asked.path != RESET:
            return None
        bmc.tree[SYSTEM]["PowerState"] = "On"  # somebody at its button
        return refused(400, "GeneralError", "it is on already")

    bmc.fault = fault
    assert perform(bmc, "on") == Answer(power="on")


def test_what_a_bmc_does_not_offer_is_not_sent(bmc):
    action = bmc.tree[SYSTEM]["Actions"]["#ComputerSystem.Reset"]
    action["ResetType@Redfish.AllowableValues"] = ["ForceOn", "GracefulRestart"]
    assert perform(bmc, "on").power == "on"
    answer = perform(bmc, "off")
    assert (answer.kind, bool(answer.hint)) == ("not-offered", True)
    assert answer.words == "it offers ForceOn, GracefulRestart"
    assert bmc.writes == [("POST", RESET, {"ResetType": "ForceOn"})]


@pytest.mark.parametrize("auth_type", ["auto", "session"])
def test_a_wrong_password_is_tried_once(bmc, auth_type):
    answer = perform(bmc, password="guess", auth_type=auth_type)
    assert answer.kind == "denied"
    assert "Invalid username or password" in answer.words
    logins = [asked for asked in bmc.asked if asked.path == SESSIONS]
    tried = [asked for asked in bmc.asked if "Authorization" in asked.headers]
    assert (len(logins), tried) == (1, [])


def test_a_wrong_password_that_comes_as_a_bad_request_is_tried_once(bmc):
    bmc.fault = lambda asked: (
        refused(400, "UnauthorizedLoginAttempt") if asked.path == SESSIONS else None
    )
    assert perform(bmc).kind == "denied"
    assert not any("Authorization" in asked.headers for asked in bmc.asked)


def test_basic_authentication_opens_no_session(bmc):
    assert perform(bmc, auth_type="basic").power == "off"
    assert perform(bmc, auth_type="basic", password="guess").kind == "denied"
    assert not [asked for asked in bmc.asked if asked.path == SESSIONS]


@pytest.mark.parametrize(
    "told", [Told(404), Told(405), Told(501), refused(503, "SessionLimitExceeded")]
)
def test_a_service_without_a_session_to_give_is_talked_to_all_the_same(bmc, told):
    bmc.fault = lambda asked: told if asked.path == SESSIONS else None
    assert perform(bmc).power == "off"


def test_a_session_that_is_asked_for_is_waited_for(bmc):
    limits = iter([refused(503, "SessionLimitExceeded")] * 2)
    bmc.fault = lambda asked: next(limits, None) if asked.path == SESSIONS else None
    assert perform(bmc, auth_type="session").power == "off"
    bmc.fault = lambda asked: (
        refused(400, "SessionLimitExceeded", "all 4 are taken") if asked.path == SESSIONS else None
    )
    answer = perform(bmc, auth_type="session", seconds=2)
    assert (answer.kind, answer.words) == ("busy", "all 4 are taken (HTTP 400)")


def test_a_session_that_is_lost_is_opened_anew(bmc):
    def fault(asked):
        if asked.path == RESET and len(lost) < 1:
            lost.append(asked)
            bmc.sessions.clear()
        return

    lost: list[object] = []
    bmc.fault = fault
    assert perform(bmc, "on") == Answer(power="on")
    assert [asked.path for asked in bmc.asked].count(SESSIONS) == 2


def test_what_a_user_may_not_do_is_refused_and_no_session_stays(bmc):
    bmc.fault = lambda asked: refused(403, "InsufficientPrivilege") if asked.path == RESET else None
    answer = perform(bmc, "on")
    assert (answer.kind, answer.words) == ("refused", "InsufficientPrivilege (HTTP 403)")
    assert "privilege" in answer.hint


def test_the_system_is_the_only_one_or_the_one_that_is_named(bmc):
    assert perform(bmc, system=SYSTEM).power == "off"
    wrong = perform(bmc, system="/redfish/v1/Systems/7")
    assert (wrong.kind, wrong.words) == ("refused", "it has no system /redfish/v1/Systems/7")
    assert SYSTEM in wrong.hint
    bmc.tree["/redfish/v1/Systems"]["Members"].append({"@odata.id": "/redfish/v1/Systems/2"})
    several = perform(bmc)
    assert (several.kind, several.words) == ("refused", "it has 2 systems")
    assert f"{SYSTEM}, /redfish/v1/Systems/2 (redfish_system_id)" in several.hint
    bmc.tree["/redfish/v1/Systems"]["Members"] = []
    assert perform(bmc).words == "it has no system"


def test_a_machine_tells_its_number_and_its_cards(bmc):
    assert perform(bmc, "identify") == Answer(serial="SN-1", macs=("52:54:00:aa:00:01",))
    bmc.tree[SYSTEM].update(Manufacturer="Dell Inc.", SKU="TAG1234")
    assert perform(bmc, "identify").serial == "TAG1234"
    bmc.tree[SYSTEM].update(SKU="To be filled by O.E.M.")
    del bmc.tree[SYSTEM]["EthernetInterfaces"]
    assert perform(bmc, "identify") == Answer()


@pytest.mark.parametrize(
    "told",
    [
        Told(200, []),
        Told(200, "text"),
        Told(200, {"Id": 7, "PowerState": {}, "Boot": [], "Actions": "none"}),
        Told(200, {"Id": "1", "Actions": {"#ComputerSystem.Reset": 7}}),
        Told(200, None),
        Told(204),
    ],
)
@pytest.mark.parametrize("order", ["on", "boot", "insert", "identify"])
def test_an_answer_that_makes_no_sense_ends_in_words(bmc, told, order):
    bmc.fault = lambda asked: told if asked.path == SYSTEM else None
    answer = perform(bmc, order, url="http://192.0.2.1/x.iso", seconds=2)
    assert answer.kind in ("refused", "not-offered", "late") or order == "identify"


def test_a_program_that_is_told_to_end_closes_its_session(bmc):
    """As it is where bakery is interrupted (bakery/host/run.py, `end`)."""
    reached: list[object] = []

    def fault(asked):
        if asked.path == RESET:
            reached.append(asked)
            return silence(60)
        return None

    bmc.fault = fault
    request = Request(
        order="on", origin=bmc.url, system="", username=USER, password=PASSWORD,
        verify=bmc.ca, auth_type="session",
    )  # fmt: skip
    words = [sys.executable, "-P", "-m", "bakery.bmc.redfish_worker"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, cwd=REPOSITORY) as program:
        assert program.stdin is not None
        program.stdin.write(msgspec.json.encode(request))
        program.stdin.close()
        while not reached:
            assert program.poll() is None
        assert len(bmc.sessions) == 1
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 1
    assert bmc.sessions == {}
