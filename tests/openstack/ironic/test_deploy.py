"""A deploy by an Ironic in memory: what it is told, how it is followed, and what is taken back."""

import pytest

from bakery.host.errors import BakeryError
from bakery.host.report import Report, silent
from bakery.openstack.connection import CloudError
from bakery.openstack.ironic import config_drive, deploy
from bakery.openstack.ironic.deploy import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SETTLE_SECONDS,
    WAYS_OUT,
    Deploys,
    Sent,
)
from bakery.openstack.ironic.records import NodeThere
from tests.openstack.ironic import standin
from tests.openstack.ironic.standin import Fault, Service
from tests.openstack.ironic.test_validate import GIB, image

SIGN = WAYS_OUT[0][0]
PROVISION = "PUT /nodes/{}/states/provision"
MASKED = {"configdrive": "******"}


@pytest.fixture
def service(monkeypatch):
    made = standin.timed(Service(), monkeypatch)
    made.node("u", deploy_interface="agent")
    return made


def deploys(service, this=None, method="direct", drive="", **more):
    return Deploys(standin.to(service), this or image(), method, drive, **more)


def seen(service):
    """The nodes as they are, with nothing moved by the look."""
    return [standin.to(service).get(uuid) for uuid in service.nodes]


def deployed(service, *, drive="", timeout=1000.0, report=None):
    return deploy.deploy(deploys(service, drive=drive), seen(service), report or silent(), timeout)


def undeployed(service, timeout=1000.0):
    return deploy.undeploy(standin.to(service), seen(service), silent(), timeout)


def targets(service, uuid="u"):
    return [body["target"] for body in service.told(PROVISION.format(uuid))]


def test_a_node_is_told_its_image_and_followed_until_it_is_active(service):
    notes = []
    report = Report(lambda event: notes.append((event.kind, event.text)), 0)
    assert deployed(service, drive="drive", report=report) == [Sent("n-u", "u", "active")]
    assert service.told(PROVISION.format("u")) == [{"target": "active", "configdrive": "drive"}]
    assert service.nodes["u"]["instance_info"] == {"image_source": "id-base", **MASKED}
    assert service.nodes["u"]["deploy_interface"] == "direct"
    assert [text for kind, text in notes if kind == "note"] == [
        "n-u: wait call-back",
        "n-u: active",
    ]
    assert ("started", "1 nodes") in notes
    assert service.asked()[-1] == "GET /nodes"
    assert ("progress", "1 of 1 nodes") in notes


def test_a_node_that_has_the_image_is_told_nothing_and_is_not_taken_back(service):
    deployed(service)
    service.requests.clear()
    one = deploys(service)
    (node,) = seen(service)
    one.start(node)
    assert service.asked("P") == []
    assert one.begun == []
    assert deployed(service) == [Sent("n-u", "u", "active")]


def test_a_deploy_that_is_under_way_is_followed_and_would_be_taken_back(service):
    service.node("u", provision_state="deploying", instance_info={"image_source": "id-base"})
    one = deploys(service)
    (node,) = seen(service)
    one.start(node)
    assert (service.asked("P"), one.begun) == ([], [node])


def test_a_node_that_ironic_finds_faults_with_is_told_and_is_as_before(service):
    service.invalid["u"] = {
        "deploy": {"result": False, "reason": "no kernel"},
        "power": {"result": False, "reason": "no BMC"},
    }
    before = dict(service.nodes["u"])
    (sent,) = deployed(service)
    assert sent.error == "n-u cannot be deployed: deploy: no kernel; power: no BMC"
    assert sent.state == "available"
    assert service.nodes["u"] == before | {"instance_info": {}}
    assert targets(service) == []


def test_only_what_differs_is_told_and_given_back(service):
    service.node("u", deploy_interface="direct", instance_info={"kernel": "k", "root_gb": 1})
    service.invalid["u"] = {"deploy": {"result": False, "reason": "no"}}
    deployed(service)
    told, back = service.told("PATCH /nodes/u")[:2]
    assert told == [
        {"op": "remove", "path": "/instance_info/kernel"},
        {"op": "add", "path": "/instance_info/image_source", "value": "id-base"},
        *config_drive.WITHOUT,
    ]
    assert back == [
        {"op": "remove", "path": "/instance_info/image_source"},
        {"op": "add", "path": "/instance_info/kernel", "value": "k"},
    ]


def test_a_start_whose_answer_was_lost_is_none_that_failed(service):
    service.faults = [Fault(PROVISION.format("u"), lost=True)]
    assert deployed(service) == [Sent("n-u", "u", "active")]


