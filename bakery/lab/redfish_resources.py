"""What a lab's BMC shows over Redfish: its resources, each made of the node as it is.

Source: DSP0266 (Redfish Specification), DSP8010 (schemas). DMTF's Redfish-Service-Validator finds
no error in them.
"""

import datetime as dt
from collections.abc import Callable, Mapping

import msgspec

import bakery
from bakery.lab.nodes import VirtualNode
from bakery.lab.state import BootDevice

ROOT = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/BMC"
CARD, DRIVE = f"{SYSTEM}/EthernetInterfaces/1", f"{SYSTEM}/VirtualMedia/CD"
SESSION_SERVICE, ACCOUNTS, TASKS = (
    f"{ROOT}/{name}" for name in ("SessionService", "AccountService", "TaskService")
)
SESSIONS = f"{SESSION_SERVICE}/Sessions"
ACCOUNT, ROLE = f"{ACCOUNTS}/Accounts/1", f"{ACCOUNTS}/Roles/Administrator"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
INSERT, EJECT = (f"{DRIVE}/Actions/VirtualMedia.{name}Media" for name in ("Insert", "Eject"))
SESSION_SECONDS = 1800
RESET_TYPES = ("On", "ForceOff", "GracefulShutdown", "ForceRestart", "PowerCycle")
TARGETS: Mapping[str, BootDevice | None] = {
    "None": None,
    "Pxe": "network",
    "Hdd": "disk",
    "Cd": "cd",
}
ENABLED = ("Disabled", "Once", "Continuous")
MODES = {"uefi": "UEFI", "bios": "Legacy"}
PRIVILEGES = ("Login", "ConfigureManager", "ConfigureUsers", "ConfigureSelf", "ConfigureComponents")
ALLOWED = "@Redfish.AllowableValues"
SCHEMAS = (
    "AccountService", "Chassis", "ChassisCollection", "ComputerSystem",
    "ComputerSystemCollection", "EthernetInterface", "EthernetInterfaceCollection", "Manager",
    "ManagerAccount", "ManagerAccountCollection", "ManagerCollection", "Role", "RoleCollection",
    "ServiceRoot", "Session", "SessionCollection", "SessionService", "TaskCollection",
    "TaskService", "VirtualMedia", "VirtualMediaCollection",
)  # fmt: skip
HEALTHY = {"State": "Enabled", "Health": "OK"}

Document = dict[str, object]


class Session(msgspec.Struct, frozen=True):
    """Somebody who is logged in: the resource's number, his name, when that was, his address."""

    number: str
    username: str
    since: dt.datetime
    client: str


class Shown(msgspec.Struct, frozen=True):
    """What the resources are made of. `target` is a boot device that is named, and not enabled."""

    node: VirtualNode
    sessions: tuple[Session, ...] = ()
    target: str = "None"


def resource(path: str, shown: Shown) -> Document | None:
    """The resource at a path; None where there is none."""
    make = _RESOURCES.get(path)
    if make is not None:
        return {"@odata.id": path} | make(shown)
    for session in shown.sessions:
        if path == f"{SESSIONS}/{session.number}":
            return {"@odata.id": path} | _session(session)
    return None


