"""Makers' own answers, replayed: a node is switched, booted once and given media as each wants it.

What a maker's slice leaves out of it, and these orders need, is added beside it, in his own shape;
what his BMC is known to refuse, it refuses here.
"""

import pytest

from tests.bmc.redfish_service import (
    SESSIONS,
    Service,
    Told,
    drive,
    perform,
    refused,
    replayed,
    serving,
)

pytestmark = pytest.mark.usefixtures("hasty")

IMAGE = "http://192.0.2.1/node-1.iso"
MODE = "BootSourceOverrideMode"


@pytest.fixture
def bmc_of(tmp_path):
    """A BMC that answers as a maker's does."""
    stack = []

    def make(maker, **more):
        service = Service(replayed(maker) | more)
        # Not every slice has the accounts' side: sessions are had where the root names them.
        context = serving(service, tmp_path)
        stack.append(context)
        return context.__enter__()

    yield make
    for context in stack:
        context.__exit__(None, None, None)


def without_mode(asked):
    """HPE: the property cannot be written (ansible-collections/community.general issue 3509)."""
    if asked.method == "PATCH" and MODE in (asked.body or {}).get("Boot", {}):
        return refused(400, "PropertyNotWritableOrUnknown", f"{MODE} is read only")
    return None


def test_hpe(bmc_of):
    bmc = bmc_of("hpe-ilo")
    bmc.fault = without_mode
    system = "/redfish/v1/Systems/1"
    cd = "/redfish/v1/Managers/1/VirtualMedia/2"
    assert perform(bmc).power == "on"
    assert perform(bmc, "off").power == "off"
    assert perform(bmc, "boot", device="cd").kind == ""
    assert perform(bmc, "boot", device="http").kind == ""
    legacy = perform(bmc, "boot", firmware="bios")
    assert (legacy.kind, legacy.words) == ("not-offered", "its boot mode is UEFI")
    assert perform(bmc, "insert", url=IMAGE).kind == ""
    assert bmc.tree[cd]["Image"] == IMAGE
    assert perform(bmc, "insert", url=IMAGE).kind == "", "it is there already"
    assert perform(bmc, "eject").kind == ""
    assert perform(bmc, "eject").kind == "", "nothing is there"
    assert bmc.writes == [
        ("POST", f"{system}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}),
        ("PATCH", system, boot("Cd")),
        ("PATCH", system, {"Boot": {"BootSourceOverrideTarget": "UefiHttp"}}),
        ("POST", f"{cd}/Actions/VirtualMedia.InsertMedia", {"Image": IMAGE}),
        ("POST", f"{cd}/Actions/VirtualMedia.EjectMedia", None),
    ]
    patched = [asked for asked in bmc.asked if asked.method == "PATCH"]
    assert all(asked.headers["If-Match"].startswith('W/"') for asked in patched)
    identity = perform(bmc, "identify")
    assert identity.serial == "2M2D2J00L4"
    assert identity.macs is not None and "58:a2:e1:03:96:f2" in identity.macs
    assert bmc.sessions == {}


def test_supermicro(bmc_of):
    bmc = bmc_of("supermicro-x10")
    system = "/redfish/v1/Systems/1"
    assert perform(bmc, "off").power == "off"
    assert perform(bmc, "boot").kind == ""
    assert perform(bmc, "boot", device="cd").kind == ""
    assert perform(bmc, "boot", device="disk", firmware="bios").kind == ""
    media = perform(bmc, "insert", url=IMAGE)
    assert (media.kind, media.words) == ("not-offered", "it has no virtual CD drive")
    assert "from the network" in media.hint
    assert bmc.writes == [
        ("POST", f"{system}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}),
        ("PATCH", system, boot("Pxe", "UEFI")),
        ("PATCH", system, boot("UefiUsbCd", "UEFI")),
        ("PATCH", system, boot("Hdd", "Legacy")),
    ]
    identity = perform(bmc, "identify")
    assert identity.serial is None, "ten spaces are no number"
    assert identity.macs is not None and len(identity.macs) == 4


def test_supermicro_with_drives(bmc_of):
    """An X11 and later, which refuse Inserted and WriteProtected (sushy, insert_media)."""
    media = "/redfish/v1/Managers/1/VM1"
    cd = f"{media}/CD1"
    collection = {"@odata.id": media, "Name": "Media", "Members": [{"@odata.id": cd}]}
    bmc = bmc_of("supermicro-x10", **{media: collection, cd: drive(cd, "CD", "DVD")})
    bmc.fault = lambda asked: (
        refused(400, "ActionParameterUnknown")
        if asked.path.endswith("InsertMedia") and {"Inserted", "WriteProtected"} & set(asked.body)
        else None
    )
    bmc.tree[cd].update(Inserted=True, Image="http://192.0.2.9/old.iso")
    assert perform(bmc, "insert", url=IMAGE).kind == ""
    assert bmc.writes == [
        ("POST", f"{cd}/Actions/VirtualMedia.EjectMedia", None),
        ("POST", f"{cd}/Actions/VirtualMedia.InsertMedia", {"Image": IMAGE}),
    ]


def test_dmtf(bmc_of):
    """Its drives have no actions: they are patched."""
    bmc = bmc_of("dmtf-rackmount1")
    system = "/redfish/v1/Systems/437XR1138R2"
    cd = f"{system}/VirtualMedia/CD1"
    assert perform(bmc, "off").power == "off"
    assert perform(bmc, "on").power == "on"
    assert perform(bmc, "boot", device="disk", persistent=True).kind == ""
    assert perform(bmc, "insert", url=IMAGE).kind == ""
    assert perform(bmc, "eject").kind == ""
    empty = {"Image": None, "Inserted": False}
    assert bmc.writes == [
        ("POST", f"{system}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}),
        ("POST", f"{system}/Actions/ComputerSystem.Reset", {"ResetType": "On"}),
        ("PATCH", system, boot("Hdd", "UEFI", "Continuous")),
        ("PATCH", cd, empty),
        ("PATCH", cd, {"Image": IMAGE, "Inserted": True, "WriteProtected": True}),
        ("PATCH", cd, empty),
    ]
    assert perform(bmc, "identify").serial == "437XR1138R2"
    assert perform(bmc, "boot", device="http").kind == "not-offered"


def test_dell(bmc_of):
    """Wants TransferProtocolType and TransferMethod with media (sushy, insert_media)."""
    system = "/redfish/v1/Systems/System.Embedded.1"
    bmc = bmc_of("dell-idrac")
    bmc.tree[system]["VirtualMedia"] = {"@odata.id": f"{system}/VirtualMedia"}
    bmc.tree[system]["SKU"] = "ABC1234"
    one, two = f"{system}/VirtualMedia/1", f"{system}/VirtualMedia/2"

    def fault(asked):
        if not asked.path.endswith("InsertMedia"):
            return None
        if "TransferProtocolType" not in asked.body:
            missing = ["#/TransferProtocolType"]
            return refused(400, "ActionParameterMissing", RelatedProperties=missing)
        return None

    bmc.fault = fault
    off = perform(bmc, "off")
    assert off.kind == "not-offered", "this slice offers no ForceOff, and nothing else is as good"
    allowed = bmc.tree[system]["Actions"]["#ComputerSystem.Reset"]
    allowed["ResetType@Redfish.AllowableValues"].append("ForceOff")
    assert perform(bmc, "off").power == "off"
    assert perform(bmc, "boot", device="cd").kind == ""
    assert perform(bmc, "insert", url=IMAGE).kind == ""
    told = {"Image": IMAGE, "TransferProtocolType": "HTTP"}
    assert bmc.writes == [
        ("POST", f"{system}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}),
        ("PATCH", system, boot("Cd")),
        ("POST", f"{one}/Actions/VirtualMedia.InsertMedia", {"Image": IMAGE}),
        ("POST", f"{one}/Actions/VirtualMedia.InsertMedia", told),
    ]
    assert bmc.tree[two]["Inserted"], "somebody's image in the other drive is left alone"
    assert perform(bmc, "identify").serial == "ABC1234"


def test_lenovo(bmc_of):
    """Boots once alone; its drive is patched, with an ETag, as older ones have it."""
    system = "/redfish/v1/Systems/1"
    media, cd = f"{system}/VirtualMedia", f"{system}/VirtualMedia/EXT1"
    collection = {"@odata.id": media, "Name": "Media", "Members": [{"@odata.id": cd}]}
    bmc = bmc_of("lenovo-xcc", **{media: collection, cd: drive(cd, "CD", actions=False)})
    bmc.tree[system]["VirtualMedia"] = {"@odata.id": media}
    bmc.needs_etag = True
    bmc.task_reads = 1
    assert perform(bmc, "off").power == "off"
    assert perform(bmc, "boot", device="cd").kind == ""
    always = perform(bmc, "boot", device="disk", persistent=True)
    assert always.kind == "not-offered"
    assert always.words == "it offers Once, Disabled as BootSourceOverrideEnabled"
    assert perform(bmc, "insert", url=IMAGE).kind == ""
    assert perform(bmc, "eject").kind == ""
    assert bmc.writes == [
        ("POST", f"{system}/Actions/ComputerSystem.Reset", {"ResetType": "ForceOff"}),
        ("PATCH", system, boot("Cd", "UEFI")),
        ("PATCH", cd, {"Image": IMAGE, "Inserted": True, "WriteProtected": True}),
        ("PATCH", cd, {"Image": None, "Inserted": False}),
    ]


def test_a_slice_without_sessions_is_talked_to_by_basic_authentication(bmc_of):
    bmc = bmc_of("lenovo-xcc")
    bmc.fault = lambda asked: Told(404) if asked.path.startswith(SESSIONS) else None
    assert perform(bmc).power == "on"


def boot(target, mode=None, enabled="Once"):
    found = {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled}
    return {"Boot": found | ({MODE: mode} if mode else {})}