def test_a_start_that_ironic_refuses_is_told_and_keeps_no_other_from_its_image(service):
    service.node("v")
    service.faults = [Fault(PROVISION.format("u"), 400, "not now")]
    first, second = deployed(service)
    assert (first.uuid, first.state) == ("u", "available")
    assert "not now" in first.error
    assert second == Sent("n-v", "v", "active")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", "it ended in deploy failed"),
        ("odd\nthings", "odd things"),
        ("it does not match", f"it does not match ({WAYS_OUT[5][1]})"),
        (f"{SIGN} of x; it does not match", f"{SIGN} of x; it does not match ({WAYS_OUT[0][1]})"),
    ],
)
def test_a_deploy_that_fails_is_told_with_what_helps(service, said, told):
    service.ways["active"] = ("deploying", "deploy failed")
    service.nodes["u"]["last_error"] = said
    assert deployed(service) == [Sent("n-u", "u", "deploy failed", told)]


def test_a_node_that_is_deleted_meanwhile_is_told(service):
    nodes = seen(service)
    service.nodes.clear()
    found = deploy.follow(standin.to(service), nodes, "active", silent(), 10)
    assert found == {"u": Sent("n-u", "u", "gone", "it ended in gone")}


def test_when_time_is_up_each_is_told_where_it_is(service):
    service.ways["active"] = ("deploying", "wait call-back")
    assert deployed(service, timeout=60) == [
        Sent("n-u", "u", "wait call-back", "still wait call-back when time was up")
    ]
    assert 60 <= sum(service.slept) <= 60 + LONGEST_PAUSE_SECONDS


def test_who_has_no_time_looks_once(service):
    assert deployed(service, timeout=0)[0].error == "still wait call-back when time was up"
    assert service.slept == []


def test_nobody_waits_for_no_nodes(service):
    assert deploy.follow(standin.to(service), [], "active", silent(), 10) == {}
    assert service.requests == []


def test_pauses_grow_while_nothing_moves_and_are_short_again_after(service):
    service.ways["active"] = (*["deploying"] * 11, "wait call-back", "active")
    deployed(service)
    first, second, third, *_, before, last = service.slept
    assert (first, second) == (FIRST_PAUSE_SECONDS, 1.5 * FIRST_PAUSE_SECONDS)
    assert third == 1.5 * second
    assert (before, last) == (LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS)


@pytest.mark.parametrize("state", ["deploy failed", "available"])
def test_a_deploy_that_fails_leaves_no_config_drive(service, state):
    service.ways["active"] = ("deploying", state)
    (sent,) = deployed(service, drive="drive")
    assert sent.state == state
    assert service.nodes["u"]["instance_info"] == {"image_source": "id-base"}


def test_a_node_that_is_not_free_keeps_its_config_drive(service):
    service.ways["active"] = ("deploying", "wait call-back")
    deployed(service, drive="drive", timeout=10)
    assert "configdrive" in service.nodes["u"]["instance_info"]


def test_a_config_drive_that_may_have_stayed_is_told_with_what_went_wrong(service):
    service.ways["active"] = ("deploying", "deploy failed")
    service.nodes["u"]["last_error"] = "broken"
    service.faults = [Fault("PATCH /nodes/u", 400, "locked up", passes=1)]
    (sent,) = deployed(service, drive="drive")
    assert sent.error.startswith("broken; its config drive may still be on it: ")
    assert "locked up" in sent.error


def test_an_instance_is_taken_away_and_its_node_followed_until_it_is_available(service):
    deployed(service, drive="drive")
    assert undeployed(service) == [Sent("n-u", "u", "available")]
    assert targets(service) == ["active", "deleted"]


def test_a_node_that_is_available_only_loses_its_config_drive(service):
    service.nodes["u"]["instance_info"] = {"root_gb": 1, **MASKED}
    assert undeployed(service) == [Sent("n-u", "u", "available")]
    assert targets(service) == []
    assert service.told("PATCH /nodes/u") == [config_drive.WITHOUT]
    assert service.nodes["u"]["instance_info"] == {"root_gb": 1}
    service.requests.clear()
    undeployed(service)
    assert service.asked("P") == []


def test_a_deploy_is_ended_when_its_conductor_is_not_at_work_on_it(service):
    service.node("u", provision_state="deploying")
    service.coming["u"] = ["deploying", "deploying", "wait call-back"]
    assert undeployed(service) == [Sent("n-u", "u", "available")]
    assert service.slept[0] == FIRST_PAUSE_SECONDS
    assert service.asked().index(f"{PROVISION.format('u')}") >= 3


def test_a_conductor_that_stays_at_work_is_not_waited_for_without_end(service):
    service.node("u", provision_state="deploying")
    undeployed(service)
    assert targets(service) == ["deleted"]
    assert SETTLE_SECONDS <= sum(service.slept) <= SETTLE_SECONDS + LONGEST_PAUSE_SECONDS
    looks = 1 + SETTLE_SECONDS / FIRST_PAUSE_SECONDS
    assert service.asked().index(PROVISION.format("u")) == 1 + looks


