"""A BMC for each node, on pyghmi's server: what a rack's BMC answers over IPMI, as far as we ask.

Source: IPMI v2.0 rev. 1.1: 28.2 Get Chassis Status, 28.3 Chassis Control, 28.12 and 28.13 Set and
Get System Boot Options, table 28-14 boot flags; 13.17 and 13.18 RMCP+ Open Session, 13.24 status
codes; 5.2 completion codes.
"""

import struct
import uuid
from collections.abc import Sequence
from typing import Any

from pyghmi.ipmi.bmc import Bmc
from pyghmi.ipmi.private import serversession, session

from bakery.host.errors import BakeryError
from bakery.lab.nodes import VirtualNode
from bakery.lab.state import BootDevice

# Completion codes.
OK = 0x00
PARAMETER_NOT_SUPPORTED = 0x80
NOT_IN_THIS_STATE = 0xD5
INVALID_FIELD = 0xCC
TOO_SHORT = 0xC7
FAILED = 0xFF

BOOT_FLAGS = 5  # the parameter that names the boot device; 0 to 4 are its bookkeeping
PARAMETER_VERSION = 1
FLAGS_VALID = 0x80
FLAGS_PERSISTENT = 0x40
FLAGS_EFI = 0x20
# 8 is a CD that is connected from afar, as all of a node's are.
DEVICES: dict[int, BootDevice | None] = {0: None, 1: "network", 2: "disk", 8: "cd", 5: "cd"}
DEVICE_NUMBERS = {device: number for number, device in DEVICES.items()}

# Open Session: payload types, the request's length, its algorithms (table 13-9) and the status
# code (table 13-15) for each that is another: RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
OPEN_SESSION_REQUEST = 0x10
OPEN_SESSION_RESPONSE = 0x11
OPEN_SESSION_BYTES = 32
ALGORITHMS = ((12, 1, 0x04), (20, 1, 0x05), (28, 1, 0x10))
ILLEGAL_PARAMETER = 0x12
UNAUTHORIZED_NAME = 0x0D
RAKP2 = 0x13
RAKP1_NAME_AT = 28
RMCP_HEADER = bytes([6, 0, 0xFF, 7])
RMCP_IPMI2 = 6
PAYLOAD_TYPE_AT = 5
PAYLOAD_AT = 16
SHORTEST_PACKET_BYTES = 22

Address = tuple[str, int]


class ClientSession(serversession.ServerSession):  # type: ignore[misc]
    """A session that is forgotten when it ends, and begun anew when its client begins anew."""

    def close_server_session(self) -> None:
        """The client said farewell."""
        self.forget()

    def _got_rmcp_openrequest(self, data: Sequence[int]) -> None:
        """Another client has got this one's UDP port."""
        self.forget()
        begin(self.bmc, bytes(data), self.sockaddr)

    def sessionless_data(self, data: bytes, sockaddr: Address) -> None:
        """A packet that was on its way when the session was forgotten."""
        self.bmc.sessionless_data(data, sockaddr)

    def _got_rakp1(self, data: Sequence[int]) -> None:
        """Who logs in: pyghmi leaves a name it does not know without an answer."""
        name = bytes(data[RAKP1_NAME_AT:]).decode("utf-8", "replace")
        if self.authdata.get(name) is not None:
            super()._got_rakp1(data)
            return
        refusal = bytes([data[0], UNAUTHORIZED_NAME, 0, 0]) + bytes(self.clientsessionid)
        self.send_payload(refusal, RAKP2, retry=False)

    def forget(self) -> None:
        """Take it out of pyghmi's table."""
        sessions = session.Session.bmc_handlers.get(self.sockaddr, {})
        sessions.pop(self.bmc.port, None)
        if not sessions:
            session.Session.bmc_handlers.pop(self.sockaddr, None)


def begin(bmc: "VirtualBmc", request: bytes, client: Address) -> None:
    """Answer an Open Session request; pyghmi keeps the session in its table.

    pyghmi's server knows cipher suite 3 alone. It would accept any, and then talk that one: a
    client that asked for another is told so, as 13.17 has it, and asks again.
    """
    status = _objection(request)
    if status:
        answer = request[:1] + bytes([status, 0, 0]) + request[4:8]
        header = RMCP_HEADER + bytes([RMCP_IPMI2, OPEN_SESSION_RESPONSE]) + bytes(8)
        bmc.serversocket.sendto(header + struct.pack("<H", len(answer)) + answer, client)
        return
    ClientSession(bmc.authdata, bmc.kg, client, bmc.serversocket, request, bmc.uuid, bmc=bmc)