def metadata() -> str:
    """The service's `$metadata`: where the schemas of its resources are (OData CSDL)."""
    references = "".join(
        f'<edmx:Reference Uri="http://redfish.dmtf.org/schemas/v1/{name}_v1.xml">'
        f'<edmx:Include Namespace="{name}"/></edmx:Reference>'
        for name in SCHEMAS
    )
    container = (
        '<edmx:DataServices><Schema xmlns="http://docs.oasis-open.org/odata/ns/edm" '
        'Namespace="Service"><EntityContainer Name="Service" '
        'Extends="ServiceRoot.ServiceContainer"/></Schema></edmx:DataServices>'
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    edmx = 'xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx" Version="4.0"'
    return f"{head}<edmx:Edmx {edmx}>{references}{container}</edmx:Edmx>"


def odata() -> Document:
    """The OData service document: the names of what the root has."""
    names = ("Systems", "Managers", "Chassis", "SessionService", "AccountService", "TaskService")
    entries = [{"name": name, "kind": "Singleton", "url": f"{ROOT}/{name}"} for name in names]
    return {"@odata.context": f"{ROOT}/$metadata", "value": entries}


def _link(path: str) -> Document:
    return {"@odata.id": path}


def _type(name: str, version: str) -> Document:
    return {"@odata.type": f"#{name}.{version}.{name}"}


def _collection(name: str, *members: str) -> Callable[[Shown], Document]:
    def make(_shown: Shown) -> Document:
        return _members(name, members)

    return make


def _members(name: str, members: tuple[str, ...]) -> Document:
    return {
        "@odata.type": f"#{name}Collection.{name}Collection",
        "Name": f"{name} collection",
        "Members@odata.count": len(members),
        "Members": [_link(member) for member in members],
    }


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _root(shown: Shown) -> Document:
    services = ("SessionService", "AccountService")
    return {
        **_type("ServiceRoot", "v1_15_0"),
        "Id": "RootService",
        "Name": "BMC of a lab's node",
        "RedfishVersion": "1.17.0",
        "UUID": str(shown.node.hardware.uuid),
        "Product": "bakery lab",
        "Vendor": "bakery",
        **{name: _link(f"{ROOT}/{name}") for name in ("Systems", "Chassis", "Managers", *services)},
        "Tasks": _link(TASKS),
        "Links": {"Sessions": _link(SESSIONS)},
    }


def _system(shown: Shown) -> Document:
    node = shown.node
    return {
        **_type("ComputerSystem", "v1_20_0"),
        "Id": "1",
        "Name": node.hardware.name,
        "SystemType": "Virtual",
        "Manufacturer": "bakery",
        "Model": "node of a lab",
        "UUID": str(node.hardware.uuid),
        "PowerState": "On" if node.on else "Off",
        "Status": {"State": "Enabled" if node.on else "StandbyOffline", "Health": "OK"},
        "Boot": boot(shown),
        "ProcessorSummary": {"Count": node.hardware.cpus},
        "MemorySummary": {"TotalSystemMemoryGiB": node.hardware.memory_mib / 1024},
        "EthernetInterfaces": _link(f"{SYSTEM}/EthernetInterfaces"),
        "VirtualMedia": _link(f"{SYSTEM}/VirtualMedia"),
        "Links": {"Chassis": [_link(CHASSIS)], "ManagedBy": [_link(MANAGER)]},
        "Actions": {
            "#ComputerSystem.Reset": {"target": RESET, f"ResetType{ALLOWED}": list(RESET_TYPES)}
        },
    }


def boot(shown: Shown) -> Document:
    """The system's Boot: what is tried first, at the next start alone or at each."""
    device, persistent = shown.node.override
    enabled = ("Continuous" if persistent else "Once") if device else "Disabled"
    names = {named: target for target, named in TARGETS.items()}
    mode = MODES[shown.node.hardware.firmware]
    prefix = "BootSourceOverride"
    return {
        f"{prefix}Enabled": enabled,
        f"{prefix}Enabled{ALLOWED}": list(ENABLED),
        f"{prefix}Target": names[device] if device else shown.target,
        f"{prefix}Target{ALLOWED}": list(TARGETS),
        f"{prefix}Mode": mode,
        f"{prefix}Mode{ALLOWED}": [mode],
    }


def _card(shown: Shown) -> Document:
    return {
        **_type("EthernetInterface", "v1_9_0"),
        "Id": "1",
        "Name": "network card",
        "MACAddress": shown.node.hardware.mac,
        "PermanentMACAddress": shown.node.hardware.mac,
        "Status": HEALTHY,
    }


def _drive(shown: Shown) -> Document:
    image = shown.node.media
    return {
        **_type("VirtualMedia", "v1_6_0"),
        "Id": "CD",
        "Name": "virtual CD drive",
        "MediaTypes": ["CD", "DVD"],
        "Image": image or None,
        "ConnectedVia": "URI" if image else "NotConnected",
        "Inserted": bool(image),
        "WriteProtected": True,
        "VerifyCertificate": False,
        "Status": HEALTHY,
        "Actions": {
            "#VirtualMedia.InsertMedia": {"target": INSERT},
            "#VirtualMedia.EjectMedia": {"target": EJECT},
        },
    }


def _chassis(shown: Shown) -> Document:
    return {
        **_type("Chassis", "v1_22_0"),
        "Id": "1",
        "Name": f"chassis of {shown.node.hardware.name}",
        "ChassisType": "Other",
        "Manufacturer": "bakery",
        "PowerState": "On" if shown.node.on else "Off",
        "Status": HEALTHY,
        "Links": {"ComputerSystems": [_link(SYSTEM)], "ManagedBy": [_link(MANAGER)]},
    }


def _manager(_shown: Shown) -> Document:
    return {
        **_type("Manager", "v1_17_0"),
        "Id": "BMC",
        "Name": "BMC",
        "ManagerType": "BMC",
        "Manufacturer": "bakery",
        "Model": "BMC of a lab's node",
        "FirmwareVersion": bakery.__version__,
        "DateTime": _now(),
        "PowerState": "On",
        "Status": HEALTHY,
        "Links": {"ManagerForServers": [_link(SYSTEM)], "ManagerForChassis": [_link(CHASSIS)]},
    }


def _session_service(_shown: Shown) -> Document:
    return {
        **_type("SessionService", "v1_1_8"),
        "Id": "SessionService",
        "Name": "sessions",
        "ServiceEnabled": True,
        "SessionTimeout": SESSION_SECONDS,
        "Status": HEALTHY,
        "Sessions": _link(SESSIONS),
    }


def _sessions(shown: Shown) -> Document:
    return _members("Session", tuple(f"{SESSIONS}/{one.number}" for one in shown.sessions))


def _session(session: Session) -> Document:
    return {
        **_type("Session", "v1_5_0"),
        "Id": session.number,
        "Name": f"session {session.number}",
        "UserName": session.username,
        "SessionType": "Redfish",
        "CreatedTime": session.since.isoformat(timespec="seconds"),
        "ClientOriginIPAddress": session.client,
    }


def _account_service(_shown: Shown) -> Document:
    return {
        **_type("AccountService", "v1_12_0"),
        "Id": "AccountService",
        "Name": "accounts",
        "ServiceEnabled": True,
        "Status": HEALTHY,
        "Accounts": _link(f"{ACCOUNTS}/Accounts"),
        "Roles": _link(f"{ACCOUNTS}/Roles"),
    }


def _account(shown: Shown) -> Document:
    return {
        **_type("ManagerAccount", "v1_10_0"),
        "Id": "1",
        "Name": "the lab's user",
        "UserName": shown.node.bmc.username,
        "Password": None,
        "RoleId": "Administrator",
        "Enabled": True,
        "Locked": False,
        "AccountTypes": ["Redfish", "IPMI"],
        "Links": {"Role": _link(ROLE)},
    }


def _role(_shown: Shown) -> Document:
    return {
        **_type("Role", "v1_3_1"),
        "Id": "Administrator",
        "RoleId": "Administrator",
        "Name": "administrators",
        "IsPredefined": True,
        "AssignedPrivileges": list(PRIVILEGES),
    }


def _task_service(_shown: Shown) -> Document:
    return {
        **_type("TaskService", "v1_2_0"),
        "Id": "TaskService",
        "Name": "tasks",
        "ServiceEnabled": True,
        "DateTime": _now(),
        "CompletedTaskOverWritePolicy": "Oldest",
        "LifeCycleEventOnTaskStateChange": False,
        "Status": HEALTHY,
        "Tasks": _link(f"{TASKS}/Tasks"),
    }


_RESOURCES: Mapping[str, Callable[[Shown], Document]] = {
    ROOT: _root,
    f"{ROOT}/Systems": _collection("ComputerSystem", SYSTEM),
    SYSTEM: _system,
    f"{SYSTEM}/EthernetInterfaces": _collection("EthernetInterface", CARD),
    CARD: _card,
    f"{SYSTEM}/VirtualMedia": _collection("VirtualMedia", DRIVE),
    DRIVE: _drive,
    f"{ROOT}/Chassis": _collection("Chassis", CHASSIS),
    CHASSIS: _chassis,
    f"{ROOT}/Managers": _collection("Manager", MANAGER),
    MANAGER: _manager,
    SESSION_SERVICE: _session_service,
    SESSIONS: _sessions,
    ACCOUNTS: _account_service,
    f"{ACCOUNTS}/Accounts": _collection("ManagerAccount", ACCOUNT),
    ACCOUNT: _account,
    f"{ACCOUNTS}/Roles": _collection("Role", ROLE),
    ROLE: _role,
    TASKS: _task_service,
    f"{TASKS}/Tasks": _collection("Task"),
}