def test_what_was_begun_is_taken_back_and_its_nodes_are_as_they_were(service):
    service.node("u", deploy_interface="agent", instance_info={"kernel": "k", "root_gb": 1})
    one = deploys(service)
    one.start(seen(service)[0])
    assert one.take_back(silent(), 1000) == [Sent("n-u", "u", "available")]
    assert service.nodes["u"]["instance_info"] == {"kernel": "k"}
    assert service.nodes["u"]["deploy_interface"] == "agent"
    assert targets(service) == ["active", "deleted"]


def test_a_node_that_cannot_be_taken_back_is_left_as_it_is(service):
    one = deploys(service)
    one.start(seen(service)[0])
    service.ways["deleted"] = ("deleting", "error")
    (sent,) = one.take_back(silent(), 1000)
    assert (sent.state, sent.error) == ("error", "it ended in error")
    assert service.nodes["u"]["deploy_interface"] == "direct"


def test_every_reason_of_every_node_is_told_before_one_is_touched(service):
    service.node("u", maintenance=True, provision_state="cleaning")
    service.node("v", properties={"local_gb": 1})
    with pytest.raises(BakeryError) as caught:
        deploys(service).check(seen(service))
    reasons = str(caught.value).split("; ")
    assert reasons[0] == "n-u: it is in maintenance"
    assert "n-u: it is cleaning" in reasons[1]
    assert "n-v: its disk (local_gb 1)" in str(caught.value)
    assert caught.value.hint == "no node was touched"
    service.nodes = {"w": dict(service.nodes["v"], properties={}, uuid="w")}
    deploys(service).check(seen(service))
    assert service.asked("P") == []


def hinted(service, size, **more):
    service.node("u", properties={"root_device": {"serial": "A"}}, **more)
    disks = [{"name": "/dev/sda", "size": size, "serial": "A"}]
    service.inventories["u"] = {"inventory": {"disks": disks}}
    (node,) = seen(service)
    return node


def test_a_root_device_that_cannot_hold_the_image_is_told(service):
    (said,) = deploys(service).problems(hinted(service, GIB))
    assert "can hold the image, 6 GiB" in said
    assert deploys(service).problems(hinted(service, 6 * GIB)) == []
    assert deploys(service, image("ami"), "ramdisk").problems(hinted(service, GIB)) == []
    there = {"provision_state": "active", "instance_info": {"image_source": "id-base"}}
    assert deploys(service).problems(hinted(service, GIB, **there)) == []


def test_an_inventory_is_asked_for_where_hints_choose_among_its_disks(service):
    service.inventories["u"] = {"inventory": {"disks": [{"size": 1}]}}
    (node,) = seen(service)
    assert deploys(service).problems(node) == []
    assert not [line for line in service.asked() if "inventory" in line]


def test_arguments_are_given_once_for_whoever_deploys(service):
    ironic, this = standin.to(service), image("ami", ("root=/dev/x", "ro"))
    service.nodes["u"]["instance_info"] = {"root_gb": 1}
    assert deploy.give_arguments(ironic, this, ironic.get("u"))
    assert service.nodes["u"]["instance_info"] == {
        "root_gb": 1,
        "kernel_append_params": "root=/dev/x ro",
    }
    del service.nodes["u"]["instance_info"]["root_gb"]
    service.requests.clear()
    assert not deploy.give_arguments(ironic, this, ironic.get("u"))
    assert service.asked("P") == []


def test_the_release_is_that_of_the_api(service):
    assert Deploys(standin.to(service, 72), image(), "direct").release == "wallaby"


def test_a_failure_of_the_cloud_ends_the_waiting_for_other_nodes(service):
    first = hinted(service, GIB)
    second = NodeThere(uuid="v", fields=first.fields)
    one = deploys(service)
    one.ironic.session.patience_seconds = 1000  # of a clock that stands still
    service.faults = [Fault("GET /nodes/u/.*", 409, "is locked"), Fault("GET /nodes/v/.*", 400)]
    with pytest.raises(CloudError, match="400"):
        one.check([first, second])


def test_of_many_nodes_five_are_named(service):
    for number in range(5):
        service.node(f"u{number}")
    (node, *five) = seen(service)
    (said,) = deploys(service).cautions(five)
    assert said.startswith("n-u0, n-u1, n-u2, n-u3, n-u4: boot_mode is not set")
    (said,) = deploys(service).cautions([*five, node])
    assert said.startswith("n-u0, n-u1, n-u2, n-u3, n-u4, …: boot_mode is not set")


def test_eight_nodes_are_told_at_a_time(service, monkeypatch):
    one, asked = deploys(service), []
    real = one.ironic.session.at_once

    def at_once(workers):
        asked.append(workers)
        return real(workers)

    monkeypatch.setattr(one.ironic.session, "at_once", at_once)
    one.check(seen(service))
    assert asked == [8]
