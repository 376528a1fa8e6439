"""How to reach a node's BMC, in the words of a nodes file, and the BMC that is reached so.

Source of the words: Ironic's drivers, `ironic/drivers/modules/ipmitool.py` and
`ironic/drivers/modules/redfish/utils.py` (REQUIRED_PROPERTIES, OPTIONAL_PROPERTIES).
"""

from bakery.bmc import ipmi, redfish
from bakery.bmc.bmc import SECONDS, SILENCE_SECONDS, Bmc, Enter, Firmware
from bakery.bmc.masked import Masked


class IpmiAccess(Masked, frozen=True, tag="ipmi", rename=lambda name: f"ipmi_{name}"):
    """A BMC that speaks IPMI v2.0: where it answers, and as whom to log in.

    In JSON, and to msgspec.convert, its keys are those of a node's `driver_info`, with the
    protocol as `type`: `{"type": "ipmi", "ipmi_address": ...}`.
    """

    address: str
    port: int = ipmi.PORT
    username: str = ""
    password: str = ""


class RedfishAccess(Masked, frozen=True, tag="redfish", rename=lambda name: f"redfish_{name}"):
    """A BMC that speaks Redfish: where it answers, as whom to log in, and whom to believe.

    `address` is a URL's scheme, host and port; without a scheme it is https. `system_id` is the
    path of the node's system, such as /redfish/v1/Systems/1; it may be left out where the BMC has
    one alone. `verify_ca` is what its certificate is held against: true for the machine's
    authorities, the path of a file or folder of certificates, false for nothing.
    """

    address: str
    system_id: str = ""
    username: str = ""
    password: str = ""
    verify_ca: bool | str = True
    auth_type: redfish.AuthType = "auto"


Access = IpmiAccess | RedfishAccess


def open_bmc(
    access: Access,
    *,
    firmware: Firmware = "uefi",
    enter: Enter = lambda argv: argv,
    seconds: float = SECONDS,
    silence_seconds: float = SILENCE_SECONDS,
) -> Bmc:
    """The BMC at an address; nothing is sent yet. BakeryError where it cannot be one.

    `firmware` is the node's: a BMC is told which one its next boot device is for. A request may
    take `seconds`, in which the BMC may be without an answer for `silence_seconds`. `enter` is
    for a BMC that is reached from another network; without it that is here.
    """
    if isinstance(access, RedfishAccess):
        return redfish.Bmc(
            access.address,
            access.system_id,
            access.username,
            access.password,
            verify_ca=access.verify_ca,
            auth_type=access.auth_type,
            firmware=firmware,
            enter=enter,
            seconds=seconds,
            silence_seconds=silence_seconds,
        )
    return ipmi.Bmc(
        access.address,
        access.port,
        access.username,
        access.password,
        firmware=firmware,
        enter=enter,
        seconds=seconds,
        silence_seconds=silence_seconds,
    )
