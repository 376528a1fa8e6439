"""A real ironic-python-agent in a process of its own, asked for its deploy steps or to run one.

    python -m tests.node.ipa_agent DISK < STEP

STEP is a deploy step in JSON, or null to list them; DISK, a file, is what the agent finds as the
node's disk. Printed is a JSON object: what the agent would answer Ironic.
"""

import json
import sys
from typing import Any

import ironic_python_agent.config  # noqa: F401 - the agent's options, which its modules ask for
from ironic_python_agent import hardware
from ironic_python_agent.extensions.deploy import DeployExtension

NODE: dict[str, Any] = {"uuid": "8c1f", "properties": {}, "driver_internal_info": {}}


def the_file(_manager: object, permit_refresh: bool = False) -> str:
    """What the agent finds as the disk to install to."""
    return sys.argv[1]


def main() -> None:
    """Answer."""
    hardware.GenericHardwareManager.get_os_install_device = the_file
    step, extension = json.load(sys.stdin), DeployExtension()
    if step is None:
        command = extension.get_deploy_steps(node=NODE, ports=[])
    else:
        hardware.get_managers()
        command = extension.execute_deploy_step(
            step=step, node=NODE, ports=[], deploy_version=hardware.get_current_versions()
        )
        command.join(60)
    error = command.command_error
    print(json.dumps({"error": error and str(error), "result": command.command_result}))


if __name__ == "__main__":
    main()
