"""What comes from a BMC that speaks Redfish: late, too long, from elsewhere, untrusted."""

import socket
import threading

import pytest
from requests import Response

from bakery.bmc import redfish_wire
from bakery.bmc.redfish_wire import Pace, retry_after
from tests.bmc.redfish_service import (
    SESSIONS,
    Asked,
    Service,
    Told,
    endless,
    perform,
    refused,
    serving,
    silence,
    standard,
)

pytestmark = pytest.mark.usefixtures("hasty")

SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"


@pytest.fixture
def bmc(tmp_path):
    with serving(Service(standard()), tmp_path) as service:
        yield service


def first(*told: Told, path: str = SYSTEM, method: str = "GET"):
    """The first such requests are answered so, one after the other."""
    left = list(told)

    def fault(asked: Asked) -> Told | None:
        mine = asked.path == path and asked.method == method
        return left.pop(0) if mine and left else None

    return fault


def hang_up(handler) -> None:
    handler.connection.close()


@pytest.mark.parametrize(
    "told",
    [
        Told(503, headers={"Retry-After": "1"}),
        refused(503, "ServiceTemporarilyUnavailable"),
        Told(429),
        refused(409, "ResourceInUse"),
        refused(400, "ResourceInUse"),
        refused(500, "SYS518"),
        Told(500),
        Told(502),
        Told(raw=hang_up),
    ],
)
def test_what_passes_is_asked_again(bmc, told):
    bmc.fault = first(told, told)
    assert perform(bmc).power == "off"


@pytest.mark.parametrize("told", [refused(503, "ServiceShuttingDown"), refused(409, "Busy")])
def test_an_order_that_was_not_taken_is_given_again(bmc, told):
    bmc.fault = first(told, path=RESET, method="POST")
    assert perform(bmc, "on").power == "on"


def test_what_does_not_pass_in_time_is_quoted(bmc):
    bmc.fault = first(*[refused(503, "ServiceTemporarilyUnavailable", "starting")] * 99)
    answer = perform(bmc, seconds=2)
    assert (answer.kind, answer.words) == ("busy", "starting (HTTP 503)")


@pytest.mark.parametrize("status", [400, 405, 500])
def test_an_order_that_is_refused_is_not_given_again(bmc, status):
    bmc.fault = first(*[refused(status, "GeneralError", "no")] * 9, path=RESET, method="POST")
    answer = perform(bmc, "on")
    assert (answer.kind, answer.words) == ("refused", f"no (HTTP {status})")
    assert len([asked for asked in bmc.asked if asked.path == RESET]) == 1


def test_a_slow_answer_is_waited_for(bmc):
    def late(asked):
        if asked.path == SYSTEM:
            threading.Event().wait(3)
        return

    bmc.fault = late
    assert perform(bmc).power == "off"


def test_no_answer_is_told_in_time(bmc):
    bmc.fault = first(silence(60))
    answer = perform(bmc, silence=1.0)
    assert (answer.kind, answer.words) == ("no-answer", "no answer in time")


def test_an_order_without_an_answer_is_not_given_twice(bmc):
    bmc.fault = first(Told(raw=hang_up), path=RESET, method="POST")
    assert perform(bmc, "on").kind == "no-answer"
    assert len([asked for asked in bmc.asked if asked.path == RESET]) == 1


def test_a_login_without_an_answer_is_tried_again(bmc):
    bmc.fault = first(Told(raw=hang_up), path=SESSIONS, method="POST")
    assert perform(bmc).power == "off"


def test_an_answer_without_an_end_is_refused(bmc):
    bmc.fault = first(Told(raw=endless))
    answer = perform(bmc)
    assert (answer.kind, answer.words) == ("refused", "it sends more than 4 MiB")


def test_an_answer_that_drips_is_given_up(bmc):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(600):
            handler.wfile.write(b" ")
            threading.Event().wait(0.1)

    bmc.fault = first(Told(raw=drip))
    answer = perform(bmc, seconds=2)
    assert (answer.kind, answer.words) == ("no-answer", "an answer without an end")


