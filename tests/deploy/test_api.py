"""The two calls of a ramdisk: what is taken, and what of strangers is refused."""

import json
from uuid import UUID

import pytest

from bakery.deploy import api
from bakery.deploy.journal import AgentInfo, Deployment
from bakery.errors import BakeryError
from bakery.serve.events import Event, Http
from bakery.serve.http import BODY_LIMIT_BYTES, HttpServer
from bakery.serve.http_message import Request
from bakery.serve.tree import Tree
from tests.deploy.asking import post
from tests.deploy.targets import until

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
IQN = f"iqn.2008-10.org.openstack:{NODE}"
GOOD = {"key": "the-key", "address": "192.0.2.7", "iqn": IQN, "error": ""}


class Node:
    """Remembers what it was told."""

    def __init__(self, *, waits=True):
        self.deployment = Deployment("the-key", "the-token", NODE, "11" * 32)
        self.told = []
        self.waits = waits

    def ramdisk_up(self, agent):
        self.told.append(agent)
        return self.waits

    def ramdisk_failed(self, error):
        self.told.append(error)
        return self.waits

    def plan(self, agent, disk_bytes):
        self.told.append((agent, disk_bytes))
        if disk_bytes < 1000:
            raise BakeryError("the node's disk is too small")
        return b"the plan" if self.waits else None

    def progress(self, part, done, total):
        self.told.append((part, done, total))
        return self.waits

    def written(self):
        self.told.append("written")
        return self.waits

    def bootloader(self, error):
        self.told.append(("bootloader", error))
        return self.waits


def call(node, body, *, name=str(NODE), token="the-token", what="pass_deploy_info"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/v1/nodes/{name}/vendor_passthru/{what}"
    parameters = {"node": name, "call": what}
    headers = {"x-auth-token": token}
    request = Request("POST", path, parameters, "", headers, content, "192.0.2.7")
    return api.answer(request, {NODE: node})


def reason(response):
    return json.loads(json.loads(response.body)["error_message"])["faultstring"]


def test_a_ramdisk_that_knows_the_secrets_is_believed():
    node = Node()
    response = call(node, GOOD)
    assert (response.status, response.body) == (202, b"")
    assert node.told == [AgentInfo("192.0.2.7", IQN)]


def test_ironics_early_target_name_is_taken():
    node = Node()
    assert call(node, GOOD | {"iqn": f"iqn-{NODE}"}).status == 202


def test_fields_nobody_knows_are_overlooked():
    assert call(Node(), GOOD | {"root_uuid": "x"}).status == 202


def test_an_error_of_the_ramdisk_is_told_on_one_line():
    node = Node()
    assert call(node, {"key": "the-key", "error": "no\ndisk \x1b[31m found"}).status == 202
    assert node.told == ["no disk [31m found"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"key": "another"}, 400, "key does not match"),
        ({"key": ""}, 400, "key does not match"),
        ({"key": "schlüssel"}, 400, "key does not match"),
        ({"key": 7}, 400, "cannot be read"),
        ({"address": "node.example"}, 400, "no IP address"),
        ({"address": ""}, 400, "no IP address"),
        ({"iqn": "iqn.x,file.driver=file"}, 400, "no iSCSI target name"),
        ({"iqn": ""}, 400, "no iSCSI target name"),
    ],
)
def test_a_report_that_cannot_be_believed_is_refused(change, status, words):
    node = Node()
    response = call(node, GOOD | change)
    assert response.status == status
    assert words in reason(response)
    assert node.told == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"{}", b'{"key":"\xff"}', b"[" * 60000, b'{"key":' + b"9" * 5000],
    ids=["none", "cut", "list", "null", "empty", "bytes", "deep", "number"],
)
def test_a_malformed_body_is_refused(body):
    response = call(Node(), body)
    assert response.status == 400
    assert reason(response)


@pytest.mark.parametrize("token", ["", "another", "the-token-and-more", "schlüssel"])
def test_a_wrong_token_is_refused_before_the_body_is_read(token):
    response = call(Node(), b"{", token=token)
    assert response.status == 401


