import http.client

import pytest
import requests
from keystoneauth1 import exceptions as ksa

from bakery.cloud.connection import Answer, CloudError, connect, explained, plain


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
        (cut(ConnectionResetError), "the connection was cut"),
        (cut(BrokenPipeError), "the connection was cut"),
        (cut(http.client.RemoteDisconnected), "the connection was cut"),
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
    assert plain(page) == "No 'way'\N{REPLACEMENT CHARACTER}[1m"
    assert len(plain("x" * 10_000)) < 400


def test_a_cloud_that_is_not_there_is_told_with_those_that_are(tmp_path, monkeypatch):
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds:\n  one: {auth: {auth_url: http://127.0.0.1:1}}\n  two: {}\n")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
    with pytest.raises(CloudError, match="no cloud is called 'three'") as caught:
        connect("three")
    assert "one, two" in caught.value.hint
