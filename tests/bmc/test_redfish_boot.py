"""What of a system's Boot is set, and where, by what it shows."""

import pytest

from bakery.bmc import redfish_boot
from bakery.bmc.answer import Answer, Failure
from bakery.bmc.redfish_boot import Wish, boot_settings
from bakery.bmc.redfish_quirks import STANDARD, Quirks
from tests.bmc.redfish_service import Service, Told, perform, refused, serving, standard

pytestmark = pytest.mark.usefixtures("hasty")

SYSTEM = "/redfish/v1/Systems/1"
TARGET, ENABLED, MODE = (f"BootSourceOverride{name}" for name in ("Target", "Enabled", "Mode"))
ALLOWED = "@Redfish.AllowableValues"
CD = Wish("cd", "uefi", persistent=False)


@pytest.fixture
def bmc(tmp_path):
    with serving(Service(standard()), tmp_path) as service:
        yield service
        assert service.sessions == {}


@pytest.mark.parametrize(
    ("boot", "wish", "quirks", "set_"),
    [
        ({}, CD, STANDARD, {TARGET: "Cd", ENABLED: "Once"}),
        ({ENABLED: "Once"}, CD, STANDARD, {TARGET: "Cd"}),
        ({ENABLED: "Once"}, CD, Quirks(repeats_enabled=True), {TARGET: "Cd", ENABLED: "Once"}),
        ({MODE: "UEFI"}, CD, STANDARD, {TARGET: "Cd", ENABLED: "Once", MODE: "UEFI"}),
        ({MODE: None}, CD, STANDARD, {TARGET: "Cd", ENABLED: "Once", MODE: "UEFI"}),
        ({MODE: "UEFI"}, CD, Quirks(mode="never"), {TARGET: "Cd", ENABLED: "Once"}),
        ({}, CD, Quirks(mode="always"), {TARGET: "Cd", ENABLED: "Once", MODE: "UEFI"}),
        (
            {MODE: "UEFI"},
            Wish("disk", "bios", persistent=True),
            STANDARD,
            {TARGET: "Hdd", ENABLED: "Continuous", MODE: "Legacy"},
        ),
        (
            {"HttpBootUri": "http://192.0.2.1/old"},
            Wish("http", "uefi", persistent=False),
            STANDARD,
            {TARGET: "UefiHttp", ENABLED: "Once", "HttpBootUri": None},
        ),
        (
            {TARGET + ALLOWED: ["Cd", "UsbCd"]},
            CD,
            Quirks(targets={"uefi": {"cd": ("UefiUsbCd", "UsbCd")}}),
            {TARGET: "UsbCd", ENABLED: "Once"},
        ),
        (
            {TARGET + ALLOWED: ["Cd"]},
            CD,
            Quirks(targets={"bios": {"cd": ("UsbCd",)}}),
            {TARGET: "Cd", ENABLED: "Once"},
        ),
    ],
)
def test_what_is_set_goes_by_what_is_shown_and_the_makers_ways(boot, wish, quirks, set_):
    assert boot_settings(boot, wish, quirks) == set_


@pytest.mark.parametrize(
    ("boot", "wish", "words"),
    [
        ({TARGET + ALLOWED: ["Pxe", "Hdd"]}, CD, "it offers Pxe, Hdd"),
        ({ENABLED + ALLOWED: ["Continuous"]}, CD, f"it offers Continuous as {ENABLED}"),
        ({MODE: "UEFI", MODE + ALLOWED: ["Legacy"]}, CD, f"it offers Legacy as {MODE}"),
        ({}, Wish("http", "bios", persistent=False), "BIOS has no HTTP boot"),
    ],
)
def test_what_is_not_offered_is_refused_with_the_way_out(boot, wish, words):
    with pytest.raises(Failure) as refusal:
        boot_settings(boot, wish, STANDARD)
    assert (refusal.value.kind, refusal.value.words) == ("not-offered", words)
    assert refusal.value.hint


def test_a_mode_that_cannot_be_set_has_to_be_the_nodes():
    with pytest.raises(Failure, match="its boot mode is Legacy"):
        boot_settings({MODE: "Legacy"}, CD, Quirks(mode="never"))


def test_an_etag_goes_with_it(bmc):
    bmc.needs_etag = True
    assert perform(bmc, "boot") == Answer()
    (patch,) = (asked for asked in bmc.asked if asked.method == "PATCH")
    assert patch.headers["If-Match"].startswith('W/"')


