"""Tasks that a BMC works off, and whom the connection to it believes."""

import ssl
from types import SimpleNamespace

import pytest

from bakery.bmc import redfish_link
from bakery.bmc.answer import Answer
from tests.bmc.redfish_service import MONITOR, Service, Told, perform, serving, standard

pytestmark = pytest.mark.usefixtures("hasty")

SYSTEM = "/redfish/v1/Systems/1"


@pytest.fixture
def bmc(tmp_path):
    with serving(Service(standard()), tmp_path) as service:
        yield service
        assert service.sessions == {}, "a session was left behind"


def test_a_task_is_awaited_wherever_the_bmc_says_it_is(bmc):
    bmc.task_reads = 2
    assert perform(bmc, "on") == Answer(power="on")
    assert perform(bmc, "boot").kind == ""
    assert bmc.tree[SYSTEM]["Boot"]["BootSourceOverrideTarget"] == "Pxe"


def test_a_task_that_takes_too_long_is_told(bmc):
    bmc.task_reads = 10**6
    answer = perform(bmc, "on", seconds=2)
    assert (answer.kind, answer.words) == ("late", "its task is not finished")


def test_a_task_of_settings_that_waits_for_the_next_start_is_not_waited_for(bmc, monkeypatch):
    monkeypatch.setattr("bakery.bmc.redfish_link.SETTINGS_SECONDS", 0.1)

    def fault(asked):
        if asked.method == "PATCH":
            bmc.tree[SYSTEM]["Boot"] |= asked.body["Boot"]
            return Told(202, {"@odata.id": MONITOR, "TaskState": "Pending"})
        return Told(200, {"TaskState": "Pending"}) if asked.path == MONITOR else None

    bmc.fault = fault
    assert perform(bmc, "boot") == Answer()
    assert MONITOR in [asked.path for asked in bmc.asked]


def test_a_task_that_ends_badly_is_quoted(bmc):
    def fault(asked):
        if asked.path.endswith("/TaskMonitors/1"):
            messages = [{"MessageId": "Base.1.8.InternalError", "Message": "the fan is loose"}]
            return Told(200, {"TaskState": "Exception", "Messages": messages})
        return None

    bmc.task_reads, bmc.fault = 1, fault
    answer = perform(bmc, "on")
    assert (answer.kind, answer.words) == ("refused", "the fan is loose (HTTP 200)")


def test_a_task_that_is_forgotten_was_done_if_it_is_seen(bmc):
    bmc.fault = lambda asked: Told(404) if asked.path.endswith("/TaskMonitors/1") else None
    bmc.task_reads = 1
    assert perform(bmc, "on") == Answer(power="on")


def test_no_password_of_another_file_is_sent(bmc, tmp_path, monkeypatch):
    """requests reads ~/.netrc and proxies from the environment where it is let."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert perform(bmc, auth_type="session").power == "off"
    assert not any("Authorization" in asked.headers for asked in bmc.asked)


def test_a_machines_own_authorities_are_believed_where_it_has_some(monkeypatch, tmp_path):
    def kept(**places):
        paths = SimpleNamespace(**({"cafile": None, "capath": None} | places))
        monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
        return redfish_link._authorities()

    file, empty, full = tmp_path / "ca.pem", tmp_path / "empty", tmp_path / "full"
    for folder in (empty, full):
        folder.mkdir()
    (full / "x.0").touch()
    assert kept(cafile=str(file), capath=str(full)) == str(file)
    assert kept(capath=str(full)) == str(full)
    assert kept(capath=str(empty)) is True
    assert kept() is True
