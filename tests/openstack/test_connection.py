import http.client
from types import SimpleNamespace

import pytest
import requests
from keystoneauth1 import exceptions as ksa
from keystoneauth1.loading import Opt

from bakery.openstack.connection import (
    GO_ON_HINT,
    Answer,
    CloudError,
    connect,
    explained,
    json_of,
    plain,
    status_of,
)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "user name, password or project is wrong"),
        (403, "not permitted"),
        (409, "in the way"),
        (413, "quota"),
        (418, "HTTP 418"),
        (302, "elsewhere"),
        (500, "the service failed (HTTP 500)"),
        (503, "not available"),
        (507, "full"),
    ],
)
def test_a_status_is_told_in_words(status, words):
    error = explained(Answer(status, "said so"), "sending", "kernel is active")
    assert error.status == status
    assert words in error.message
    assert error.message.startswith("sending: ")
    assert error.message.endswith("; kernel is active")


def test_what_keystone_refuses_is_told_by_its_status():
    error = explained(ksa.http.Unauthorized("The request requires authentication"), "logging in")
    assert "password" in error.message


def cut(kind: type[Exception]) -> Exception:
    """A cut connection as requests tells it: the reason lies in the arguments."""
    inner = requests.exceptions.ConnectionError(kind(104, "cut"))
    error = ksa.ConnectFailure("Unable to establish connection to http://host: cut")
    error.__cause__ = inner
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (cut(ConnectionResetError), "the connection was lost"),
        (cut(BrokenPipeError), "the connection was lost"),
        (cut(http.client.RemoteDisconnected), "the connection was lost"),
        (cut(ConnectionRefusedError), "nothing answers"),
        (ksa.SSLError("bad certificate"), "certificate"),
        (ksa.ConnectTimeout("slow"), "does not answer in time"),
        (ksa.EndpointNotFound(), "no such service"),
        (ksa.UnknownConnectionError("odd", Exception()), "cannot be reached"),
    ],
)
def test_a_failure_without_an_answer_is_told_by_its_cause(error, words):
    told = explained(error, "sending")
    assert words in told.message
    assert told.status is None


def test_what_is_explained_already_only_gets_what_is_on_the_server():
    first = CloudError("sending: cut", "again", 500)
    told = explained(first, "other words", "kernel is active")
    assert (told.message, told.hint, told.status) == (
        "sending: cut; kernel is active", "again", 500
    )  # fmt: skip
    assert explained(first, "other words") is first


def test_a_page_of_a_server_becomes_one_short_line():
    page = "<html><title>403 Forbidden</title><h1>403 Forbidden</h1>\n No &#x27;way&#x27;\x1b[1m"
    assert plain(page) == r"No 'way'\x1b[1m"
    assert len(plain("x" * 10_000)) < 400


