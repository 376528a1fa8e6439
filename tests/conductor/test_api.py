"""The two calls of a ramdisk: what is taken, and what of strangers is refused."""

import json
from uuid import UUID

import pytest

from bakery.conductor import api
from bakery.conductor.journal import AgentInfo, Deployment
from bakery.host.errors import BakeryError
from bakery.netboot.http import BODY_LIMIT_BYTES, HttpServer
from bakery.netboot.http_message import Request
from bakery.netboot.tree import Tree
from bakery.netboot.wire_events import Event, Http
from tests.conductor.asking import post
from tests.conductor.peers import peer_at
from tests.conductor.targets import until

NODE = UUID("6a3c9a3e-4b5f-4c39-9d5b-0f6a2b1c7d11")
IQN = f"iqn.2008-10.org.openstack:{NODE}"
GOOD = {"key": "the-key", "address": "192.0.2.7", "iqn": IQN, "error": ""}


class Node:
    """Remembers what it was told."""

    def __init__(self, *, waits=True, address="192.0.2.7"):
        deployment = Deployment("the-key", "the-token", NODE, "11" * 32)
        self.peer = peer_at(address, deployment)
        self.told = []
        self.waits = waits

    def ramdisk_up(self, agent, machine):
        self.told.append(agent)
        self.machine = machine
        return self.waits

    def ramdisk_failed(self, error):
        self.told.append(error)
        return self.waits

    def write_list(self, agent, machine, public):
        self.told.append((agent, machine.disk_bytes, public))
        if machine.disk_bytes < 1000:
            raise BakeryError("the node's disk is too small")
        return b"the write list" if self.waits else None

    def progress(self, part, done, total):
        self.told.append((part, done, total))
        return self.waits

    def written(self):
        self.told.append("written")
        return self.waits

    def bootloader(self, error):
        self.told.append(("bootloader", error))
        return self.waits


def call(
    node,
    body,
    *,
    name=str(NODE),
    token="the-token",
    what="pass_deploy_info",
    client="192.0.2.7",
):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/v1/nodes/{name}/vendor_passthru/{what}"
    parameters = {"node": name, "call": what}
    headers = {"x-auth-token": token}
    request = Request("POST", path, parameters, "", headers, content, client)
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
    assert node.told == ["no disk \\x1b[31m found"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"key": "another"}, 400, "key does not match"),
        ({"key": ""}, 400, "key does not match"),
        ({"key": "schlüssel"}, 400, "key does not match"),
        ({"key": 7}, 400, "cannot be read"),
        ({"address": "node.example"}, 400, "not an IP address"),
        ({"address": ""}, 400, "not an IP address"),
        ({"address": "192.0.2.7,driver=qcow2"}, 400, "not an IP address"),
        ({"address": "fe80::1%eth0"}, 400, "scope id"),
        ({"address": "fe80::1%x,driver=qcow2,file.portal=192.0.2.7:3262"}, 400, "scope id"),
        ({"address": "192.0.2.8"}, 403, "not this client's address, 192.0.2.7"),
        ({"address": "fd00::1"}, 403, "not this client's address, 192.0.2.7"),
        ({"address": "::ffff:192.0.2.7"}, 403, "not this client's address, 192.0.2.7"),
        ({"iqn": "iqn.x,file.driver=file"}, 400, "not an iSCSI target name"),
        ({"iqn": ""}, 400, "not an iSCSI target name"),
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


CALLS = [
    ("pass_deploy_info", GOOD),
    ("pass_deploy_info", GOOD | {"error": "disk on fire"}),
    ("pass_bootloader_install_info", GOOD | {"status": "SUCCEEDED"}),
    ("pass_deploy_progress", {"key": "the-key", "part": "writing", "done": "1", "total": "2"}),
    ("pass_deploy_done", {"key": "the-key"}),
    ("get_deploy_plan", GOOD | {"disk_bytes": "10737418240", "public_key": "ab" * 32}),
]


@pytest.mark.parametrize(("what", "body"), CALLS)
def test_no_call_is_taken_from_another_address_though_it_has_all_secrets(what, body):
    node = Node()
    answer = call(node, body, what=what, client="192.0.2.9")
    assert answer.status == 403
    assert "another node's" in reason(answer)
    assert "another node's" in answer.reason
    assert node.told == []


@pytest.mark.parametrize(("what", "body"), CALLS)
def test_no_call_is_taken_with_the_key_or_token_of_another_try(what, body):
    node = Node()
    assert call(node, body | {"key": "an-old-key"}, what=what).status == 400
    assert call(node, body, what=what, token="an-old-token").status == 401
    assert node.told == []


@pytest.fixture
def server():
    node = Node(address="127.0.0.1")
    events: list[Event] = []
    with HttpServer("127.0.0.1", Tree(), events.append, routes=api.routes({NODE: node})) as http:
        yield http, node, events


def ask(node, body, **others):
    return call(node, body, what="get_deploy_plan", **others)


ASKED = {
    "key": "the-key",
    "address": "192.0.2.7",
    "disk_bytes": "10737418240",
    "public_key": "ab" * 32,
}