def test_a_redirect_to_another_place_is_not_followed(bmc, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    with serving(Service(standard()), folder) as other:
        bmc.fault = first(Told(307, headers={"Location": f"{other.url}{SYSTEM}"}))
        answer = perform(bmc)
        assert (answer.kind, answer.words) == ("refused", f"it redirects to {other.url}{SYSTEM}")
        assert other.asked == []
        bmc.fault = lambda _asked: None
        bmc.tree["/redfish/v1/Systems"]["Members"] = [{"@odata.id": f"{other.url}{SYSTEM}"}]
        assert perform(bmc).words == f"it redirects to {other.url}{SYSTEM}"
        assert other.asked == []
    assert bmc.sessions == {}


def test_a_redirect_to_itself_is_followed(bmc):
    bmc.fault = first(Told(308, headers={"Location": f"{SYSTEM}/"}))
    assert perform(bmc).power == "off"
    bmc.fault = lambda asked: (
        Told(308, headers={"Location": SYSTEM}) if asked.path == SYSTEM else None
    )
    assert perform(bmc).kind == "refused"


def test_a_certificate_of_a_stranger_is_not_trusted(bmc, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    with serving(Service(standard()), folder) as other:
        for verify in (True, other.ca):
            answer = perform(bmc, verify=verify)
            assert answer.kind == "untrusted"
            assert "certificate" in answer.words
            assert "redfish_verify_ca" in answer.hint
    assert bmc.asked == []
    assert perform(bmc, verify=False).power == "off"


def test_a_certificate_for_another_address_is_not_trusted(bmc):
    assert perform(bmc, origin=bmc.url.replace("127.0.0.1", "localhost")).kind == "untrusted"
    assert bmc.asked == []


def test_there_is_no_way_and_nobody_there(bmc):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"https://127.0.0.1:{free.getsockname()[1]}"
    answer = perform(bmc, origin=nobody, silence=1.0)
    assert (answer.kind, answer.words) == ("unreachable", "Connection refused")
    answer = perform(bmc, origin="https://no-such-host.invalid", silence=1.0)
    assert answer.kind == "unreachable"


def test_a_bmc_that_is_starting_is_waited_for(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    service = Service(standard())
    service.url = url
    answers = []
    thread = threading.Thread(target=lambda: answers.append(perform(service)))
    thread.start()
    threading.Event().wait(1.5)
    with serving(service, tmp_path, tls=False, port=int(url.rpartition(":")[2])):
        thread.join(60)
    assert [answer.power for answer in answers] == ["off"]


@pytest.mark.parametrize("password", ["correct horse", 'a"b\\c', "pässwörd"])
def test_a_password_that_is_said_back_is_not_repeated(bmc, password):
    """Also where the line is cut off in the midst of it."""
    for before in ("", "x" * 150, "x" * 155):
        said = f"{before} {password}"
        bmc.fault = first(refused(400, "GeneralError", said), path=SESSIONS, method="POST")
        answer = perform(bmc, auth_type="session", password=password)
        assert answer.kind == "refused"
        assert password[:4] not in answer.words


def test_a_retry_after_is_read_where_it_is_in_seconds():
    def response(text):
        made = Response()
        made.headers["Retry-After"] = text
        return made

    assert [retry_after(response(text)) for text in ("7", " 12 ", "soon", "-1", "\u0667")] == [
        7.0, 12.0, *[redfish_wire.ASK_AGAIN_SECONDS] * 3,
    ]  # fmt: skip
    assert retry_after(response("9" * 400)) == 999999.0


def test_a_pause_is_never_longer_than_what_is_left():
    pace = Pace(0, 0)
    pace.pause(10**6)
    assert pace.is_over and pace.is_silent
    assert pace.patience == 1.0
