"""What makers' BMCs do in their own way over Redfish: data, each line with its source.

What sushy knows by itself is not repeated here: how media are inserted and ejected (a PATCH where
there is no action, TransferProtocolType and TransferMethod where a BMC asks for them, an empty
body; sushy/resources/manager/virtual_media.py), ETags that are weak (sushy/connector.py).
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from bakery.bmc.bmc import Device, Firmware

Targets = Mapping[Device, tuple[str, ...]]
# ComputerSystem, BootSourceOverrideTarget; the first that a BMC allows is taken.
TARGETS: Targets = {
    "network": ("Pxe",),
    "http": ("UefiHttp",),
    "cd": ("Cd",),
    "disk": ("Hdd",),
}


class Quirks(msgspec.Struct, frozen=True):
    """A maker's ways, as far as they are not the standard's.

    `mode` is when BootSourceOverrideMode is sent: as the standard has it where the BMC shows it,
    always, or never, for it cannot be written. `repeats_enabled` has BootSourceOverrideEnabled
    sent although it is so already. `targets` are names of devices by firmware, before TARGETS.
    `serial` is the property with the number that SMBIOS has as the system's.
    """

    mode: Literal["where shown", "always", "never"] = "where shown"
    repeats_enabled: bool = False
    targets: Mapping[Firmware, Targets] = {}
    serial: str = "SerialNumber"


STANDARD = Quirks()
# By the beginning of the system's Manufacturer, in lower case.
MAKERS: tuple[tuple[str, Quirks], ...] = (
    (
        "supermicro",
        Quirks(
            # Falls back to its default without it: DMTF/Redfishtool pull 106,
            # ironcore-dev/metal-operator pull 607
            mode="always",
            # OpenStack story 2008547; ironic/drivers/modules/redfish/management.py
            repeats_enabled=True,
            # Virtual media are a USB CD to its firmware: sushy/resources/system/system.py.
            # The names with Uefi are those that an X10 allows (spyroot/redfish_ctl, recording).
            targets={
                "uefi": {
                    "cd": ("UefiUsbCd", "UsbCd", "UefiCd", "Cd"),
                    "disk": ("UefiHdd", "Hdd"),
                },
                "bios": {"cd": ("UsbCd", "Cd", "CD/DVD")},
            },
        ),
    ),
    # Not writable, not even with the value that it has: ansible-collections/community.general
    # issue 3509
    ("hpe", Quirks(mode="never")),
    # The service tag, which SMBIOS has as the system's serial number; SerialNumber is the board's:
    # ansible/ansible issue 53461, bb-Ricardo/netbox-sync issue 375
    ("dell", Quirks(serial="SKU")),
)
# Where boot settings go when the system refuses them with this message: a resource beside it.
# AMI's firmware, of many makers: DMTF/Redfish-Tacklebox issue 144; Lenovo ThinkSystem System
# Manager, PATCH Systems Instance FutureState (SD).
ELSEWHERE = {"OperationSupportedInFutureStateURI": "SD"}


def quirks_of(manufacturer: object) -> Quirks:
    """The ways of a system's maker, by what it calls him."""
    name = manufacturer.strip().lower() if isinstance(manufacturer, str) else ""
    return next((quirks for maker, quirks in MAKERS if name.startswith(maker)), STANDARD)