def test_a_system_that_another_changes_meanwhile_is_set_all_the_same(bmc):
    races = iter(range(3))

    def fault(asked):
        if asked.method == "PATCH" and next(races, None) is not None:
            bmc.tree[SYSTEM]["AssetTag"] = str(len(bmc.asked))
        return

    bmc.fault, bmc.needs_etag = fault, True
    assert perform(bmc, "boot") == Answer()
    assert bmc.tree[SYSTEM]["Boot"][TARGET] == "Pxe"


def test_a_system_that_is_always_another_is_given_up(bmc):
    bmc.fault = lambda asked: (
        refused(412, "PreconditionFailed") if asked.method == "PATCH" else None
    )
    answer = perform(bmc, "boot")
    assert (answer.kind, answer.words) == ("refused", "PreconditionFailed (HTTP 412)")


def test_a_bmc_that_takes_no_setting_for_each_start_is_told_from_one_that_takes_nothing(bmc):
    told = {"MessageId": "Base.1.0.PropertyValueNotInList", "Message": f"Continuous, {ENABLED}"}
    body = {"error": {"code": "x", "message": "y", "@Message.ExtendedInfo": [told]}}
    bmc.fault = lambda asked: Told(400, body) if asked.method == "PATCH" else None
    assert perform(bmc, "boot", device="disk", persistent=True).kind == "not-offered"
    assert perform(bmc, "boot", device="disk").kind == "refused"


def settings_at(bmc, path, **boot):
    bmc.tree[path] = {"@odata.id": path, "Boot": boot}
    bmc.tree[SYSTEM]["@Redfish.Settings"] = {"SettingsObject": {"@odata.id": path}}


def test_settings_go_where_the_system_says_they_go(bmc):
    place = f"{SYSTEM}/Pending"
    shown = {TARGET: "None", ENABLED: "Disabled", MODE: "UEFI"}
    settings_at(bmc, place, **shown)
    assert perform(bmc, "boot", device="disk") == Answer()
    set_ = {TARGET: "Hdd", ENABLED: "Once", MODE: "UEFI"}
    assert bmc.writes == [("PATCH", place, {"Boot": set_})]


def test_settings_that_hold_the_boot_order_alone_are_left_alone(bmc):
    settings_at(bmc, f"{SYSTEM}/Pending", BootOrder=["Boot0001"])
    assert perform(bmc, "boot", device="disk") == Answer()
    assert [(method, path) for method, path, _ in bmc.writes] == [("PATCH", SYSTEM)]


def test_settings_that_are_not_there_are_done_without(bmc):
    settings_at(bmc, f"{SYSTEM}/Pending")
    del bmc.tree[f"{SYSTEM}/Pending"]
    assert perform(bmc, "boot") == Answer()


def test_a_refusal_that_names_another_place_is_followed_there(bmc):
    """AMI's (DMTF/Redfish-Tacklebox issue 144)."""
    place = f"{SYSTEM}/SD"
    bmc.tree[place] = {"@odata.id": place, "Boot": {TARGET: "None"}}
    moved = {"error": {"code": "Ami.1.0.OperationSupportedInFutureStateURI", "message": "moved"}}
    bmc.fault = lambda asked: (
        Told(400, moved) if (asked.method, asked.path) == ("PATCH", SYSTEM) else None
    )
    assert perform(bmc, "boot") == Answer()
    assert bmc.tree[place]["Boot"][TARGET] == "Pxe"


def test_a_mode_that_is_refused_is_left_out_where_it_is_so_already(bmc):
    def fault(asked):
        if asked.method == "PATCH" and MODE in asked.body["Boot"]:
            return refused(400, "PropertyNotWritable", f"{MODE} is read only")
        return None

    bmc.fault = fault
    assert perform(bmc, "boot") == Answer()
    assert [set(body["Boot"]) for _, _, body in bmc.writes] == [
        {TARGET, ENABLED, MODE},
        {TARGET, ENABLED},
    ]
    legacy = perform(bmc, "boot", firmware="bios")
    assert (legacy.kind, legacy.words) == ("refused", f"{MODE} is read only (HTTP 400)")


def test_a_bmc_that_says_yes_and_does_nothing_is_told_apart(bmc, monkeypatch):
    monkeypatch.setattr(redfish_boot, "READ_BACK_SECONDS", 3)
    bmc.deaf = True
    answer = perform(bmc, "boot")
    assert (answer.kind, answer.words) == ("late", f"it still shows None as {TARGET}")
