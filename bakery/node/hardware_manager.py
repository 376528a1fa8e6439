"""A hardware manager for ironic-python-agent: the direct method's writer as a deploy step.

Ironic's deploy interface `custom-agent` leaves the writing to such a step. ironic-python-agent
finds this module by its entry point, in whatever ramdisk bakery is installed in; it needs the
agent's modules alone, libzstd and libcrypto. Source: ironic-python-agent, "Hardware Managers";
Ironic, "Deploy Steps".
"""

import time
from collections.abc import Callable
from typing import Any

from ironic_python_agent import errors, hardware
from oslo_log import log

from bakery.node.agent import http, signed_list
from bakery.node.agent.disk import BlockDevice
from bakery.node.agent.errors import AgentError
from bakery.node.agent.pull import pull

LOG = log.getLogger(__name__)
STEP = "write_packed_image"
PATIENCE_SECONDS = 60.0
TOLD_SECONDS = 5.0
ARGUMENTS = {
    "plan_url": {
        "description": "URL of the signed write list, http://…; the image is beside it.",
        "required": True,
    },
    "plan_key": {
        "description": "Public key of its signature: Ed25519, 64 hexadecimal digits.",
        "required": True,
    },
    "plan_serial": {
        "description": "The least serial that is taken: bakery sign prints that of its list.",
        "required": True,
    },
}


class PackedImageManager(hardware.HardwareManager):  # type: ignore[misc]  # it has no types
    """One deploy step, which nothing runs but who asks for it: its priority is 0."""

    HARDWARE_MANAGER_NAME = "bakery"
    HARDWARE_MANAGER_VERSION = "1"

    def evaluate_hardware_support(self) -> int:
        """Any node will do."""
        return int(hardware.HardwareSupport.SERVICE_PROVIDER)

    def get_deploy_steps(self, node: object, ports: object) -> list[dict[str, Any]]:
        """The step, as Ironic lists it."""
        step = {"step": STEP, "priority": 0, "interface": "deploy", "reboot_requested": False}
        return [{**step, "argsinfo": ARGUMENTS}]

    def write_packed_image(
        self, node: dict[str, Any], ports: object, plan_url: str, plan_key: str, plan_serial: int
    ) -> dict[str, object]:
        """Bring what the list says onto the disk Ironic chose, read back; what was written where.

        Raises DeploymentError where that cannot be; nothing boots from the disk then.
        """
        device = hardware.dispatch_to_managers("get_os_install_device", permit_refresh=True)
        try:
            content = http.fetch(http.parse(plan_url), signed_list.LIMIT, "", PATIENCE_SECONDS)
            with BlockDevice(device) as disk:
                here = signed_list.Here(str(node["uuid"]), disk.size_bytes, int(plan_serial))
                write_list = signed_list.read(content, _key(plan_key), here, plan_url)
                LOG.info("writing %d chunks of 1 MiB to %s", len(write_list.rest), device)
                pull(disk, write_list, _logged())
        except (AgentError, ValueError, TypeError) as error:
            raise errors.DeploymentError(f"{device} was not written: {error}") from error
        return {"device": device, "bytes": write_list.end}


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise AgentError("plan_key is not 64 hexadecimal digits") from None


def _logged() -> Callable[[str, int, int], None]:
    """Progress for the log, not more often than it can be read."""
    last = 0.0

    def tell(part: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= TOLD_SECONDS:
            last = time.monotonic()
            LOG.info("%s: %d of %d MiB", part, done >> 20, total >> 20)

    return tell