def _objection(request: bytes) -> int:
    """The status code for a request with algorithms that are not had here; 0 where they are."""
    if len(request) < OPEN_SESSION_BYTES:
        return ILLEGAL_PARAMETER
    return next((status for at, wanted, status in ALGORITHMS if request[at] != wanted), OK)


class VirtualBmc(Bmc):  # type: ignore[misc]
    """Answers for one node. All of a process are served by `serve`."""

    def __init__(self, node: VirtualNode) -> None:
        access = node.bmc
        self._node = node
        self._efi_flag = 0
        super().__init__(
            {access.username: access.password},
            port=access.port,
            address=access.address,
            bmcuuid=node.hardware.uuid,
        )

    def sessionless_data(self, data: bytes, sockaddr: Address) -> None:
        """A packet of no session: a new one begins with it, or it is pyghmi's to answer."""
        begins = len(data) >= SHORTEST_PACKET_BYTES and data[4] == RMCP_IPMI2
        if begins and data[PAYLOAD_TYPE_AT] == OPEN_SESSION_REQUEST:
            begin(self, bytes(data[PAYLOAD_AT:]), sockaddr)
        else:
            super().sessionless_data(data, sockaddr)

    def get_system_guid(self) -> uuid.UUID:
        """The node's own."""
        return self._node.hardware.uuid

    def get_power_state(self) -> str:
        """Whether the node is on."""
        return "on" if self._node.on else "off"

    def power_on(self) -> int:
        """Chassis Control: power up."""
        try:
            self._node.power_on()
        except (BakeryError, OSError) as error:
            self._node.fault = str(error)
            return FAILED
        return OK

    def power_off(self) -> int:
        """Chassis Control: power down."""
        self._node.power_off()
        return OK

    def power_cycle(self) -> int:
        """Chassis Control: power cycle, of a node that is on."""
        if not self._node.on:
            return NOT_IN_THIS_STATE
        self._node.power_off()
        return self.power_on()

    def power_reset(self) -> int:
        """Chassis Control: hard reset, of a node that is on."""
        if not self._node.on:
            return NOT_IN_THIS_STATE
        self._node.reset()
        return OK

    def power_shutdown(self) -> int:
        """Chassis Control: soft shutdown."""
        self._node.shut_down()
        return OK

    def set_system_boot_options(self, request: dict[str, Any], session: ClientSession) -> None:
        """Set System Boot Options: the boot flags count, the rest is taken note of."""
        session.send_ipmi_response(code=self._set_boot_options(bytes(request["data"])))

    def get_system_boot_options(self, request: dict[str, Any], session: ClientSession) -> None:
        """Get System Boot Options: the boot flags."""
        if bytes(request["data"][:1]) != bytes([BOOT_FLAGS]):
            session.send_ipmi_response(code=PARAMETER_NOT_SUPPORTED)
            return
        device, persistent = self._node.override
        kept = FLAGS_VALID | self._efi_flag | (FLAGS_PERSISTENT if persistent else 0)
        flags = kept if device else 0
        number = DEVICE_NUMBERS[device] << 2
        session.send_ipmi_response(data=[PARAMETER_VERSION, BOOT_FLAGS, flags, number, 0, 0, 0])

    def _set_boot_options(self, data: bytes) -> int:
        if not data:
            return TOO_SHORT
        parameter = data[0] & 0x7F
        if parameter != BOOT_FLAGS:
            return OK if parameter < BOOT_FLAGS else PARAMETER_NOT_SUPPORTED
        if len(data) < 3:
            return TOO_SHORT
        number = (data[2] >> 2) & 0x0F
        if number not in DEVICES:
            return INVALID_FIELD
        device = DEVICES[number] if data[1] & FLAGS_VALID else None
        # Which firmware it is for is taken note of: a node has one alone.
        self._efi_flag = data[1] & FLAGS_EFI
        self._node.boot_from(device, persistent=bool(data[1] & FLAGS_PERSISTENT))
        return OK


def serve(seconds: float) -> None:
    """Answer what comes in at all BMCs of this process; waits at most `seconds` for it."""
    session.Session.wait_for_rsp(seconds)