@pytest.mark.parametrize("name", ["6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d12", "node-1", "..", "x" * 64])
def test_an_unknown_node_is_not_found(name):
    assert call(Node(), GOOD, name=name).status == 404


def test_what_is_not_waited_for_is_a_conflict():
    assert call(Node(waits=False), GOOD).status == 409


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"status": "SUCCEEDED", "error": ""}, ""),
        ({"status": "SUCCEEDED", "error": "but no"}, "but no"),
        ({"status": "FAILED", "error": "no grub"}, "no grub"),
        ({"status": "FAILED"}, "status FAILED"),
    ],
)
def test_a_boot_loader_is_installed_only_where_the_ramdisk_says_so(body, told):
    node = Node()
    body = {"key": "the-key", "address": "192.0.2.7"} | body
    assert call(node, body, what="pass_bootloader_install_info").status == 202
    assert node.told == [("bootloader", told)]


@pytest.fixture
def server():
    node = Node()
    events: list[Event] = []
    with HttpServer("127.0.0.1", Tree(), events.append, routes=api.routes({NODE: node})) as http:
        yield http, node, events


def ask(node, query, *, name=str(NODE), token="the-token"):
    path = f"/v1/nodes/{name}/vendor_passthru/get_deploy_plan"
    headers = {"x-auth-token": token}
    request = Request("GET", path, {"node": name}, query, headers, b"", "192.0.2.7")
    return api.give_plan(request, {NODE: node})


ASKED = "key=the-key&address=192.0.2.7&disk_bytes=10737418240"


def test_a_node_that_writes_its_disk_itself_is_given_the_plan():
    node = Node()
    answer = ask(node, ASKED)
    assert (answer.status, answer.body) == (200, b"the plan")
    assert node.told == [(AgentInfo("192.0.2.7", ""), 10737418240)]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        (ASKED.replace("the-key", "another"), 400),
        (ASKED.replace("192.0.2.7", "nowhere"), 400),
        (ASKED.replace("10737418240", "-1"), 400),
        (ASKED.replace("10737418240", "9" * 30), 400),
        (ASKED.replace("10737418240", "999"), 400),
    ],
)
def test_a_question_that_cannot_be_believed_is_refused(query, status):
    assert ask(Node(), query).status == status


def test_a_plan_is_for_the_node_that_is_waited_for_and_has_the_token():
    assert ask(Node(), ASKED, token="wrong").status == 401
    assert ask(Node(), ASKED, name="nobody").status == 404
    assert ask(Node(waits=False), ASKED).status == 409


def test_a_node_tells_how_far_it_is_and_that_it_is_done():
    node = Node()
    news = {"key": "the-key", "part": "writing", "done": "7", "total": "5"}
    assert call(node, news, what="pass_deploy_progress").status == 202
    assert call(node, {"key": "the-key"}, what="pass_deploy_done").status == 202
    assert node.told == [("writing", 5, 5), "written"]


@pytest.mark.parametrize(
    "change", [{"part": "baking"}, {"done": "-1"}, {"total": "x"}, {"key": "k"}]
)
def test_news_that_cannot_be_believed_are_refused(change):
    news = {"key": "the-key", "part": "writing", "done": "1", "total": "5"} | change
    assert call(Node(), news, what="pass_deploy_progress").status == 400


def test_over_http_the_same_call_twice_is_answered_twice(server):
    http, node, events = server
    path = f"/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info"
    for _ in range(2):
        assert post(http.port, path, json.dumps(GOOD).encode(), "the-token") == 202
    assert len(node.told) == 2
    until(lambda: len(events) == 2)  # an answer is told when it has gone out
    assert [event.status for event in events if isinstance(event, Http)] == [202, 202]


def test_over_http_a_huge_body_is_refused_unread(server):
    http, node, _ = server
    path = f"/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info"
    assert post(http.port, path, b" " * (BODY_LIMIT_BYTES + 1), "the-token") == 413
    assert node.told == []