def test_a_node_that_writes_its_disk_itself_is_given_the_plan():
    node = Node()
    answer = ask(node, ASKED)
    assert (answer.status, answer.body) == (200, b"the write list")
    assert node.told == [(AgentInfo("192.0.2.7", ""), 10737418240, b"\xab" * 32)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        ASKED | {"key": "another"},
        ASKED | {"address": "nowhere"},
        ASKED | {"disk_bytes": "-1"},
        ASKED | {"disk_bytes": "9" * 30},
        ASKED | {"disk_bytes": "999"},
        ASKED | {"public_key": "no key"},
        ASKED | {"public_key": None},
    ],
)
def test_a_question_that_cannot_be_believed_is_refused(body):
    assert ask(Node(), body).status == 400


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("192.0.2.8", 403, "not this client's address, 192.0.2.7"),
        ("fe80::1%x,driver=qcow2", 400, "scope id"),
    ],
)
def test_a_write_list_is_asked_for_from_the_nodes_own_address(address, status, words):
    node = Node()
    answer = ask(node, ASKED | {"address": address})
    assert answer.status == status
    assert words in reason(answer)
    assert node.told == []


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
    body = json.dumps(GOOD | {"address": "127.0.0.1"}).encode()
    for _ in range(2):
        assert post(http.port, path, body, "the-token") == 202
    assert len(node.told) == 2
    until(lambda: len(events) == 2)  # an answer is told when it has gone out
    assert [event.status for event in events if isinstance(event, Http)] == [202, 202]


def test_over_http_a_node_names_no_address_but_the_one_it_asks_from(server):
    http, node, events = server
    path = f"/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info"
    body = json.dumps(GOOD | {"address": "127.0.0.1"}).encode()
    assert post(http.port, path, body, "the-token", "127.0.0.9") == 403
    until(lambda: len(events) == 1)
    assert (events[0].client, events[0].status) == ("127.0.0.9", 403)
    assert "another node's" in events[0].reason
    assert node.told == []
    assert post(http.port, path, body, "the-token") == 202
    assert node.told == [AgentInfo("127.0.0.1", IQN)]


def test_a_query_is_not_in_the_log(server):
    http, _, events = server
    path = f"/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info"
    assert post(http.port, path + "?key=secret", b"{}", "the-token") == 400
    until(lambda: len(events) == 1)
    assert events[0].path == path


def test_over_http_a_huge_body_is_refused_unread(server):
    http, node, _ = server
    path = f"/v1/nodes/{NODE}/vendor_passthru/pass_deploy_info"
    assert post(http.port, path, b" " * (BODY_LIMIT_BYTES + 1), "the-token") == 413
    assert node.told == []


@pytest.mark.parametrize(("text", "fits"), [("9" * 18, True), ("9" * 19, False), ("٣", False)])
def test_a_number_has_eighteen_digits_at_most(text, fits):
    news = {"key": "the-key", "part": "writing", "done": "1", "total": text}
    response = call(Node(), news, what="pass_deploy_progress")
    assert response.status == (202 if fits else 400)


def test_no_more_is_done_than_there_is():
    node = Node()
    for done, total in (("3", "5"), ("7", "5")):
        news = {"key": "the-key", "part": "verifying", "done": done, "total": total}
        call(node, news, what="pass_deploy_progress")
    assert node.told == [("verifying", 3, 5), ("verifying", 5, 5)]


def test_what_a_node_says_of_itself_is_cut():
    node = Node()
    call(node, {"key": "the-key", "error": "x" * 5000})
    assert len(node.told[0]) == 4096 and node.told[0].endswith("…")


def test_a_boot_loader_that_failed_is_told_by_its_status_where_no_reason_is():
    node = Node()
    body = {"key": "the-key", "status": "FAILED"}
    call(node, body, what="pass_bootloader_install_info")
    call(node, body | {"error": "no grub"}, what="pass_bootloader_install_info")
    call(node, body | {"status": "SUCCEEDED"}, what="pass_bootloader_install_info")
    assert node.told == [
        ("bootloader", "status FAILED"),
        ("bootloader", "no grub"),
        ("bootloader", ""),
    ]


@pytest.mark.parametrize("what", ["pass_deploy_progress", "pass_deploy_done"])
def test_every_call_needs_the_key(what):
    node = Node()
    body = {"key": "another", "part": "writing", "done": "1", "total": "2"}
    assert call(node, body, what=what).status == 400
    assert node.told == []


def test_a_refusal_is_told_as_ironic_told_it():
    response = call(Node(waits=False), GOOD)
    fault = json.loads(json.loads(response.body)["error_message"])
    assert fault == {
        "faultstring": "the node is not waiting for this",
        "faultcode": "Client",
        "debuginfo": None,
    }


def test_a_call_with_a_blank_around_its_token_is_believed():
    assert call(Node(), GOOD, token=" the-token\n").status == 202


def test_which_machine_it_is_is_told_within_bounds():
    node = Node()
    told = {
        "macs": "52:54:00:00:00:01,52:54:00:AA:00:02,no card," + "x" * 9000,
        "serial": "S\x1b[2J" + "1" * 900,
        "disk_model": "ACME", "disk_serial": "D1", "disk_bytes": "480103981056",
    }  # fmt: skip
    assert call(node, GOOD | told).status == 202
    machine = node.machine
    assert machine.macs == ("52:54:00:00:00:01", "52:54:00:aa:00:02")
    assert machine.serial.isprintable() and len(machine.serial) < 150
    assert (machine.disk_model, machine.disk_serial) == ("ACME", "D1")
    assert machine.disk_bytes == 480103981056


@pytest.mark.parametrize("size", ["-1", "x", "9" * 30])
def test_a_disk_whose_size_is_no_number_is_refused(size):
    assert call(Node(), GOOD | {"disk_bytes": size}).status == 400
