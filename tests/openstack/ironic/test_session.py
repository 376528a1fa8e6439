"""How Ironic is asked: what is tried again, for how long, and what is told at once."""

import copy
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from bakery.openstack.connection import CloudError
from bakery.openstack.ironic import session as module
from bakery.openstack.ironic.session import FAILED_TRIES, Session

LOCKED = {"error_message": json.dumps({"faultstring": "Node n is locked by host h"})}
PATH = "/nodes/n"


class Adapter:
    """Gives these answers in turn, the last one for ever; an answer is a status and its JSON."""

    def __init__(self, *answers: tuple[int, object] | Exception) -> None:
        self.answers = list(answers)
        self.called = threading.Event()
        self.asked: list[tuple[str, str, dict[str, object]]] = []

    def request(self, path: str, method: str, **more: object) -> object:
        self.asked.append((method, path, copy.deepcopy(more)))
        self.called.set()
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        status, content = found
        return SimpleNamespace(status_code=status, content=json.dumps(content).encode())


class Noting:
    """A lock that notes when it is held."""

    def __init__(self, held: list[str]) -> None:
        self.held = held

    def __enter__(self) -> None:
        self.held.append("in")

    def __exit__(self, *_: object) -> None:
        self.held.append("out")


class Pauses(threading.Event):
    """Is over at once, and notes how long each would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0)
        return False


def to(adapter: Adapter) -> Any:
    """A connection, as far as a session needs one."""
    return SimpleNamespace(session=SimpleNamespace(timeout=None), baremetal=adapter)


@pytest.fixture
def session(monkeypatch):
    """Makes a session that waits for nothing, and is given these answers."""
    monkeypatch.setattr("openstack.utils.maximum_supported_microversion", lambda *_: "1.90")

    def of(*answers: tuple[int, object] | Exception) -> Session:
        made = Session(to(Adapter(*answers)))
        made._stopped = Pauses()
        return made

    return of


@pytest.mark.parametrize("answer", [(409, LOCKED), (409, {}), (429, {}), (503, {}), (500, LOCKED)])
def test_what_passes_by_itself_is_asked_again_with_growing_pauses(session, answer):
    one = session(*[answer] * 3, (200, {"uuid": "u"}))
    assert one.ask("GET", PATH, "looking") == {"uuid": "u"}
    assert len(one.adapter.asked) == 4
    pauses = one._stopped.seconds
    assert 0.125 <= pauses[0] <= 0.375 < pauses[2] <= 1.5


@pytest.mark.parametrize("answer", [(409, {"error_message": "no, never"}), (400, {}), (403, {})])
def test_a_refusal_is_told_at_once(session, answer):
    one = session(answer)
    with pytest.raises(CloudError) as caught:
        one.ask("PATCH", PATH, "updating")
    assert caught.value.status == answer[0]
    assert len(one.adapter.asked) == 1


def test_a_refusal_for_want_of_a_role_is_told_at_once_although_it_is_a_500(session):
    one = session((500, {"error_message": "this requires a scope of ['system']"}))
    with pytest.raises(CloudError, match="scope"):
        one.ask("GET", "/drivers", "listing")
    assert len(one.adapter.asked) == 1


@pytest.mark.parametrize("answer", [(500, {}), ConnectionResetError("reset")])
def test_what_fails_or_is_not_answered_is_asked_five_times(session, answer):
    one = session(answer)
    with pytest.raises(CloudError):
        one.ask("GET", PATH, "looking")
    assert len(one.adapter.asked) == FAILED_TRIES == 5


@pytest.mark.parametrize("answer", [(409, LOCKED), (503, {})])
def test_patience_ends(session, monkeypatch, answer):
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    one = session(answer)
    one.patience_seconds = 0
    with pytest.raises(CloudError):
        one.ask("GET", PATH, "looking")
    assert len(one.adapter.asked) == 1


def test_what_may_be_missing_is_none_and_else_an_error(session):
    assert session((404, {})).ask("GET", PATH, "looking", missing=True) is None
    with pytest.raises(CloudError):
        session((404, {})).ask("GET", PATH, "looking")


def test_a_creation_whose_answer_was_lost_is_looked_for_before_it_is_tried_again(session):
    one = session(ConnectionResetError("reset"), (201, {"uuid": "new"}))
    assert one.create("/nodes", {}, "creating", lambda: "found") == "found"
    assert len(one.adapter.asked) == 1
    one = session(ConnectionResetError("reset"), (201, {"uuid": "new"}))
    assert one.create("/nodes", {}, "creating", lambda: None) == {"uuid": "new"}
    assert len(one.adapter.asked) == 2


def test_what_exists_and_may_not_be_seen_is_refused(session):
    one = session((409, {"error_message": "A node with name n already exists."}))
    with pytest.raises(CloudError, match="already exists"):
        one.create("/nodes", {}, "creating", lambda: None)
    assert len(one.adapter.asked) == 1


def test_once_ironics_database_was_locked_writers_go_one_after_another(session):
    one = session((500, LOCKED), (200, {}))
    held: list[str] = []
    one._writer = Noting(held)
    one.ask("PATCH", PATH, "updating")
    assert held == ["in", "out"]
    one.ask("GET", PATH, "looking")
    assert held == ["in", "out"]


def test_after_an_error_in_a_block_nothing_more_is_asked(monkeypatch):
    monkeypatch.setattr("openstack.utils.maximum_supported_microversion", lambda *_: "1.90")
    adapter = Adapter((503, {}))
    one = Session(to(adapter))
    with pytest.raises(KeyboardInterrupt), one.at_once(2) as pool:
        asked = pool.submit(one.ask, "GET", PATH, "looking")
        adapter.called.wait()
        raise KeyboardInterrupt
    with pytest.raises(CloudError, match="stopped"):
        asked.result()
    assert len(adapter.asked) == 1


@pytest.mark.parametrize("status", [409, 429, 502, 503, 504])
def test_a_service_that_is_busy_is_asked_until_patience_ends(session, status):
    one = session(*[(status, {})] * 7, (200, {}))
    one.ask("GET", PATH, "looking")
    assert len(one.adapter.asked) == 8


@pytest.mark.parametrize("status", [501, 505, 401, 300])
def test_what_will_stay_so_is_asked_once(session, status):
    one = session((status, {}))
    with pytest.raises(CloudError):
        one.ask("GET", PATH, "looking")
    assert len(one.adapter.asked) == 1


def test_a_request_says_its_version_and_that_nothing_else_tries_it_again(session):
    one = session((299, {}))
    one.ask("PUT", PATH, "setting", json={"a": 1})
    ((method, path, more),) = one.adapter.asked
    assert (method, path, more["json"], more["microversion"]) == ("PUT", PATH, {"a": 1}, "1.90")
    assert (more["connect_retries"], more["status_code_retries"]) == (0, 0)
    assert (more["raise_exc"], more["timeout"]) == (False, module.TIMEOUT_SECONDS)


def test_a_cloud_that_is_configured_to_be_slow_is_waited_for(monkeypatch):
    monkeypatch.setattr("openstack.utils.maximum_supported_microversion", lambda *_: "1.90")
    connection = to(Adapter((200, {})))
    connection.session.timeout = 7
    one = Session(connection)
    one.ask("GET", PATH, "looking")
    assert connection.baremetal.asked[0][2]["timeout"] == 7


@pytest.mark.parametrize(("newest", "minor"), [("1.37", 37), ("1.104", 104)])
def test_the_newest_version_is_spoken_that_both_know(monkeypatch, newest, minor):
    asked = []

    def supported(_adapter, most):
        asked.append(most)
        return newest

    monkeypatch.setattr("openstack.utils.maximum_supported_microversion", supported)
    assert Session(to(Adapter((200, {})))).minor == minor
    assert asked == ["1.104"]


@pytest.mark.parametrize("newest", [None, "1.1", "1.36"])
def test_a_service_from_before_traits_is_refused(monkeypatch, newest):
    monkeypatch.setattr("openstack.utils.maximum_supported_microversion", lambda *_: newest)
    with pytest.raises(CloudError, match="speaks no version of its API after 1") as caught:
        Session(to(Adapter((200, {}))))
    assert "bakery needs 1.37" in caught.value.hint


def test_a_service_that_cannot_be_reached_is_told(monkeypatch):
    def fails(*_):
        raise ConnectionResetError("reset")

    monkeypatch.setattr("openstack.utils.maximum_supported_microversion", fails)
    with pytest.raises(CloudError, match="cannot reach the bare metal service"):
        Session(to(Adapter((200, {}))))


def page(*uuids, **more):
    return 200, {"nodes": [{"uuid": uuid} for uuid in uuids], **more}


def test_a_listing_goes_on_behind_the_last_one_of_a_page(session):
    one = session(page("a", "b", next="x"), page("c", next="y"), page())
    assert [entry["uuid"] for entry in one.listing("nodes/detail", {"q": "1"})] == ["a", "b", "c"]
    assert [(path, more["params"]) for _, path, more in one.adapter.asked] == [
        ("/nodes/detail", {"q": "1", "limit": "1000"}),
        ("/nodes/detail", {"q": "1", "limit": "1000", "marker": "b"}),
        ("/nodes/detail", {"q": "1", "limit": "1000", "marker": "c"}),
    ]
    one = session(page("a"))
    assert len(one.listing("nodes", {})) == 1
    assert len(one.adapter.asked) == 1


def test_a_listing_without_end_is_given_up(session, monkeypatch):
    monkeypatch.setattr(module, "PAGES_LIMIT", 3)
    one = session(page("a", next="x"))
    with pytest.raises(CloudError, match="listing nodes: the cloud's list never ends"):
        one.listing("nodes", {})
    assert len(one.adapter.asked) == 3


def test_an_answer_larger_than_the_bound_is_refused(session, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_LIMIT_BYTES", 2)
    assert session((200, {})).ask("GET", PATH, "looking") == {}
    with pytest.raises(CloudError, match="looking: the answer is larger than 2 bytes"):
        session((200, [1])).ask("GET", PATH, "looking")


EXISTS = (409, {"error_message": json.dumps({"faultstring": "It already exists."})})


def test_what_is_there_already_is_what_was_to_be_made(session):
    one = session(EXISTS)
    assert one.create("/nodes", {}, "creating", lambda: "found") == "found"
    assert len(one.adapter.asked) == 1


def test_a_creation_that_is_refused_is_not_looked_for(session):
    def never():
        raise AssertionError

    with pytest.raises(CloudError, match=r"creating: .*no, never"):
        session((400, {"error_message": "no, never"})).create("/nodes", {}, "creating", never)


def test_a_creation_ends_with_patience(session):
    one = session((503, {}))
    one.patience_seconds = 0
    with pytest.raises(CloudError):
        one.create("/nodes", {}, "creating", lambda: "found")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"error_message": {"faultstring": "a"}}, "a"),
        ({"error_message": json.dumps({"description": "b"})}, "b"),
        ({"error_message": "", "title": "c"}, "c"),
        ({"error_message": json.dumps({"faultstring": json.dumps({"title": "d"})})}, "d"),
        ({"odd": 1}, ""),
        (["e"], "['e']"),
    ],
)
def test_the_words_of_a_refusal_are_found_in_what_wraps_them(content, words):
    assert module._refusal(json.dumps(content).encode()) == words


def test_a_refusal_that_is_no_json_is_told_as_it_is():
    assert module._refusal(b"<h1>no</h1> \xff") == "no \N{REPLACEMENT CHARACTER}"


def test_pauses_do_not_grow_without_end(session):
    one = session(*[(503, {})] * 12, (200, {}))
    one.ask("GET", PATH, "looking")
    assert max(one._stopped.seconds) <= 1.5 * module.LONGEST_PAUSE_SECONDS
    assert min(one._stopped.seconds[-3:]) >= 0.5 * module.LONGEST_PAUSE_SECONDS


def test_after_an_error_in_a_block_what_waits_for_its_turn_is_never_begun(session):
    one = session((200, {}))
    one._stopped = threading.Event()
    begun = threading.Event()

    def first():
        begun.set()
        one._stopped.wait(30)

    with pytest.raises(KeyboardInterrupt), one.at_once(1) as pool:
        pool.submit(first)
        second = pool.submit(begun.clear)
        begun.wait(30)
        raise KeyboardInterrupt
    assert second.cancelled()
    assert one.ask("GET", PATH, "looking") == {}


def test_a_block_that_ends_well_has_done_all(session):
    one = session((200, {}))
    with one.at_once(2) as pool:
        done = [pool.submit(one.ask, "GET", PATH, "looking") for _ in range(5)]
    assert [each.result() for each in done] == [{}] * 5


def test_what_is_stopped_asks_for_nothing_more(session):
    one = session((200, {}))
    one._stopped = threading.Event()
    one._stopped.set()
    with pytest.raises(CloudError, match="looking: stopped"):
        one.ask("GET", PATH, "looking")
    with pytest.raises(CloudError, match="creating: stopped"):
        one.create("/nodes", {}, "creating", lambda: "found")
    assert one.adapter.asked == []


@pytest.mark.parametrize("answer", [(409, LOCKED), (500, {})])
def test_no_other_failure_makes_writers_go_one_after_another(session, answer):
    one = session(answer, (200, {}), (200, {}))
    held: list[str] = []
    one._writer = Noting(held)
    one.ask("PATCH", PATH, "updating")
    one.ask("PATCH", PATH, "updating")
    assert held == []