def test_a_cloud_that_is_not_there_is_told_with_those_that_are(tmp_path, monkeypatch):
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds:\n  one: {auth: {auth_url: http://127.0.0.1:1}}\n  two: {}\n")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    with pytest.raises(CloudError, match="no cloud is called 'three'") as caught:
        connect("three")
    assert "one, two" in caught.value.hint


@pytest.mark.parametrize(
    ("cloud", "environment", "wanted", "name"),
    [
        ("one", "two", "one", "one"),
        (None, "two", "two", "two"),
        (None, "", None, "the cloud"),
    ],
)
def test_a_cloud_is_logged_in_to_by_name(monkeypatch, cloud, environment, wanted, name):
    asked = []

    class Session:
        fails = False

        def get_token(self):
            asked.append("token")
            if self.fails:
                raise ConnectionRefusedError("refused")

    def sdk(**more):
        asked.append(more["cloud"])
        return SimpleNamespace(session=Session())

    monkeypatch.setenv("OS_CLOUD", environment)
    monkeypatch.setattr("openstack.connect", sdk)
    assert isinstance(connect(cloud).session, Session)
    assert asked == [wanted, "token"]
    Session.fails = True
    with pytest.raises(CloudError, match=f"cannot log in to {name}: nothing answers there"):
        connect(cloud)


@pytest.mark.parametrize(
    ("attribute", "value", "status"),
    [
        *(("status", 300, 300), ("status_code", 404, 404), ("http_status", 500, 500)),
        *(("status", 299, None), ("status", "404", None), ("other", 404, None)),
    ],
)
def test_the_status_behind_a_failure_is_that_of_a_refusal(attribute, value, status):
    error = Exception("x")
    setattr(error, attribute, value)
    assert status_of(error) == status


def test_an_empty_answer_is_an_empty_object_and_no_json_is_an_error():
    assert json_of(b" \n", "looking", "image service") == {}
    assert json_of(b"[1]", "looking", "image service") == [1]
    for content in (b"<html>", b"[" * 100_000, b"\xff"):
        with pytest.raises(CloudError, match="looking: the answer is not JSON") as caught:
            json_of(content, "looking", "image service")
        assert caught.value.hint == "is this the image service?"


@pytest.mark.parametrize(
    ("status", "words", "hint"),
    [
        (300, "elsewhere (HTTP 300)", "endpoint"),
        (399, "elsewhere (HTTP 399)", "endpoint"),
        (400, "refused it (HTTP 400) (said)", ""),
        (404, "it is not there (said)", ""),
        (499, "refused it (HTTP 499) (said)", ""),
        (500, "failed (HTTP 500) (said)", GO_ON_HINT),
        (409, "in the way of something else (said)", GO_ON_HINT),
        (403, "not permitted to do this (said)", "ask who runs the cloud"),
        (401, "user name, password or project is wrong", "clouds.yaml"),
    ],
)
def test_a_status_names_the_way_out(status, words, hint):
    error = explained(Answer(status, "said"), "sending")
    assert error.message.endswith(words)
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)
    assert "()" not in explained(Answer(status, ""), "sending").message


def test_who_may_not_publish_to_everyone_is_told_what_to_leave_out():
    error = explained(Answer(403, "You are not authorized to publicize"), "sending")
    assert "leave --public out" in error.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.exceptions.ReadTimeout("slow"), "does not answer in time"),
        (requests.exceptions.SSLError("bad"), "certificate"),
        (requests.RequestException("odd"), "cannot be reached"),
        (ksa.MissingRequiredOptions([Opt("url")]), "not said how"),
        (RuntimeError("odd"), "sending: odd"),
        (RuntimeError(), "sending: RuntimeError"),
        (RuntimeError("connection refused"), "nothing answers there"),
    ],
)
def test_other_failures_are_told_by_what_they_are(error, words):
    assert words in explained(error, "sending").message


def test_the_cause_is_found_however_it_is_kept():
    class Kept(Exception):
        reason = ConnectionResetError("reset")

    deep: Exception = ConnectionResetError("reset")
    for _ in range(20):
        deep = RuntimeError(deep)
    ring = RuntimeError("ring")
    ring.__cause__ = RuntimeError("round")
    ring.__cause__.__cause__ = ring
    implied = RuntimeError("while")
    implied.__context__ = ConnectionResetError("reset")
    for error in (Kept(), deep, implied):
        assert "the connection was lost" in explained(error, "sending").message
    assert explained(ring, "sending").message == "sending: ring"


def test_the_words_of_a_refusal_are_found_in_what_carries_them():
    for attribute in ("text", "details", "message"):
        error = Exception("other")
        error.status_code = 400  # type: ignore[attr-defined]
        setattr(error, attribute, "<b>said</b>")
        assert explained(error, "sending").message.endswith("(said)")
    error.message = ""  # type: ignore[attr-defined]
    assert explained(error, "sending").message.endswith("(other)")


def test_only_a_status_that_is_repeated_goes():
    assert plain("404 Not Found 404 Not Found the image") == "the image"
    assert plain("404 Not Found the image") == "404 Not Found the image"
    assert plain("<" + "a" * 201 + ">x").endswith(">x")
    assert plain("<" + "a" * 200 + ">x") == "x"


def test_a_cloud_that_is_none_of_many_is_told_with_twenty(tmp_path, monkeypatch):
    names = [f"c{number:02}" for number in range(25)]
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds:\n" + "".join(f"  {name}: {{}}\n" for name in names))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    with pytest.raises(CloudError) as caught:
        connect("three")
    assert caught.value.hint.endswith(", ".join(names[:20]))
    path.write_text("clouds: {}\n")
    with pytest.raises(CloudError) as caught:
        connect("three")
    assert caught.value.hint.endswith("know: none")
