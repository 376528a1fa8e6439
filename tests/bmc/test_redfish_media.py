"""A CD image into the right drive, alone, and seen to be there."""

import pytest

from bakery.bmc import redfish_media
from bakery.bmc.answer import Answer
from tests.bmc.redfish_service import Service, Told, drive, perform, refused, serving, standard

pytestmark = pytest.mark.usefixtures("hasty")

SYSTEM = "/redfish/v1/Systems/1"
MEDIA = f"{SYSTEM}/VirtualMedia"
CD = f"{MEDIA}/Cd"
INSERT, EJECT = (f"{CD}/Actions/VirtualMedia.{name}Media" for name in ("Insert", "Eject"))
IMAGE = "https://192.0.2.1:8443/nodes/node-1.iso"


@pytest.fixture
def bmc(tmp_path):
    with serving(Service(standard()), tmp_path) as service:
        yield service
        assert service.sessions == {}


def test_an_image_goes_into_the_drive_for_discs(bmc):
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert bmc.writes == [("POST", INSERT, {"Image": IMAGE})]
    assert not bmc.tree[f"{MEDIA}/Usb"]["Inserted"]


def test_what_was_in_the_drive_is_ejected_before(bmc):
    bmc.tree[CD].update(Inserted=True, Image="http://192.0.2.9/old.iso")
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert bmc.writes == [("POST", EJECT, None), ("POST", INSERT, {"Image": IMAGE})]


def test_ejecting_leaves_an_empty_drive_alone(bmc):
    assert perform(bmc, "eject") == Answer()
    bmc.tree[CD].update(Inserted=True, Image=IMAGE)
    assert perform(bmc, "eject") == Answer()
    assert bmc.writes == [("POST", EJECT, None)]


def test_a_bmc_that_wants_a_body_with_an_eject_gets_one(bmc):
    bmc.tree[CD].update(Inserted=True, Image=IMAGE)
    bmc.fault = lambda asked: Told(415) if asked.path == EJECT and asked.body is None else None
    assert perform(bmc, "eject") == Answer()
    assert bmc.writes == [("POST", EJECT, None), ("POST", EJECT, {})]


def test_a_drive_without_actions_is_patched(bmc):
    bmc.tree[CD] = drive(CD, "CD", actions=False)
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert perform(bmc, "eject") == Answer()
    assert bmc.writes == [
        ("PATCH", CD, {"Image": IMAGE, "Inserted": True, "WriteProtected": True}),
        ("PATCH", CD, {"Image": None, "Inserted": False}),
    ]


def test_the_drives_of_a_systems_manager_do_where_it_has_none(bmc):
    manager = "/redfish/v1/Managers/1"
    bmc.tree[manager] = {
        "@odata.id": manager, "Id": "1", "Name": "BMC",
        "VirtualMedia": {"@odata.id": MEDIA},
    }  # fmt: skip
    del bmc.tree[SYSTEM]["VirtualMedia"]
    assert perform(bmc, "insert", url=IMAGE).kind == "not-offered"
    bmc.tree[SYSTEM]["Links"] = {"ManagedBy": [{"@odata.id": manager}]}
    assert perform(bmc, "insert", url=IMAGE) == Answer()


@pytest.mark.parametrize(
    ("told", "with_"),
    [
        (
            refused(400, "ActionParameterMissing", RelatedProperties=["#/TransferProtocolType"]),
            {"TransferProtocolType": "HTTPS"},
        ),
        (
            Told(400, {"error": {"code": "Base.1.0.GeneralError", "message": "TransferMethod?"}}),
            {"TransferMethod": "Stream"},
        ),
    ],
)
def test_what_a_bmc_asks_for_is_told_it(bmc, told, with_):
    bmc.fault = lambda asked: (
        told if asked.path == INSERT and not set(with_) <= set(asked.body) else None
    )
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert bmc.writes[-1] == ("POST", INSERT, {"Image": IMAGE} | with_)


def test_a_drive_that_refuses_is_followed_by_the_next(bmc):
    other = f"{MEDIA}/Cd2"
    bmc.tree[other] = drive(other, "DVD")
    bmc.tree[MEDIA]["Members"].append({"@odata.id": other})
    bmc.fault = lambda asked: refused(400, "GeneralError", "mine") if asked.path == INSERT else None
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert bmc.tree[other]["Image"] == IMAGE
    bmc.tree[MEDIA]["Members"].pop()
    answer = perform(bmc, "insert", url=IMAGE)
    assert (answer.kind, answer.words) == ("refused", "mine (HTTP 400)")


def test_an_eject_that_is_still_going_on_is_waited_for(bmc):
    busy = iter([Told(500), Told(500)])
    bmc.fault = lambda asked: next(busy, None) if asked.path == INSERT else None
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    bmc.tree[CD].update(Inserted=False, Image=None)
    bmc.fault = lambda asked: refused(500, "InternalError", "no") if asked.path == INSERT else None
    assert perform(bmc, "insert", url=IMAGE).words == "no (HTTP 500)"


def test_an_image_that_is_told_without_its_scheme_is_the_same(bmc):
    bmc.tree[CD].update(Inserted=True, Image=IMAGE.partition("://")[2])
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert bmc.writes == []


def test_a_name_alone_counts_where_the_drive_was_empty_before(bmc):
    """The same name at another place is another image."""

    def fault(asked):
        if asked.path == CD and asked.method == "GET" and bmc.tree[CD]["Inserted"]:
            return Told(200, bmc.tree[CD] | {"Image": "node-1.iso"})
        return None

    bmc.tree[CD].update(Inserted=True, Image="http://192.0.2.9/node-1.iso")
    bmc.fault = fault
    assert perform(bmc, "insert", url=IMAGE) == Answer()
    assert bmc.writes == [("POST", EJECT, None), ("POST", INSERT, {"Image": IMAGE})]


def test_a_bmc_that_says_yes_and_does_nothing_is_told_apart(bmc, monkeypatch):
    monkeypatch.setattr(redfish_media, "READ_BACK_SECONDS", 3)
    bmc.deaf = True
    answer = perform(bmc, "insert", url=IMAGE)
    assert (answer.kind, answer.words) == ("late", "it does not show the image")
    bmc.tree[CD].update(Inserted=True, Image="http://192.0.2.9/old.iso")
    answer = perform(bmc, "eject")
    assert (answer.kind, answer.words) == ("late", "it still holds the medium that was in it")


def test_a_bmc_without_virtual_media_says_so_with_the_way_out(bmc):
    bmc.tree[MEDIA]["Members"] = []
    for order in ("insert", "eject"):
        answer = perform(bmc, order, url=IMAGE)
        assert (answer.kind, answer.words) == ("not-offered", "it has no virtual CD drive")
        assert "network" in answer.hint
